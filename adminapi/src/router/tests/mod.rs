//! The router over a director without packets.

mod config;
mod director;
mod ipvs;
mod live;
mod openapi;
mod real;
mod request;
mod service;
mod tag;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::error::ControlError;
use crate::fake::Fake;
use crate::problem::{MEDIA_TYPE, ProblemKind};
use crate::sysctl::Sysctl;

const WEB: &str = "/v1/services/tcp:10.0.0.1:80";
const DNS: &str = "/v1/services/udp:%5B2001:db8::1%5D:53";

pub(super) struct Got {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Value,
}

impl Got {
    /// The pointers of a problem of kind `invalid`.
    fn pointers(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().expect("errors");
        let pointer = |error: &'_ Value| error["pointer"].as_str().map(str::len);
        assert!(errors.iter().all(|error| pointer(error).is_some()));
        errors
            .iter()
            .filter_map(|e| e["pointer"].as_str())
            .collect()
    }
}

async fn send(router: &Router, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Got {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, kind)
        .body(Body::from(body))
        .unwrap();
    received(router.clone().oneshot(request).await.unwrap()).await
}

async fn received(response: axum::response::Response) -> Got {
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    let body = match bytes.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&bytes).unwrap(),
    };
    Got {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

/// `METHOD PATH` with a JSON body.
pub(super) async fn ask(router: &Router, line: &str, body: Value) -> Got {
    let (method, path) = line.split_once(' ').unwrap();
    let body = match body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    send(router, method, path, "application/json", body).await
}

/// The call succeeds with `status`; its body.
pub(super) async fn ok(router: &Router, line: &str, body: Value, status: u16) -> Value {
    let got = ask(router, line, body).await;
    assert_eq!(got.status.as_u16(), status, "{line}: {}", got.body);
    got.body
}

fn assert_problem(got: &Got, kind: ProblemKind, line: &str) {
    assert_eq!(got.status.as_u16(), kind.status(), "{line}: {}", got.body);
    assert_eq!(got.headers[header::CONTENT_TYPE], MEDIA_TYPE, "{line}");
    let expected = format!("urn:bulwark:problem:{}", kind.name());
    assert_eq!(got.body["type"], expected, "{line}");
    assert_eq!(got.body["status"], kind.status(), "{line}");
}

/// The call fails with `kind`.
async fn no(router: &Router, line: &str, body: Value, kind: ProblemKind) -> Got {
    let got = ask(router, line, body).await;
    assert_problem(&got, kind, line);
    got
}

fn web() -> Value {
    json!({"protocol": "tcp", "address": "10.0.0.1", "port": 80, "scheduler": "wrr",
           "real": [{"address": "10.0.2.1", "port": 8080, "weight": 3}]})
}

fn dns() -> Value {
    json!({"protocol": "udp", "address": "2001:db8::1", "port": 53})
}

fn empty() -> Router {
    router(Arc::new(Fake::default()))
}

async fn with_web() -> Router {
    let router = empty();
    ok(&router, "POST /v1/services", web(), 201).await;
    router
}
