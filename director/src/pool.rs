//! The pool: all virtual services and real servers, as one immutable snapshot.
//!
//! Workers read a snapshot without a lock; the control plane builds the next one from it, sharing
//! all that stays, and publishes it in one step. A worker sees all of a change or none of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use adminapi::model;
use rustc_hash::FxBuildHasher;

use crate::ftp;
use crate::marks;
use crate::sched;
use crate::service::{
    Drain, Handling, Method, Real, RealId, Reals, Service, ServiceKey, Settings, Standing,
};
use crate::speakers::Speakers;
use crate::stats::PerWorker;
use crate::time::Tick;
use crate::wire::{Addr, Endpoint, Protocol, Tuple};

/// FTP's ports (RFC 959), and the first that programs may take without privilege.
const FTP: u16 = 21;
const FTP_DATA: u16 = 20;
const FIRST_UNPRIVILEGED: u16 = 1024;

type Map<K, V> = imbl::GenericHashMap<K, V, FxBuildHasher, imbl::shared_ptr::DefaultSharedPtr>;

/// Why a change of the pool was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// There is such a service already.
    #[error("service already exists")]
    ServiceExists,
    /// There is no such service.
    #[error("no such service")]
    NoService,
    /// The service has such a real server already.
    #[error("real server already exists")]
    RealExists,
    /// The service has no such real server.
    #[error("no such real server")]
    NoReal,
}

/// All virtual services and real servers.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    workers: usize,
    services: Map<ServiceKey, Arc<Service>>,
    slots: imbl::Vector<Option<Arc<Real>>>,
    free: imbl::Vector<RealId>,
    /// Slots of the last that were forgotten: a worker may still see them where they were.
    resting: imbl::Vector<RealId>,
    /// How many services have a VIP.
    vips: Map<Addr, u32>,
    /// How many of them take every port.
    catch_alls: u32,
    /// How many of them take the data connections of FTP too.
    data_ports: u32,
    /// The rules that mark packets.
    marks: Arc<[marks::Rule]>,
    /// All real servers.
    known: Census,
    /// Those whose answers pass through the director.
    answering: Census,
    /// What the director speaks from to the real servers of FullNAT.
    speakers: Arc<Speakers>,
    added: u64,
    /// Where the listed real servers are.
    listed: imbl::OrdSet<(Endpoint, RealId)>,
    /// Whose the real servers are that are listed no more and still have a slot.
    unlisted: imbl::OrdSet<(ServiceKey, Endpoint, RealId)>,
    /// Services whose scheduler has not seen their list yet.
    unsettled: imbl::OrdSet<ServiceKey>,
}

impl Pool {
    /// An empty pool for `workers` workers.
    pub fn new(workers: usize) -> Self {
        Self {
            workers,
            ..Self::default()
        }
    }

    /// The same, speaking to the real servers of FullNAT from `ports`.
    #[must_use]
    pub fn speaking_from(self, ports: RangeInclusive<u16>) -> Self {
        Self {
            speakers: Arc::new(Speakers::new(ports)),
            ..self
        }
    }

    /// What the director speaks from to the real servers of FullNAT.
    #[inline]
    pub fn speakers(&self) -> &Speakers {
        &self.speakers
    }

    /// Makes `addrs` the addresses that it speaks from.
    pub fn list_speakers(&mut self, addrs: &[Addr]) {
        Arc::make_mut(&mut self.speakers).list(addrs);
    }

    /// Whether it speaks from what `other` speaks from.
    pub fn speaks_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.speakers, &other.speakers)
    }

    /// The service with this name.
    #[inline]
    pub fn service(&self, key: &ServiceKey) -> Option<&Arc<Service>> {
        self.services.get(key)
    }

    /// The service that a packet of this tuple is for, which comes in through `port`: that of its
    /// mark, else that of its address.
    #[inline]
    pub fn service_for(&self, tuple: &Tuple, port: u16) -> Option<&Arc<Service>> {
        match self.marks.is_empty() {
            true => self.service_at(tuple),
            false => self.marked(tuple, port).or_else(|| self.service_at(tuple)),
        }
    }

    #[inline(never)]
    fn marked(&self, tuple: &Tuple, port: u16) -> Option<&Arc<Service>> {
        let mark = marks::mark_of(&self.marks, tuple, port)?;
        let family = marks::family_of(tuple.dst.addr);
        self.service(&ServiceKey::Mark { mark, family })
    }

    /// The rules that mark packets.
    pub const fn marks(&self) -> &Arc<[marks::Rule]> {
        &self.marks
    }

    /// Makes the rules that mark packets these.
    pub fn set_marks(&mut self, rules: Arc<[marks::Rule]>) {
        self.marks = rules;
    }

    /// Whether any endpoint that the gate has to know is every port of an address.
    pub const fn is_wide(&self) -> bool {
        self.catch_alls + self.data_ports + self.answering.wide > 0
    }

    /// The service at the address that a packet of this tuple goes to: that of its port, else a persistent one of
    /// FTP if it may be data of it, else one for every port (`ip_vs_service_find`).
    #[inline]
    pub fn service_at(&self, tuple: &Tuple) -> Option<&Arc<Service>> {
        let exact = self.service(&ServiceKey::at(tuple.protocol, tuple.dst));
        match exact {
            None if self.catch_alls + self.data_ports > 0 => self.wide(tuple),
            exact => exact,
        }
    }

    #[inline(never)]
    fn wide(&self, tuple: &Tuple) -> Option<&Arc<Service>> {
        let at = |port| {
            let vip = Endpoint::new(tuple.dst.addr, port);
            self.service(&ServiceKey::at(tuple.protocol, vip))
        };
        let is_data = tuple.dst.port == FTP_DATA || tuple.dst.port >= FIRST_UNPRIVILEGED;
        let ftp = (is_data && self.data_ports > 0).then(|| at(FTP)).flatten();
        let ftp = ftp.filter(|service| service.takes_ftp_data());
        ftp.or_else(|| at(0))
    }

    /// Whether a service of `protocol` at `vip` takes the data connections of FTP too.
    pub fn takes_ftp_data(&self, protocol: Protocol, vip: Addr) -> bool {
        let control = self.service(&ServiceKey::at(protocol, Endpoint::new(vip, FTP)));
        control.is_some_and(|service| service.takes_ftp_data())
    }

    /// Whether a service takes packets to `endpoint`; with port 0, to any port there.
    pub fn serves_within(&self, protocol: Protocol, endpoint: Endpoint) -> bool {
        let to_it = |port| {
            let key = ServiceKey::at(protocol, Endpoint::new(endpoint.addr, port));
            self.services.contains_key(&key)
        };
        let at_address = |key: &ServiceKey| {
            key.has(protocol) && key.vip().is_some_and(|vip| vip.addr == endpoint.addr)
        };
        match endpoint.port {
            0 => self.has_vip(endpoint.addr) && self.services.keys().any(at_address),
            port => to_it(port) || to_it(0),
        }
    }

    /// The real server in this slot.
    #[inline]
    pub fn real(&self, id: RealId) -> Option<&Arc<Real>> {
        self.slots.get(id.0 as usize)?.as_ref()
    }

    /// Whether a real server answers from `endpoint` through the director.
    #[inline]
    pub fn answers(&self, protocol: Protocol, endpoint: Endpoint) -> bool {
        self.answering.has(protocol, endpoint)
    }

    /// The real server that answers from `endpoint` through the director, if only one does.
    pub fn sole(&self, protocol: Protocol, endpoint: Endpoint) -> Option<&Arc<Real>> {
        self.real(self.answering.sole(protocol, endpoint)?)
    }

    /// The configured real servers with this endpoint; those that were removed do not count.
    pub fn present(
        &self,
        protocol: Protocol,
        endpoint: Endpoint,
    ) -> impl Iterator<Item = &Arc<Real>> {
        self.listed(endpoint, endpoint)
            .filter(move |real| real.service.has(protocol))
    }

    /// Whether a configured real server gets packets at `endpoint`; with port 0, at any port.
    pub fn has_real_within(&self, protocol: Protocol, endpoint: Endpoint) -> bool {
        let anywhere = Endpoint::new(endpoint.addr, 0);
        let mut within: Box<dyn Iterator<Item = _>> = match endpoint.port {
            0 => Box::new(self.listed(anywhere, Endpoint::new(endpoint.addr, u16::MAX))),
            _ => Box::new(
                self.listed(anywhere, anywhere)
                    .chain(self.listed(endpoint, endpoint)),
            ),
        };
        within.any(|real| real.service.has(protocol))
    }

    /// The listed real servers from one endpoint to another.
    fn listed(&self, first: Endpoint, last: Endpoint) -> impl Iterator<Item = &Arc<Real>> {
        let range = (first, RealId(0))..=(last, RealId(u32::MAX));
        let listed = self.listed.range(range);
        listed.filter_map(|(_, id)| self.real(*id))
    }

    /// All services, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// All services, in the order in which they were added.
    pub fn services(&self) -> Vec<Arc<Service>> {
        let mut all: Vec<_> = self.services.values().cloned().collect();
        all.sort_by_key(|service| service.serial);
        all
    }

    /// All real servers, removed ones that still have connections included.
    pub fn reals(&self) -> impl Iterator<Item = &Arc<Real>> {
        self.slots.iter().flatten()
    }

    /// The addresses of all real servers.
    pub fn rips(&self) -> Vec<Addr> {
        self.known.addrs.keys().copied().collect()
    }

    /// Whether a real server that is listed no more is still remembered.
    pub fn has_unlisted(&self) -> bool {
        !self.unlisted.is_empty()
    }

    /// Whether data connections of FTP have `endpoint`.
    pub fn takes_data(&self, endpoint: Endpoint) -> bool {
        let control = Endpoint::new(endpoint.addr, ftp::PORT);
        (endpoint.port == ftp::DATA_PORT || ftp::DATA_PORTS.contains(&endpoint.port))
            && self
                .services
                .contains_key(&ServiceKey::at(Protocol::Tcp, control))
    }

    /// Whether any service has this VIP.
    pub fn has_vip(&self, vip: Addr) -> bool {
        self.vips.contains_key(&vip)
    }

    /// Whether any real server answers from this address through the director.
    pub fn address_answers(&self, rip: Addr) -> bool {
        self.answering.addrs.contains_key(&rip)
    }

    /// Adds a service without real servers.
    ///
    /// # Errors
    /// [`PoolError::ServiceExists`].
    pub fn add_service(
        &mut self,
        key: ServiceKey,
        algorithm: model::Scheduler,
    ) -> Result<(), PoolError> {
        if self.services.contains_key(&key) {
            return Err(PoolError::ServiceExists);
        }
        self.added += 1;
        let mut service = Service {
            key,
            serial: self.added,
            algorithm,
            scheduler: sched::build(algorithm, &Reals::default()),
            flags: model::SchedulerFlags::NONE,
            handling: Handling::default(),
            reals: Reals::default(),
            bypass: None,
            traffic: Arc::new(PerWorker::new(self.workers)),
            stance: Arc::default(),
        };
        if let ServiceKey::Mark { family, .. } = key {
            service.bypass = Some(self.new_bypass(&service, family));
        }
        self.services.insert(key, Arc::new(service));
        if let Some(vip) = key.vip() {
            enter(&mut self.vips, vip.addr);
            self.catch_alls += u32::from(vip.port == 0);
        }
        Ok(())
    }

    /// Gives a service another scheduler, or other options of it; its connections stay, and the
    /// same scheduler goes on where it is.
    ///
    /// # Errors
    /// [`PoolError::NoService`].
    pub fn set_scheduler(
        &mut self,
        key: &ServiceKey,
        algorithm: model::Scheduler,
        flags: model::SchedulerFlags,
    ) -> Result<(), PoolError> {
        let mut service = self.edit(key)?;
        service.flags = flags;
        if service.algorithm != algorithm {
            service.algorithm = algorithm;
            service.scheduler = sched::build(algorithm, &service.reals);
        }
        self.services.insert(*key, Arc::new(service));
        Ok(())
    }

    /// Says how a service treats connections from now on.
    ///
    /// # Errors
    /// [`PoolError::NoService`].
    pub fn set_handling(&mut self, key: &ServiceKey, handling: Handling) -> Result<(), PoolError> {
        let service = self.edit(key)?;
        self.data_ports -= u32::from(service.takes_ftp_data());
        let service = Service {
            handling,
            ..service
        };
        self.data_ports += u32::from(service.takes_ftp_data());
        self.services.insert(*key, Arc::new(service));
        Ok(())
    }

    /// Lets the schedulers see the lists that have changed. To be called before a pool is
    /// published: once for all its changes, since some schedulers build a table each time.
    pub fn settle(&mut self) {
        for key in std::mem::take(&mut self.unsettled) {
            let Ok(mut service) = self.edit(&key) else {
                continue;
            };
            if let Some(scheduler) = service.scheduler.changed(&service.reals) {
                service.scheduler = scheduler;
                self.services.insert(key, Arc::new(service));
            }
        }
    }

    /// Removes a service and all its real servers.
    ///
    /// # Errors
    /// [`PoolError::NoService`].
    pub fn remove_service(&mut self, key: &ServiceKey) -> Result<(), PoolError> {
        let service = self.services.remove(key).ok_or(PoolError::NoService)?;
        self.data_ports -= u32::from(service.takes_ftp_data());
        if let Some(vip) = key.vip() {
            leave(&mut self.vips, vip.addr);
            self.catch_alls -= u32::from(vip.port == 0);
        }
        for real in service.reals.iter() {
            self.retire(real);
        }
        if let Some(bypass) = &service.bypass {
            // Its connections have lost nothing.
            self.unlist(bypass, Standing::Replaced);
        }
        Ok(())
    }

    /// Drains a real server: it gets no new connections, and [`Pool::drained`] says when it is to
    /// be removed. To set or to add it again ends that.
    ///
    /// # Errors
    /// [`PoolError::NoService`], [`PoolError::NoReal`].
    pub fn drain_real(
        &mut self,
        key: &ServiceKey,
        endpoint: Endpoint,
        drain: Drain,
    ) -> Result<(), PoolError> {
        let mut service = self.edit(key)?;
        let old = service.reals.find(endpoint).ok_or(PoolError::NoReal)?;
        let real = self.put(old.draining(drain));
        service.reals.replace(real);
        self.put_reals(service);
        Ok(())
    }

    /// The real servers whose drain is over at `now`.
    pub fn drained(&self, now: Tick) -> impl Iterator<Item = &Arc<Real>> {
        let over =
            move |real: &&Arc<Real>| real.standing == Standing::Listed && real.is_drained(now);
        self.reals().filter(over)
    }

    /// Adds a real server to a service. One that is being drained stays; one that was removed and still has connections gets
    /// them back, if packets reach it in the same way.
    ///
    /// # Errors
    /// [`PoolError::NoService`], [`PoolError::RealExists`].
    pub fn add_real(
        &mut self,
        key: &ServiceKey,
        endpoint: Endpoint,
        settings: Settings,
    ) -> Result<(), PoolError> {
        let mut service = self.edit(key)?;
        match service.reals.find(endpoint) {
            Some(there) if there.drain.is_some() => return self.set_real(key, endpoint, settings),
            Some(_) => return Err(PoolError::RealExists),
            None => {}
        }
        let real = self.list(&service, endpoint, settings, 0);
        service.reals.add(real);
        self.put_reals(service);
        Ok(())
    }

    /// Changes the settings of a real server. Its connections stay: those that cannot go on in
    /// the new way go on in the old one.
    ///
    /// # Errors
    /// [`PoolError::NoService`], [`PoolError::NoReal`].
    pub fn set_real(
        &mut self,
        key: &ServiceKey,
        endpoint: Endpoint,
        settings: Settings,
    ) -> Result<(), PoolError> {
        let mut service = self.edit(key)?;
        let old = service.reals.find(endpoint).ok_or(PoolError::NoReal)?;
        if old.settings() == settings && old.drain.is_none() {
            return Ok(());
        }
        let old = Arc::clone(old);
        let real = match old.method.carries_on(settings.method) {
            true => self.put(old.with(settings)),
            false => {
                self.unlist(&old, Standing::Replaced);
                self.list(&service, endpoint, settings, old.last_weight)
            }
        };
        service.reals.replace(real);
        self.put_reals(service);
        Ok(())
    }

    /// Removes a real server: it gets no new connections, and packets from clients to it are
    /// dropped.
    ///
    /// # Errors
    /// [`PoolError::NoService`], [`PoolError::NoReal`].
    pub fn remove_real(&mut self, key: &ServiceKey, endpoint: Endpoint) -> Result<(), PoolError> {
        let mut service = self.edit(key)?;
        let real = service.reals.remove(endpoint).ok_or(PoolError::NoReal)?;
        self.retire(&real);
        self.put_reals(service);
        Ok(())
    }

    /// Forgets real servers that are listed no more and have no connections any more, and says
    /// which; forgets addresses that it speaks from in the same way. To be called only when no
    /// worker can hold an earlier snapshot: in none were they listed then, and a slot is given to
    /// somebody else only when all show it empty.
    pub fn reap(&mut self) -> Vec<Arc<Real>> {
        let gone = self.unlisted.iter().filter_map(|(_, _, id)| self.real(*id));
        let dead: Vec<_> = gone.filter(|real| real.load.is_idle()).cloned().collect();
        self.free.append(std::mem::take(&mut self.resting));
        for real in &dead {
            self.unlisted
                .remove(&(real.service, real.endpoint, real.id));
            self.slots.set(real.id.0 as usize, None);
            self.resting.push_back(real.id);
            if real.method != Method::Bypass {
                self.known.leave(real);
            }
            if !real.method.is_one_way() {
                self.answering.leave(real);
            }
        }
        if self.speakers.has_unlisted() {
            let mut speakers = Speakers::clone(&self.speakers);
            if speakers.reap() {
                self.speakers = Arc::new(speakers);
            }
        }
        dead
    }

    fn edit(&self, key: &ServiceKey) -> Result<Service, PoolError> {
        self.services
            .get(key)
            .map(|service| Service::clone(service))
            .ok_or(PoolError::NoService)
    }

    fn put_reals(&mut self, service: Service) {
        self.unsettled.insert(service.key);
        self.services.insert(service.key, Arc::new(service));
    }

    /// A listed real server with these settings: one that was there before and can go on, or a
    /// new one. It counts on from before only if it has connections from before.
    fn list(
        &mut self,
        service: &Service,
        endpoint: Endpoint,
        settings: Settings,
        last_weight: u32,
    ) -> Arc<Real> {
        let real = match self.unlisted(&service.key, endpoint, settings) {
            Some(old) => {
                let traffic = match old.load.connections() {
                    0 => Arc::new(PerWorker::new(self.workers)),
                    _ => Arc::clone(&old.traffic),
                };
                Real {
                    last_weight,
                    traffic,
                    standing: Standing::Listed,
                    service_traffic: Arc::clone(&service.traffic),
                    stance: Arc::clone(&service.stance),
                    ..Real::clone(&old)
                }
            }
            None => Real {
                last_weight,
                ..self.new_real(service, endpoint, settings.method)
            },
        };
        self.put(real.with(settings))
    }

    fn put(&mut self, real: Real) -> Arc<Real> {
        let real = Arc::new(real);
        let (here, whose) = (
            (real.endpoint, real.id),
            (real.service, real.endpoint, real.id),
        );
        match real.standing {
            Standing::Listed => {
                self.unlisted.remove(&whose);
                self.listed.insert(here);
            }
            Standing::Replaced | Standing::Removed => {
                self.listed.remove(&here);
                self.unlisted.insert(whose);
            }
        }
        self.slots.set(real.id.0 as usize, Some(Arc::clone(&real)));
        real
    }

    /// A real server that is listed no more and could go on with these settings.
    fn unlisted(
        &self,
        key: &ServiceKey,
        endpoint: Endpoint,
        settings: Settings,
    ) -> Option<Arc<Real>> {
        self.others(key, endpoint)
            .find(|real| real.method.carries_on(settings.method))
            .cloned()
    }

    /// The real servers of a service at an endpoint that are listed no more.
    fn others(&self, key: &ServiceKey, endpoint: Endpoint) -> impl Iterator<Item = &Arc<Real>> {
        let [first, last] = [0, u32::MAX].map(|id| (*key, endpoint, RealId(id)));
        let unlisted = self.unlisted.range(first..=last);
        unlisted.filter_map(|(_, _, id)| self.real(*id))
    }

    fn new_real(&mut self, service: &Service, endpoint: Endpoint, method: Method) -> Real {
        let id = self.free.pop_front().unwrap_or_else(|| {
            self.slots.push_back(None);
            RealId(self.slots.len() as u32 - 1)
        });
        let real = Real {
            id,
            service: service.key,
            endpoint,
            weight: 0,
            last_weight: 0,
            upper: 0,
            lower: 0,
            method,
            drain: None,
            standing: Standing::Listed,
            load: Arc::default(),
            traffic: Arc::new(PerWorker::new(self.workers)),
            service_traffic: Arc::clone(&service.traffic),
            stance: Arc::clone(&service.stance),
        };
        if method != Method::Bypass {
            self.known.enter(&real);
        }
        if !method.is_one_way() {
            self.answering.enter(&real);
        }
        real
    }

    /// What stands in the place of a real server when `service` has none.
    fn new_bypass(&mut self, service: &Service, family: model::Family) -> Arc<Real> {
        let anywhere = match family {
            model::Family::Ipv4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            model::Family::Ipv6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let real = self.new_real(service, Endpoint::new(anywhere.into(), 0), Method::Bypass);
        self.put(Real { weight: 1, ..real })
    }

    /// Removes a listed real server, with what it was before in another way.
    fn retire(&mut self, real: &Arc<Real>) {
        let before: Vec<_> = self.others(&real.service, real.endpoint).cloned().collect();
        for old in before {
            self.put(Real {
                standing: Standing::Removed,
                ..Real::clone(&old)
            });
        }
        self.unlist(real, Standing::Removed);
    }

    fn unlist(&mut self, real: &Arc<Real>, standing: Standing) {
        self.put(Real {
            standing,
            ..Real::clone(real)
        });
    }
}

/// How many real servers stand behind each endpoint and each address, unlisted ones with
/// connections included. One without a port stands behind all ports of its address.
#[derive(Clone, Debug, Default)]
struct Census {
    /// How many, and their numbers, one XORed with the other: of a single one it is its number.
    endpoints: Map<(Protocol, Endpoint), (u32, u32)>,
    addrs: Map<Addr, u32>,
    /// How many have no port.
    wide: u32,
}

impl Census {
    fn enter(&mut self, real: &Real) {
        for key in places(real) {
            let (count, ids) = self.endpoints.entry(key).or_default();
            (*count, *ids) = (*count + 1, *ids ^ real.id.0);
            self.wide += u32::from(key.1.port == 0);
        }
        enter(&mut self.addrs, real.endpoint.addr);
    }

    fn leave(&mut self, real: &Real) {
        for key in places(real) {
            match self.endpoints.get_mut(&key) {
                Some((count, ids)) if *count > 1 => (*count, *ids) = (*count - 1, *ids ^ real.id.0),
                _ => drop(self.endpoints.remove(&key)),
            }
            self.wide -= u32::from(key.1.port == 0);
        }
        leave(&mut self.addrs, real.endpoint.addr);
    }

    /// The only one at `endpoint`, if there is just one.
    fn sole(&self, protocol: Protocol, endpoint: Endpoint) -> Option<RealId> {
        match self.endpoints.get(&(protocol, endpoint)) {
            Some((1, id)) => Some(RealId(*id)),
            _ => None,
        }
    }

    /// Whether one gets packets at `endpoint`.
    #[inline]
    fn has(&self, protocol: Protocol, endpoint: Endpoint) -> bool {
        self.exactly(protocol, endpoint) || self.wide > 0 && self.widely(protocol, endpoint.addr)
    }

    #[inline]
    fn exactly(&self, protocol: Protocol, endpoint: Endpoint) -> bool {
        self.endpoints.contains_key(&(protocol, endpoint))
    }

    #[inline(never)]
    fn widely(&self, protocol: Protocol, addr: Addr) -> bool {
        self.exactly(protocol, Endpoint::new(addr, 0))
    }
}

/// Where a real server counts: at its endpoint, and on all ports of its address if data
/// connections may come from any.
fn places(real: &Real) -> impl Iterator<Item = (Protocol, Endpoint)> {
    let endpoint = real.endpoint;
    let own = real
        .service
        .protocols()
        .map(move |protocol| (protocol, endpoint));
    let anywhere = (Protocol::Tcp, Endpoint::new(endpoint.addr, 0));
    own.chain(real.follows_ftp().then_some(anywhere))
}

fn enter<K: std::hash::Hash + Eq + Clone>(counts: &mut Map<K, u32>, key: K) {
    *counts.entry(key).or_insert(0) += 1;
}

fn leave<K: std::hash::Hash + Eq + Clone>(counts: &mut Map<K, u32>, key: K) {
    match counts.get_mut(&key) {
        Some(count) if *count > 1 => *count -= 1,
        _ => drop(counts.remove(&key)),
    }
}

#[cfg(test)]
mod tests;
