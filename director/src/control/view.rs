//! What the API shows.

mod explained;

use std::sync::Arc;

use adminapi::error::Result;
use adminapi::model::{self, Live, RealRow, RealView, ServiceRow, ServiceView};

use super::publish::refused;
use super::queues::Misfit;
use super::{Director, translate};
use crate::drops::DropReason;
use crate::flow::Entry;
use crate::pool::Pool;
use crate::service::{Load, Method, Real, Service};
use crate::sources::{self, Heavy, Network};
use crate::stats::PerWorker;
use crate::templates::{self, Templates};
use crate::time::Tick;
use crate::wire::Addr;

pub(super) fn service(pool: &Pool, service: &Service) -> ServiceView {
    let id = translate::id(&service.key);
    ServiceView {
        id,
        naming: id.into(),
        scheduler: service.algorithm,
        scheduler_flags: service.flags,
        persistence: persistence(service),
        engine: service.handling.engine,
        one_packet: service.handling.one_packet,
        health: service.health.as_deref().cloned(),
        condition: None,
        sorry: service.sorry.as_deref().map(|sorry| real(pool, sorry)),
        cookies: service.handling.cookies,
        udp_repeats: service.handling.udp_repeats,
        helper: service.handling.helper,
        stats: service.traffic.sum().into(),
        rates: translate::rates(service.traffic.rates()),
        drops: drops_of(&service.traffic),
        reals: service.configured().map(|r| real(pool, r)).collect(),
    }
}

pub(super) fn real(pool: &Pool, real: &Real) -> RealView {
    let (method, tun) = translate::api_method(real.method);
    RealView {
        address: real.endpoint.addr.into(),
        port: real.endpoint.port,
        weight: real.configured,
        method,
        tun,
        upper: real.upper,
        lower: real.lower,
        overloaded: real.is_overloaded(),
        active: real.active(),
        inactive: real.inactive(),
        check: real.check.as_deref().cloned(),
        condition: None,
        draining: real.drain.map(|drain| model::Draining {
            since: drain.since,
            until: drain.since + u64::from(drain.seconds),
            connections: real.load.connections().into(),
        }),
        persistent: real.load.sticking(),
        local_ports: (real.method == Method::FullNat).then(|| model::PortUse {
            used: real.load.connections().into(),
            total: pool.speakers().capacity(real.endpoint.addr.is_v4()),
        }),
        stats: real.traffic.sum().into(),
        rates: translate::rates(real.traffic.rates()),
        drops: drops_of(&real.traffic),
    }
}

pub(super) fn carried(traffic: &PerWorker) -> model::Carried {
    model::Carried {
        traffic: traffic.sum().into(),
        rates: translate::rates(traffic.rates()),
        windows: translate::windows(traffic),
        drops: drops_of(traffic),
    }
}

pub(super) const fn used(used: usize, limit: usize) -> model::Use {
    model::Use {
        used: used as u64,
        limit: limit as u64,
    }
}

fn named<'a>(drops: impl Iterator<Item = (&'a str, u64)>) -> model::Drops {
    drops.map(|(name, n)| (name.to_owned(), n)).collect()
}

/// A service as it is configured.
pub(super) fn configured(service: &Service) -> model::Service {
    configured_with(service, service.configured())
}

/// The same with these of its real servers.
pub(super) fn configured_with<'r>(
    service: &Service,
    reals: impl Iterator<Item = &'r Arc<Real>>,
) -> model::Service {
    model::Service {
        id: translate::id(&service.key),
        scheduler: service.algorithm,
        scheduler_flags: service.flags,
        persistence: persistence(service),
        engine: service.handling.engine,
        one_packet: service.handling.one_packet,
        health: service.health.as_deref().cloned(),
        cookies: service.handling.cookies,
        udp_repeats: service.handling.udp_repeats,
        helper: service.handling.helper,
        reals: reals.map(|real| configured_real(real)).collect(),
    }
}

fn configured_real(real: &Real) -> model::Real {
    let (method, tun) = translate::api_method(real.method);
    model::Real {
        address: real.endpoint.addr.into(),
        port: Some(real.endpoint.port),
        weight: real.configured,
        method,
        upper: real.upper,
        lower: real.lower,
        tun,
        check: real.check.as_deref().cloned(),
    }
}

fn persistence(service: &Service) -> Option<model::Persistence> {
    let persistence = service.handling.persistence.as_ref()?;
    Some(translate::api_persistence(&service.key, persistence))
}

/// A service in a listing with these of its real servers, before there is any traffic.
pub(super) fn row(service: &Service, reals: &[&Arc<Real>], side: model::Side) -> ServiceRow {
    ServiceRow {
        id: translate::id(&service.key),
        scheduler: service.algorithm,
        scheduler_flags: service.flags,
        persistence: persistence(service),
        engine: service.handling.engine,
        one_packet: service.handling.one_packet,
        helper: service.handling.helper,
        numbers: None,
        reals: reals.iter().map(|r| real_row(r, side)).collect(),
    }
}

fn real_row(real: &Real, side: model::Side) -> RealRow {
    let (method, tun) = translate::api_method(real.method);
    RealRow {
        address: real.endpoint.addr.into(),
        port: real.endpoint.port,
        weight: match side {
            model::Side::Present => real.fitness.listed_of(real.configured),
            model::Side::Configured => real.configured,
        },
        method,
        tun,
        upper: real.upper,
        lower: real.lower,
        live: Live::default(),
    }
}

/// What a real server in a listing has at this moment.
pub(super) fn live(load: &Load, traffic: &PerWorker, numbers: model::Numbers) -> Live {
    Live {
        active: load.active(),
        inactive: load.inactive(),
        persistent: load.sticking(),
        numbers: five(traffic, numbers),
    }
}

/// Those of the numbers of what was carried and is carried that are wanted.
pub(super) fn five(traffic: &PerWorker, numbers: model::Numbers) -> Option<model::Five> {
    match numbers {
        model::Numbers::None => None,
        model::Numbers::Stats => Some(model::Traffic::from(traffic.sum()).into()),
        model::Numbers::Rates => Some(translate::rates(traffic.rates()).into()),
    }
}

/// A source: an address, or for IPv6 the network that counts as one.
pub(super) fn source(heavy: &Heavy) -> model::Source {
    sender(heavy, sources::length(heavy.source))
}

/// A network of many sources.
pub(super) fn network(Network { length, heavy }: &Network) -> model::Source {
    sender(heavy, *length)
}

fn sender(heavy: &Heavy, length: u8) -> model::Source {
    model::Source {
        source: model::Prefix {
            address: heavy.source.into(),
            length,
        },
        packets: heavy.packets,
        margin: heavy.margin,
        bytes: heavy.bytes,
        opens: heavy.opens,
        stopped: heavy.stopped,
    }
}

fn drops_of(traffic: &PerWorker) -> model::Drops {
    let dropped = |reason: DropReason| (reason.name().to_owned(), traffic.dropped(reason));
    DropReason::all()
        .map(dropped)
        .filter(|(_, n)| *n > 0)
        .collect()
}

/// A connection, if its real server is known still.
/// It dies at `expires` unless another packet comes; what the gate knows of it is not in it.
fn connection(pool: &Pool, entry: &Entry, expires: Tick, now: Tick) -> Option<model::Connection> {
    let real = pool.real(entry.real())?;
    Some(model::Connection {
        service: translate::id(&real.service),
        protocol: Some(translate::api_protocol(entry.protocol())),
        template: false,
        client: entry.client().into(),
        vip: entry.vip().into(),
        real: std::net::SocketAddr::new(real.endpoint.addr.into(), entry.real_port()),
        local: (entry.local_port != 0).then(|| pool.speakers().peer(entry).into()),
        state: entry.tracked.state_name().to_owned(),
        expires: now.until(expires).as_seconds_ceil(),
        forwarded: None,
        engine: None,
        engine_data: None,
    })
}

/// A template, as the kernel lists it among the connections.
pub(super) fn template(
    templates: &Templates,
    pool: &Pool,
    entry: &Entry,
    now: Tick,
) -> Option<model::Connection> {
    let shown = templates::shown(entry, &pool.real(entry.real())?.service);
    let connection = connection(pool, entry, entry.expires(), now)?;
    Some(model::Connection {
        protocol: shown.protocol.map(translate::api_protocol),
        template: true,
        client: shown.client.into(),
        vip: shown.vip.into(),
        state: shown.state.to_owned(),
        engine: shown.engine,
        engine_data: templates.call_id(entry),
        ..connection
    })
}

impl Director {
    /// A connection, with what the gate knows of it, if its real server is known still.
    pub(super) fn listed(
        &self,
        pool: &Pool,
        entry: &Entry,
        now: Tick,
    ) -> Option<model::Connection> {
        Some(model::Connection {
            forwarded: self.forwarded(entry),
            ..connection(pool, entry, self.expiry(entry), now)?
        })
    }

    pub(super) fn interface_status(&self) -> Result<Vec<model::InterfaceStatus>> {
        let (exits, served) = (self.exits.lock(), self.served.lock());
        let status = |(port, (interface, mode)): (usize, &(_, model::XdpMode))| {
            let interface: &crate::gate::Interface = interface;
            let counters = self.gate.counters(port).map_err(refused)?;
            let slow_because = self.slow_because(exits.lane(port));
            Ok(model::InterfaceStatus {
                name: interface.name.clone(),
                ifindex: interface.index,
                mode: *mode,
                queues: served[port].queues,
                loses_because: served[port].misfit.as_ref().map(Misfit::to_string),
                rx: counters.received,
                passed: counters.passed,
                redirected: counters.redirected,
                forwarded: counters.forwarded,
                fast_path: slow_because.is_none(),
                slow_because,
                answered: counters.answered,
                dropped: counters.drops.iter().sum(),
                drops: named(counters.dropped()),
            })
        };
        self.facts
            .interfaces
            .iter()
            .enumerate()
            .map(status)
            .collect()
    }

    pub(super) fn local_addresses(&self) -> Vec<model::LocalAddress> {
        let locals = &self.master.lock().locals;
        let pool = self.shared.pool.load();
        let ports = pool.speakers().ports().len() as u64;
        let shown = |(addr, connections): (Addr, u32)| model::LocalAddress {
            address: addr.into(),
            assigned: locals.contains(&addr),
            connections: connections.into(),
            ports,
        };
        pool.speakers().listed().map(shown).collect()
    }

    pub(super) fn worker_status(&self) -> Vec<model::WorkerStatus> {
        let status = |(id, worker): (usize, &super::WorkerFacts)| {
            let stats = &worker.stats;
            model::WorkerStatus {
                id: id as u32,
                cpu: worker.cpu as u32,
                received: stats.received.get(),
                from_host: stats.from_host.get(),
                sent: stats.sent.get(),
                answered: stats.answered.get(),
                routed: stats.routed.get(),
                dropped: stats.drops.sum(),
                drops: stats
                    .drops
                    .seen()
                    .map(|(reason, n)| (reason.name().to_owned(), n))
                    .collect(),
                missed: stats.ring_full.get() + stats.no_frame.get(),
                frames: model::Frames {
                    total: self.facts.frames.into(),
                    free: stats.free.get(),
                    filling: stats.filling.get(),
                    sending: stats.sending.get(),
                },
            }
        };
        self.facts.workers.iter().enumerate().map(status).collect()
    }

    /// All drops by reason: those of the workers, of the kernel at their sockets, of the gate.
    pub(super) fn drops(&self, interfaces: &[model::InterfaceStatus]) -> model::Drops {
        let mut drops = model::Drops::new();
        let mut add = |name: &str, n: u64| {
            if n > 0 {
                *drops.entry(name.to_owned()).or_default() += n;
            }
        };
        for worker in &self.facts.workers {
            worker
                .stats
                .drops
                .seen()
                .for_each(|(reason, n)| add(reason.name(), n));
            add("rx_ring_full", worker.stats.ring_full.get());
            add("no_frame", worker.stats.no_frame.get());
        }
        let gate = interfaces.iter().flat_map(|interface| &interface.drops);
        gate.for_each(|(name, n)| add(name, *n));
        drops
    }
}
