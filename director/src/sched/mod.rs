//! Schedulers: which real server gets a new connection.
//!
//! Each has its file and its line in [`build`]. All choose in the kernel's order.

use std::sync::Arc;

use adminapi::model::Scheduler as Algorithm;

use crate::service::{Reals, Scheduler};

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

pub(crate) use sh::BUCKETS as SOURCE_BUCKETS;

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
