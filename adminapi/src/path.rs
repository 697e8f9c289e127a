//! The paths of the API, written in one place for the router's `Location` and the client.

use std::net::SocketAddr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::model::{
    ConnectionId, ConnectionQuery, ExplainQuery, ListingQuery, NetworkQuery, Numbers, Prefix,
    ServiceId, Side, SyncRole, TemplateId, TemplateQuery, ViewsQuery,
};
use crate::table::TableQuery;

/// `GET`: metrics for Prometheus.
pub const METRICS: &str = "/metrics";
/// `GET`: the description of the API.
pub const OPENAPI: &str = "/openapi.json";

/// `GET`: is the director ready?
pub const HEALTH: &str = "/v1/health";
/// `GET`: the director as it is now.
pub const STATUS: &str = "/v1/status";
/// `GET`, `POST`, `DELETE`: all services.
pub const SERVICES: &str = "/v1/services";
/// `GET`: services and real servers in a row each.
pub const LISTING: &str = "/v1/listing";
/// The same with all that is shown of services.
pub const VIEWS: &str = "/v1/listing/views";
/// The same as ipvsadm's tables.
pub const TABLE: &str = "/v1/listing/table";
/// `GET`: connections.
pub const CONNECTIONS: &str = "/v1/connections";
/// `GET`, `DELETE`: what persistent services remember of clients.
pub const TEMPLATES: &str = "/v1/templates";
/// `GET`: how much there is room for.
pub const LIMITS: &str = "/v1/limits";
/// `GET`: statistics.
pub const STATS: &str = "/v1/stats";
/// `GET`: what all services carried; `DELETE` zeroes all counters.
pub const SERVICES_STATS: &str = "/v1/services/stats";
/// `GET`, `PUT`: the defence of the whole director.
pub const DEFENSE: &str = "/v1/defense";
/// `GET`: who sends most.
pub const SOURCES: &str = "/v1/sources";
/// `GET`: what has happened.
pub const EVENTS: &str = "/v1/events";
/// `GET`, `PUT`, `PATCH`: timeouts.
pub const TIMEOUTS: &str = "/v1/timeouts";

/// `GET`, `PUT`, `POST`: the rules that mark packets.
pub const MARKS: &str = "/v1/marks";

/// `GET`, `PUT`: what is filtered besides the lists.
pub const FILTER: &str = "/v1/filter";
/// `GET`, `POST`: listed networks.
pub const NETWORKS: &str = "/v1/filter/networks";

/// `GET`, `PUT`: services and timeouts as a whole.
pub const CONFIG: &str = "/v1/config";
/// `POST`: read the configuration file again.
pub const RELOAD: &str = "/v1/reload";
/// `POST`: many changes of services and real servers.
pub const CHANGES: &str = "/v1/changes";
/// `GET`, `POST`: synchronisation daemons.
pub const DAEMONS: &str = "/v1/sync/daemons";
/// `GET`: all sysctls of IPVS.
pub const SYSCTLS: &str = "/v1/sysctls";

/// `GET`: what would become of a packet.
pub const EXPLAIN: &str = "/v1/explain";

/// What a path segment must escape: brackets above all (RFC 3986, section 3.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b':')
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'~');

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// One service.
pub fn service(id: ServiceId) -> String {
    format!("{SERVICES}/{}", escaped(&id.to_string()))
}

/// What one service has carried; `DELETE` zeroes it.
pub fn service_stats(id: ServiceId) -> String {
    format!("{}/stats", service(id))
}

/// The defence of one service, or of the whole director.
pub fn defense(id: Option<ServiceId>) -> String {
    match id {
        Some(id) => format!("{}/defense", service(id)),
        None => DEFENSE.to_owned(),
    }
}

/// The events after number `since`.
pub fn events(since: u64) -> String {
    format!("{EVENTS}?since={since}")
}

/// The real servers of a service.
pub fn reals(id: ServiceId) -> String {
    format!("{}/reals", service(id))
}

/// One real server.
pub fn real(id: ServiceId, real: SocketAddr) -> String {
    format!("{}/{}", reals(id), escaped(&real.to_string()))
}

/// What would become of a packet.
pub fn explain(query: &ExplainQuery) -> String {
    let ends = [query.from, query.to].map(|end| escaped(&end.to_string()));
    let [from, to] = ends;
    let flags = query.flags.map(|flags| flags.to_string());
    let more = [
        ("interface", &query.interface),
        ("call_id", &query.call_id),
        ("flags", &flags),
    ];
    let more = more.map(|(name, value)| {
        let value = value.as_deref().map(escaped);
        value.map_or_else(String::new, |value| format!("&{name}={value}"))
    });
    format!(
        "{EXPLAIN}?protocol={}&from={from}&to={to}{}",
        query.protocol.name(),
        more.concat()
    )
}

/// The rule at this place, from 0: `DELETE`.
pub fn mark(place: usize) -> String {
    format!("{MARKS}/{place}")
}

/// One listed network.
pub fn network(network: Prefix) -> String {
    format!("{NETWORKS}/{}", escaped(&network.to_string()))
}

/// A page of listed networks.
pub fn networks(query: &NetworkQuery) -> String {
    let list = query.list.map(|list| format!("&list={list}"));
    let cursor = query.cursor.map(|cursor| cursor.to_string());
    let cursor = cursor.map(|cursor| format!("&cursor={}", escaped(&cursor)));
    format!(
        "{NETWORKS}?limit={}{}{}",
        query.limit,
        list.unwrap_or_default(),
        cursor.unwrap_or_default()
    )
}

/// One synchronisation daemon.
pub fn daemon(role: SyncRole) -> String {
    format!("{DAEMONS}/{}", role.name())
}

/// One sysctl: `GET`, `PUT`, `PATCH`.
pub fn sysctl(name: &str) -> String {
    format!("{SYSCTLS}/{}", escaped(name))
}

/// One connection: `DELETE` closes it.
pub fn connection(id: ConnectionId) -> String {
    format!("{CONNECTIONS}/{}", escaped(&id.to_string()))
}

/// A page of connections.
pub fn connections(query: &ConnectionQuery) -> String {
    let given = [
        ("service", query.service.map(|id| id.to_string())),
        ("real", query.real.map(|real| real.to_string())),
        ("client", query.client.map(|client| client.to_string())),
        ("template", query.template.map(|only| only.to_string())),
        ("limit", Some(query.limit.to_string())),
        ("cursor", query.cursor.map(|cursor| cursor.to_string())),
    ];
    format!("{CONNECTIONS}?{}", parameters(given))
}

/// One template: `DELETE` forgets it.
pub fn template(id: TemplateId) -> String {
    format!("{TEMPLATES}/{}", escaped(&id.to_string()))
}

/// Some templates: `DELETE` forgets them.
pub fn templates(query: &TemplateQuery) -> String {
    let given = [
        ("service", query.service.map(|id| id.to_string())),
        ("real", query.real.map(|real| real.to_string())),
        ("client", query.client.map(|client| client.to_string())),
    ];
    format!("{TEMPLATES}?{}", parameters(given))
}

/// A listing.
pub fn listing(query: &ListingQuery) -> String {
    let numbers = match query.numbers {
        Numbers::None => "none",
        Numbers::Stats => "stats",
        Numbers::Rates => "rates",
    };
    let side = match query.side {
        Side::Present => "present",
        Side::Configured => "configured",
    };
    let given = [
        ("service", query.service.map(|id| id.to_string())),
        ("numbers", Some(numbers.to_owned())),
        ("order", Some(query.order.name().to_owned())),
        ("side", Some(side.to_owned())),
    ];
    format!("{LISTING}?{}", parameters(given))
}

/// A listing of all that is shown of services.
pub fn views(query: &ViewsQuery) -> String {
    let given = [
        ("service", query.service.map(|id| id.to_string())),
        ("order", Some(query.order.name().to_owned())),
    ];
    format!("{VIEWS}?{}", parameters(given))
}

/// A table of services.
pub fn table(query: &TableQuery) -> String {
    let given = [
        ("service", query.service.map(|id| id.to_string())),
        ("columns", Some(query.columns.name().to_owned())),
        ("order", Some(query.order.name().to_owned())),
    ];
    format!("{TABLE}?{}", parameters(given))
}

/// Those of a query that are given.
fn parameters<const N: usize>(given: [(&str, Option<String>); N]) -> String {
    let pairs: Vec<_> = given
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| format!("{name}={}", escaped(&value))))
        .collect();
    pairs.join("&")
}
