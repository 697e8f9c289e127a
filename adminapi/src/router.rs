//! The HTTP side of a [`Control`]: paths, methods and statuses.

pub(crate) mod answer;
mod ask;
mod change;
mod condition;
mod config;
mod connection;
mod daemon;
mod defense;
mod director;
mod extract;
mod filter;
mod listing;
mod live;
mod mark;
mod openapi;
mod query;
mod real;
mod service;
mod sysctl;
mod tag;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::middleware::from_fn;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::control::Control;
use crate::failure::Failure;
use crate::problem::ProblemKind;
use ask::Ask;

pub use extract::BODY_LIMIT;

/// The largest configuration, or the most changes at once, that are read: some 100,000 real servers.
pub const CONFIG_LIMIT: usize = 16 << 20;

/// The API over `control`.
pub fn router(control: Arc<dyn Control>) -> Router {
    openapi::told(routes())
        .fallback(no_such_resource)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn(condition::judge_reading))
        .with_state(Ask::new(control))
}

/// Every path with its methods; the handlers say what they take and answer.
fn routes() -> OpenApiRouter<Ask> {
    openapi::described()
        .routes(routes!(director::health))
        .routes(routes!(director::status))
        .routes(routes!(director::stats))
        .routes(routes!(director::drops))
        .routes(routes!(director::limits))
        .routes(routes!(director::schedulers))
        .routes(routes!(live::metrics))
        .routes(routes!(live::stats))
        .routes(routes!(live::events))
        .routes(routes!(connection::list))
        .routes(routes!(connection::explain))
        .routes(routes!(director::sources))
        .routes(routes!(
            director::timeouts,
            director::put_timeouts,
            director::change_timeouts
        ))
        .routes(routes!(defense::show, defense::set))
        .routes(routes!(mark::list, mark::put, mark::add))
        .routes(routes!(mark::remove))
        .routes(routes!(filter::show, filter::put, filter::change))
        .routes(routes!(filter::list, filter::add))
        .routes(routes!(filter::show_one, filter::put_one, filter::remove))
        .routes(routes!(sysctl::list))
        .routes(routes!(sysctl::show, sysctl::put, sysctl::change))
        .routes(routes!(config::reload))
        .routes(routes!(daemon::list, daemon::start))
        .routes(routes!(daemon::stop))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(config::show, config::put))
                .routes(routes!(change::make_all))
                .layer(DefaultBodyLimit::max(CONFIG_LIMIT)),
        )
        .merge(services())
        .merge(untagged().layer(from_fn(condition::judge_untagged)))
}

/// What can be changed and has no entity tag: connections, templates, counters.
fn untagged() -> OpenApiRouter<Ask> {
    OpenApiRouter::new()
        .routes(routes!(connection::templates, connection::forget_all))
        .routes(routes!(connection::forget))
        .routes(routes!(connection::close))
        .routes(routes!(service::all_stats, service::zero_all))
        .routes(routes!(service::stats, service::zero))
}

fn services() -> OpenApiRouter<Ask> {
    OpenApiRouter::new()
        .routes(routes!(service::list, service::add, service::flush))
        .routes(routes!(listing::list))
        .routes(routes!(listing::views))
        .routes(routes!(listing::table))
        .routes(routes!(
            service::show,
            service::put,
            service::change,
            service::remove
        ))
        .routes(routes!(defense::show_service, defense::set_service))
        .routes(routes!(real::list, real::add))
        .routes(routes!(real::stats))
        .routes(routes!(real::show, real::put, real::change, real::remove))
}

async fn no_such_resource(uri: Uri) -> Failure {
    let detail = format!("{} leads nowhere", uri.path());
    Failure::new(ProblemKind::NoSuchResource, detail)
}

async fn method_not_allowed(method: Method, uri: Uri) -> Failure {
    let detail = format!("{} does not take {method}", uri.path());
    Failure::new(ProblemKind::MethodNotAllowed, detail)
}

#[cfg(test)]
mod tests;
