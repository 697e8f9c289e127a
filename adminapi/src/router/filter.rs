//! The filters over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::Ask;
use super::answer::{self, Failure};
use super::extract::{Body, Parameters};
use crate::error::ControlError;
use crate::model::{
    Filter, FilterRules, Listed, ListedView, ListedWish, NetworkPage, NetworkQuery, Prefix,
};
use crate::path;
use crate::problem::ProblemKind;
use crate::validate::{validate_filter_rules, validate_listed, validate_network_query};

pub(super) async fn show(State(ask): State<Ask>) -> Result<Json<Filter>, Failure> {
    ask.run(|control| control.filter()).await.map(Json)
}

pub(super) async fn put(
    State(ask): State<Ask>,
    Body(rules): Body<FilterRules>,
) -> Result<Json<Filter>, Failure> {
    ControlError::unless_valid(validate_filter_rules(&rules))?;
    ask.run(move |control| control.put_filter(rules))
        .await
        .map(Json)
}

pub(super) async fn list(
    State(ask): State<Ask>,
    Parameters(query): Parameters<NetworkQuery>,
) -> Result<Json<NetworkPage>, Failure> {
    ControlError::unless_valid(validate_network_query(&query))?;
    ask.run(move |control| control.listed_networks(&query))
        .await
        .map(Json)
}

pub(super) async fn add(
    State(ask): State<Ask>,
    Body(listing): Body<Listed>,
) -> Result<Response, Failure> {
    set(&ask, listing).await
}

pub(super) async fn show_one(
    State(ask): State<Ask>,
    Path(network): Path<String>,
) -> Result<Json<ListedView>, Failure> {
    let network = named(&network)?;
    let found = ask
        .run(move |control| control.listed_network(network))
        .await?;
    found.map(Json).ok_or_else(|| unlisted(network))
}

pub(super) async fn put_one(
    State(ask): State<Ask>,
    Path(network): Path<String>,
    Body(wish): Body<ListedWish>,
) -> Result<Response, Failure> {
    let listing = wish.of(named(&network)?);
    set(&ask, listing).await
}

pub(super) async fn remove(
    State(ask): State<Ask>,
    Path(network): Path<String>,
) -> Result<StatusCode, Failure> {
    let network = named(&network)?;
    match ask
        .run(move |control| control.remove_network(network))
        .await?
    {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unlisted(network)),
    }
}

async fn set(ask: &Ask, listing: Listed) -> Result<Response, Failure> {
    ControlError::unless_valid(validate_listed(&listing))?;
    let location = path::network(listing.network);
    let done = ask.run(move |control| control.put_network(listing)).await?;
    Ok(answer::put(done, location))
}

fn named(text: &str) -> Result<Prefix, Failure> {
    text.parse().map_err(|bad: crate::model::BadPrefix| {
        Failure::new(ProblemKind::BadRequest, bad.to_string())
    })
}

fn unlisted(network: Prefix) -> Failure {
    let detail = format!("{network} is on no list");
    Failure::new(ProblemKind::NoSuchResource, detail)
}
