//! What a request changes, as paths that a GET can ask about.

use axum::http::{Method, Uri};
use percent_encoding::percent_decode_str;

use crate::model::{Change, Listed, TemplateId};
use crate::path;

/// More resources than this are not asked for one by one.
const MANY: usize = 64;

/// What a request changes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// Nothing that could be shown before: it adds something that has no name yet.
    New,
    /// One resource.
    One(String),
    /// Several, each with its own name in the audit.
    Several(Vec<String>),
}

impl Subject {
    pub(super) fn of(method: &Method, uri: &Uri, body: &[u8]) -> Self {
        match (method.as_str(), uri.path()) {
            ("POST", path::CHANGES) => Self::of_changes(body),
            ("DELETE", path::SERVICES) | ("POST", path::RELOAD) => Self::whole(),
            ("POST", path::NETWORKS) => Self::of_listing(body),
            // Their members have no GET of their own: the list shows what has come and gone.
            (_, path) if path.starts_with(path::MARKS) => Self::One(path::MARKS.to_owned()),
            (_, path) if path.starts_with(path::DAEMONS) => Self::One(path::DAEMONS.to_owned()),
            ("POST", _) => Self::New,
            ("DELETE", path) if path.starts_with(path::TEMPLATES) => Self::of_templates(uri),
            // Gone with all that could be shown of it: a connection that is closed, counters that
            // are zeroed.
            ("DELETE", path) if is_gone(path) => Self::New,
            (_, path) => Self::One(path.to_owned()),
        }
    }

    fn whole() -> Self {
        Self::One(path::CONFIG.to_owned())
    }

    /// One of them has no GET of its own: the list shows what has gone.
    fn of_templates(uri: &Uri) -> Self {
        let name = uri.path().strip_prefix(path::TEMPLATES).unwrap_or_default();
        if name.is_empty() {
            return Self::One(uri.to_string());
        }
        let name = percent_decode_str(name.trim_start_matches('/')).decode_utf8_lossy();
        // What cannot be read changes nothing.
        let id = name.parse::<TemplateId>();
        id.map_or(Self::New, |id| Self::One(path::templates(&id.into())))
    }

    /// One that is listed already is listed anew.
    fn of_listing(body: &[u8]) -> Self {
        let listing = serde_json::from_slice::<Listed>(body);
        // What cannot be read changes nothing.
        listing.map_or(Self::New, |listing| {
            Self::One(path::network(listing.network))
        })
    }

    fn of_changes(body: &[u8]) -> Self {
        // What cannot be read changes nothing.
        let changes: Vec<Change> = serde_json::from_slice(body).unwrap_or_default();
        if changes.len() > MANY || changes.contains(&Change::RemoveServices {}) {
            return Self::whole();
        }
        let mut paths: Vec<String> = changes.iter().map(place).collect();
        paths.sort_unstable();
        paths.dedup();
        Self::Several(paths)
    }
}

fn is_gone(path: &str) -> bool {
    path.starts_with(path::CONNECTIONS) || path.ends_with("/stats")
}

fn place(change: &Change) -> String {
    match change {
        Change::AddService(service) => path::service(service.id),
        Change::ChangeService { service, .. } | Change::RemoveService { service } => {
            path::service(*service)
        }
        Change::AddReal { service, real } => path::real(*service, real.endpoint(service.port())),
        Change::ChangeReal { service, real, .. } | Change::RemoveReal { service, real } => {
            path::real(*service, *real)
        }
        Change::RemoveServices {} => path::CONFIG.to_owned(),
    }
}
