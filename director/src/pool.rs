//! The pool: all virtual services and real servers, as one immutable snapshot.
//!
//! Workers read a snapshot without a lock; the control plane builds the next one from it, sharing
//! all that stays, and publishes it in one step. A worker sees all of a change or none of it.

use std::ops::RangeInclusive;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use crate::cookie::Roll;
use crate::filter::{Crowds, Paces};
use crate::flow::Entry;
use crate::marks;
use crate::region::Geography;
use crate::service::{Real, RealId, Service, ServiceKey};
use crate::speakers::Speakers;
use crate::wire::{Addr, Endpoint, Protocol};

mod census;
mod counted;
mod data;
mod find;
mod health;
mod reals;
mod remember;
mod services;
mod settle;
mod slots;

use census::Census;
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
    /// How many connections sources and services have.
    crowds: Arc<Crowds>,
    /// How fast connections are opened.
    paces: Arc<Paces>,
    added: u64,
    /// Where the listed real servers are.
    listed: imbl::OrdSet<(Endpoint, RealId)>,
    /// Where those are that are out of service for their health.
    aside: imbl::OrdSet<(Endpoint, ServiceKey)>,
    /// Whose the sorry servers are that policies name, by where those are and the serial number of
    /// their service.
    sorries: imbl::OrdMap<(Endpoint, u64), ServiceKey>,
    /// Whose the real servers are that are listed no more and still have a slot.
    unlisted: imbl::OrdSet<(ServiceKey, Endpoint, RealId)>,
    /// Services whose scheduler has not seen their list yet.
    unsettled: imbl::OrdSet<ServiceKey>,
    /// Services whose scheduler goes by an earlier list until [`Pool::catch_up`].
    behind: imbl::OrdSet<ServiceKey>,
    /// Real servers that packets of their connections reach no more, or in another way.
    turned: imbl::Vector<RealId>,
    /// Real servers of a former process that nobody has added again yet.
    remembered: Map<Remembered, Name>,
    /// Those that are found again by the same as one of them: what stood in the place of real servers
    /// of a mark's service that was removed and added again.
    doubles: imbl::Vector<Name>,
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

    /// How many connections sources and services have.
    #[inline]
    pub fn crowds(&self) -> &Crowds {
        &self.crowds
    }

    /// How fast connections are opened.
    #[inline]
    pub fn paces(&self) -> &Paces {
        &self.paces
    }

    /// Writes a connection that has come on the roll, and counts it for its source. Its shard is
    /// locked.
    #[inline]
    pub fn enrol(&self, entry: &Entry) {
        self.crowds.enter(entry);
        if is_on_roll(entry) {
            self.roll.enter(&entry.original());
        }
    }

    /// Takes one that has gone from the roll, and from the count of its source. Its shard is locked.
    #[inline]
    pub fn strike(&self, entry: &Entry) {
        self.crowds.leave(entry);
        if is_on_roll(entry) {
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
}

/// Whether the gate asks who has a connection of this protocol.
fn is_on_roll(entry: &Entry) -> bool {
    matches!(entry.protocol(), Protocol::Tcp | Protocol::Udp)
}

#[cfg(test)]
mod tests;
