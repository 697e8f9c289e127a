//! Synchronisation daemons over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::Ask;
use super::answer::{Created, Failure};
use super::extract::Body;
use crate::error::ControlError;
use crate::model::{SyncDaemon, SyncRole};
use crate::path;
use crate::problem::ProblemKind;
use crate::validate::validate_daemon;

pub(super) async fn list(State(ask): State<Ask>) -> Result<Json<Vec<SyncDaemon>>, Failure> {
    ask.run(|control| control.daemons()).await.map(Json)
}

pub(super) async fn start(
    State(ask): State<Ask>,
    Body(daemon): Body<SyncDaemon>,
) -> Result<Created<SyncDaemon>, Failure> {
    ControlError::unless_valid(validate_daemon(&daemon))?;
    let location = path::daemon(daemon.role);
    let body = ask.run(|control| control.start_daemon(daemon)).await?;
    Ok(Created { location, body })
}

pub(super) async fn stop(
    State(ask): State<Ask>,
    Path(role): Path<String>,
) -> Result<StatusCode, Failure> {
    let role = SyncRole::ALL.into_iter().find(|known| known.name() == role);
    let role = role.ok_or_else(|| {
        let detail = "a daemon is called master or backup";
        Failure::new(ProblemKind::BadRequest, detail)
    })?;
    ask.run(move |control| control.stop_daemon(role)).await?;
    Ok(StatusCode::NO_CONTENT)
}
