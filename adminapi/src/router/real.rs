//! Real servers over HTTP.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::answer::{self, Created, Shown};
use super::ask::Ask;
use super::condition::Condition;
use super::extract::{Body, Parameters, RealParams, RealPath, ServiceParams, ServicePath};
use super::openapi::Refusals;
use crate::error::{ControlError, Problem};
use crate::failure::Failure;
use crate::model::{Carried, Real, RealPatch, RealView, span};
use crate::path;
use crate::validate::{validate_real, validate_real_patch};

type Answer<T> = Result<T, Failure>;

/// Lists the real servers of a service, in the order they were added
#[utoipa::path(get, path = "/v1/services/{service}/reals", tag = "services",
    params(ServiceParams), responses((status = 200, body = Vec<RealView>), Refusals))]
pub(super) async fn list(ask: Ask, ServicePath(id): ServicePath) -> Result<Response, Failure> {
    ask.show(move |control| control.reals(id).map(Shown)).await
}

/// Shows a real server
#[utoipa::path(get, path = "/v1/services/{service}/reals/{real}", tag = "services",
    params(RealParams), responses((status = 200, body = RealView), Refusals))]
pub(super) async fn show(ask: Ask, RealPath(id, real): RealPath) -> Result<Response, Failure> {
    ask.show(move |control| control.real(id, real).map(Shown))
        .await
}

/// Shows what a real server has carried
#[utoipa::path(get, path = "/v1/services/{service}/reals/{real}/stats", tag = "services",
    params(RealParams), responses((status = 200, body = Carried), Refusals))]
pub(super) async fn stats(ask: Ask, RealPath(id, real): RealPath) -> Result<Response, Failure> {
    ask.show(move |control| control.carried(id, Some(real)).map(Json))
        .await
}

/// Adds a real server
#[utoipa::path(post, path = "/v1/services/{service}/reals", tag = "services",
    params(ServiceParams), request_body = Real,
    responses((status = 201, body = RealView), Refusals))]
pub(super) async fn add(
    ask: Ask,
    condition: Condition,
    ServicePath(id): ServicePath,
    Body(real): Body<Real>,
) -> Answer<Created<RealView>> {
    ControlError::unless_valid(validate_real(id, &real))?;
    let location = path::real(id, real.endpoint(id.port()));
    let done = ask.change(
        condition,
        move |control| control.reals(id),
        move |control| control.add_real(id, real),
    );
    let body = done.await?;
    Ok(Created { location, body })
}

/// Adds a real server, or makes the one of its name look like the body
#[utoipa::path(put, path = "/v1/services/{service}/reals/{real}", tag = "services",
    params(RealParams), request_body = Real,
    responses((status = 200, body = RealView), (status = 201, body = RealView), Refusals))]
pub(super) async fn put(
    ask: Ask,
    condition: Condition,
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
    let done = ask.change(
        condition,
        move |control| control.real(id, named),
        move |control| control.put_real(id, real),
    );
    Ok(answer::put(done.await?, path::real(id, named)))
}

/// Changes what the body names of a real server
#[utoipa::path(patch, path = "/v1/services/{service}/reals/{real}", tag = "services",
    params(RealParams), request_body = RealPatch,
    responses((status = 200, body = RealView), Refusals))]
pub(super) async fn change(
    ask: Ask,
    condition: Condition,
    RealPath(id, real): RealPath,
    Body(patch): Body<RealPatch>,
) -> Answer<Shown<RealView>> {
    ControlError::unless_valid(validate_real_patch(&patch))?;
    let done = ask.change(
        condition,
        move |control| control.real(id, real),
        move |control| control.change_real(id, real, patch),
    );
    done.await.map(Shown)
}

/// Removes a real server, at once or when its connections have gone
#[utoipa::path(delete, path = "/v1/services/{service}/reals/{real}", tag = "services",
    params(RealParams, Removal),
    responses((status = 202, body = RealView, description = "It is being drained"),
        (status = 204), Refusals))]
pub(super) async fn remove(
    ask: Ask,
    condition: Condition,
    RealPath(id, real): RealPath,
    Parameters(removal): Parameters<Removal>,
) -> Answer<Response> {
    let present = move |control: &dyn crate::Control| control.real(id, real);
    let Some(text) = removal.drain else {
        let done = ask.change(condition, present, move |control| {
            control.remove_real(id, real)
        });
        return done.await.map(|()| StatusCode::NO_CONTENT.into_response());
    };
    let Some(seconds) = span(&text) else {
        let message = format!("{text:?} is no time to drain for");
        let problem = Problem::new("/drain", message, "write 90s, 15m, 2h; 31 days at most");
        return Err(ControlError::Invalid(vec![problem]).into());
    };
    let patch = RealPatch::drain(seconds);
    let now = ask.change(condition, present, move |control| {
        control.change_real(id, real, patch)
    });
    now.await
        .map(|now| (StatusCode::ACCEPTED, Json(now)).into_response())
}

/// How a real server is to go.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Removal {
    /// Not at once, but when its last connection has gone, and at the latest after this time:
    /// `90s`, `15m`, `2h`.
    #[param(pattern = "^[0-9]{1,7}[smhd]?$", example = "60s")]
    drain: Option<String>,
}
