//! Virtual services over HTTP.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Ask;
use super::answer::{self, Created, Failure};
use super::extract::{Body, Parameters, ServicePath};
use crate::error::{ControlError, Problem};
use crate::model::listing;
use crate::model::{ListingQuery, Naming, Service, ServiceId, ServicePatch, ServiceView, Traffic};
use crate::path;
use crate::validate::validate_service;

type Answer<T> = Result<T, Failure>;

pub(super) async fn list(State(ask): State<Ask>) -> Answer<Json<Vec<ServiceView>>> {
    ask.run(|control| control.services()).await.map(Json)
}

/// Many rows at once: in the compact form of [`listing`].
pub(super) async fn listing(
    State(ask): State<Ask>,
    Parameters(query): Parameters<ListingQuery>,
) -> Answer<Response> {
    let encoded = ask.run(move |control| {
        let rows = control.listing(&query)?;
        listing::encode(&rows).map_err(|error| ControlError::Internal(error.to_string()))
    });
    let kind = [(header::CONTENT_TYPE, listing::MEDIA_TYPE)];
    Ok((kind, encoded.await?).into_response())
}

pub(super) async fn show(
    State(ask): State<Ask>,
    ServicePath(id): ServicePath,
) -> Answer<Json<ServiceView>> {
    ask.run(move |control| control.service(id)).await.map(Json)
}

pub(super) async fn add(
    State(ask): State<Ask>,
    Body(service): Body<Service>,
) -> Answer<Created<ServiceView>> {
    ControlError::unless_valid(validate_service(&service))?;
    let location = path::service(service.id);
    let body = ask.run(|control| control.add_service(service)).await?;
    Ok(Created { location, body })
}

pub(super) async fn put(
    State(ask): State<Ask>,
    ServicePath(id): ServicePath,
    Body(service): Body<Service>,
) -> Answer<Response> {
    let mut problems = validate_service(&service);
    problems.extend(other_identity(id, &service));
    ControlError::unless_valid(problems)?;
    let done = ask.run(|control| control.put_service(service)).await?;
    Ok(answer::put(done, path::service(id)))
}

pub(super) async fn change(
    State(ask): State<Ask>,
    ServicePath(id): ServicePath,
    Body(patch): Body<ServicePatch>,
) -> Answer<Json<ServiceView>> {
    ask.run(move |control| control.change_service(id, patch))
        .await
        .map(Json)
}

pub(super) async fn remove(
    State(ask): State<Ask>,
    ServicePath(id): ServicePath,
) -> Answer<StatusCode> {
    ask.run(move |control| control.remove_service(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn flush(State(ask): State<Ask>) -> Answer<StatusCode> {
    ask.run(|control| control.flush()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn stats(
    State(ask): State<Ask>,
    ServicePath(id): ServicePath,
) -> Answer<Json<Traffic>> {
    let service = ask.run(move |control| control.service(id)).await?;
    Ok(Json(service.stats))
}

pub(super) async fn zero(
    State(ask): State<Ask>,
    ServicePath(id): ServicePath,
) -> Answer<StatusCode> {
    ask.run(move |control| control.zero(Some(id))).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn all_stats(State(ask): State<Ask>) -> Answer<Json<Traffic>> {
    let stats = ask.run(|control| control.stats()).await?;
    Ok(Json(stats.traffic))
}

pub(super) async fn zero_all(State(ask): State<Ask>) -> Answer<StatusCode> {
    ask.run(|control| control.zero(None)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The body of a PUT says again what the path names.
fn other_identity(id: ServiceId, service: &Service) -> Vec<Problem> {
    let (given, named) = (Naming::from(service.id), Naming::from(id));
    let differs = [
        ("/protocol", given.protocol != named.protocol),
        ("/address", given.address != named.address),
        ("/port", given.port != named.port),
        ("/fwmark", given.fwmark != named.fwmark),
        ("/family", given.family != named.family),
    ];
    let problem = |(pointer, _): (&str, bool)| {
        let message = format!("{} is not {id}, which the path names", service.id);
        Problem::new(pointer, message, "add another service by POST")
    };
    let differs = differs.into_iter().filter(|(_, differs)| *differs);
    differs.map(problem).collect()
}
