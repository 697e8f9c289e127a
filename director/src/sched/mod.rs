//! Schedulers: which real server gets a new connection.
//!
//! Each has its file and its line in [`build`]. All choose in the kernel's order.

use std::fmt::Debug;
use std::sync::Arc;

use adminapi::model::Scheduler as Algorithm;

use crate::service::Real;
use crate::wire::Tuple;

mod lc;
mod rr;
#[cfg(test)]
mod tests;
mod wlc;
mod wrr;

/// A scheduling algorithm of one virtual service.
///
/// Called once per new connection, by any worker: what an algorithm remembers between two calls
/// it guards itself. `reals` stands in the kernel's order (the one added last comes first).
pub trait Scheduler: Debug + Send + Sync {
    /// The place in `reals` of the real server for the connection that `tuple` (client ->
    /// virtual service) opens; `None` when no real server can take it.
    fn pick(&self, reals: &[Arc<Real>], tuple: &Tuple) -> Option<usize>;

    /// The list or a weight has changed to `reals`; called before the new list is published,
    /// for the first list too.
    fn update(&self, reals: &[Arc<Real>]);
}

/// A new scheduler of this algorithm, for one service.
pub fn build(algorithm: Algorithm) -> Arc<dyn Scheduler> {
    match algorithm {
        Algorithm::Rr => Arc::new(rr::RoundRobin::default()),
        Algorithm::Wrr => Arc::new(wrr::WeightedRoundRobin::default()),
        Algorithm::Lc => Arc::new(lc::LeastConnections),
        Algorithm::Wlc => Arc::new(wlc::WeightedLeastConnections),
    }
}

/// What a real server is burdened with: an active connection weighs as 256 inactive ones
/// (`ip_vs_dest_conn_overhead`).
fn overhead(real: &Real) -> u64 {
    (u64::from(real.active()) << 8) + u64::from(real.inactive())
}
