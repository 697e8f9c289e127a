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
    Filter, FilterRules, Listing, ListingPage, ListingQuery, ListingView, ListingWish, Prefix,
};
use crate::path;
use crate::problem::ProblemKind;
use crate::validate::{validate_filter_rules, validate_listing, validate_listing_query};

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
    Parameters(query): Parameters<ListingQuery>,
) -> Result<Json<ListingPage>, Failure> {
    ControlError::unless_valid(validate_listing_query(&query))?;
    ask.run(move |control| control.listings(&query))
        .await
        .map(Json)
}

pub(super) async fn add(
    State(ask): State<Ask>,
    Body(listing): Body<Listing>,
) -> Result<Response, Failure> {
    set(&ask, listing).await
}

pub(super) async fn show_one(
    State(ask): State<Ask>,
    Path(network): Path<String>,
) -> Result<Json<ListingView>, Failure> {
    let network = named(&network)?;
    let found = ask.run(move |control| control.listing(network)).await?;
    found.map(Json).ok_or_else(|| unlisted(network))
}

pub(super) async fn put_one(
    State(ask): State<Ask>,
    Path(network): Path<String>,
    Body(wish): Body<ListingWish>,
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
        .run(move |control| control.remove_listing(network))
        .await?
    {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unlisted(network)),
    }
}

async fn set(ask: &Ask, listing: Listing) -> Result<Response, Failure> {
    ControlError::unless_valid(validate_listing(&listing))?;
    let location = path::listing(listing.network);
    let done = ask.run(move |control| control.put_listing(listing)).await?;
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
