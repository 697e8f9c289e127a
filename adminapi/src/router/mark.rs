//! The rules that mark packets over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::Ask;
use super::answer::{Created, Failure};
use super::extract::Body;
use crate::error::ControlError;
use crate::model::MarkRule;
use crate::path;
use crate::problem::ProblemKind;
use crate::validate::{validate_mark, validate_marks};

pub(super) async fn list(State(ask): State<Ask>) -> Result<Json<Vec<MarkRule>>, Failure> {
    ask.run(|control| control.marks()).await.map(Json)
}

pub(super) async fn put(
    State(ask): State<Ask>,
    Body(rules): Body<Vec<MarkRule>>,
) -> Result<Json<Vec<MarkRule>>, Failure> {
    ControlError::unless_valid(validate_marks(&rules))?;
    let new = rules.clone();
    ask.run(move |control| control.put_marks(new)).await?;
    Ok(Json(rules))
}

pub(super) async fn add(
    State(ask): State<Ask>,
    Body(rule): Body<MarkRule>,
) -> Result<Created<MarkRule>, Failure> {
    ControlError::unless_valid(validate_mark(&rule))?;
    let new = rule.clone();
    let place = ask.run(move |control| control.add_mark(new)).await?;
    let location = path::mark(place);
    Ok(Created {
        location,
        body: rule,
    })
}

pub(super) async fn remove(
    State(ask): State<Ask>,
    Path(place): Path<usize>,
) -> Result<StatusCode, Failure> {
    match ask.run(move |control| control.remove_mark(place)).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => {
            let detail = format!("there is no rule {place}; they are counted from 0");
            Err(Failure::new(ProblemKind::NoSuchResource, detail))
        }
    }
}
