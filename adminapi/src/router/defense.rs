//! The defence over HTTP.

use axum::response::Response;

use super::answer::Shown;
use super::ask::Ask;
use super::condition::Condition;
use super::extract::{Body, ServiceParams, ServicePath};
use super::openapi::Refusals;
use crate::error::ControlError;
use crate::failure::Failure;
use crate::model::{Defense, DefenseLevel, ServiceId};
use crate::validate::validate_level;

/// Shows the defence of the whole director
#[utoipa::path(get, path = "/v1/defense", tag = "defence",
    responses((status = 200, body = Defense), Refusals))]
pub(super) async fn show(ask: Ask) -> Result<Response, Failure> {
    ask.show(|control| control.defense(None).map(Shown)).await
}

/// Sets the level of the whole director
#[utoipa::path(put, path = "/v1/defense", tag = "defence", request_body = DefenseLevel,
    responses((status = 200, body = Defense), Refusals))]
pub(super) async fn set(
    ask: Ask,
    condition: Condition,
    Body(level): Body<DefenseLevel>,
) -> Result<Shown<Defense>, Failure> {
    set_any(ask, condition, None, level).await
}

/// Shows the defence of a service
#[utoipa::path(get, path = "/v1/services/{service}/defense", tag = "defence",
    params(ServiceParams), responses((status = 200, body = Defense), Refusals))]
pub(super) async fn show_service(
    ask: Ask,
    ServicePath(id): ServicePath,
) -> Result<Response, Failure> {
    ask.show(move |control| control.defense(Some(id)).map(Shown))
        .await
}

/// Sets the level of a service
#[utoipa::path(put, path = "/v1/services/{service}/defense", tag = "defence",
    params(ServiceParams), request_body = DefenseLevel,
    responses((status = 200, body = Defense), Refusals))]
pub(super) async fn set_service(
    ask: Ask,
    condition: Condition,
    ServicePath(id): ServicePath,
    Body(level): Body<DefenseLevel>,
) -> Result<Shown<Defense>, Failure> {
    set_any(ask, condition, Some(id), level).await
}

async fn set_any(
    ask: Ask,
    condition: Condition,
    service: Option<ServiceId>,
    level: DefenseLevel,
) -> Result<Shown<Defense>, Failure> {
    ControlError::unless_valid(validate_level(level))?;
    ask.change(
        condition,
        move |control| control.defense(service),
        move |control| control.set_defense(service, level),
    )
    .await
    .map(Shown)
}
