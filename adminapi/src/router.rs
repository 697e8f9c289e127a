//! The HTTP side of a [`Control`]: paths, methods and statuses.

mod answer;
mod change;
mod config;
mod daemon;
mod defense;
mod director;
mod extract;
mod filter;
mod mark;
mod real;
mod service;
mod sysctl;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::routing::{delete, get, post};

use crate::control::Control;
use crate::error;
use crate::path;
use crate::problem::ProblemKind;
use answer::Failure;

/// The largest body that is read: a service with some 10,000 real servers.
pub const BODY_LIMIT: usize = 1 << 20;

/// The largest configuration, or the most changes at once, that are read: some 100,000 real servers.
pub const CONFIG_LIMIT: usize = 16 << 20;

/// The API over `control`.
pub fn router(control: Arc<dyn Control>) -> Router {
    Router::new()
        .route(path::HEALTH, get(director::health))
        .route(path::STATUS, get(director::status))
        .route(path::STATS, get(director::stats))
        .route(path::CONNECTIONS, get(director::connections))
        .route(path::SOURCES, get(director::sources))
        .route(path::EVENTS, get(defense::events))
        .route(path::DEFENSE, get(defense::show).put(defense::set))
        .route(
            path::TIMEOUTS,
            get(director::timeouts)
                .put(director::put_timeouts)
                .patch(director::change_timeouts),
        )
        .route(path::MARKS, get(mark::list).put(mark::put).post(mark::add))
        .route("/v1/marks/{place}", delete(mark::remove))
        .route(path::FILTER, get(filter::show).put(filter::put))
        .route(path::NETWORKS, get(filter::list).post(filter::add))
        .route(
            "/v1/filter/networks/{network}",
            get(filter::show_one)
                .put(filter::put_one)
                .delete(filter::remove),
        )
        .route(path::SYSCTLS, get(sysctl::list))
        .route(
            "/v1/sysctls/{sysctl}",
            get(sysctl::show).put(sysctl::write).patch(sysctl::write),
        )
        .route(
            path::SERVICES,
            get(service::list).post(service::add).delete(service::flush),
        )
        .route(path::LISTING, get(service::listing))
        .route(
            path::SERVICES_STATS,
            get(service::all_stats).delete(service::zero_all),
        )
        .route(path::EXPLAIN, get(director::explain))
        .route(
            path::CONFIG,
            get(config::show)
                .put(config::put)
                .layer(DefaultBodyLimit::max(CONFIG_LIMIT)),
        )
        .route(
            path::CHANGES,
            post(change::make_all).layer(DefaultBodyLimit::max(CONFIG_LIMIT)),
        )
        .route(path::DAEMONS, get(daemon::list).post(daemon::start))
        .route("/v1/sync/daemons/{role}", delete(daemon::stop))
        .nest("/v1/services/{service}", one_service())
        .fallback(no_such_resource)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(Ask(control))
}

fn one_service() -> Router<Ask> {
    Router::new()
        .route(
            "/",
            get(service::show)
                .put(service::put)
                .patch(service::change)
                .delete(service::remove),
        )
        .route("/stats", get(service::stats).delete(service::zero))
        .route(
            "/defense",
            get(defense::show_service).put(defense::set_service),
        )
        .route("/reals", get(real::list).post(real::add))
        .route(
            "/reals/{real}",
            get(real::show)
                .put(real::put)
                .patch(real::change)
                .delete(real::remove),
        )
}

async fn no_such_resource(uri: Uri) -> Failure {
    let detail = format!("{} leads nowhere", uri.path());
    Failure::new(ProblemKind::NoSuchResource, detail)
}

async fn method_not_allowed(method: Method, uri: Uri) -> Failure {
    let detail = format!("{} does not take {method}", uri.path());
    Failure::new(ProblemKind::MethodNotAllowed, detail)
}

/// The way from a handler to the director.
#[derive(Clone)]
struct Ask(Arc<dyn Control>);

impl Ask {
    /// Runs `call` where it may block. A panic in it is an internal error, not the end of the
    /// connection.
    async fn run<T, F>(&self, call: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Control) -> error::Result<T> + Send + 'static,
    {
        let control = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || call(control.as_ref())).await {
            Ok(answer) => answer.map_err(Failure::from),
            Err(fault) => Err(error::ControlError::Internal(fault.to_string()).into()),
        }
    }
}

#[cfg(test)]
mod tests;
