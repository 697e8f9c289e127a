//! Where flows are found: buckets of one cache line, two candidates a hash. A hash stands in it once
//! at most: of two flows that share one, the second is not taken in.
//!
//! A hash has a home in its bucket, where the gate looks first: while that is free nobody has to look
//! further. Slots are claimed by compare and swap, so workers need no lock. The gate reads them meanwhile.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use crate::direction::Direction;
use crate::gate::flows::{Bucket, SLOTS};

/// Of the other bucket, as in `bpf/fast/find.h`.
const MIX: u32 = 0x9e37_79b1;

/// Bits of a hash below those that name its home, as there.
const HOME_SHIFT: u32 = u32::BITS - SLOTS.ilog2();

#[derive(Clone, Copy, Debug)]
pub(super) struct Index<'a> {
    buckets: &'a [Bucket],
}

const fn slot(hash: u32, at: u32, way: Direction) -> u64 {
    (hash as u64) << 32 | (at as u64 + 1) << 1 | way as u64
}

const fn is_of(slot: u64, hash: u32) -> bool {
    (slot >> 32) as u32 == hash && slot as u32 != 0
}

impl<'a> Index<'a> {
    pub(super) const fn of(buckets: &'a [Bucket]) -> Self {
        Self { buckets }
    }

    /// The flow that a hash leads to.
    pub(super) fn find(self, hash: u32) -> Option<u32> {
        let slot = self.slot_of(hash)?.load(Acquire);
        is_of(slot, hash).then(|| ((slot as u32) >> 1) - 1)
    }

    /// Lets `hash` lead to a way of the flow `at`; false when it leads elsewhere already, or both of
    /// its buckets are full.
    pub(super) fn insert(self, hash: u32, at: u32, way: Direction) -> bool {
        let claim = |cell: &AtomicU64| {
            let claimed = cell.compare_exchange(0, slot(hash, at, way), AcqRel, Relaxed);
            claimed.is_ok()
        };
        self.slot_of(hash).is_none() && self.cells(hash).any(claim)
    }

    /// All flows that are found by the packets of their clients.
    pub(super) fn flows(self) -> Vec<u32> {
        let slots = self.buckets.iter().flat_map(|bucket| &bucket.0);
        let slots = slots.map(|cell| cell.load(Relaxed));
        let way = |slot: &u64| slot & 1 == Direction::Original as u64;
        slots
            .filter(|slot| *slot as u32 != 0)
            .filter(way)
            .map(|slot| ((slot as u32) >> 1) - 1)
            .collect()
    }

    pub(super) fn remove(self, hash: u32) {
        if let Some(cell) = self.slot_of(hash) {
            cell.store(0, Relaxed);
        }
    }

    fn slot_of(self, hash: u32) -> Option<&'a AtomicU64> {
        self.cells(hash)
            .find(|cell| is_of(cell.load(Relaxed), hash))
    }

    /// All that a hash may stand in, its home in each bucket first.
    fn cells(self, hash: u32) -> impl Iterator<Item = &'a AtomicU64> {
        let mask = self.buckets.len() as u32 - 1;
        let candidates = [hash & mask, (hash.wrapping_mul(MIX) >> 8) & mask];
        let home = (hash >> HOME_SHIFT) as usize;
        candidates.into_iter().flat_map(move |bucket| {
            let (before, from_home) = self.buckets[bucket as usize].0.split_at(home);
            from_home.iter().chain(before)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(count: usize) -> Vec<Bucket> {
        (0..count).map(|_| Bucket::default()).collect()
    }

    #[test]
    fn a_hash_leads_to_one_flow_until_it_is_taken_out() {
        let buckets = buckets(4);
        let index = Index::of(&buckets);
        for (hash, at) in [(0, 0), (1, 7), (u32::MAX, 9)] {
            assert_eq!(index.find(hash), None);
            assert!(index.insert(hash, at, Direction::Reply));
            assert_eq!(index.find(hash), Some(at));
            assert!(!index.insert(hash, at + 1, Direction::Original));
            index.remove(hash);
            assert_eq!(index.find(hash), None);
        }
    }

    #[test]
    fn a_hash_stands_at_home_while_that_is_free() {
        let buckets = buckets(4);
        let index = Index::of(&buckets);
        for home in 0..SLOTS as u32 {
            let (first, second) = (home << HOME_SHIFT | 4, home << HOME_SHIFT | 8);
            assert!(index.insert(first, 1, Direction::Original));
            let at_home = buckets[0].0[home as usize].load(Relaxed);
            assert!(is_of(at_home, first));
            index.remove(first);
            assert!(index.insert(second, 2, Direction::Original));
            assert!(index.insert(first, 1, Direction::Original));
            assert_eq!((index.find(first), index.find(second)), (Some(1), Some(2)));
            index.remove(first);
            index.remove(second);
        }
    }

    /// As many slots as the gate gives to a flow are room for nearly all of them.
    #[test]
    fn half_full_it_refuses_few() {
        let buckets = buckets(1024);
        let index = Index::of(&buckets);
        let hashes = (1..=4096_u32).map(|n| n.wrapping_mul(0x85eb_ca6b).rotate_left(13) ^ n);
        let refused = hashes.filter(|&hash| !index.insert(hash, 1, Direction::Original));
        assert!(refused.count() < 20);
    }
}
