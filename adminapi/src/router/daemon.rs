//! Synchronisation daemons over HTTP.

use axum::http::StatusCode;
use axum::response::Response;

use super::answer::{Added, Shown};
use super::ask::Ask;
use super::condition::Condition;
use super::extract::{Body, Path};
use super::openapi::Refusals;
use crate::control::Control;
use crate::error::ControlError;
use crate::failure::Failure;
use crate::model::{SyncDaemon, SyncRole};
use crate::path;
use crate::problem::ProblemKind;
use crate::validate::validate_daemon;

fn present(control: &dyn Control) -> Result<Vec<SyncDaemon>, ControlError> {
    control.daemons()
}

/// Lists the synchronisation daemons
#[utoipa::path(get, path = "/v1/sync/daemons", tag = "ipvs",
    responses((status = 200, body = Vec<SyncDaemon>), Refusals))]
pub(super) async fn list(ask: Ask) -> Result<Response, Failure> {
    ask.show(|control| present(control).map(Shown)).await
}

/// Starts a synchronisation daemon
///
/// The entity tag is that of the list of daemons.
#[utoipa::path(post, path = "/v1/sync/daemons", tag = "ipvs", request_body = SyncDaemon,
    responses((status = 201, body = SyncDaemon), Refusals))]
pub(super) async fn start(
    ask: Ask,
    condition: Condition,
    Body(daemon): Body<SyncDaemon>,
) -> Result<Added<Vec<SyncDaemon>, SyncDaemon>, Failure> {
    ControlError::unless_valid(validate_daemon(&daemon))?;
    let location = path::daemon(daemon.role);
    let start = move |control: &dyn Control| {
        let started = control.start_daemon(daemon)?;
        Ok((started, present(control)?))
    };
    let (body, list) = ask.change(condition, present, start).await?;
    Ok(Added {
        location,
        list,
        body,
    })
}

/// Stops a synchronisation daemon
///
/// The entity tag is that of the list of daemons.
#[utoipa::path(delete, path = "/v1/sync/daemons/{role}", tag = "ipvs",
    params(("role" = SyncRole, Path, description = "Which one")),
    responses((status = 204), Refusals))]
pub(super) async fn stop(
    ask: Ask,
    condition: Condition,
    Path(role): Path<String>,
) -> Result<StatusCode, Failure> {
    let role = SyncRole::ALL.into_iter().find(|known| known.name() == role);
    let role = role.ok_or_else(|| {
        let detail = "a daemon is called master or backup";
        Failure::new(ProblemKind::BadRequest, detail)
    })?;
    let stop = move |control: &dyn Control| control.stop_daemon(role);
    ask.change(condition, present, stop).await?;
    Ok(StatusCode::NO_CONTENT)
}
