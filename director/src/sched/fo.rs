//! Weighted failover (`ip_vs_fo.c`).

use std::sync::Arc;

use super::load::heaviest;
use crate::service::{Newcomer, Real, Reals, Scheduler};

/// The heaviest real server that takes connections; of equals, the one added last.
#[derive(Debug)]
pub(super) struct Failover;

impl Scheduler for Failover {
    fn pick<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        heaviest(newcomer.willing(reals))
    }
}
