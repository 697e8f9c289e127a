//! Destination hashing (`ip_vs_dh.c`).

use std::sync::Arc;

use super::hashing::{fold, multiplicative};
use crate::service::{Newcomer, Real, Reals, Scheduler};

const BITS: u32 = 8;

/// A destination address always has the same of 256 buckets, and the real servers own the buckets
/// in turn, whatever their weights. When the owner takes no connections, nobody gets it; when it cannot
/// be reached, the next in the list who can.
#[derive(Debug)]
pub(super) struct DestinationHashing;

impl Scheduler for DestinationHashing {
    fn pick<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        let bucket = multiplicative(fold(newcomer.tuple.dst.addr), BITS) as usize;
        let place = bucket.checked_rem(reals.len())?;
        let heirs = match newcomer.choice.is_second() {
            true => reals.len(),
            false => 1,
        };
        let mut owners = reals.from_place(place).chain(reals.iter()).take(heirs);
        owners.find(|real| newcomer.may_have(real))
    }
}
