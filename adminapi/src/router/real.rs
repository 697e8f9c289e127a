//! Real servers over HTTP.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Ask;
use super::answer::{self, Created, Failure};
use super::extract::{Body, RealPath, ServicePath};
use crate::error::{ControlError, Problem};
use crate::model::{Real, RealPatch, RealView};
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
    ControlError::unless_valid(validate_real_patch(patch))?;
    ask.run(move |control| control.change_real(id, real, patch))
        .await
        .map(Json)
}

pub(super) async fn remove(
    State(ask): State<Ask>,
    RealPath(id, real): RealPath,
) -> Answer<StatusCode> {
    ask.run(move |control| control.remove_real(id, real))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
