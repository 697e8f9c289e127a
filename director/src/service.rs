//! Virtual services and their real servers, as the packet path sees them.
//!
//! What is configured never changes once built: a change builds new objects that share the live
//! parts ([`Load`], [`PerWorker`], the scheduler) with the old ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use adminapi::model;

use crate::forward::Tunnel;
use crate::sched::Scheduler;
use crate::stats::PerWorker;
use crate::wire::{Endpoint, Protocol};

/// What names a virtual service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// Transport protocol.
    pub protocol: Protocol,
    /// VIP and port.
    pub vip: Endpoint,
}

/// The slot of a real server in the pool; what a connection remembers of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealId(pub u32);

/// Connections that a real server has now, counted by all workers.
#[derive(Debug, Default)]
pub struct Load {
    active: AtomicU32,
    inactive: AtomicU32,
}

impl Load {
    /// So many connections.
    #[cfg(test)]
    pub(crate) fn of(active: u32, inactive: u32) -> Self {
        Self {
            active: active.into(),
            inactive: inactive.into(),
        }
    }

    /// Connections in a state that counts as active (ActiveConn).
    #[inline]
    pub fn active(&self) -> u32 {
        self.active.load(Relaxed)
    }

    /// Its other connections (InActConn).
    #[inline]
    pub fn inactive(&self) -> u32 {
        self.inactive.load(Relaxed)
    }

    /// All its connections.
    pub fn connections(&self) -> u32 {
        self.active().saturating_add(self.inactive())
    }

    /// A connection has come.
    #[inline]
    pub fn enter(&self, active: bool) {
        self.counter(active).fetch_add(1, Relaxed);
    }

    /// A connection has gone.
    #[inline]
    pub fn leave(&self, active: bool) {
        self.counter(active).fetch_sub(1, Relaxed);
    }

    /// A connection has changed its state.
    #[inline]
    pub fn turn(&self, was_active: bool, is_active: bool) {
        if was_active != is_active {
            self.enter(is_active);
            self.leave(was_active);
        }
    }

    fn counter(&self, active: bool) -> &AtomicU32 {
        if active { &self.active } else { &self.inactive }
    }
}

/// How packets reach a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Both ways through the director, addresses rewritten.
    Nat,
    /// As they are, to the real server's station; it answers the client itself.
    Dr,
    /// Wrapped, to the real server's address; it answers the client itself.
    Tun(Tunnel),
}

impl Method {
    /// Whether the director sees the client's packets only.
    #[inline]
    pub const fn is_one_way(self) -> bool {
        !matches!(self, Self::Nat)
    }

    /// Whether a connection made by the one method can go on by the other.
    const fn carries_on(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Nat, Self::Nat) | (Self::Dr, Self::Dr) | (Self::Tun(_), Self::Tun(_))
        )
    }
}

/// Where a real server stands with its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It gets new connections.
    Listed,
    /// Packets reach it in another way by now, from another slot; what was connected goes on in
    /// the old way.
    Replaced,
    /// It is configured no more: packets from clients to it are dropped, and its connections
    /// live again when it is added again.
    Removed,
}

/// What a real server is configured to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Weight, 0 = gets no new connections (at most 2^31-1, as in IPVS).
    pub weight: u32,
    /// How packets reach it.
    pub method: Method,
}

impl Settings {
    /// Whether what is connected by `self` can go on by `other`.
    pub const fn carries_on(&self, other: &Self) -> bool {
        self.method.carries_on(other.method)
    }
}

/// A real server of one virtual service.
#[derive(Clone, Debug)]
pub struct Real {
    /// Its slot.
    pub id: RealId,
    /// The virtual service that it serves.
    pub service: ServiceKey,
    /// RIP and port.
    pub endpoint: Endpoint,
    /// Weight, 0 = gets no new connections (at most 2^31-1, as in IPVS).
    pub weight: u32,
    /// How packets reach it.
    pub method: Method,
    /// Whether it is configured. One that is not stays as long as it has connections.
    pub standing: Standing,
    /// Its connections.
    pub load: Arc<Load>,
    /// What it has carried.
    pub traffic: Arc<PerWorker>,
    /// What its service has carried.
    pub service_traffic: Arc<PerWorker>,
}

impl Real {
    /// What it is configured to be.
    pub const fn settings(&self) -> Settings {
        Settings {
            weight: self.weight,
            method: self.method,
        }
    }

    /// Active connections at this moment.
    #[inline]
    pub fn active(&self) -> u32 {
        self.load.active()
    }

    /// Inactive connections at this moment.
    #[inline]
    pub fn inactive(&self) -> u32 {
        self.load.inactive()
    }
}

/// A virtual service with its real servers.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub key: ServiceKey,
    /// Its place in the order in which services were added.
    pub serial: u64,
    /// Which scheduler it has.
    pub algorithm: model::Scheduler,
    /// Who gets the next connection.
    pub scheduler: Arc<dyn Scheduler>,
    /// Real servers in the kernel's order: the one added last stands first.
    pub reals: Arc<[Arc<Real>]>,
    /// What it has carried.
    pub traffic: Arc<PerWorker>,
}
