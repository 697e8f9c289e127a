//! The configuration as a whole over HTTP.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::Ask;
use super::answer::Failure;
use super::extract::{Body, Parameters};
use crate::error::ControlError;
use crate::model::{Configuration, PutQuery};
use crate::validate::validate_whole;

pub(super) async fn show(State(ask): State<Ask>) -> Result<Json<Configuration>, Failure> {
    ask.run(|control| control.config()).await.map(Json)
}

pub(super) async fn put(
    State(ask): State<Ask>,
    Parameters(query): Parameters<PutQuery>,
    Body(wanted): Body<Configuration>,
) -> Result<StatusCode, Failure> {
    ControlError::unless_valid(validate_whole(&wanted))?;
    match query.dry_run {
        true => {
            ask.run(move |control| control.check_config(&wanted))
                .await?
        }
        false => ask.run(move |control| control.put_config(&wanted)).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn reload(State(ask): State<Ask>) -> Result<StatusCode, Failure> {
    ask.run(|control| control.reload()).await?;
    Ok(StatusCode::NO_CONTENT)
}
