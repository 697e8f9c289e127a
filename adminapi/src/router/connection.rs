//! Connections over HTTP, and what would become of one.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::Ask;
use super::extract::Parameters;
use super::openapi::Refusals;
use crate::error::ControlError;
use crate::failure::Failure;
use crate::model::{
    BadConnectionId, ConnectionId, ConnectionPage, ConnectionQuery, ExplainQuery, Explanation,
};
use crate::problem::ProblemKind;
use crate::validate::{validate_explain, validate_query};

type Answer<T> = Result<Json<T>, Failure>;

/// Lists connections, a page at a time
///
/// What persistent services remember of clients is listed behind them, as `template`.
#[utoipa::path(get, path = "/v1/connections", tag = "connections", params(ConnectionQuery),
    responses((status = 200, body = ConnectionPage), Refusals))]
pub(super) async fn list(
    State(ask): State<Ask>,
    Parameters(query): Parameters<ConnectionQuery>,
) -> Answer<ConnectionPage> {
    ControlError::unless_valid(validate_query(&query))?;
    ask.look(move |control| control.connections(&query))
        .await
        .map(Json)
}

/// Lists what persistent services remember of clients, a page at a time
#[utoipa::path(get, path = "/v1/templates", tag = "connections", params(ConnectionQuery),
    responses((status = 200, body = ConnectionPage), Refusals))]
pub(super) async fn templates(
    state: State<Ask>,
    Parameters(query): Parameters<ConnectionQuery>,
) -> Answer<ConnectionPage> {
    let template = Some(true);
    list(state, Parameters(ConnectionQuery { template, ..query })).await
}

/// Closes a connection
///
/// The director forgets it; its client is told at its next packet.
#[utoipa::path(delete, path = "/v1/connections/{connection}", tag = "connections",
    params(("connection" = ConnectionId, Path, description = "The connection")),
    responses((status = 204), Refusals))]
pub(super) async fn close(
    State(ask): State<Ask>,
    Path(name): Path<String>,
) -> Result<StatusCode, Failure> {
    let id: ConnectionId = name
        .parse()
        .map_err(|bad: BadConnectionId| Failure::new(ProblemKind::BadRequest, bad.to_string()))?;
    ask.look(move |control| control.close_connection(id))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tells what would become of a packet
#[utoipa::path(get, path = "/v1/explain", tag = "connections", params(ExplainQuery),
    responses((status = 200, body = Explanation), Refusals))]
pub(super) async fn explain(
    State(ask): State<Ask>,
    Parameters(query): Parameters<ExplainQuery>,
) -> Answer<Explanation> {
    ControlError::unless_valid(validate_explain(&query))?;
    ask.look(move |control| control.explain(&query))
        .await
        .map(Json)
}
