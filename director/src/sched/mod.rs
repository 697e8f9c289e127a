//! Schedulers: which real server gets a new connection.
//!
//! Each has its file and its line in the table of [`by_name`]. All choose in the kernel's order.

use std::fmt::Debug;
use std::sync::Arc;

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

/// Makes the scheduler of one service.
type Make = fn() -> Arc<dyn Scheduler>;

/// Every algorithm, under the name that `-s` takes.
const ALGORITHMS: [(&str, Make); 4] = [
    ("rr", || Arc::new(rr::RoundRobin::default())),
    ("wrr", || Arc::new(wrr::WeightedRoundRobin::default())),
    ("lc", || Arc::new(lc::LeastConnections)),
    ("wlc", || Arc::new(wlc::WeightedLeastConnections)),
];

/// A new scheduler of the algorithm called `name`, for one service.
pub fn by_name(name: &str) -> Option<Arc<dyn Scheduler>> {
    ALGORITHMS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, make)| make())
}

/// What a real server is burdened with: an active connection weighs as 256 inactive ones
/// (`ip_vs_dest_conn_overhead`).
fn overhead(real: &Real) -> u64 {
    (u64::from(real.active()) << 8) + u64::from(real.inactive())
}
