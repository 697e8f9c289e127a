//! Schedulers: which real server gets a new connection.
//!
//! Each has its file and its line in [`build`]. All choose in the kernel's order.

use std::fmt::Debug;
use std::sync::Arc;

use adminapi::model::{Scheduler as Algorithm, SchedulerFlags};

use crate::service::{Real, Reals};
use crate::time::Tick;
use crate::wire::Tuple;

mod dh;
mod fo;
mod hashing;
mod lblc;
mod lblcr;
mod lc;
mod load;
mod locality;
mod mh;
mod nq;
mod ovf;
mod rr;
mod sed;
mod sh;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod twos;
mod wlc;
mod wrr;

/// A connection that wants a real server.
#[derive(Clone, Copy, Debug)]
pub struct Newcomer<'a> {
    /// Client -> virtual service.
    pub tuple: &'a Tuple,
    /// This moment.
    pub now: Tick,
    /// The options of the service's scheduler.
    pub flags: SchedulerFlags,
}

/// A scheduling algorithm of one virtual service.
///
/// It belongs to one list of real servers, and does for the next ones until it has a successor. What
/// it remembers from one connection to the next it shares with its successors, guarded: any worker
/// calls it, and for a moment some have the list before a change and others the one after it.
pub trait Scheduler: Debug + Send + Sync {
    /// The real server for a connection; `None` when none can take it.
    fn pick<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>>;

    /// Whom [`Scheduler::pick`] would choose now. Who remembers something from one connection to
    /// the next remembers nothing of this.
    fn peek<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        self.pick(reals, newcomer)
    }

    /// The scheduler for `reals`, which the list has become, off the packet path; `None` when
    /// this one will do. Who asks for the change waits for it.
    fn changed(&self, reals: &Reals) -> Option<Arc<dyn Scheduler>> {
        let _ = reals;
        None
    }

    /// Whether this one will do for `reals` only until [`Scheduler::caught_up`], which takes longer
    /// than who asks for a change should wait.
    fn is_behind(&self, reals: &Reals) -> bool {
        let _ = reals;
        false
    }

    /// The scheduler for `reals` that is not behind.
    fn caught_up(&self, reals: &Reals) -> Option<Arc<dyn Scheduler>> {
        let _ = reals;
        None
    }
}

/// A new scheduler of this algorithm for a service that has `reals`.
pub fn build(algorithm: Algorithm, reals: &Reals) -> Arc<dyn Scheduler> {
    match algorithm {
        Algorithm::Rr => Arc::new(rr::RoundRobin::new(reals)),
        Algorithm::Wrr => Arc::new(wrr::WeightedRoundRobin::new(reals)),
        Algorithm::Lc => Arc::new(lc::LeastConnections),
        Algorithm::Wlc => Arc::new(wlc::WeightedLeastConnections),
        Algorithm::Lblc => Arc::new(lblc::LocalityLeastConnections::default()),
        Algorithm::Lblcr => Arc::new(lblcr::ReplicatedLocality::default()),
        Algorithm::Dh => Arc::new(dh::DestinationHashing),
        Algorithm::Sh => Arc::new(sh::SourceHashing::new(reals)),
        Algorithm::Sed => Arc::new(sed::ShortestExpectedDelay),
        Algorithm::Nq => Arc::new(nq::NeverQueue),
        Algorithm::Fo => Arc::new(fo::Failover),
        Algorithm::Ovf => Arc::new(ovf::Overflow),
        Algorithm::Mh => Arc::new(mh::Maglev::new(reals)),
        Algorithm::Twos => Arc::new(twos::TwoChoices::default()),
    }
}
