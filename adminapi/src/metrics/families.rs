//! Which metrics there are, and what they mean.

use super::Seen;
use super::text::{Kind, Page};
use crate::model::{InterfaceStatus, RealView, ServiceView, Traffic, WorkerStatus};

use Kind::{Counter, Gauge};

/// The director as a whole.
pub(super) fn director(seen: &Seen, page: &mut Page) {
    let Seen { status, stats, .. } = seen;
    let (total, table) = (&stats.total, &status.connections);
    page.family(Gauge, "bulwark_build_info", "The version; always 1.")
        .sample(&[("version", &status.version)], 1);
    for (kind, name, help, value) in [
        (
            Gauge,
            "bulwark_uptime_seconds",
            "Seconds since the director started.",
            status.uptime,
        ),
        (
            Counter,
            "bulwark_received_packets_total",
            "Packets seen by the gates of all interfaces.",
            total.received,
        ),
        (
            Counter,
            "bulwark_sent_packets_total",
            "Packets forwarded.",
            total.sent,
        ),
        (
            Counter,
            "bulwark_passed_packets_total",
            "Packets left to the kernel.",
            total.passed,
        ),
        (
            Gauge,
            "bulwark_connections",
            "Connections tracked, half-open ones not counted.",
            table.entries,
        ),
        (
            Gauge,
            "bulwark_connections_limit",
            "Connections that fit.",
            table.limit,
        ),
        (
            Gauge,
            "bulwark_half_open_connections",
            "Half-open connections.",
            table.half_open,
        ),
        (
            Gauge,
            "bulwark_half_open_connections_limit",
            "Half-open connections that fit.",
            table.half_open_limit,
        ),
        (
            Gauge,
            "bulwark_connection_table_bytes",
            "Memory that the connection table takes when it is full.",
            table.bytes,
        ),
        (
            Gauge,
            "bulwark_services",
            "Virtual services.",
            seen.counts.0 as u64,
        ),
        (
            Gauge,
            "bulwark_reals",
            "Real servers of all services.",
            seen.counts.1 as u64,
        ),
        (
            Counter,
            "bulwark_events_total",
            "Events so far.",
            seen.events,
        ),
    ] {
        page.single(kind, name, help, value);
    }
    let mut dropped = page.family(
        Counter,
        "bulwark_dropped_packets_total",
        "Packets dropped, by reason.",
    );
    for (reason, count) in &stats.drops {
        dropped.sample(&[("reason", reason)], count);
    }
    defense(seen, page);
}

fn defense(seen: &Seen, page: &mut Page) {
    let defense = &seen.defense;
    page.single(
        Gauge,
        "bulwark_defense_level",
        "The level of defence of the whole director.",
        defense.level,
    );
    page.single(
        Gauge,
        "bulwark_defense_drop_ratio",
        "The share of new TCP connections that is dropped.",
        defense.drop_rate,
    );
    let mut signals = page.family(
        Gauge,
        "bulwark_defense_signal",
        "What the level depends on, in the unit of the API.",
    );
    for signal in &defense.signals {
        signals.sample(&[("signal", &signal.name)], signal.value);
    }
    let mut levels = page.family(
        Gauge,
        "bulwark_service_defense_level",
        "The level of defence of a service.",
    );
    for (service, level) in &seen.levels {
        levels.sample(&[("service", &service.to_string())], level);
    }
}

pub(super) fn interfaces(seen: &Seen, page: &mut Page) {
    type Row = (&'static str, &'static str, fn(&InterfaceStatus) -> u64);
    let rows: [Row; 6] = [
        (
            "bulwark_interface_received_packets_total",
            "Packets seen by the gate of an interface.",
            |i| i.rx,
        ),
        (
            "bulwark_interface_passed_packets_total",
            "Packets that it left to the kernel.",
            |i| i.passed,
        ),
        (
            "bulwark_interface_redirected_packets_total",
            "Packets that it handed to a worker.",
            |i| i.redirected,
        ),
        (
            "bulwark_interface_forwarded_packets_total",
            "Packets that it forwarded by itself, of established connections.",
            |i| i.forwarded,
        ),
        (
            "bulwark_interface_answered_packets_total",
            "SYNs of services with cookies that it answered by itself.",
            |i| i.answered,
        ),
        (
            "bulwark_interface_dropped_packets_total",
            "Packets that it dropped.",
            |i| i.dropped,
        ),
    ];
    for (name, help, value) in rows {
        let mut family = page.family(Counter, name, help);
        for interface in &seen.status.interfaces {
            family.sample(&[("interface", &interface.name)], value(interface));
        }
    }
}

/// The connections that the gates forward by themselves; none of it without a fast path.
pub(super) fn fast_path(seen: &Seen, page: &mut Page) {
    let Some(fast) = &seen.status.fast_path else {
        return;
    };
    for (kind, name, help, value) in [
        (
            Gauge,
            "bulwark_fast_path_flows",
            "Connections that the gates forward by themselves.",
            fast.flows,
        ),
        (
            Gauge,
            "bulwark_fast_path_flows_limit",
            "How many of them fit.",
            fast.limit,
        ),
        (
            Counter,
            "bulwark_fast_path_refused_total",
            "How often there was no room for one.",
            fast.refused,
        ),
    ] {
        page.single(kind, name, help, value);
    }
    let mut lanes = page.family(
        Gauge,
        "bulwark_interface_fast_path",
        "Whether the gates forward packets by themselves that leave through an interface: 0 or 1.",
    );
    for interface in &seen.status.interfaces {
        let is_on = u8::from(interface.fast_path);
        lanes.sample(&[("interface", &interface.name)], is_on);
    }
}

pub(super) fn workers(seen: &Seen, page: &mut Page) {
    type Row = (&'static str, &'static str, fn(&WorkerStatus) -> u64);
    let rows: [Row; 6] = [
        (
            "bulwark_worker_received_packets_total",
            "Packets that a worker took from its sockets and from this host.",
            |w| w.received,
        ),
        (
            "bulwark_worker_from_host_packets_total",
            "Those of them that programs of this host have sent.",
            |w| w.from_host,
        ),
        (
            "bulwark_worker_sent_packets_total",
            "Packets that it handed to the NIC.",
            |w| w.sent,
        ),
        (
            "bulwark_worker_dropped_packets_total",
            "Packets that it dropped.",
            |w| w.dropped,
        ),
        (
            "bulwark_worker_missed_packets_total",
            "Packets that the kernel dropped at its sockets.",
            |w| w.missed,
        ),
        (
            "bulwark_worker_answered_packets_total",
            "Packets of its own.",
            |w| w.answered,
        ),
    ];
    for (name, help, value) in rows {
        let mut family = page.family(Counter, name, help);
        for worker in &seen.status.workers {
            family.sample(&[("worker", &worker.id.to_string())], value(worker));
        }
    }
    let mut frames = page.family(
        Gauge,
        "bulwark_worker_frames",
        "UMEM frames of a worker, by where they are.",
    );
    for worker in &seen.status.workers {
        let id = worker.id.to_string();
        let at = &worker.frames;
        for (state, count) in [
            ("free", at.free),
            ("filling", at.filling),
            ("sending", at.sending),
        ] {
            frames.sample(&[("worker", &id), ("state", state)], count);
        }
    }
}

/// What is counted of traffic: name without the prefix, help, direction, value.
type Carried = (&'static str, fn(&Traffic) -> u64);

const PACKETS: [Carried; 2] = [("in", |t| t.in_packets), ("out", |t| t.out_packets)];
const BYTES: [Carried; 2] = [("in", |t| t.in_bytes), ("out", |t| t.out_bytes)];

pub(super) fn services(seen: &Seen, page: &mut Page) {
    let each = |service: &ServiceView| (service.id.to_string(), service.stats);
    let services: Vec<_> = seen.services.iter().map(each).collect();
    let mut scheduled = page.family(
        Counter,
        "bulwark_service_connections_total",
        "Connections of a service that were scheduled.",
    );
    for (service, stats) in &services {
        scheduled.sample(&[("service", service)], stats.connections);
    }
    for (name, help, carried) in [
        (
            "bulwark_service_packets_total",
            "Packets of a service, from clients (in) and to them (out).",
            PACKETS,
        ),
        (
            "bulwark_service_bytes_total",
            "Bytes of a service, from clients (in) and to them (out).",
            BYTES,
        ),
    ] {
        let mut family = page.family(Counter, name, help);
        for (service, stats) in &services {
            for (direction, value) in carried {
                family.sample(
                    &[("service", service), ("direction", direction)],
                    value(stats),
                );
            }
        }
    }
    let mut reals = page.family(
        Gauge,
        "bulwark_service_reals",
        "Real servers of a service that take new connections.",
    );
    for service in &seen.services {
        let open = |real: &&RealView| real.weight > 0 && !real.overloaded;
        let count = service.reals.iter().filter(open).count();
        reals.sample(&[("service", &service.id.to_string())], count);
    }
    let mut dropped = page.family(
        Counter,
        "bulwark_service_dropped_packets_total",
        "Packets dropped that were known to be for a service, by reason.",
    );
    for service in &seen.services {
        for (reason, count) in &service.drops {
            dropped.sample(
                &[("service", &service.id.to_string()), ("reason", reason)],
                count,
            );
        }
    }
}

pub(super) fn reals(seen: &Seen, page: &mut Page) {
    let all: Vec<_> = seen
        .services
        .iter()
        .flat_map(|service| {
            service
                .reals
                .iter()
                .map(move |real| (service.id.to_string(), real))
        })
        .map(|(service, real)| (service, real.endpoint().to_string(), real))
        .collect();
    type Row = (Kind, &'static str, &'static str, fn(&RealView) -> u64);
    let rows: [Row; 6] = [
        (
            Counter,
            "bulwark_real_connections_total",
            "Connections that were scheduled to a real server.",
            |r| r.stats.connections,
        ),
        (
            Gauge,
            "bulwark_real_active_connections",
            "Its connections in a state that counts as active.",
            |r| r.active.into(),
        ),
        (
            Gauge,
            "bulwark_real_inactive_connections",
            "Its other connections.",
            |r| r.inactive.into(),
        ),
        (
            Gauge,
            "bulwark_real_persistent_clients",
            "Clients that stick to it.",
            |r| r.persistent.into(),
        ),
        (Gauge, "bulwark_real_weight", "Its weight.", |r| {
            r.weight.into()
        }),
        (
            Gauge,
            "bulwark_real_overloaded",
            "Whether it has too many connections: 0 or 1.",
            |r| r.overloaded.into(),
        ),
    ];
    for (kind, name, help, value) in rows {
        let mut family = page.family(kind, name, help);
        for (service, address, real) in &all {
            family.sample(&[("service", service), ("real", address)], value(real));
        }
    }
    for (name, help, carried) in [
        (
            "bulwark_real_packets_total",
            "Packets of a real server, from clients (in) and to them (out).",
            PACKETS,
        ),
        (
            "bulwark_real_bytes_total",
            "Bytes of a real server, from clients (in) and to them (out).",
            BYTES,
        ),
    ] {
        let mut family = page.family(Counter, name, help);
        for (service, address, real) in &all {
            for (direction, value) in carried {
                let labels = [
                    ("service", service.as_str()),
                    ("real", address),
                    ("direction", direction),
                ];
                family.sample(&labels, value(&real.stats));
            }
        }
    }
}
