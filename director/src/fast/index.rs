//! Where flows are found: buckets of one cache line, two candidates a hash. A hash stands in it once
//! at most: of two flows that share one, the second is not taken in.
//!
//! A hash has a home in its bucket, where the gate looks first: while that is free it stands there. Free
//! slots are of two kinds: at an *untouched* home the gate looks no further, since nobody who
//! is at home there stands elsewhere; one that was *left* says nothing of that. So most packets that belong to
//! no flow cost one look.
//!
//! Slots are claimed by compare and swap, so workers need no lock. The gate reads them meanwhile. When one
//! flow leaves a bucket, another comes and a third is sent elsewhere, all within the time of an
//! insertion, the gate may overlook the third: its packets are the director's then.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};

use crate::direction::Direction;
use crate::gate::flows::{Bucket, SLOTS};

/// Of the other bucket, as in `bpf/fast/find.h`.
const MIX: u32 = 0x9e37_79b1;

/// Bits of a hash below those that name its home, as there.
const HOME_SHIFT: u32 = u32::BITS - SLOTS.ilog2();

/// A slot that nobody has stood in who left others away from home.
const UNTOUCHED: u64 = 0;

#[derive(Clone, Copy, Debug)]
pub(super) struct Index<'a> {
    buckets: &'a [Bucket],
}

/// A slot of the index.
#[derive(Clone, Copy, Debug)]
struct Spot<'a> {
    bucket: &'a [AtomicU64; SLOTS],
    at: usize,
}

const fn slot(hash: u32, at: u32, way: Direction) -> u64 {
    (hash as u64) << 32 | (at as u64 + 1) << 1 | way as u64
}

/// What stands in the slot `at` of a bucket once `hash` has left it: no hash that is at home there, and
/// not what stands there when another one leaves it.
const fn left(at: usize, hash: u32) -> u64 {
    let elsewhere = (at as u32 ^ 1) << HOME_SHIFT;
    let rest = hash & ((1 << HOME_SHIFT) - 1) | 1;
    ((elsewhere | rest) as u64) << 32
}

const fn is_free(slot: u64) -> bool {
    slot as u32 == 0
}

const fn is_of(slot: u64, hash: u32) -> bool {
    (slot >> 32) as u32 == hash && !is_free(slot)
}

const fn home_of(hash: u32) -> usize {
    (hash >> HOME_SHIFT) as usize
}

impl<'a> Index<'a> {
    pub(super) const fn of(buckets: &'a [Bucket]) -> Self {
        Self { buckets }
    }

    /// The flow that a hash leads to.
    pub(super) fn find(self, hash: u32) -> Option<u32> {
        let slot = self.spot_of(hash)?.load();
        is_of(slot, hash).then(|| ((slot as u32) >> 1) - 1)
    }

    /// Lets `hash` lead to a way of the flow `at`; false when it leads elsewhere already, or both of
    /// its buckets are full.
    pub(super) fn insert(self, hash: u32, at: u32, way: Direction) -> bool {
        let slot = slot(hash, at, way);
        if self.spot_of(hash).is_some() {
            return false;
        }
        let Some(spot) = self.spots(hash).find(|spot| spot.claim(slot)) else {
            return false;
        };
        self.settle(hash, spot, slot);
        true
    }

    /// All flows that are found by the packets of their clients.
    pub(super) fn flows(self) -> Vec<u32> {
        let slots = self.all().map(|spot| spot.load());
        let way = |slot: &u64| slot & 1 == Direction::Original as u64;
        slots
            .filter(|&slot| !is_free(slot))
            .filter(way)
            .map(|slot| ((slot as u32) >> 1) - 1)
            .collect()
    }

    pub(super) fn remove(self, hash: u32) {
        if let Some(spot) = self.spot_of(hash) {
            spot.leave(hash);
        }
    }

    /// Sees to it that the gate overlooks nobody whom a director has entered that knew of no slots that
    /// were left.
    pub(super) fn mend(self) {
        for spot in self.all() {
            let slot = spot.load();
            if !is_free(slot) {
                let hash = (slot >> 32) as u32;
                self.homes_before(hash, spot)
                    .for_each(|home| home.touch(hash));
            }
        }
    }

    /// Moves what stands away from a home that was left meanwhile: who left it may have seen nobody.
    fn settle(self, hash: u32, spot: Spot<'_>, slot: u64) {
        if self.homes_before(hash, spot).any(|home| home.claim(slot)) {
            spot.leave(hash);
        }
    }

    fn spot_of(self, hash: u32) -> Option<Spot<'a>> {
        self.spots(hash).find(|spot| is_of(spot.load(), hash))
    }

    /// All that a hash may stand in, its home in each bucket first.
    fn spots(self, hash: u32) -> impl Iterator<Item = Spot<'a>> {
        let all = move |home: Spot<'a>| (0..SLOTS).map(move |n| home.after(n));
        self.homes(hash).flat_map(all)
    }

    fn homes(self, hash: u32) -> impl Iterator<Item = Spot<'a>> {
        let mask = self.buckets.len() as u32 - 1;
        let candidates = [hash & mask, (hash.wrapping_mul(MIX) >> 8) & mask];
        candidates.into_iter().map(move |bucket| Spot {
            bucket: &self.buckets[bucket as usize].0,
            at: home_of(hash),
        })
    }

    /// Those where the gate looks for a hash before it comes to `spot`.
    fn homes_before(self, hash: u32, spot: Spot<'a>) -> impl Iterator<Item = Spot<'a>> {
        let before = self.spots(hash).take_while(move |other| !other.is(spot));
        before.filter(move |other| other.at == home_of(hash))
    }

    fn all(self) -> impl Iterator<Item = Spot<'a>> {
        let buckets = self.buckets.iter();
        buckets.flat_map(|Bucket(bucket)| (0..SLOTS).map(move |at| Spot { bucket, at }))
    }
}

impl Spot<'_> {
    fn cell(&self) -> &AtomicU64 {
        &self.bucket[self.at]
    }

    fn load(&self) -> u64 {
        self.cell().load(Acquire)
    }

    /// The slot `n` further on.
    fn after(self, n: usize) -> Self {
        let at = (self.at + n) % SLOTS;
        Self { at, ..self }
    }

    fn is(&self, other: Spot<'_>) -> bool {
        std::ptr::eq(self.cell(), other.cell())
    }

    fn swap(&self, from: u64, to: u64) -> bool {
        let swapped = self.cell().compare_exchange(from, to, SeqCst, Relaxed);
        swapped.is_ok()
    }

    /// Puts `slot` here, if it is free.
    fn claim(&self, slot: u64) -> bool {
        let take = |here| is_free(here).then_some(slot);
        self.cell().fetch_update(SeqCst, SeqCst, take).is_ok()
    }

    /// Has the gate look further for `hash`.
    fn touch(self, hash: u32) {
        self.swap(UNTOUCHED, left(self.at, hash));
    }

    /// Gives the slot up. Others are looked for once it can be seen to be left: who comes meanwhile
    /// and is at home here sees that.
    fn leave(self, hash: u32) {
        let left = left(self.at, hash);
        self.cell().store(left, SeqCst);
        if self.is_all_there_is() {
            self.swap(left, UNTOUCHED);
        }
    }

    /// Whether nobody who is at home here can stand elsewhere: not in this bucket, and not in another one
    /// either, since this was never full.
    fn is_all_there_is(&self) -> bool {
        let others = || (1..SLOTS).map(|n| self.after(n).cell().load(SeqCst));
        let is_at_home_here = |slot: u64| !is_free(slot) && home_of((slot >> 32) as u32) == self.at;
        others().any(|slot| slot == UNTOUCHED) && !others().any(is_at_home_here)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn buckets(count: usize) -> Vec<Bucket> {
        (0..count).map(|_| Bucket::default()).collect()
    }

    /// As `slot_of` in `bpf/fast/find.h` does.
    fn gate_finds(index: Index<'_>, hash: u32) -> Option<u32> {
        for home in index.homes(hash) {
            if home.load() == UNTOUCHED {
                return None;
            }
            let mut all = (0..SLOTS).map(|n| home.after(n).load());
            if let Some(slot) = all.find(|&slot| is_of(slot, hash)) {
                return Some(((slot as u32) >> 1) - 1);
            }
        }
        None
    }

    /// A hash that is at home in the slot `home` of bucket `number`.
    fn at_home(home: u32, number: u32, more: u32) -> u32 {
        home << HOME_SHIFT | more << 8 | number
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
        assert!(index.all().all(|spot| spot.load() == UNTOUCHED));
    }

    #[test]
    fn a_hash_stands_at_home_while_that_is_free() {
        let buckets = buckets(4);
        let index = Index::of(&buckets);
        for home in 0..SLOTS as u32 {
            let (first, second) = (at_home(home, 0, 1), at_home(home, 0, 2));
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

    #[test]
    fn a_home_is_left_and_not_untouched_while_another_stands_away_from_it() {
        let buckets = buckets(4);
        let index = Index::of(&buckets);
        let [first, second] = [1, 2].map(|more| at_home(3, 0, more));
        let home = || buckets[0].0[3].load(Relaxed);
        assert!(index.insert(first, 1, Direction::Original));
        assert!(index.insert(second, 2, Direction::Original));
        index.remove(first);
        assert!(is_free(home()) && home() != UNTOUCHED);
        assert_eq!(gate_finds(index, second), Some(2));
        assert_eq!(gate_finds(index, first), None);
        index.remove(second);
        assert!(index.insert(first, 1, Direction::Original));
        assert!(is_of(home(), first));
        index.remove(first);
        assert_eq!(home(), UNTOUCHED);
    }

    #[test]
    fn what_was_left_is_no_hash_that_is_at_home_there() {
        for at in 0..SLOTS {
            for hash in [0, 1, u32::MAX, at_home(at as u32, 0, 0)] {
                let left = left(at, hash);
                assert!(is_free(left) && left != UNTOUCHED);
                assert_ne!(home_of((left >> 32) as u32), at);
            }
        }
    }

    #[test]
    fn what_a_director_of_before_has_entered_is_found_once_it_is_mended() {
        let buckets = buckets(4);
        let index = Index::of(&buckets);
        let [away, displaced] = [1, 2].map(|more| at_home(5, 1, more));
        let far = index.homes(displaced).nth(1).unwrap().after(1);
        assert_ne!(far.bucket.as_ptr(), buckets[1].0.as_ptr());
        buckets[1].0[6].store(slot(away, 1, Direction::Original), Relaxed);
        far.cell()
            .store(slot(displaced, 2, Direction::Original), Relaxed);
        index.mend();
        assert_eq!(gate_finds(index, away), Some(1));
        assert_eq!(gate_finds(index, displaced), Some(2));
        assert_eq!(index.flows(), [1, 2]);
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

    /// Threads that come and go in few buckets, none of them ever full.
    #[test]
    fn the_gate_overlooks_nobody_who_comes_while_others_leave() {
        let buckets = buckets(4);
        let index = Index::of(&buckets);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for round in 0..20_000 {
                        let hash = at_home(2, round % 4, thread + 1);
                        assert!(index.insert(hash, thread, Direction::Original));
                        assert_eq!(gate_finds(index, hash), Some(thread), "round {round}");
                        index.remove(hash);
                    }
                });
            }
        });
        assert!(index.flows().is_empty());
    }

    proptest! {
        /// Few buckets, which are full at times.
        #[test]
        fn the_gate_finds_who_is_there_and_nobody_else(
            steps in prop::collection::vec((any::<bool>(), 0..8_u32, 0..4_u32, 0..3_u32), 1..200),
        ) {
            let buckets = buckets(4);
            let index = Index::of(&buckets);
            let mut there = HashMap::new();
            for (n, (comes, home, number, more)) in (0..).zip(steps) {
                let hash = at_home(home, number, more);
                if comes {
                    let may = !there.contains_key(&hash);
                    let came = index.insert(hash, n, Direction::Original);
                    prop_assert!(may || !came);
                    if came {
                        there.insert(hash, n);
                    }
                } else {
                    index.remove(hash);
                    there.remove(&hash);
                }
                for home in 0..8 {
                    for hash in (0..12).map(|n| at_home(home, n % 4, n / 4)) {
                        prop_assert_eq!(gate_finds(index, hash), there.get(&hash).copied());
                        prop_assert_eq!(index.find(hash), there.get(&hash).copied());
                    }
                }
            }
        }
    }
}
