//! The health of real servers, of those that are watched. Reasons are for people, and not for labels:
//! what a real server may say has no bounds.

use super::Seen;
use super::text::{Kind, Page};
use crate::model::{Condition, HealthSource, RealView, ServiceCondition};

use Kind::Gauge;

pub(super) fn services(seen: &Seen, page: &mut Page) {
    type Row = (&'static str, &'static str, fn(&ServiceCondition) -> u64);
    let rows: [Row; 3] = [
        (
            "bulwark_service_up",
            "Whether as many real servers of a service are well as its quorum asks for: 0 or 1.",
            |service| service.up.into(),
        ),
        (
            "bulwark_service_well_reals",
            "Real servers of a service that are well and have a weight.",
            |service| service.well.into(),
        ),
        (
            "bulwark_service_quorum_reals",
            "Real servers of a service that have to be well.",
            |service| service.quorum.into(),
        ),
    ];
    for (name, help, value) in rows {
        let mut family = page.family(Gauge, name, help);
        for service in &seen.services {
            if let Some(condition) = &service.condition {
                family.sample(&[("service", &service.id.to_string())], value(condition));
            }
        }
    }
}

/// A real server that is watched: its service, its address, how it is.
type Watched<'a> = (String, String, &'a Condition);

pub(super) fn reals(seen: &Seen, page: &mut Page) {
    let watched: Vec<Watched<'_>> = (seen.services.iter())
        .flat_map(|service| {
            let id = service.id.to_string();
            let of = move |real| watched(id.clone(), real);
            service.reals.iter().filter_map(of)
        })
        .collect();
    type Row = (&'static str, &'static str, fn(&Condition) -> Option<f64>);
    let rows: [Row; 4] = [
        (
            "bulwark_real_up",
            "Whether a watched real server is well, or not heard of yet: 0 or 1.",
            |real| Some(f64::from(u8::from(real.state.is_well()))),
        ),
        (
            "bulwark_real_health_weight",
            "What its health leaves of its weight.",
            |real| Some(real.weight.into()),
        ),
        (
            "bulwark_real_health_change_timestamp_seconds",
            "Since when it is in its state, in seconds of Unix time.",
            |real| Some(real.since as f64),
        ),
        (
            "bulwark_real_last_check_duration_seconds",
            "How long its last check took.",
            |real| real.last.as_ref().map(|last| last.took as f64 / 1000.0),
        ),
    ];
    for (name, help, value) in rows {
        let mut family = page.family(Gauge, name, help);
        for (service, address, condition) in &watched {
            if let Some(value) = value(condition) {
                family.sample(&[("service", service), ("real", address)], value);
            }
        }
    }
    states(&watched, page);
}

fn states(watched: &[Watched<'_>], page: &mut Page) {
    let mut family = page.family(
        Gauge,
        "bulwark_real_health_info",
        "The state of a watched real server, and what says so; always 1.",
    );
    for (service, address, condition) in watched {
        let source = condition.source.map_or("", HealthSource::name);
        let labels = [
            ("service", service.as_str()),
            ("real", address),
            ("state", condition.state.name()),
            ("source", source),
        ];
        family.sample(&labels, 1);
    }
}

fn watched(service: String, real: &RealView) -> Option<Watched<'_>> {
    let condition = real.condition.as_ref()?;
    Some((service, real.endpoint().to_string(), condition))
}
