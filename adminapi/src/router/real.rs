//! Real servers over HTTP.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Ask;
use super::answer::{self, Created, Failure};
use super::extract::{Body, Parameters, RealPath, ServicePath};
use crate::error::{ControlError, Problem};
use crate::model::{Real, RealPatch, RealView, span};
use crate::path;
use crate::validate::{validate_real, validate_real_patch};

type Answer<T> = Result<T, Failure>;

pub(super) async fn list(
    State(ask): State<Ask>,
    ServicePath(id): ServicePath,
) -> Answer<Json<Vec<RealView>>> {
    ask.run(move |control| control.reals(id)).await.map(Json)
}

pub(super) async fn show(
    State(ask): State<Ask>,
    RealPath(id, real): RealPath,
) -> Answer<Json<RealView>> {
    ask.run(move |control| control.real(id, real))
        .await
        .map(Json)
}

pub(super) async fn add(
    State(ask): State<Ask>,
    ServicePath(id): ServicePath,
    Body(real): Body<Real>,
) -> Answer<Created<RealView>> {
    ControlError::unless_valid(validate_real(id, &real))?;
    let location = path::real(id, real.endpoint(id.port()));
    let body = ask.run(move |control| control.add_real(id, real)).await?;
    Ok(Created { location, body })
}

pub(super) async fn put(
    State(ask): State<Ask>,
    RealPath(id, named): RealPath,
    Body(real): Body<Real>,
) -> Answer<Response> {
    let mut problems = validate_real(id, &real);
    let given = real.endpoint(id.port());
    if given != named {
        let pointer = if given.ip() == named.ip() {
            "/port"
        } else {
            "/address"
        };
        let message = format!("{given} is not {named}, which the path names");
        problems.push(Problem::new(
            pointer,
            message,
            "add another real server by POST",
        ));
    }
    ControlError::unless_valid(problems)?;
    let done = ask.run(move |control| control.put_real(id, real)).await?;
    Ok(answer::put(done, path::real(id, named)))
}

pub(super) async fn change(
    State(ask): State<Ask>,
    RealPath(id, real): RealPath,
    Body(patch): Body<RealPatch>,
) -> Answer<Json<RealView>> {
    ControlError::unless_valid(validate_real_patch(&patch))?;
    ask.run(move |control| control.change_real(id, real, patch))
        .await
        .map(Json)
}

pub(super) async fn remove(
    State(ask): State<Ask>,
    RealPath(id, real): RealPath,
    Parameters(removal): Parameters<Removal>,
) -> Answer<Response> {
    let Some(text) = removal.drain else {
        let done = ask.run(move |control| control.remove_real(id, real));
        return done.await.map(|()| StatusCode::NO_CONTENT.into_response());
    };
    let Some(seconds) = span(&text) else {
        let message = format!("{text:?} is no time to drain for");
        let problem = Problem::new("/drain", message, "write 90s, 15m, 2h; 31 days at most");
        return Err(ControlError::Invalid(vec![problem]).into());
    };
    let patch = RealPatch::drain(seconds);
    let now = ask.run(move |control| control.change_real(id, real, patch));
    now.await
        .map(|now| (StatusCode::ACCEPTED, Json(now)).into_response())
}

/// How a real server is to go.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Removal {
    /// Not at once: see [`RealPatch::drain`].
    drain: Option<String>,
}
