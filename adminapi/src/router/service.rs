//! Virtual services over HTTP.

use axum::Json;
use axum::http::StatusCode;
use axum::response::Response;

use super::answer::{self, Created, Shown};
use super::ask::Ask;
use super::condition::Condition;
use super::extract::{Body, ServiceParams, ServicePath};
use super::openapi::Refusals;
use crate::control::Control;
use crate::error::{ControlError, Problem};
use crate::failure::Failure;
use crate::model::{Carried, Naming, Service, ServiceId, ServicePatch, ServiceView, Traffic};
use crate::path;
use crate::validate::validate_service;

type Answer<T> = Result<T, Failure>;

fn all(control: &dyn Control) -> Result<Vec<ServiceView>, ControlError> {
    control.services()
}

/// Lists the services, in the order they were added
#[utoipa::path(get, path = "/v1/services", tag = "services",
    responses((status = 200, body = Vec<ServiceView>), Refusals))]
pub(super) async fn list(ask: Ask) -> Result<Response, Failure> {
    ask.show(|control| all(control).map(Shown)).await
}

/// Shows a service
#[utoipa::path(get, path = "/v1/services/{service}", tag = "services", params(ServiceParams),
    responses((status = 200, body = ServiceView), Refusals))]
pub(super) async fn show(ask: Ask, ServicePath(id): ServicePath) -> Result<Response, Failure> {
    ask.show(move |control| control.service(id).map(Shown))
        .await
}

/// Adds a service with its real servers
#[utoipa::path(post, path = "/v1/services", tag = "services", request_body = Service,
    responses((status = 201, body = ServiceView), Refusals))]
pub(super) async fn add(
    ask: Ask,
    condition: Condition,
    Body(service): Body<Service>,
) -> Answer<Created<ServiceView>> {
    ControlError::unless_valid(validate_service(&service))?;
    let location = path::service(service.id);
    let add = |control: &dyn Control| control.add_service(service);
    let body = ask.change(condition, all, add).await?;
    Ok(Created { location, body })
}

/// Adds a service, or makes the one of its name look like the body
///
/// Real servers that are in both keep their connections and counters.
#[utoipa::path(put, path = "/v1/services/{service}", tag = "services", params(ServiceParams),
    request_body = Service,
    responses((status = 200, body = ServiceView), (status = 201, body = ServiceView), Refusals))]
pub(super) async fn put(
    ask: Ask,
    condition: Condition,
    ServicePath(id): ServicePath,
    Body(service): Body<Service>,
) -> Answer<Response> {
    let mut problems = validate_service(&service);
    problems.extend(other_identity(id, &service));
    ControlError::unless_valid(problems)?;
    let done = ask.change(
        condition,
        move |control| control.service(id),
        |control| control.put_service(service),
    );
    Ok(answer::put(done.await?, path::service(id)))
}

/// Changes what the body names of a service
#[utoipa::path(patch, path = "/v1/services/{service}", tag = "services", params(ServiceParams),
    request_body = ServicePatch, responses((status = 200, body = ServiceView), Refusals))]
pub(super) async fn change(
    ask: Ask,
    condition: Condition,
    ServicePath(id): ServicePath,
    Body(patch): Body<ServicePatch>,
) -> Answer<Shown<ServiceView>> {
    let done = ask.change(
        condition,
        move |control| control.service(id),
        move |control| control.change_service(id, patch),
    );
    done.await.map(Shown)
}

/// Removes a service and its real servers
#[utoipa::path(delete, path = "/v1/services/{service}", tag = "services", params(ServiceParams),
    responses((status = 204), Refusals))]
pub(super) async fn remove(
    ask: Ask,
    condition: Condition,
    ServicePath(id): ServicePath,
) -> Answer<StatusCode> {
    let done = ask.change(
        condition,
        move |control| control.service(id),
        move |control| control.remove_service(id),
    );
    done.await.map(|()| StatusCode::NO_CONTENT)
}

/// Removes all services
#[utoipa::path(delete, path = "/v1/services", tag = "services",
    responses((status = 204), Refusals))]
pub(super) async fn flush(ask: Ask, condition: Condition) -> Answer<StatusCode> {
    let done = ask.change(condition, all, |control| control.flush());
    done.await.map(|()| StatusCode::NO_CONTENT)
}

/// Shows what a service has carried
#[utoipa::path(get, path = "/v1/services/{service}/stats", tag = "services",
    params(ServiceParams), responses((status = 200, body = Carried), Refusals))]
pub(super) async fn stats(ask: Ask, ServicePath(id): ServicePath) -> Result<Response, Failure> {
    ask.show(move |control| control.carried(id, None).map(Json))
        .await
}

/// Zeroes the counters of a service and its real servers
#[utoipa::path(delete, path = "/v1/services/{service}/stats", tag = "services",
    params(ServiceParams), responses((status = 204), Refusals))]
pub(super) async fn zero(ask: Ask, ServicePath(id): ServicePath) -> Answer<StatusCode> {
    ask.look(move |control| control.zero(Some(id))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows what all services together have carried
#[utoipa::path(get, path = "/v1/services/stats", tag = "services",
    responses((status = 200, body = Traffic), Refusals))]
pub(super) async fn all_stats(ask: Ask) -> Result<Response, Failure> {
    ask.show(|control| Ok(Json(control.stats()?.traffic))).await
}

/// Zeroes the counters of all services
#[utoipa::path(delete, path = "/v1/services/stats", tag = "services",
    responses((status = 204), Refusals))]
pub(super) async fn zero_all(ask: Ask) -> Answer<StatusCode> {
    ask.look(|control| control.zero(None)).await?;
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
