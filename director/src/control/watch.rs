//! The watch: measures, lets the controllers decide, and tells the workers.

mod counted;
mod held;
mod shown;
mod taken_back;

use std::collections::HashMap;

use adminapi::model::RepeatPolicy;
use rustc_hash::FxHashMap;
use tracing::{info, warn};

use super::events::{EventKind, EventLog};
use super::meter::{Growth, Meter};
use super::strategies::{Strategies, machine_memory, page_size};
use super::supplies::Stocks;
use super::unix::unix_now;
use super::{Director, translate};
use crate::config::Defense;
use crate::defence::{Change, Controller, Left, Level, Policy, Posture, Resource, Share, Signals};
use crate::flow::{Entry, Tracked};
use crate::gate::CookieCounts;
use crate::pool::Pool;
use crate::service::{Service, ServiceKey};
use crate::time::{Tick, Ticks};
use counted::{carried, is_udp, may_carry_udp, new_udp_of, rejected_in, rejected_of};
use taken_back::Former;

/// How often the watch looks, in ticks.
pub const PERIOD: Ticks = Ticks(1);

/// What is counted, and watched as a rate.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// ACKs that were rejected, by the workers or by the gate.
    rejected: u64,
    /// Cookies that nobody has brought back.
    lost_cookies: u64,
    /// Datagrams that belonged to no connection yet, and opened one, or were not let.
    new_udp: u64,
    /// First datagrams of clients that have to come twice.
    first_datagrams: u64,
}

/// The whole director, or one service, under watch.
#[derive(Debug)]
struct Watched {
    controller: Controller,
    rejected: Meter,
    lost_cookies: Meter,
    new_udp: Meter,
    first_datagrams: Meter,
    filling: Growth,
    signals: Signals,
}

impl Watched {
    const fn new(now: Tick) -> Self {
        Self {
            controller: Controller::new(now),
            rejected: Meter::new(),
            lost_cookies: Meter::new(),
            new_udp: Meter::new(),
            first_datagrams: Meter::new(),
            filling: Growth::new(),
            signals: Signals {
                budget: None,
                machine: None,
                half_open: 0,
                filling: 0,
                connections: 0,
                pool: 0,
                places: 0,
                displaced: 0.0,
                missed: 0.0,
                rejected: 0.0,
                lost_cookies: None,
                new_udp: None,
            },
        }
    }

    /// Takes in a measurement, of which `counts` are still to be made rates.
    fn step(
        &mut self,
        measured: Signals,
        counts: Counts,
        policy: &Policy,
        now: Tick,
    ) -> Option<Change> {
        let lost = self.lost_cookies.read(counts.lost_cookies, now);
        let (new_udp, firsts) = (&mut self.new_udp, &mut self.first_datagrams);
        let new_udp = new_udp.read(counts.new_udp, now);
        // Who has come twice is in both.
        let new_udp = new_udp.max(firsts.read(counts.first_datagrams, now));
        self.signals = Signals {
            filling: self.filling.read(measured.half_open, now),
            rejected: self.rejected.read(counts.rejected, now),
            lost_cookies: measured.lost_cookies.map(|_| lost),
            new_udp: measured.new_udp.map(|_| new_udp),
            ..measured
        };
        self.controller.step(&self.signals, policy, now)
    }
}

/// All that is under watch.
#[derive(Debug)]
pub(super) struct Watch {
    defense: Defense,
    all: Watched,
    services: FxHashMap<ServiceKey, Watched>,
    former: Former,
    displaced: Meter,
    strategies: Strategies,
    stocks: Stocks,
    pub(super) events: EventLog,
}

impl Watch {
    pub(super) fn new(now: Tick) -> Self {
        Self {
            defense: Defense::default(),
            all: Watched::new(now),
            services: FxHashMap::default(),
            former: Former::default(),
            displaced: Meter::new(),
            strategies: Strategies::default(),
            stocks: Stocks::new(now),
            events: EventLog::default(),
        }
    }

    pub(super) const fn strategies(&self) -> &Strategies {
        &self.strategies
    }

    /// Whether a user has pinned the level of all, and which services' levels.
    pub(super) fn pinned(&self) -> (bool, impl Iterator<Item = &ServiceKey>) {
        let is_pinned = |watched: &Watched| watched.controller.level() == Level::Pinned;
        let services = self.services.iter();
        let services = services.filter(move |(_, watched)| is_pinned(watched));
        (is_pinned(&self.all), services.map(|(key, _)| key))
    }

    /// The controller that is asked for.
    fn watched(&mut self, service: Option<&Service>, now: Tick) -> &mut Watched {
        match service {
            None => &mut self.all,
            Some(service) => self.service(service.key, now),
        }
    }

    fn service(&mut self, key: ServiceKey, now: Tick) -> &mut Watched {
        Self::service_of(&mut self.services, key, now)
    }

    fn service_of(
        services: &mut FxHashMap<ServiceKey, Watched>,
        key: ServiceKey,
        now: Tick,
    ) -> &mut Watched {
        services.entry(key).or_insert_with(|| Watched::new(now))
    }

    fn tell(&mut self, service: Option<&ServiceKey>, change: &Change) {
        let Change { from, to, cause } = change;
        let (from, to) = (from.number(), to.number());
        let message = format!("defence level {from} -> {to}: {cause}");
        match service {
            Some(key) => warn_or_info(to, &format!("{}: {message}", translate::id(key))),
            None => warn_or_info(to, &message),
        }
        self.events
            .add(unix_now(), EventKind::DefenseLevel, service, message);
    }

    /// Whether the defence of a service is to have its SYNs answered with cookies.
    pub(super) fn wants_cookies(&self, key: &ServiceKey) -> bool {
        let own = self.services.get(key);
        own.is_some_and(|own| own.controller.cookies()) || self.all.controller.cookies()
    }

    /// Whether the defence of a UDP service is to have its clients come twice: by its own flood alone,
    /// since each first datagram is lost by that.
    pub(super) fn wants_repeats(&self, service: &Service) -> bool {
        let own = self.services.get(&service.key);
        self.repeats(service) == RepeatPolicy::Auto
            && own.is_some_and(|own| own.controller.cookies())
    }

    /// When it may: as the service says, or else the director.
    pub(super) fn repeats(&self, service: &Service) -> RepeatPolicy {
        let own = service.handling.udp_repeats;
        own.unwrap_or(self.defense.repeats)
    }

    /// What the workers are to know of a service.
    fn posture(&self, key: &ServiceKey) -> Posture {
        let own = self.services.get(key).map(|watched| &watched.controller);
        let all = &self.all.controller;
        let level = own.map_or(all.level(), |own| own.level().max(all.level()));
        let dropped = own.map_or(0.0, Controller::dropped).max(all.dropped());
        let attacked = level > Level::Calm;
        Posture {
            wary: attacked || self.strategies.secure_tcp,
            brief: attacked,
            syns: Share::of(dropped),
            all: Share::of(self.strategies.drop_packet),
        }
    }
}

fn warn_or_info(level: u8, message: &str) {
    match level {
        0 => info!("{message}"),
        _ => warn!("{message}"),
    }
}

impl Director {
    /// One look at everything; to be called each [`PERIOD`].
    pub fn watch(&self) {
        let now = self.facts.clock.now();
        let pool = self.shared.pool.load();
        let machine = machine_memory();
        let cookies = self.cookies_counted(&pool);
        let repeats = self.repeats_counted();
        let mut watch = self.watch.lock();
        let measured = self.measure(&mut watch.displaced, now);
        let pages = machine.map_or(u64::MAX, |bytes| bytes / page_size());
        watch.strategies = Strategies::of(&self.shared.sysctls.load(), pages);
        self.shared
            .orders
            .set_drop_entry(watch.strategies.drop_entry);
        for message in self.take_stock(&mut watch.stocks, now) {
            warn!("{message}");
            watch
                .events
                .add(unix_now(), EventKind::Shortage, None, message);
        }
        let missed = watch.stocks.supplies.used(Resource::Ring);
        let measured = Signals {
            missed: missed.unwrap_or(0.0),
            ..measured
        };
        self.watch_all(&mut watch, &measured, machine, now);
        watch_services(&mut watch, &pool, &measured, &cookies, &repeats, now);
        let mut hurried = false;
        for service in pool.iter() {
            let posture = watch.posture(&service.key);
            hurried |= posture.brief && !service.stance.posture().brief;
            service.stance.take(posture);
        }
        drop(watch);
        if hurried {
            self.hurry(&pool, now);
        }
    }

    /// Has what is new in `pool` meet an attack that others know of already.
    pub(super) fn take_stances(&self, pool: &Pool) {
        let watch = self.watch.lock();
        for service in pool.iter() {
            service.stance.take(watch.posture(&service.key));
        }
    }

    /// Has what is not proved yet live as briefly as what is to come.
    fn hurry(&self, pool: &Pool, now: Tick) {
        let (table, timeouts) = (&self.shared.table, self.shared.timeouts.load());
        let posture = |entry: &Entry| Some(pool.real(entry.real())?.stance.posture());
        table.hasten(|entry| match &entry.tracked {
            Tracked::Tcp(tcp) if !tcp.is_proved() => {
                Some(now.after(posture(entry)?.lifetime(&timeouts, tcp.state)))
            }
            _ => None,
        });
        if !pool.iter().any(|service| may_carry_udp(service)) {
            return;
        }
        table.hasten_established(|entry| match &entry.tracked {
            // What the gate has heard of one it has not told.
            Tracked::Udp | Tracked::Call(_) if !entry.is_cached() => {
                let is_stranger = posture(entry)?.takes_for_stranger(entry.packets);
                is_stranger.then(|| now.after(timeouts.udp_once()))
            }
            _ => None,
        });
    }

    fn watch_all(&self, watch: &mut Watch, measured: &Signals, machine: Option<u64>, now: Tick) {
        let table = &self.shared.table;
        let all = (table.capacity() * table.place_bytes()) as u64;
        let used = (table.len() - table.half_open_len().min(table.len())) * table.place_bytes();
        let signals = Signals {
            budget: Some(Left {
                free: all.saturating_sub(used as u64),
                all,
            }),
            machine,
            // Who fills the pool has his own SYNs dropped, by the share of his service: the others are
            // spared.
            displaced: 0.0,
            ..*measured
        };
        let drops = self.facts.workers.iter().map(|worker| &worker.stats.drops);
        let counts = Counts {
            rejected: drops.map(rejected_in).sum(),
            ..Counts::default()
        };
        let Watch { all, defense, .. } = watch;
        if let Some(change) = all.step(signals, counts, &defense.policy, now) {
            watch.tell(None, &change);
        }
    }

    fn measure(&self, displaced: &mut Meter, now: Tick) -> Signals {
        let table = &self.shared.table;
        Signals {
            half_open: table.half_open_len() as u64,
            connections: table.len() as u64,
            pool: table.half_open_capacity() as u64,
            places: table.capacity() as u64,
            displaced: displaced.read(table.half_open_displaced(), now),
            ..Signals::default()
        }
    }

    /// Takes other marks; a level that the file sets anew is set.
    pub fn adopt_defense(&self, defense: &Defense) {
        let former = self.adopt_policy(defense);
        if former != defense.level {
            let now = self.facts.clock.now();
            let mut watch = self.watch.lock();
            if let Some(change) = watch.all.controller.set(defense.level, now) {
                watch.tell(None, &change);
            }
        }
    }

    /// Takes other marks; the level stays. The one that the file said before.
    pub fn adopt_policy(&self, defense: &Defense) -> Level {
        let orders = &self.shared.orders;
        orders.set_tell_reals(defense.tell_reals);
        orders.set_strays(defense.strays);
        let mut watch = self.watch.lock();
        std::mem::replace(&mut watch.defense, defense.clone()).level
    }

    /// Sets the level of a service, or of all.
    pub(super) fn set_level(&self, service: Option<&Service>, level: Level) {
        let now = self.facts.clock.now();
        let mut watch = self.watch.lock();
        let service = service.map(|service| service.key);
        if let Some(change) = watch.set(service, level, now) {
            watch.tell(service.as_ref(), &change);
        }
        drop(watch);
        self.watch();
    }
}

fn watch_services(
    watch: &mut Watch,
    pool: &Pool,
    measured: &Signals,
    cookies: &HashMap<ServiceKey, CookieCounts>,
    repeats: &FxHashMap<ServiceKey, u64>,
    now: Tick,
) {
    let carried = match measured.connections {
        0 => FxHashMap::default(),
        _ => carried(pool),
    };
    let policy = watch.defense.policy.clone();
    for service in pool.iter() {
        let (half_open, connections) = carried.get(&service.key).copied().unwrap_or_default();
        let signals = Signals {
            half_open,
            connections,
            lost_cookies: cookies.contains_key(&service.key).then_some(0.0),
            new_udp: is_udp(service).then_some(0.0),
            ..*measured
        };
        let cookies = cookies.get(&service.key).copied().unwrap_or_default();
        let counts = Counts {
            rejected: rejected_of(service) + cookies.refused,
            lost_cookies: cookies.sent.saturating_sub(cookies.accepted),
            new_udp: new_udp_of(service),
            first_datagrams: repeats.get(&service.key).copied().unwrap_or(0),
        };
        let watched = watch.service(service.key, now);
        if let Some(change) = watched.step(signals, counts, &policy, now) {
            watch.tell(Some(&service.key), &change);
        }
    }
    if watch.services.len() > pool.service_count() {
        watch.forget_gone(pool);
    }
}

#[cfg(test)]
mod tests;
