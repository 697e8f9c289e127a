//! Never queue (`ip_vs_nq.c`).

use std::sync::Arc;

use super::load::{expected, least};
use crate::service::{Newcomer, Real, Reals, Scheduler};

/// The first real server without active connections, whatever its weight; when all have some, the
/// one with the shortest expected delay.
#[derive(Debug)]
pub(super) struct NeverQueue;

impl Scheduler for NeverQueue {
    fn pick<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        let mut willing = newcomer.willing(reals);
        willing
            .find(|real| real.active() == 0)
            .or_else(|| least(newcomer.willing(reals), expected))
    }
}
