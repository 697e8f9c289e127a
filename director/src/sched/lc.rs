//! Least connections (`ip_vs_lc.c`).

use std::sync::Arc;

use super::{Scheduler, overhead};
use crate::service::Real;
use crate::wire::Tuple;

/// The real server with the least overhead; of equals, the one added last. Weights count only in
/// that 0 excludes.
#[derive(Debug)]
pub(super) struct LeastConnections;

impl Scheduler for LeastConnections {
    fn pick(&self, reals: &[Arc<Real>], _: &Tuple) -> Option<usize> {
        let willing = reals.iter().enumerate().filter(|(_, real)| real.weight > 0);
        willing
            .min_by_key(|(_, real)| overhead(real))
            .map(|(place, _)| place)
    }

    fn update(&self, _: &[Arc<Real>]) {}
}
