//! The director as a whole over HTTP: health, status, statistics, connections, timeouts.

use axum::Json;
use axum::extract::State;

use super::Ask;
use super::answer::Failure;
use super::extract::{Body, Parameters};
use crate::error::ControlError;
use crate::model::{
    ConnectionPage, ConnectionQuery, ExplainQuery, Explanation, Health, SourceQuery, Sources,
    Stats, Status, Timeouts, TimeoutsPatch,
};
use crate::validate::{validate_explain, validate_query, validate_timeouts};

type Answer<T> = Result<Json<T>, Failure>;

pub(super) async fn health(State(ask): State<Ask>) -> Answer<Health> {
    ask.run(|control| control.health()).await.map(Json)
}

pub(super) async fn status(State(ask): State<Ask>) -> Answer<Status> {
    ask.run(|control| control.status()).await.map(Json)
}

pub(super) async fn stats(State(ask): State<Ask>) -> Answer<Stats> {
    ask.run(|control| control.stats()).await.map(Json)
}

pub(super) async fn connections(
    State(ask): State<Ask>,
    Parameters(query): Parameters<ConnectionQuery>,
) -> Answer<ConnectionPage> {
    ControlError::unless_valid(validate_query(&query))?;
    ask.run(move |control| control.connections(&query))
        .await
        .map(Json)
}

pub(super) async fn sources(
    State(ask): State<Ask>,
    Parameters(query): Parameters<SourceQuery>,
) -> Answer<Sources> {
    ask.run(move |control| control.sources(&query))
        .await
        .map(Json)
}

pub(super) async fn explain(
    State(ask): State<Ask>,
    Parameters(query): Parameters<ExplainQuery>,
) -> Answer<Explanation> {
    ControlError::unless_valid(validate_explain(&query))?;
    ask.run(move |control| control.explain(&query))
        .await
        .map(Json)
}

pub(super) async fn timeouts(State(ask): State<Ask>) -> Answer<Timeouts> {
    ask.run(|control| control.timeouts()).await.map(Json)
}

pub(super) async fn put_timeouts(
    state: State<Ask>,
    Body(timeouts): Body<Timeouts>,
) -> Answer<Timeouts> {
    change_timeouts(state, Body(timeouts.into())).await
}

pub(super) async fn change_timeouts(
    State(ask): State<Ask>,
    Body(patch): Body<TimeoutsPatch>,
) -> Answer<Timeouts> {
    ControlError::unless_valid(validate_timeouts(patch))?;
    ask.run(move |control| control.change_timeouts(patch))
        .await
        .map(Json)
}
