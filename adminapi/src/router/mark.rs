//! The rules that mark packets over HTTP.

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
use crate::model::MarkRule;
use crate::path;
use crate::problem::ProblemKind;
use crate::validate::{validate_mark, validate_marks};

fn present(control: &dyn Control) -> Result<Vec<MarkRule>, ControlError> {
    control.marks()
}

/// Lists the rules that mark packets, in their order
#[utoipa::path(get, path = "/v1/marks", tag = "ipvs",
    responses((status = 200, body = Vec<MarkRule>), Refusals))]
pub(super) async fn list(ask: Ask) -> Result<Response, Failure> {
    ask.show(|control| present(control).map(Shown)).await
}

/// Makes the rules these
#[utoipa::path(put, path = "/v1/marks", tag = "ipvs", request_body = Vec<MarkRule>,
    responses((status = 200, body = Vec<MarkRule>), Refusals))]
pub(super) async fn put(
    ask: Ask,
    condition: Condition,
    Body(rules): Body<Vec<MarkRule>>,
) -> Result<Shown<Vec<MarkRule>>, Failure> {
    ControlError::unless_valid(validate_marks(&rules))?;
    let new = rules.clone();
    let put = move |control: &dyn Control| control.put_marks(new);
    ask.change(condition, present, put).await?;
    Ok(Shown(rules))
}

/// Adds a rule behind the others
///
/// The entity tag is that of all rules.
#[utoipa::path(post, path = "/v1/marks", tag = "ipvs", request_body = MarkRule,
    responses((status = 201, body = MarkRule), Refusals))]
pub(super) async fn add(
    ask: Ask,
    condition: Condition,
    Body(rule): Body<MarkRule>,
) -> Result<Added<Vec<MarkRule>, MarkRule>, Failure> {
    ControlError::unless_valid(validate_mark(&rule))?;
    let new = rule.clone();
    let add = move |control: &dyn Control| Ok((control.add_mark(new)?, present(control)?));
    let (place, list) = ask.change(condition, present, add).await?;
    Ok(Added {
        location: path::mark(place),
        list,
        body: rule,
    })
}

/// Removes a rule
///
/// Those behind it move up. The entity tag is that of all rules.
#[utoipa::path(delete, path = "/v1/marks/{place}", tag = "ipvs",
    params(("place" = usize, Path, description = "Its place, from 0")),
    responses((status = 204), Refusals))]
pub(super) async fn remove(
    ask: Ask,
    condition: Condition,
    Path(place): Path<String>,
) -> Result<StatusCode, Failure> {
    let place: usize = place.parse().map_err(|_| {
        let detail = "a rule is named by its place, counted from 0";
        Failure::new(ProblemKind::BadRequest, detail)
    })?;
    let remove = move |control: &dyn Control| control.remove_mark(place);
    match ask.change(condition, present, remove).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => {
            let detail = format!("there is no rule {place}; they are counted from 0");
            Err(Failure::new(ProblemKind::NoSuchResource, detail))
        }
    }
}
