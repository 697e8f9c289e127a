//! The pool: all virtual services and real servers, as one immutable snapshot.
//!
//! Workers read a snapshot without a lock; the control plane builds the next one from it, sharing
//! all that stays, and publishes it in one step. A worker sees all of a change or none of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use adminapi::model;
use rustc_hash::FxBuildHasher;

use crate::cookie::Roll;
use crate::filter::Crowds;
use crate::flow::Entry;
use crate::marks;
use crate::region::Geography;
use crate::sched;
use crate::service::{
    Drain, Fitness, Handling, Method, Real, RealId, Reals, Service, ServiceKey, Settings, Standing,
};
use crate::speakers::Speakers;
use crate::stats::PerWorker;
use crate::time::Tick;
use crate::wire::{Addr, Endpoint, Protocol};

mod census;
mod data;
mod find;
mod health;
mod remember;

use census::{Census, enter, leave};
pub use remember::Name;
use remember::Remembered;

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
    /// Where control connections of FTP are followed.
    controls: imbl::OrdSet<Endpoint>,
    /// The rules that mark packets.
    marks: Arc<[marks::Rule]>,
    geography: Geography,
    /// All real servers.
    known: Census,
    /// Those whose answers pass through the director.
    answering: Census,
    /// What the director speaks from to the real servers of FullNAT.
    speakers: Arc<Speakers>,
    /// Who has a connection, for the gate to see.
    roll: Arc<Roll>,
    /// How many connections sources have.
    crowds: Arc<Crowds>,
    added: u64,
    /// Where the listed real servers are.
    listed: imbl::OrdSet<(Endpoint, RealId)>,
    /// Where those are that are out of service for their health.
    aside: imbl::OrdSet<(Endpoint, ServiceKey)>,
    /// Whose the real servers are that are listed no more and still have a slot.
    unlisted: imbl::OrdSet<(ServiceKey, Endpoint, RealId)>,
    /// Services whose scheduler has not seen their list yet.
    unsettled: imbl::OrdSet<ServiceKey>,
    /// Real servers that packets of their connections reach no more, or in another way.
    turned: imbl::Vector<RealId>,
    /// Real servers of a former process that nobody has added again yet.
    remembered: Map<Remembered, Name>,
    /// Slots that were given out since [`Pool::take_named`].
    named: imbl::Vector<RealId>,
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

    /// Gives addresses that it is to speak from the numbers that they had with a former process.
    pub fn remember_speakers(&mut self, numbers: impl IntoIterator<Item = (u16, Addr)>) {
        let speakers = Arc::make_mut(&mut self.speakers);
        for (id, addr) in numbers {
            speakers.remember(id, addr);
        }
    }

    /// What the director speaks from to the real servers of FullNAT.
    #[inline]
    pub fn speakers(&self) -> &Speakers {
        &self.speakers
    }

    /// The same, writing who has a connection on `roll`.
    #[must_use]
    pub fn enrolling(self, roll: Arc<Roll>) -> Self {
        Self { roll, ..self }
    }

    /// The same, counting connections in `crowds`.
    #[must_use]
    pub fn counting(self, crowds: Arc<Crowds>) -> Self {
        Self { crowds, ..self }
    }

    /// How many connections sources have.
    #[inline]
    pub fn crowds(&self) -> &Crowds {
        &self.crowds
    }

    /// Writes a connection that has come on the roll, and counts it for its source. Its shard is
    /// locked.
    #[inline]
    pub fn enrol(&self, entry: &Entry) {
        self.crowds.enter(entry);
        if entry.protocol() == Protocol::Tcp {
            self.roll.enter(&entry.original());
        }
    }

    /// Takes one that has gone from the roll, and from the count of its source. Its shard is locked.
    #[inline]
    pub fn strike(&self, entry: &Entry) {
        self.crowds.leave(entry);
        if entry.protocol() == Protocol::Tcp {
            self.roll.leave(&entry.original());
        }
    }

    /// Makes `addrs` the addresses that it speaks from.
    pub fn list_speakers(&mut self, addrs: &[Addr]) {
        Arc::make_mut(&mut self.speakers).list(addrs);
    }

    /// Whether it speaks from what `other` speaks from.
    pub fn speaks_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.speakers, &other.speakers)
    }

    /// Makes the rules that mark packets these.
    pub fn set_marks(&mut self, rules: Arc<[marks::Rule]>) {
        self.marks = rules;
    }

    /// Says where sources are, for the rules that ask.
    pub fn set_geography(&mut self, geography: Geography) {
        self.geography = geography;
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
            health: None,
            reals: Reals::default(),
            aside: Reals::default(),
            sorry: None,
            bypass: None,
            traffic: Arc::new(PerWorker::new(self.workers)),
            stance: Arc::default(),
            cookies: Arc::default(),
        };
        if let ServiceKey::Mark { family, .. } = key {
            service.bypass = Some(self.new_bypass(&service, family));
        }
        self.open_data_ports(&service);
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
        self.close_data_ports(&service);
        let was_ftp = service.is_ftp();
        let mut service = Service {
            handling,
            ..service
        };
        self.open_data_ports(&service);
        if was_ftp != service.is_ftp() {
            self.help(&mut service);
        }
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

    /// The real servers that packets of their connections reach no more, or in another way than
    /// in the pool that this one was made of. To be called when this one is published.
    pub fn take_turned(&mut self) -> Vec<RealId> {
        std::mem::take(&mut self.turned).into_iter().collect()
    }

    /// Removes a service and all its real servers.
    ///
    /// # Errors
    /// [`PoolError::NoService`].
    pub fn remove_service(&mut self, key: &ServiceKey) -> Result<(), PoolError> {
        let service = self.services.remove(key).ok_or(PoolError::NoService)?;
        self.close_data_ports(&service);
        if let Some(vip) = key.vip() {
            leave(&mut self.vips, vip.addr);
            self.catch_alls -= u32::from(vip.port == 0);
        }
        for real in service.reals.iter().chain(&service.sorry) {
            self.retire(real);
        }
        for real in service.aside.iter() {
            self.aside.remove(&(real.endpoint, *key));
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
        self.readmit(key, endpoint)?;
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
        match service.find(endpoint) {
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
        if let Some(out) = service.aside.find(endpoint) {
            let out = out.with(settings);
            service.aside.replace(Arc::new(out));
            self.services.insert(*key, Arc::new(service));
            return Ok(());
        }
        let old = service.reals.find(endpoint).ok_or(PoolError::NoReal)?;
        if old.settings() == settings && old.drain.is_none() {
            return Ok(());
        }
        let old = Arc::clone(old);
        let real = match old.method.carries_on(settings.method) {
            true => self.put(old.with(settings)),
            false => {
                self.unlist(&old, Standing::Replaced);
                let new = self.list(&service, endpoint, settings, old.last_weight);
                self.put(Real::clone(&new).like(&old))
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
        if service.aside.remove(endpoint).is_some() {
            self.aside.remove(&(endpoint, *key));
            self.services.insert(*key, Arc::new(service));
            return Ok(());
        }
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
            self.uncount(real);
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
                let old = self.helped(&old, service.is_ftp());
                let traffic = match old.load.connections() {
                    0 => Arc::new(PerWorker::new(self.workers)),
                    _ => Arc::clone(&old.traffic),
                };
                Real {
                    last_weight,
                    fitness: Fitness::default(),
                    bulletin: None,
                    check: None,
                    traffic,
                    standing: Standing::Listed,
                    service_traffic: Arc::clone(&service.traffic),
                    stance: Arc::clone(&service.stance),
                    cookies: Arc::clone(&service.cookies),
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
        let old = self.slots.set(real.id.0 as usize, Some(Arc::clone(&real)));
        let way = |real: &Real| (real.standing, real.method);
        if old.is_some_and(|old| way(&old) != way(&real)) {
            self.turned.push_back(real.id);
        }
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
        let id = self.slot_for(&service.key, endpoint, method);
        let real = Real {
            id,
            service: service.key,
            endpoint,
            weight: 0,
            configured: 0,
            fitness: Fitness::default(),
            bulletin: None,
            check: None,
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
            cookies: Arc::clone(&service.cookies),
            is_ftp: service.is_ftp(),
        };
        self.count(&real);
        real
    }

    fn count(&mut self, real: &Real) {
        if real.method != Method::Bypass {
            self.known.enter(real);
        }
        if !real.method.is_one_way() {
            self.answering.enter(real);
        }
    }

    fn uncount(&mut self, real: &Real) {
        if real.method != Method::Bypass {
            self.known.leave(real);
        }
        if !real.method.is_one_way() {
            self.answering.leave(real);
        }
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

#[cfg(test)]
mod tests;
