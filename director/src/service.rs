//! Virtual services and their real servers, as the packet path sees them.
//!
//! The configuration part of a service or a real server never changes once built: a change
//! builds a new object that shares the live part ([`RealState`], [`PerWorker`], the scheduler)
//! with the old one, and a new [`crate::service::Pool`] is published in one step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealId(pub u32);

/// The live part of a real server, shared by all snapshots that hold it.
#[derive(Debug)]
pub struct RealState {
    /// Connections in a state that counts as active.
    pub active: AtomicU32,
    /// All its other connections.
    pub inactive: AtomicU32,
    /// What it has carried.
    pub traffic: PerWorker,
}

/// A real server of one virtual service.
#[derive(Clone, Debug)]
pub struct Real {
    /// Its slot.
    pub id: RealId,
    /// RIP and port.
    pub endpoint: Endpoint,
    /// Weight, 0 = gets no new connections (IPVS keeps it in a signed int; at most 2^31-1).
    pub weight: u32,
    /// Live part.
    pub state: Arc<RealState>,
}

impl RealState {
    /// No connections, nothing carried; counters for `workers` workers.
    pub fn new(workers: usize) -> Self {
        Self {
            active: AtomicU32::new(0),
            inactive: AtomicU32::new(0),
            traffic: PerWorker::new(workers),
        }
    }
}

impl Real {
    /// Active connections at this moment.
    #[inline]
    pub fn active(&self) -> u32 {
        self.state.active.load(Relaxed)
    }

    /// Inactive connections at this moment.
    #[inline]
    pub fn inactive(&self) -> u32 {
        self.state.inactive.load(Relaxed)
    }
}

/// A virtual service with its real servers.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub key: ServiceKey,
    /// Name of the scheduler, `rr`, `wlc`...
    pub scheduler_name: &'static str,
    /// Who gets the next connection.
    pub scheduler: Arc<dyn Scheduler>,
    /// Real servers in the kernel's order: the one added last stands first.
    pub reals: Arc<[Arc<Real>]>,
    /// What it has carried.
    pub traffic: Arc<PerWorker>,
}
