//! The defence and its events over HTTP.

use axum::Json;
use axum::extract::State;

use super::Ask;
use super::answer::Failure;
use super::extract::{Body, Parameters, ServicePath};
use crate::error::ControlError;
use crate::model::{Defense, DefenseLevel, EventQuery, Events, ServiceId};
use crate::validate::validate_level;

type Answer<T> = Result<Json<T>, Failure>;

pub(super) async fn show(State(ask): State<Ask>) -> Answer<Defense> {
    ask.run(|control| control.defense(None)).await.map(Json)
}

pub(super) async fn set(
    State(ask): State<Ask>,
    Body(level): Body<DefenseLevel>,
) -> Answer<Defense> {
    set_any(ask, None, level).await
}

pub(super) async fn show_service(
    State(ask): State<Ask>,
    ServicePath(id): ServicePath,
) -> Answer<Defense> {
    ask.run(move |control| control.defense(Some(id)))
        .await
        .map(Json)
}

pub(super) async fn set_service(
    State(ask): State<Ask>,
    ServicePath(id): ServicePath,
    Body(level): Body<DefenseLevel>,
) -> Answer<Defense> {
    set_any(ask, Some(id), level).await
}

pub(super) async fn events(
    State(ask): State<Ask>,
    Parameters(query): Parameters<EventQuery>,
) -> Answer<Events> {
    ask.run(move |control| control.events(query.since))
        .await
        .map(Json)
}

async fn set_any(ask: Ask, service: Option<ServiceId>, level: DefenseLevel) -> Answer<Defense> {
    ControlError::unless_valid(validate_level(level))?;
    ask.run(move |control| control.set_defense(service, level))
        .await
        .map(Json)
}
