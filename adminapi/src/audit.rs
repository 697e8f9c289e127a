//! The audit: for every change over HTTP who made it, what it was, and what was there before and
//! after.
//!
//! What was there is what a GET of the resource answers, so that a new resource needs nothing
//! here. Changes come one at a time for that: a body is read before its turn comes, so a slow
//! client keeps nobody waiting. One whose turn has come is made and told of, whether or not its client
//! is still there. One at a time: clients that hang up cannot pile up work.

mod subject;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};
use tower::ServiceExt;

use crate::auth::Caller;
use crate::control::Control;
use crate::difference::change;
use crate::error::ControlError;
use crate::failure::Failure;
use crate::model::AuditEntry;
use crate::path;
use crate::problem::ProblemKind;
use crate::router::{CONFIG_LIMIT, router};

use subject::Subject;

/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// The API over `control`, which hears of every change.
pub fn audited(control: Arc<dyn Control>) -> Router {
    let api = router(Arc::clone(&control));
    let audit = Audit {
        control,
        api: api.clone(),
    };
    api.layer(from_fn_with_state(audit, note))
}

#[derive(Clone)]
struct Audit {
    control: Arc<dyn Control>,
    /// To ask what is there.
    api: Router,
}

async fn note(State(audit): State<Audit>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let (parts, body) = match whole(request).await {
        Ok(request) => request,
        Err(failure) => return failure.into_response(),
    };
    let turn = Arc::clone(audit.control.turn()).lock_owned().await;
    let made = tokio::spawn(async move {
        let answer = audit.make(parts, body, next).await;
        drop(turn);
        answer
    });
    made.await.unwrap_or_else(|fault| {
        let failure = Failure::from(ControlError::Internal(fault.to_string()));
        failure.into_response()
    })
}

/// Waits for the change that is being made, if one is: its client may be gone. For when nobody can
/// ask for another one any more.
pub async fn settled(control: &dyn Control) {
    drop(control.turn().lock().await);
}

impl Audit {
    /// Makes the change that is asked for, and tells of it.
    async fn make(&self, parts: Parts, body: Bytes, next: Next) -> Response {
        let what = format!("{} {}", parts.method, parts.uri);
        let who = parts.extensions.get::<Caller>();
        let who = who.map_or_else(|| "unknown".to_owned(), Caller::to_string);
        let subject = Subject::of(&parts.method, &parts.uri, &body);
        let is_trial =
            parts.uri.path() == path::CONFIG && parts.uri.query().is_some_and(is_dry_run);

        let before = self.look(&subject).await;
        let answer = next.run(Request::from_parts(parts, body.into())).await;
        if !answer.status().is_success() || is_trial {
            return answer;
        }
        let place = answer.headers().get(header::LOCATION);
        let after = match (&subject, place.map(HeaderValue::to_str)) {
            (Subject::New, Some(Ok(place))) => self.get(place).await,
            _ => self.look(&subject).await,
        };
        if let Some(change) = change(who, what, before, after) {
            self.tell(change).await;
        }
        answer
    }

    /// What is there; nothing when there is nothing.
    async fn look(&self, subject: &Subject) -> Option<Value> {
        match subject {
            Subject::New => None,
            Subject::One(path) => self.get(path).await,
            Subject::Several(paths) => {
                let mut found = Map::new();
                for path in paths {
                    if let Some(value) = self.get(path).await {
                        found.insert(path.clone(), value);
                    }
                }
                Some(Value::Object(found))
            }
        }
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let request = Request::get(path).body(Body::empty()).ok()?;
        let Ok(answer) = self.api.clone().oneshot(request).await;
        // A stream would never end, and what is no JSON shows nothing.
        let kind = answer.headers().get(header::CONTENT_TYPE);
        let is_json = kind.is_some_and(|kind| kind == "application/json");
        if answer.status() != StatusCode::OK || !is_json {
            return None;
        }
        let body = to_bytes(answer.into_body(), usize::MAX).await.ok()?;
        serde_json::from_slice(&body).ok()
    }

    async fn tell(&self, change: AuditEntry) {
        let control = Arc::clone(&self.control);
        let told = tokio::task::spawn_blocking(move || control.record(change)).await;
        if let Err(fault) = told {
            tracing::error!(%fault, "a change is missing in the audit");
        }
    }
}

fn is_dry_run(query: &str) -> bool {
    query.split('&').any(|pair| pair == "dry_run=true")
}

/// The request, once its body has come in whole.
async fn whole(request: Request) -> Result<(Parts, Bytes), Failure> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, CONFIG_LIMIT).collect();
    let body: Bytes = match tokio::time::timeout(PATIENCE, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("a body has at most {CONFIG_LIMIT} bytes");
            return Err(Failure::new(ProblemKind::TooLarge, detail));
        }
        Ok(Err(error)) => return Err(Failure::new(ProblemKind::BadRequest, error.to_string())),
        Err(_) => {
            let detail = format!("the body did not come within {PATIENCE:?}");
            return Err(Failure::new(ProblemKind::RequestTimeout, detail));
        }
    };
    Ok((parts, body))
}

#[cfg(test)]
mod tests;
