//! Requests into types; what cannot be read becomes a [`Failure`] that says where and why.

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::{self, FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::json::{self, Unread};
use crate::model::{EndpointText, ServiceId};
use crate::problem::{ProblemDocument, ProblemKind};

/// The largest body that is read: a service with some 10,000 real servers.
pub const BODY_LIMIT: usize = 1 << 20;

/// What a PATCH may call its body: RFC 7396, section 4.
pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";

/// The body of a request.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        if !says_json(request.method(), request.headers()) {
            return Err(Failure::new(
                ProblemKind::UnsupportedMediaType,
                "send `Content-Type: application/json`",
            ));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| unread_body(rejection.status(), &rejection.body_text()))?;
        parse(&bytes).map(Self)
    }
}

fn says_json(method: &Method, headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return false;
    };
    let essence = value.to_str().ok().and_then(|text| text.split(';').next());
    essence.is_some_and(|essence| {
        let essence = essence.trim().to_ascii_lowercase();
        let patches = method == Method::PATCH && essence == MERGE_PATCH;
        patches || essence == "application/json"
    })
}

fn unread_body(status: StatusCode, text: &str) -> Failure {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("a body has at most {BODY_LIMIT} bytes; /v1/config takes more");
        return Failure::new(ProblemKind::TooLarge, detail);
    }
    Failure::new(ProblemKind::BadRequest, text)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    json::read(bytes).map_err(|unread| match unread {
        Unread::Malformed(error) => Failure::new(ProblemKind::MalformedJson, error.to_string()),
        Unread::Invalid(problems) => ProblemDocument::invalid(problems).into(),
    })
}

/// The parameters of a request.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(parameters)| Self(parameters))
            .map_err(|rejection| Failure::new(ProblemKind::BadRequest, rejection.body_text()))
    }
}

/// What a path leaves open.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        extract::Path::from_request_parts(parts, state)
            .await
            .map(|extract::Path(open)| Self(open))
            .map_err(|rejection| Failure::new(ProblemKind::BadRequest, rejection.body_text()))
    }
}

/// What a path to a service says.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes what [`ServicePath`] reads")]
pub(super) struct ServiceParams {
    /// The service.
    service: ServiceId,
}

/// What a path to a real server says.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "it describes what [`RealPath`] reads")]
pub(super) struct RealParams {
    /// The service.
    service: ServiceId,
    /// The real server.
    real: EndpointText,
}

/// The service that a path names.
pub(super) struct ServicePath(pub(super) ServiceId);

/// The service and the real server that a path names.
pub(super) struct RealPath(pub(super) ServiceId, pub(super) SocketAddr);

/// The segments of a path as they stand there.
#[derive(Deserialize)]
struct Segments {
    service: String,
    real: Option<String>,
}

fn service_id(text: &str) -> Result<ServiceId, Failure> {
    text.parse().map_err(|bad: crate::model::BadServiceId| {
        Failure::new(ProblemKind::BadRequest, bad.to_string())
    })
}

fn real_address(text: &str) -> Result<SocketAddr, Failure> {
    text.parse().map_err(|_| {
        let detail =
            format!("`{text}` names no real server; write 10.0.2.1:8080 or [2001:db8::1]:8080");
        Failure::new(ProblemKind::BadRequest, detail)
    })
}

impl<S: Send + Sync> FromRequestParts<S> for ServicePath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Path(segments) = Path::<Segments>::from_request_parts(parts, state).await?;
        service_id(&segments.service).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RealPath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Path(segments) = Path::<Segments>::from_request_parts(parts, state).await?;
        let real = segments.real.as_deref().unwrap_or_default();
        Ok(Self(service_id(&segments.service)?, real_address(real)?))
    }
}
