//! The filters over HTTP.

use axum::Json;
use axum::http::StatusCode;
use axum::response::Response;

use super::answer::{self, Shown};
use super::ask::Ask;
use super::condition::Condition;
use super::extract::{Body, Parameters, Path};
use super::openapi::Refusals;
use crate::control::Control;
use crate::error::{ControlError, Subject};
use crate::failure::Failure;
use crate::model::{
    Filter, FilterRules, FilterRulesMerge, Listed, ListedView, ListedWish, NetworkPage,
    NetworkQuery, Prefix,
};
use crate::path;
use crate::problem::ProblemKind;
use crate::validate::{validate_filter_rules, validate_listed, validate_network_query};

fn present(control: &dyn Control) -> Result<Filter, ControlError> {
    control.filter()
}

/// Shows the filters
#[utoipa::path(get, path = "/v1/filter", tag = "defence",
    responses((status = 200, body = Filter), Refusals))]
pub(super) async fn show(ask: Ask) -> Result<Response, Failure> {
    ask.show(|control| present(control).map(Shown)).await
}

/// Makes the rules of the filters these
#[utoipa::path(put, path = "/v1/filter", tag = "defence", request_body = FilterRules,
    responses((status = 200, body = Filter), Refusals))]
pub(super) async fn put(
    ask: Ask,
    condition: Condition,
    Body(rules): Body<FilterRules>,
) -> Result<Shown<Filter>, Failure> {
    ControlError::unless_valid(validate_filter_rules(&rules))?;
    let put = move |control: &dyn Control| control.put_filter(rules);
    ask.change(condition, present, put).await.map(Shown)
}

/// Changes what is named of the rules of the filters
#[utoipa::path(patch, path = "/v1/filter", tag = "defence", request_body = FilterRulesMerge,
    responses((status = 200, body = Filter), Refusals))]
pub(super) async fn change(
    ask: Ask,
    condition: Condition,
    Body(patch): Body<FilterRulesMerge>,
) -> Result<Shown<Filter>, Failure> {
    let change = move |control: &dyn Control| {
        let now = present(control)?.rules;
        let rules = patch.applied_to(&now).map_err(ControlError::Invalid)?;
        let rules = rules.without_files_gone(&now);
        ControlError::unless_valid(validate_filter_rules(&rules))?;
        control.put_filter(rules)
    };
    ask.change(condition, present, change).await.map(Shown)
}

/// Lists the networks that are on a list, a page at a time
#[utoipa::path(get, path = "/v1/filter/networks", tag = "defence", params(NetworkQuery),
    responses((status = 200, body = NetworkPage), Refusals))]
pub(super) async fn list(
    ask: Ask,
    Parameters(query): Parameters<NetworkQuery>,
) -> Result<Response, Failure> {
    ControlError::unless_valid(validate_network_query(&query))?;
    ask.show(move |control| control.listed_networks(&query).map(Json))
        .await
}

/// Puts a network on a list
#[utoipa::path(post, path = "/v1/filter/networks", tag = "defence", request_body = Listed,
    responses((status = 200, body = ListedView), (status = 201, body = ListedView), Refusals))]
pub(super) async fn add(
    ask: Ask,
    condition: Condition,
    Body(listing): Body<Listed>,
) -> Result<Response, Failure> {
    set(&ask, condition.creating(), listing).await
}

/// Shows a network that is on a list
#[utoipa::path(get, path = "/v1/filter/networks/{network}", tag = "defence",
    params(("network" = Prefix, Path, description = "The network")),
    responses((status = 200, body = ListedView), Refusals))]
pub(super) async fn show_one(ask: Ask, Path(network): Path<String>) -> Result<Response, Failure> {
    let network = named(&network)?;
    ask.show(move |control| known(control, network).map(Shown))
        .await
}

/// Puts a network on a list
#[utoipa::path(put, path = "/v1/filter/networks/{network}", tag = "defence",
    params(("network" = Prefix, Path, description = "The network")), request_body = ListedWish,
    responses((status = 200, body = ListedView), (status = 201, body = ListedView), Refusals))]
pub(super) async fn put_one(
    ask: Ask,
    condition: Condition,
    Path(network): Path<String>,
    Body(wish): Body<ListedWish>,
) -> Result<Response, Failure> {
    let listing = wish.of(named(&network)?);
    set(&ask, condition, listing).await
}

/// Takes a network off its list
#[utoipa::path(delete, path = "/v1/filter/networks/{network}", tag = "defence",
    params(("network" = Prefix, Path, description = "The network")),
    responses((status = 204), Refusals))]
pub(super) async fn remove(
    ask: Ask,
    condition: Condition,
    Path(network): Path<String>,
) -> Result<StatusCode, Failure> {
    let network = named(&network)?;
    let remove = move |control: &dyn Control| match control.remove_network(network)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(unlisted(network)),
    };
    ask.change(condition, move |control| known(control, network), remove)
        .await
}

async fn set(ask: &Ask, condition: Condition, listing: Listed) -> Result<Response, Failure> {
    ControlError::unless_valid(validate_listed(&listing))?;
    let network = listing.network;
    let done = ask.change(
        condition,
        move |control| known(control, network),
        move |control| control.put_network(listing),
    );
    Ok(answer::put(done.await?, path::network(network)))
}

/// The listing that must be there.
fn known(control: &dyn Control, network: Prefix) -> Result<ListedView, ControlError> {
    let found = control.listed_network(network)?;
    found.ok_or_else(|| unlisted(network))
}

fn named(text: &str) -> Result<Prefix, Failure> {
    text.parse().map_err(|bad: crate::model::BadPrefix| {
        Failure::new(ProblemKind::BadRequest, bad.to_string())
    })
}

fn unlisted(network: Prefix) -> ControlError {
    ControlError::NotFound(Subject::Network(network))
}
