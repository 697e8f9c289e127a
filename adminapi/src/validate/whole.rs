//! What a configuration must look like as a whole: what its parts are to each other.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

use super::{
    validate_daemon, validate_filter_rules, validate_level, validate_marks, validate_service,
    validate_standing, validate_timeouts,
};
use crate::error::Problem;
use crate::json::escaped;
use crate::model::{Configuration, DefenseLevel, Levels, Protocol, Service, ServiceId, SyncDaemon};
use crate::sysctl::{Sysctl, Value};

/// Judges the services of a whole configuration.
pub fn validate_config(services: &[Service]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, service) in services.iter().enumerate() {
        let prefix = format!("/service/{index}");
        problems.extend(
            validate_service(service)
                .into_iter()
                .map(|problem| problem.below(&prefix)),
        );
    }
    problems.extend(repeated_services(services));
    problems.extend(reals_that_are_vips(services));
    problems
}

/// Judges a configuration: its services, its timeouts and its settings.
pub fn validate_whole(config: &Configuration) -> Vec<Problem> {
    let mut problems = validate_config(&config.services);
    let timeouts = validate_timeouts(config.timeouts.into());
    problems.extend(timeouts.into_iter().map(|p| p.below("/timeouts")));
    problems.extend(bad_sysctls(&config.sysctls));
    problems.extend(repeated_sysctls(&config.sysctls));
    problems.extend(bad_levels(config));
    let marks = validate_marks(config.marks.as_deref().unwrap_or_default());
    problems.extend(marks.into_iter().map(|p| p.below("/marks")));
    let daemons = config.daemons.as_deref().unwrap_or_default();
    problems.extend(
        bad_daemons(daemons)
            .into_iter()
            .map(|p| p.below("/daemons")),
    );
    let filter = config.filter.iter().flat_map(validate_filter_rules);
    problems.extend(filter.map(|p| p.below("/filter")));
    let listed = validate_standing(config.listed.as_deref().unwrap_or_default());
    problems.extend(listed.into_iter().map(|p| p.below("/listed")));
    problems
}

fn bad_daemons(daemons: &[SyncDaemon]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, daemon) in daemons.iter().enumerate() {
        let own = validate_daemon(daemon).into_iter();
        problems.extend(own.map(|problem| problem.below(&format!("/{index}"))));
        let first = daemons.iter().position(|other| other.role == daemon.role);
        if let Some(first) = first.filter(|first| *first < index) {
            let message = format!("there is a {} already", daemon.role.name());
            let problem = Problem::new(format!("/{index}/role"), message, "leave one out");
            problems.push(problem.with_other(format!("/{first}/role")));
        }
    }
    problems
}

fn bad_sysctls(sysctls: &BTreeMap<String, Value>) -> Vec<Problem> {
    let judge = |(name, value): (&String, &Value)| {
        let pointer = format!("/sysctls/{}", escaped(name));
        let problem = |message: String, mend: String| Problem::new(pointer.clone(), message, mend);
        match name.parse::<Sysctl>() {
            Err(unknown) => Some(problem(unknown.to_string(), String::new())),
            Ok(sysctl) => {
                let judged = sysctl.accept(value, &sysctl.default_value());
                judged
                    .err()
                    .map(|bad| problem(bad.to_string(), String::new()))
            }
        }
    };
    sysctls.iter().filter_map(judge).collect()
}

/// A sysctl has several names: with and without what all begin with, and with slashes.
fn repeated_sysctls(sysctls: &BTreeMap<String, Value>) -> Vec<Problem> {
    let pointer = |name: &str| format!("/sysctls/{}", escaped(name));
    let mut first = HashMap::new();
    let mut problems = Vec::new();
    for name in sysctls.keys() {
        let Ok(sysctl) = name.parse::<Sysctl>() else {
            continue;
        };
        match first.entry(sysctl) {
            Entry::Vacant(free) => drop(free.insert(name)),
            Entry::Occupied(taken) => {
                let message = format!("{sysctl} is there already");
                let problem = Problem::new(pointer(name), message, "leave one out");
                problems.push(problem.with_other(pointer(taken.get())));
            }
        }
    }
    problems
}

fn bad_levels(config: &Configuration) -> Vec<Problem> {
    let Levels { level, services } = &config.defense;
    let mut problems = Vec::new();
    if let Some(level) = *level {
        let bad = validate_level(DefenseLevel { level });
        problems.extend(bad.into_iter().map(|p| p.below("/defense")));
    }
    for (id, level) in services {
        let pointer = format!("/defense/services/{id}");
        let bad = validate_level(DefenseLevel { level: *level });
        problems.extend(bad.into_iter().map(|p| p.below(&pointer)));
        if !config.services.iter().any(|service| service.id == *id) {
            let message = format!("there is no service {id}");
            problems.push(Problem::new(
                pointer,
                message,
                "name one of this configuration",
            ));
        }
    }
    problems
}

fn repeated_services(services: &[Service]) -> Vec<Problem> {
    let mut first = HashMap::new();
    let mut problems = Vec::new();
    for (index, service) in services.iter().enumerate() {
        match first.entry(service.id) {
            Entry::Vacant(free) => {
                free.insert(index);
            }
            Entry::Occupied(taken) => problems.push(
                Problem::new(
                    format!("/service/{index}"),
                    format!("service {} is there already", service.id),
                    "put all its real servers into one",
                )
                .with_other(format!("/service/{}", taken.get())),
            ),
        }
    }
    problems
}

/// Real servers that are another service of the same director: it does not forward to itself. A
/// service that is its own real server is served by the host, whatever takes its other ports.
fn reals_that_are_vips(services: &[Service]) -> Vec<Problem> {
    let mut by_address: HashMap<IpAddr, Vec<usize>> = HashMap::new();
    for (index, service) in services.iter().enumerate() {
        if let Some(vip) = service.id.vip() {
            by_address.entry(vip.ip()).or_default().push(index);
        }
    }
    let mut problems = Vec::new();
    for (index, service) in services.iter().enumerate() {
        let reals = service.reals.iter().enumerate();
        let reals = reals.map(|(place, real)| (format!("real/{place}"), real));
        let sorry = service
            .health
            .as_ref()
            .and_then(|health| health.sorry.as_ref());
        let sorry = sorry.map(|real| ("health/sorry".to_owned(), real));
        for (place, real) in reals.chain(sorry) {
            let endpoint = real.endpoint(service.id.port());
            if service.id.vip() == Some(endpoint) {
                continue;
            }
            let there = by_address
                .get(&endpoint.ip())
                .map_or(&[][..], Vec::as_slice);
            let other = there.iter().find(|&&other| {
                let other = services[other].id;
                other != service.id && takes(other, service.id.protocol(), endpoint)
            });
            if let Some(other) = other {
                problems.push(
                    Problem::new(
                        format!("/service/{index}/{place}/address"),
                        format!("real server {endpoint} is a virtual service of this director"),
                        "name real servers of that service instead",
                    )
                    .with_other(format!("/service/{other}")),
                );
            }
        }
    }
    problems
}

/// Whether a service takes what is for `endpoint`; without `protocol`, in any. Port 0 stands for
/// every port on either side.
fn takes(service: ServiceId, protocol: Option<Protocol>, endpoint: SocketAddr) -> bool {
    service.vip().is_some_and(|vip| {
        let same_port = vip.port() == endpoint.port() || vip.port() == 0 || endpoint.port() == 0;
        let same_protocol = protocol.is_none() || protocol == service.protocol();
        vip.ip() == endpoint.ip() && same_port && same_protocol
    })
}
