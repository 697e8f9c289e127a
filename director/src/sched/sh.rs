//! Source hashing (`ip_vs_sh.c`).

use std::sync::Arc;

use adminapi::model::SchedulerFlag;

use super::hashing::{client, multiplicative};
use crate::service::{Newcomer, Real, Reals, Scheduler};

const BITS: u32 = 8;
/// Of all real servers together.
pub(crate) const BUCKETS: u32 = 1 << BITS;

/// A client's address always has the same of 256 buckets. The real servers own the buckets in
/// turn, as many in a row as they have weight (one with weight 0). When the owner takes no
/// connections, nobody gets them, or, with `sh-fallback`, the owner of another bucket of this
/// client; so when the owner cannot be reached.
#[derive(Debug)]
pub(super) struct SourceHashing {
    /// Places in the list.
    owners: Box<[u32]>,
}

impl SourceHashing {
    pub(super) fn new(reals: &Reals) -> Self {
        let shares = (0..).zip(reals.iter()).flat_map(|(place, real)| {
            let buckets = real.weight.clamp(1, BUCKETS);
            std::iter::repeat_n(place, buckets as usize)
        });
        let turn: Vec<u32> = shares.take(BUCKETS as usize).collect();
        let owners = turn.iter().copied().cycle().take(BUCKETS as usize);
        Self {
            owners: owners.collect(),
        }
    }

    fn owner<'r>(&self, reals: &'r Reals, client: u32, offset: u32) -> Option<&'r Arc<Real>> {
        let bucket = (multiplicative(client, BITS) + offset) % BUCKETS;
        let place = *self.owners.get(bucket as usize)?;
        reals.get(place as usize)
    }
}

impl Scheduler for SourceHashing {
    fn pick<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        let client = client(newcomer);
        let owner = self.owner(reals, client, 0)?;
        if newcomer.may_have(owner) {
            return Some(owner);
        }
        if !newcomer.flags.has(SchedulerFlag::Fallback) && !newcomer.choice.is_second() {
            return None;
        }
        // The kernel begins at the bucket's own number.
        let first = multiplicative(client, BITS);
        (0..BUCKETS)
            .filter_map(|offset| self.owner(reals, client, (first + offset) % BUCKETS))
            .find(|real| newcomer.may_have(real))
    }

    fn changed(&self, reals: &Reals) -> Option<Arc<dyn Scheduler>> {
        Some(Arc::new(Self::new(reals)))
    }
}
