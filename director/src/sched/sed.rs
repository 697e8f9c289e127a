//! Shortest expected delay (`ip_vs_sed.c`).

use std::sync::Arc;

use super::load::{expected, least};
use crate::service::{Newcomer, Real, Reals, Scheduler};

/// The real server that would have the fewest active connections for its weight, the new one
/// counted; of equals, the one added last. Inactive connections do not count, so a UDP service
/// uses the heaviest alone.
#[derive(Debug)]
pub(super) struct ShortestExpectedDelay;

impl Scheduler for ShortestExpectedDelay {
    fn pick<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        least(newcomer.willing(reals), expected)
    }
}
