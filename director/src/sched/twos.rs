//! The power of two choices (`ip_vs_twos.c`).

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::load::{is_less, overhead};
use crate::service::{Newcomer, Real, Reals, Scheduler};

/// Two real servers at random, in proportion to their weights: the one with less overhead for its
/// weight, of equals the first.
#[derive(Debug)]
pub(super) struct TwoChoices(AtomicU64);

impl Default for TwoChoices {
    fn default() -> Self {
        Self(AtomicU64::new(RandomState::new().hash_one(())))
    }
}

/// 2^64 divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl TwoChoices {
    /// The next random number below `bound` (SplitMix64 of Steele, Lea and Flood, OOPSLA 2014).
    fn below(&self, bound: u64) -> u64 {
        let mut z = self.0.fetch_add(STEP, Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((u128::from(z) * u128::from(bound)) >> 64) as u64
    }
}

impl Scheduler for TwoChoices {
    fn peek<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        Self(AtomicU64::new(self.0.load(Relaxed))).pick(reals, newcomer)
    }

    fn pick<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        let total = newcomer
            .willing(reals)
            .map(|real| u64::from(real.weight))
            .sum();
        let draws = [self.below(total), self.below(total)];
        let mut chosen = [None; 2];
        let mut passed = 0;
        for real in newcomer.willing(reals) {
            passed += u64::from(real.weight);
            for (slot, draw) in chosen.iter_mut().zip(draws) {
                if slot.is_none() && draw < passed {
                    *slot = Some((real, overhead(real)));
                }
            }
        }
        let [first, second] = chosen;
        let (first, second) = (first?, second.or(first)?);
        let better = if is_less(second, first) {
            second
        } else {
            first
        };
        Some(better.0)
    }
}
