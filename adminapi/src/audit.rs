//! The audit: for every change over HTTP who made it, what it was, and what was there before and
//! after.
//!
//! What was there is what a GET of the resource answers, so that a new resource needs nothing
//! here. Changes come one at a time for that: a body is read before its turn comes, so a slow
//! client keeps nobody waiting.

mod difference;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use tokio::sync::Mutex;
use tower::ServiceExt;

use crate::auth::Caller;
use crate::control::Control;
use crate::model::{Change, Configuration};
use crate::path;
use crate::problem::ProblemKind;
use crate::router::answer::Failure;
use crate::router::{CONFIG_LIMIT, router};

pub use difference::change;

/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// The API over `control`, which hears of every change.
pub fn audited(control: Arc<dyn Control>) -> Router {
    let api = router(Arc::clone(&control));
    let audit = Audit {
        control,
        api: api.clone(),
        turn: Arc::default(),
    };
    api.layer(from_fn_with_state(audit, note))
}

/// The change of a whole configuration by somebody who is no client of the API.
pub fn of_config(
    who: &str,
    what: &str,
    before: &Configuration,
    after: &Configuration,
) -> Option<Change> {
    let [before, after] = [before, after].map(|config| serde_json::to_value(config).ok());
    change(who.to_owned(), what.to_owned(), before, after)
}

#[derive(Clone)]
struct Audit {
    control: Arc<dyn Control>,
    /// To ask what is there.
    api: Router,
    /// Who holds it makes a change.
    turn: Arc<Mutex<()>>,
}

async fn note(State(audit): State<Audit>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let request = match whole(request).await {
        Ok(request) => request,
        Err(failure) => return failure.into_response(),
    };
    let what = format!("{} {}", request.method(), request.uri());
    let who = request.extensions().get::<Caller>();
    let who = who.map_or_else(|| "unknown".to_owned(), Caller::to_string);
    let subject = subject(request.method(), request.uri());
    let is_trial = request.uri().query().is_some_and(is_dry_run);

    let _turn = audit.turn.lock().await;
    let before = audit.look(subject.as_deref()).await;
    let answer = next.run(request).await;
    if !answer.status().is_success() || is_trial {
        return answer;
    }
    let made = answer.headers().get(header::LOCATION);
    let made = made.and_then(|place| place.to_str().ok());
    let after = audit.look(made.or(subject.as_deref())).await;
    if let Some(change) = change(who, what, before, after) {
        audit.tell(change).await;
    }
    answer
}

impl Audit {
    /// What is there; nothing when there is nothing.
    async fn look(&self, subject: Option<&str>) -> Option<Value> {
        let request = Request::get(subject?).body(Body::empty()).ok()?;
        let Ok(answer) = self.api.clone().oneshot(request).await;
        if answer.status() != StatusCode::OK {
            return None;
        }
        let body = to_bytes(answer.into_body(), usize::MAX).await.ok()?;
        serde_json::from_slice(&body).ok()
    }

    async fn tell(&self, change: Change) {
        let control = Arc::clone(&self.control);
        let told = tokio::task::spawn_blocking(move || control.record(change)).await;
        if let Err(fault) = told {
            tracing::error!(%fault, "a change is missing in the audit");
        }
    }
}

/// What a request changes; nothing when it adds something that has no name yet.
fn subject(method: &Method, uri: &Uri) -> Option<String> {
    match (method.as_str(), uri.path()) {
        ("DELETE", path::SERVICES) | ("POST", path::RELOAD) => Some(path::CONFIG.to_owned()),
        ("POST", _) => None,
        (_, path) => Some(path.to_owned()),
    }
}

fn is_dry_run(query: &str) -> bool {
    query.split('&').any(|pair| pair == "dry_run=true")
}

/// The same request with a body that has come in whole.
async fn whole(request: Request) -> Result<Request, Failure> {
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
    Ok(Request::from_parts(parts, body.into()))
}

#[cfg(test)]
mod tests;
