//! The configuration as a whole over HTTP.

use axum::extract::State;
use axum::http::StatusCode;

use super::Ask;
use super::answer::{Failure, Shown};
use super::extract::{Body, Parameters};
use super::openapi::Refusals;
use super::tag::Condition;
use crate::error::ControlError;
use crate::model::{Configuration, PutQuery};
use crate::validate::validate_whole;

/// Shows what is configured
#[utoipa::path(get, path = "/v1/config", tag = "director",
    responses((status = 200, body = Configuration), Refusals))]
pub(super) async fn show(State(ask): State<Ask>) -> Result<Shown<Configuration>, Failure> {
    ask.look(|control| control.config()).await.map(Shown)
}

/// Makes the configuration this, in one step
///
/// All of it or nothing. What is there and in the new configuration keeps its connections and
/// counters.
#[utoipa::path(put, path = "/v1/config", tag = "director", params(PutQuery),
    request_body = Configuration, responses((status = 204), Refusals))]
pub(super) async fn put(
    State(ask): State<Ask>,
    condition: Condition,
    Parameters(query): Parameters<PutQuery>,
    Body(wanted): Body<Configuration>,
) -> Result<StatusCode, Failure> {
    ControlError::unless_valid(validate_whole(&wanted))?;
    let present = |control: &dyn crate::Control| control.config();
    match query.dry_run {
        true => {
            ask.look(move |control| control.check_config(&wanted))
                .await?
        }
        false => {
            ask.change(condition, present, move |control| {
                control.put_config(&wanted)
            })
            .await?
        }
    }
    Ok(StatusCode::NO_CONTENT)
}
