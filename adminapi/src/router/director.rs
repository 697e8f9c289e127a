//! The director as a whole over HTTP: health, status, statistics, limits, timeouts.

use axum::Json;
use axum::response::Response;

use super::answer::Shown;
use super::ask::Ask;
use super::condition::Condition;
use super::extract::{Body, Parameters};
use super::openapi::Refusals;
use crate::error::ControlError;
use crate::failure::Failure;
use crate::model::{
    DropReport, Health, Limits, Scheduler, SchedulerView, SourceQuery, Sources, Stats, Status,
    Timeouts, TimeoutsPatch,
};
use crate::validate::validate_timeouts;

/// Tells whether the director is ready
#[utoipa::path(get, path = "/v1/health", tag = "director",
    responses((status = 200, body = Health), Refusals))]
pub(super) async fn health(ask: Ask) -> Result<Response, Failure> {
    ask.show(|control| control.health().map(Json)).await
}

/// Shows the director as it is now
#[utoipa::path(get, path = "/v1/status", tag = "director",
    responses((status = 200, body = Status), Refusals))]
pub(super) async fn status(ask: Ask) -> Result<Response, Failure> {
    ask.show(|control| control.status().map(Json)).await
}

/// Shows what the director has done with packets
#[utoipa::path(get, path = "/v1/stats", tag = "director",
    responses((status = 200, body = Stats), Refusals))]
pub(super) async fn stats(ask: Ask) -> Result<Response, Failure> {
    ask.show(|control| control.stats().map(Json)).await
}

/// Shows what packets were dropped for
#[utoipa::path(get, path = "/v1/drops", tag = "director",
    responses((status = 200, body = DropReport), Refusals))]
pub(super) async fn drops(ask: Ask) -> Result<Response, Failure> {
    ask.show(|control| Ok(Json(DropReport::from(control.status()?))))
        .await
}

/// Shows how much there is room for
#[utoipa::path(get, path = "/v1/limits", tag = "director",
    responses((status = 200, body = Limits), Refusals))]
pub(super) async fn limits(ask: Ask) -> Result<Response, Failure> {
    ask.show(|control| control.limits().map(Json)).await
}

/// Tells who sends most
#[utoipa::path(get, path = "/v1/sources", tag = "connections", params(SourceQuery),
    responses((status = 200, body = Sources), Refusals))]
pub(super) async fn sources(
    ask: Ask,
    Parameters(query): Parameters<SourceQuery>,
) -> Result<Response, Failure> {
    ask.show(move |control| control.sources(&query).map(Json))
        .await
}

/// Lists the schedulers
#[utoipa::path(get, path = "/v1/schedulers", tag = "services",
    responses((status = 200, body = Vec<SchedulerView>), Refusals))]
pub(super) async fn schedulers() -> Json<Vec<SchedulerView>> {
    Json(Scheduler::ALL.map(SchedulerView::from).into())
}

/// Shows the timeouts
#[utoipa::path(get, path = "/v1/timeouts", tag = "director",
    responses((status = 200, body = Timeouts), Refusals))]
pub(super) async fn timeouts(ask: Ask) -> Result<Response, Failure> {
    ask.show(|control| control.timeouts().map(Shown)).await
}

/// Sets the timeouts
#[utoipa::path(put, path = "/v1/timeouts", tag = "director", request_body = Timeouts,
    responses((status = 200, body = Timeouts), Refusals))]
pub(super) async fn put_timeouts(
    ask: Ask,
    condition: Condition,
    Body(timeouts): Body<Timeouts>,
) -> Result<Shown<Timeouts>, Failure> {
    change_timeouts(ask, condition, Body(timeouts.into())).await
}

/// Changes some timeouts
#[utoipa::path(patch, path = "/v1/timeouts", tag = "director", request_body = TimeoutsPatch,
    responses((status = 200, body = Timeouts), Refusals))]
pub(super) async fn change_timeouts(
    ask: Ask,
    condition: Condition,
    Body(patch): Body<TimeoutsPatch>,
) -> Result<Shown<Timeouts>, Failure> {
    ControlError::unless_valid(validate_timeouts(patch))?;
    ask.change(
        condition,
        |control| control.timeouts(),
        move |control| control.change_timeouts(patch),
    )
    .await
    .map(Shown)
}
