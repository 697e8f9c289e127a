//! Weighted least connections (`ip_vs_wlc.c`).

use std::sync::Arc;

use super::load::{least, overhead};
use crate::service::{Newcomer, Real, Reals, Scheduler};

/// The real server with the least overhead for its weight; of equals, the one added last.
#[derive(Debug)]
pub(super) struct WeightedLeastConnections;

impl Scheduler for WeightedLeastConnections {
    fn pick<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        least(newcomer.willing(reals), overhead)
    }
}
