//! Which metrics there are, and what they mean.

use super::metric::{Metric, Source};
use super::text::{Family, Kind};
use super::{Seen, filter, ladder};
use crate::model::{Condition, HealthSource, LastCheck, RealView, ServiceView, Traffic};

/// Rows of: kind, name, meaning; what has samples, and the value of one.
macro_rules! metrics {
    ($($kind:ident $name:ident $help:literal $source:ident($($of:ident),+) $value:expr;)*) => {
        &[$(Metric {
            kind: Kind::$kind,
            name: stringify!($name),
            help: $help,
            source: Source::$source(|$($of),+| $value.into()),
        }),*]
    };
}

pub(super) const METRICS: &[Metric] = metrics! {
    // The director as a whole.
    Gauge bulwark_build_info "The version; always 1."
        Labelled(seen, family) family.sample(&[("version", &seen.status.version)], 1);
    Gauge bulwark_uptime_seconds "Seconds since the director started."
        Director(seen) seen.status.uptime;
    Counter bulwark_received_packets_total "Packets seen by the gates of all interfaces."
        Director(seen) seen.stats.total.received;
    Counter bulwark_sent_packets_total "Packets forwarded."
        Director(seen) seen.stats.total.sent;
    Counter bulwark_passed_packets_total "Packets left to the kernel."
        Director(seen) seen.stats.total.passed;
    Counter bulwark_dropped_packets_total "Packets dropped, by reason."
        Labelled(seen, family) for (reason, count) in &seen.stats.drops {
            family.sample(&[("reason", reason)], count);
        };
    Gauge bulwark_connections "Connections tracked, half-open ones not counted."
        Director(seen) seen.status.connections.entries;
    Gauge bulwark_connections_limit "Connections that fit."
        Director(seen) seen.status.connections.limit;
    Gauge bulwark_half_open_connections "Half-open connections."
        Director(seen) seen.status.connections.half_open;
    Gauge bulwark_half_open_connections_limit "Half-open connections that fit."
        Director(seen) seen.status.connections.half_open_limit;
    Gauge bulwark_connection_table_bytes "Memory that the connection table takes when it is full."
        Director(seen) seen.status.connections.bytes;
    Gauge bulwark_services "Virtual services."
        Director(seen) seen.counts.0;
    Gauge bulwark_reals "Real servers of all services."
        Director(seen) seen.counts.1;
    Counter bulwark_events_total "Events so far."
        Director(seen) seen.events;

    // Its defence.
    Gauge bulwark_defense_level "The level of defence of the whole director."
        Director(seen) u32::from(seen.defense.level);
    Gauge bulwark_defense_drop_ratio "The share of new TCP connections that is dropped, of the service of which it is largest."
        Director(seen) seen.defense.drop_rate;
    Gauge bulwark_defense_signal "What the level depends on, in the unit of the API."
        Labelled(seen, family) for signal in &seen.defense.signals {
            family.sample(&[("signal", &signal.name)], signal.value);
        };
    Gauge bulwark_service_defense_level "The level of defence of a service."
        Labelled(seen, family) for (service, defense) in &seen.defended {
            family.sample(&[("service", &service.to_string())], defense.level);
        };
    Gauge bulwark_defense_info "The highest step of defence that is taken for any service; always 1."
        Labelled(seen, family) family.sample(&[("rung", &seen.defense.rung)], 1);
    Gauge bulwark_service_defense_info
        "The step of defence that is taken for a service, and the way of its cookies, if it can have them; always 1."
        Labelled(seen, family) ladder::rungs(seen, family);
    Gauge bulwark_defense_resource_used_ratio
        "How much is used of a resource that a flood uses up, of those that are known."
        Labelled(seen, family) ladder::resources(seen, family, |of| of.used / 100.0);
    Gauge bulwark_defense_resource_mark_ratio "From where on it is short."
        Labelled(seen, family) ladder::resources(seen, family, |of| of.mark / 100.0);
    Gauge bulwark_defense_resource_short "Whether it is short: 0 or 1."
        Labelled(seen, family) ladder::resources(seen, family, |of| f64::from(u8::from(of.used >= of.mark)));

    // Cookies, of TCP services.
    Gauge bulwark_service_cookies_active
        "Whether SYNs of a service are answered before there is a connection: 0 or 1."
        Labelled(seen, family) ladder::cookies(seen, family, |cookies| cookies.active.into());
    Counter bulwark_service_cookies_sent_total "SYNs of a service that were answered so."
        Labelled(seen, family) ladder::cookies(seen, family, |cookies| cookies.sent);
    Counter bulwark_service_cookies_accepted_total
        "Connections that a cookie has opened, or SYNs of clients that have reset the answer to the first."
        Labelled(seen, family) ladder::cookies(seen, family, |cookies| cookies.accepted);
    Counter bulwark_service_cookies_refused_total "Segments that were dropped, as they belong to nothing."
        Labelled(seen, family) ladder::cookies(seen, family, |cookies| cookies.refused);

    // The filters.
    Gauge bulwark_filter_listed_networks "Networks on a list."
        Labelled(seen, family) filter::listed(&seen.filter, family);
    Gauge bulwark_filter_banned_networks "Networks of them that are banned by themselves."
        Director(seen) seen.filter.banned;
    Counter bulwark_filter_list_dropped_packets_total "Packets dropped because of a list."
        Labelled(seen, family) filter::dropped_by_list(&seen.filter, family);
    Counter bulwark_filter_limit_dropped_packets_total "Packets dropped that were above a limit of a rate."
        Labelled(seen, family) filter::over_limits(&seen.filter, family);
    Counter bulwark_filter_connection_limit_dropped_packets_total
        "Packets dropped that would have opened more connections than a limit allows."
        Labelled(seen, family) filter::over_connection_limits(&seen.filter, family);
    Gauge bulwark_filter_region_networks "Networks that a region names."
        Labelled(seen, family) filter::regions(&seen.filter, family, |region| region.networks);
    Counter bulwark_filter_region_dropped_packets_total "Packets dropped because of where they are from."
        Labelled(seen, family) filter::regions(&seen.filter, family, |region| region.dropped);

    // The gates.
    Counter bulwark_interface_received_packets_total "Packets seen by the gate of an interface."
        Interface(at) at.rx;
    Counter bulwark_interface_passed_packets_total "Packets that it left to the kernel."
        Interface(at) at.passed;
    Counter bulwark_interface_redirected_packets_total "Packets that it handed to a worker."
        Interface(at) at.redirected;
    Counter bulwark_interface_forwarded_packets_total
        "Packets that it forwarded by itself, of established connections."
        Interface(at) at.forwarded;
    Counter bulwark_interface_answered_packets_total
        "SYNs of services with cookies that it answered by itself."
        Interface(at) at.answered;
    Counter bulwark_interface_dropped_packets_total "Packets that it dropped."
        Interface(at) at.dropped;

    // Connections that they forward by themselves; none of it without a fast path.
    Gauge bulwark_fast_path_flows "Connections that the gates forward by themselves."
        Director(seen) seen.status.fast_path.as_ref().map(|fast| fast.flows);
    Gauge bulwark_fast_path_flows_limit "How many of them fit."
        Director(seen) seen.status.fast_path.as_ref().map(|fast| fast.limit);
    Counter bulwark_fast_path_refused_total "How often there was no room for one."
        Director(seen) seen.status.fast_path.as_ref().map(|fast| fast.refused);
    Gauge bulwark_interface_fast_path
        "Whether the gates forward packets by themselves that leave through an interface: 0 or 1."
        Interface(at) at.fast_path;

    // What it shows who it is by; none of it without TLS.
    Gauge bulwark_certificate_expiry_timestamp_seconds
        "When a certificate that the director shows expires, in seconds since 1970."
        Labelled(seen, family) for shown in &seen.status.certificates {
            let labels = [("listener", shown.listener.as_str()), ("file", &shown.file)];
            family.sample(&labels, shown.expires);
        };

    // The workers.
    Counter bulwark_worker_received_packets_total
        "Packets that a worker took from its sockets and from this host."
        Worker(worker) worker.received;
    Counter bulwark_worker_from_host_packets_total
        "Those of them that programs of this host have sent."
        Worker(worker) worker.from_host;
    Counter bulwark_worker_sent_packets_total "Packets that it handed to the NIC."
        Worker(worker) worker.sent;
    Counter bulwark_worker_dropped_packets_total "Packets that it dropped."
        Worker(worker) worker.dropped;
    Counter bulwark_worker_missed_packets_total "Packets that the kernel dropped at its sockets."
        Worker(worker) worker.missed;
    Counter bulwark_worker_answered_packets_total "Packets of its own."
        Worker(worker) worker.answered;
    Gauge bulwark_worker_frames "UMEM frames of a worker, by where they are."
        Labelled(seen, family) frames(seen, family);

    // The services.
    Counter bulwark_service_connections_total "Connections of a service that were scheduled."
        Service(service) service.stats.connections;
    Counter bulwark_service_packets_total
        "Packets of a service, from clients (in) and to them (out)."
        Labelled(seen, family) of_services(seen, family, PACKETS);
    Counter bulwark_service_bytes_total "Bytes of a service, from clients (in) and to them (out)."
        Labelled(seen, family) of_services(seen, family, BYTES);
    Counter bulwark_service_dropped_packets_total
        "Packets dropped that were known to be for a service, by reason."
        Labelled(seen, family) dropped(seen, family);
    Gauge bulwark_service_reals "Real servers of a service that take new connections."
        Service(service) takers(service);
    Gauge bulwark_service_up
        "Whether as many real servers of a service are well as its quorum asks for: 0 or 1."
        Service(service) service.condition.map(|condition| condition.up);
    Gauge bulwark_service_well_reals "Real servers of a service that are well and have a weight in force."
        Service(service) service.condition.map(|condition| condition.well);
    Gauge bulwark_service_quorum_reals "Real servers of a service that have to be well."
        Service(service) service.condition.map(|condition| condition.quorum);

    // The real servers.
    Counter bulwark_real_connections_total "Connections that were scheduled to a real server."
        Real(real) real.stats.connections;
    Gauge bulwark_real_active_connections "Its connections in a state that counts as active."
        Real(real) real.active;
    Gauge bulwark_real_inactive_connections "Its other connections."
        Real(real) real.inactive;
    Gauge bulwark_real_persistent_clients "Clients that stick to it."
        Real(real) real.persistent;
    Gauge bulwark_real_weight "Its weight."
        Real(real) real.weight;
    Gauge bulwark_real_overloaded "Whether it has too many connections: 0 or 1."
        Real(real) real.overloaded;
    Counter bulwark_real_packets_total
        "Packets of a real server, from clients (in) and to them (out)."
        Labelled(seen, family) of_reals(seen, family, PACKETS);
    Counter bulwark_real_bytes_total "Bytes of a real server, from clients (in) and to them (out)."
        Labelled(seen, family) of_reals(seen, family, BYTES);

    // Their health, of those that are watched. Reasons are for people, and not for labels: what a
    // real server may say has no bounds.
    Gauge bulwark_real_up "Whether a watched real server is well, or not heard of yet: 0 or 1."
        Real(real) real.condition.as_ref().map(|condition| condition.state.is_well());
    Gauge bulwark_real_health_weight "What its health leaves of its weight."
        Real(real) real.condition.as_ref().map(|condition| condition.weight);
    Gauge bulwark_real_listen_queue_ratio
        "How full its listen queue is, of 1, where weights go by that and its agent tells."
        Real(real) queue(real);
    Gauge bulwark_real_health_change_timestamp_seconds
        "Since when it is in its state, in seconds of Unix time."
        Real(real) real.condition.as_ref().map(|condition| condition.since);
    Counter bulwark_real_health_downs_total "How often it has gone down."
        Real(real) real.condition.as_ref().map(|condition| condition.downs);
    Counter bulwark_real_checks_total "Its checks that have ended, by whether they passed or failed."
        Labelled(seen, family) checks(seen, family);
    Counter bulwark_real_check_seconds_total "How long all of them took together."
        Real(real) real.condition.as_ref().and_then(spent);
    Gauge bulwark_real_last_check_timestamp_seconds
        "When its last check ended, in seconds of Unix time."
        Real(real) last(real).map(|last| last.at);
    Gauge bulwark_real_last_check_duration_seconds "How long its last check took."
        Real(real) last(real).map(|last| seconds(last.took));
    Gauge bulwark_real_health_info
        "The state of a watched real server, and what says so; always 1."
        Labelled(seen, family) states(seen, family);
};

/// What is carried: direction, value.
type Carried = (&'static str, fn(&Traffic) -> u64);

const PACKETS: [Carried; 2] = [("in", |t| t.in_packets), ("out", |t| t.out_packets)];
const BYTES: [Carried; 2] = [("in", |t| t.in_bytes), ("out", |t| t.out_bytes)];

fn of_services(seen: &Seen, family: &mut Family<'_>, carried: [Carried; 2]) {
    for (id, service) in seen.services() {
        for (direction, value) in carried {
            let labels = [("service", id.as_str()), ("direction", direction)];
            family.sample(&labels, value(&service.stats));
        }
    }
}

fn of_reals(seen: &Seen, family: &mut Family<'_>, carried: [Carried; 2]) {
    for (service, address, real) in seen.reals() {
        for (direction, value) in carried {
            let labels = [
                ("service", service.as_str()),
                ("real", &address),
                ("direction", direction),
            ];
            family.sample(&labels, value(&real.stats));
        }
    }
}

fn dropped(seen: &Seen, family: &mut Family<'_>) {
    for (id, service) in seen.services() {
        for (reason, count) in &service.drops {
            family.sample(&[("service", &id), ("reason", reason)], count);
        }
    }
}

fn frames(seen: &Seen, family: &mut Family<'_>) {
    for worker in &seen.status.workers {
        let (id, at) = (worker.id.to_string(), &worker.frames);
        for (state, count) in [
            ("free", at.free),
            ("filling", at.filling),
            ("sending", at.sending),
        ] {
            family.sample(&[("worker", &id), ("state", state)], count);
        }
    }
}

fn takers(service: &ServiceView) -> usize {
    let takes =
        |real: &&RealView| real.effective_weight() > 0 && !real.is_out() && !real.overloaded;
    service.reals.iter().filter(takes).count()
}

fn last(real: &RealView) -> Option<&LastCheck> {
    real.condition.as_ref()?.last.as_ref()
}

fn queue(real: &RealView) -> Option<f64> {
    let full = real.condition.as_ref()?.queue.as_ref()?.full?;
    Some(f64::from(full) / 100.0)
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

/// Of those that are checked, and not only asked by an agent or seen by clients.
fn spent(condition: &Condition) -> Option<f64> {
    condition.last.as_ref()?;
    Some(seconds(condition.checks.took))
}

fn checks(seen: &Seen, family: &mut Family<'_>) {
    for (service, address, real) in seen.reals() {
        let checks = real.condition.as_ref().filter(|known| known.last.is_some());
        let Some(checks) = checks.map(|condition| condition.checks) else {
            continue;
        };
        for (result, count) in [("passed", checks.passed), ("failed", checks.failed)] {
            let labels = [
                ("service", service.as_str()),
                ("real", &address),
                ("result", result),
            ];
            family.sample(&labels, count);
        }
    }
}

fn states(seen: &Seen, family: &mut Family<'_>) {
    for (service, address, real) in seen.reals() {
        let Some(condition) = &real.condition else {
            continue;
        };
        let labels = [
            ("service", service.as_str()),
            ("real", &address),
            ("state", condition.state.name()),
            ("source", condition.source.map_or("", HealthSource::name)),
        ];
        family.sample(&labels, 1);
    }
}
