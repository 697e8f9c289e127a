//! Schedulers: which real server gets a new connection.

use std::fmt::Debug;
use std::sync::Arc;

use crate::service::Real;
use crate::wire::Tuple;

/// A scheduling algorithm of one virtual service.
///
/// Called once per new connection, by any worker: what an algorithm remembers between two calls
/// it guards itself. `reals` stands in the kernel's order (the one added last comes first).
pub trait Scheduler: Debug + Send + Sync {
    /// The place in `reals` of the real server for the connection that `tuple` (client ->
    /// virtual service) opens; `None` when no real server can take it.
    fn pick(&self, reals: &[Arc<Real>], tuple: &Tuple) -> Option<usize>;

    /// The list or a weight has changed to `reals`; called before the new list is published.
    fn update(&self, reals: &[Arc<Real>]);
}
