//! Least connections (`ip_vs_lc.c`).

use std::sync::Arc;

use super::load::overhead;
use crate::service::{Newcomer, Real, Reals, Scheduler};

/// The real server with the least overhead; of equals, the one added last. Weights count only in
/// that 0 excludes.
#[derive(Debug)]
pub(super) struct LeastConnections;

impl Scheduler for LeastConnections {
    fn pick<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        newcomer.willing(reals).min_by_key(|real| overhead(real))
    }
}
