//! The configuration as a whole over HTTP.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::answer::Shown;
use super::ask::Ask;
use super::condition::Condition;
use super::extract::{Body, Parameters};
use super::openapi::Refusals;
use crate::control::Control;
use crate::error::ControlError;
use crate::failure::Failure;
use crate::model::{Configuration, Difference, PutQuery, Reloaded};
use crate::validate::validate_whole;

/// Shows what is configured
#[utoipa::path(get, path = "/v1/config", tag = "director",
    responses((status = 200, body = Configuration), Refusals))]
pub(super) async fn show(ask: Ask) -> Result<Response, Failure> {
    ask.show(|control| control.config().map(Shown)).await
}

/// Makes the configuration this, in one step
///
/// All of it or nothing. What is there and in the new configuration keeps its connections and
/// counters. With `dry_run` nothing changes, and the answer is what would.
#[utoipa::path(put, path = "/v1/config", tag = "director", params(PutQuery),
    request_body = Configuration,
    responses((status = 200, body = Difference, description = "What would change"),
        (status = 204, description = "Done"), Refusals))]
pub(super) async fn put(
    ask: Ask,
    condition: Condition,
    Parameters(query): Parameters<PutQuery>,
    Body(wanted): Body<Configuration>,
) -> Result<Response, Failure> {
    ControlError::unless_valid(validate_whole(&wanted))?;
    if query.dry_run {
        let difference = ask.run(move |control| {
            condition.judge(|| control.config())?;
            control.check_config(&wanted)?;
            Ok(Difference::between(&control.config()?, &wanted))
        });
        return Ok(Json(difference.await?).into_response());
    }
    let put = move |control: &dyn Control| control.put_config(&wanted);
    ask.change(condition, |control| control.config(), put)
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Reads the configuration file again
///
/// As SIGHUP does: what differs is changed, all of it or nothing. The answer has a body when
/// something of the file does not hold all the same.
#[utoipa::path(post, path = "/v1/reload", tag = "director",
    responses((status = 200, body = Reloaded, description = "Done, but for this"),
        (status = 204, description = "Done"), Refusals))]
pub(super) async fn reload(ask: Ask, condition: Condition) -> Result<Response, Failure> {
    // Kept, the file would be the API's word from then on, and the next reload deaf to it.
    let again = |control: &dyn Control| control.reload();
    let reloaded = ask.in_turn(condition, |control| control.config(), again);
    let reloaded = reloaded.await?;
    Ok(match reloaded.notes.is_empty() {
        true => StatusCode::NO_CONTENT.into_response(),
        false => Json(reloaded).into_response(),
    })
}
