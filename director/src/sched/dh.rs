//! Destination hashing (`ip_vs_dh.c`).

use std::sync::Arc;

use super::hashing::{fold, multiplicative};
use crate::service::{Newcomer, Real, Reals, Scheduler};

const BITS: u32 = 8;

/// A destination address always has the same of 256 buckets, and the real servers own the buckets
/// in turn, whatever their weights. When the owner takes no connections, nobody gets it.
#[derive(Debug)]
pub(super) struct DestinationHashing;

impl Scheduler for DestinationHashing {
    fn pick<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        let bucket = multiplicative(fold(newcomer.tuple.dst.addr), BITS) as usize;
        let owner = reals.get(bucket.checked_rem(reals.len())?)?;
        owner.is_willing().then_some(owner)
    }
}
