//! Weighted overflow (`ip_vs_ovf.c`).

use std::sync::Arc;

use super::load::heaviest;
use crate::service::{Newcomer, Real, Reals, Scheduler};

/// The heaviest real server whose active connections are not more than its weight, so that each
/// gets one more than that; of equals, the one added last. Nobody when all have more.
#[derive(Debug)]
pub(super) struct Overflow;

impl Scheduler for Overflow {
    fn pick<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        let willing = newcomer.willing(reals);
        heaviest(willing.filter(|real| real.active() <= real.weight))
    }
}
