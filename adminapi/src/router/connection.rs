//! Connections over HTTP, and what would become of one.

use axum::Json;
use axum::http::StatusCode;
use axum::response::Response;

use super::ask::Ask;
use super::extract::{Parameters, Path};
use super::openapi::Refusals;
use crate::error::{ControlError, Subject};
use crate::failure::Failure;
use crate::model::{
    BadConnectionId, BadTemplateId, ConnectionId, ConnectionPage, ConnectionQuery, ExplainQuery,
    Explanation, Forgotten, TemplateId, TemplatePageQuery, TemplateQuery,
};
use crate::problem::ProblemKind;
use crate::validate::{validate_explain, validate_query};

/// Lists connections, a page at a time
///
/// What persistent services remember of clients is listed behind them, as `template`.
#[utoipa::path(get, path = "/v1/connections", tag = "connections", params(ConnectionQuery),
    responses((status = 200, body = ConnectionPage), Refusals))]
pub(super) async fn list(
    ask: Ask,
    Parameters(query): Parameters<ConnectionQuery>,
) -> Result<Response, Failure> {
    ControlError::unless_valid(validate_query(&query))?;
    ask.show(move |control| control.connections(&query).map(Json))
        .await
}

/// Lists what persistent services remember of clients, a page at a time
#[utoipa::path(get, path = "/v1/templates", tag = "connections", params(TemplatePageQuery),
    responses((status = 200, body = ConnectionPage), Refusals))]
pub(super) async fn templates(
    ask: Ask,
    Parameters(query): Parameters<TemplatePageQuery>,
) -> Result<Response, Failure> {
    list(ask, Parameters(query.into())).await
}

/// Forgets what persistent services remember of clients
///
/// All of it, or what the parameters name. Connections go on; the next ones of these clients are
/// scheduled as if they were new.
#[utoipa::path(delete, path = "/v1/templates", tag = "connections", params(TemplateQuery),
    responses((status = 200, body = Forgotten), Refusals))]
pub(super) async fn forget_all(
    ask: Ask,
    Parameters(query): Parameters<TemplateQuery>,
) -> Result<Response, Failure> {
    ask.show(move |control| control.forget_templates(&query).map(Json))
        .await
}

/// Forgets what a service remembers of a client
///
/// The client's connections go on; the next one is scheduled as if it were new.
#[utoipa::path(delete, path = "/v1/templates/{template}", tag = "connections",
    params(("template" = TemplateId, Path, description = "The service and the client")),
    responses((status = 204), Refusals))]
pub(super) async fn forget(ask: Ask, Path(name): Path<String>) -> Result<StatusCode, Failure> {
    let id: TemplateId = name
        .parse()
        .map_err(|bad: BadTemplateId| Failure::new(ProblemKind::BadRequest, bad.to_string()))?;
    ask.look(move |control| match control.forget_templates(&id.into())? {
        Forgotten { forgotten: 0 } => Err(ControlError::NotFound(Subject::Template(id))),
        Forgotten { .. } => Ok(()),
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Closes a connection
///
/// The director forgets it; its client is told at its next packet.
#[utoipa::path(delete, path = "/v1/connections/{connection}", tag = "connections",
    params(("connection" = ConnectionId, Path, description = "The connection")),
    responses((status = 204), Refusals))]
pub(super) async fn close(ask: Ask, Path(name): Path<String>) -> Result<StatusCode, Failure> {
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
    ask: Ask,
    Parameters(query): Parameters<ExplainQuery>,
) -> Result<Response, Failure> {
    ControlError::unless_valid(validate_explain(&query))?;
    ask.show(move |control| control.explain(&query).map(Json))
        .await
}
