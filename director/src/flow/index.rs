//! The index of a shard: buckets of one cache line, two candidate buckets a key.
//!
//! A slot is 64 bits: the hash of the key (32), the entry's number + 1 (31) and the direction
//! (1); zero is empty. Both buckets of a key follow from its hash alone, so a full bucket can
//! pass a slot on to its other bucket without a look at the entry.
//!
//! Slots are written under the shard's lock only. They are atomic so that a prefetch can read
//! them without it; what such a read finds is a hint and no more.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Direction;
use super::floor::{Line, Memory, Region, populate};
use super::place::reduce;

/// Slots in a bucket.
pub(super) const WIDTH: usize = 8;

/// Share of the slots that may be in use when the table is full, as a fraction. Two choices of
/// eight slots with one displacement fill to above 95 %.
const LOAD: (usize, usize) = (7, 8);

/// How many slots are moved at most to make room for one. With one move 3 of a million insertions
/// into a full index find none, with two none of 20 million.
const DEPTH: u32 = 2;

/// Eight slots.
pub(super) type Bucket = Line<[AtomicU64; WIDTH]>;

/// What stands in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slot(u64);

impl Slot {
    const EMPTY: Self = Self(0);
    /// The bits that hash and direction take.
    const KEY: u64 = 0xffff_ffff_0000_0001;

    #[inline]
    pub(super) const fn new(hash: u32, direction: Direction, entry: u32) -> Self {
        Self((hash as u64) << 32 | (entry as u64 + 1) << 1 | direction as u64)
    }

    #[inline]
    const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(super) const fn hash(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Number of the entry; meaningless when empty.
    #[inline]
    const fn entry(self) -> u32 {
        ((self.0 as u32) >> 1).wrapping_sub(1)
    }

    #[inline]
    const fn is_of(self, hash: u32, direction: Direction) -> bool {
        let key = (hash as u64) << 32 | direction as u64;
        ((self.0 ^ key) & Self::KEY == 0) & (self.0 as u32 > 1)
    }
}

impl Bucket {
    #[inline]
    fn get(&self, at: usize) -> Slot {
        Slot(self.0[at].load(Relaxed))
    }

    /// One bit for each slot of this key. It looks at all of them: no branch to guess wrong.
    #[inline]
    fn hits(&self, hash: u32, direction: Direction) -> u32 {
        (0..WIDTH).fold(0, |hits, at| {
            hits | u32::from(self.get(at).is_of(hash, direction)) << at
        })
    }

    #[inline]
    fn set(&self, at: usize, slot: Slot) {
        self.0[at].store(slot.0, Relaxed);
    }

    #[inline]
    fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.0.iter().map(|slot| Slot(slot.load(Relaxed)))
    }

    fn position(&self, wanted: Slot) -> Option<usize> {
        self.slots().position(|slot| slot == wanted)
    }

    fn free(&self) -> usize {
        self.slots().filter(|slot| slot.is_empty()).count()
    }

    /// Puts `slot` in an empty place, if there is one.
    fn put(&self, slot: Slot) -> bool {
        let place = self.position(Slot::EMPTY);
        if let Some(at) = place {
            self.set(at, slot);
        }
        place.is_some()
    }
}

/// All buckets of one shard.
pub(super) struct Index {
    buckets: Region<Bucket>,
}

impl Index {
    /// How many buckets hold the two slots of each of `entries` connections.
    pub(super) const fn buckets_for(entries: usize) -> usize {
        let slots = (2 * entries * LOAD.1).div_ceil(LOAD.0);
        slots.div_ceil(WIDTH) + 1
    }

    pub(super) fn new(buckets: usize) -> io::Result<Self> {
        Ok(Self {
            buckets: Region::zeroed(Memory::Own, buckets, buckets)?,
        })
    }

    /// Has memory at hand for all of it: any bucket may be the next.
    ///
    /// # Errors
    /// As [`populate`].
    pub(super) fn provide(&self) -> io::Result<()> {
        populate(self.address(0), self.bytes())
    }

    /// The two candidate buckets of `hash` in an index of `n` buckets; they may coincide.
    #[inline]
    pub(super) const fn candidates(hash: u32, n: u32) -> [u32; 2] {
        [reduce(hash, n), reduce(hash.wrapping_mul(0x9e37_79b1), n)]
    }

    #[inline]
    fn pair(&self, hash: u32) -> [&Bucket; 2] {
        Self::candidates(hash, self.buckets.len() as u32).map(|b| &self.buckets[b as usize])
    }

    /// Address of a bucket, for a prefetch.
    #[inline]
    pub(super) fn address(&self, bucket: u32) -> usize {
        std::ptr::from_ref(&self.buckets[bucket as usize]).addr()
    }

    /// The first entry under this key for which `accept` holds.
    #[inline]
    pub(super) fn find(
        &self,
        buckets: [u32; 2],
        hash: u32,
        direction: Direction,
        mut accept: impl FnMut(u32) -> bool,
    ) -> Option<u32> {
        buckets.into_iter().find_map(|bucket| {
            let bucket = &self.buckets[bucket as usize];
            let mut hits = bucket.hits(hash, direction);
            while hits != 0 {
                let entry = bucket.get(hits.trailing_zeros() as usize).entry();
                if accept(entry) {
                    return Some(entry);
                }
                hits &= hits - 1;
            }
            None
        })
    }

    /// Files `slot`, in the emptier of its buckets, or where a slot can be passed on. False when
    /// there is no room.
    pub(super) fn insert(&self, slot: Slot) -> bool {
        let [first, second] = self.pair(slot.hash());
        let (better, other) = if first.free() >= second.free() {
            (first, second)
        } else {
            (second, first)
        };
        if better.put(slot) {
            return true;
        }
        [better, other]
            .into_iter()
            .any(|bucket| self.pass_one_on(bucket, DEPTH) && bucket.put(slot))
    }

    /// Empties one place of a full bucket: moves a slot to its other bucket, which may have to
    /// make room in the same way, `depth` times at most.
    fn pass_one_on(&self, full: &Bucket, depth: u32) -> bool {
        let to_other = |slot: Slot| {
            let [a, b] = self.pair(slot.hash());
            if std::ptr::eq(a, full) { b } else { a }
        };
        let direct = |&(_, slot): &(usize, Slot)| to_other(slot).put(slot);
        let by_chain = |&(_, slot): &(usize, Slot)| {
            let other = to_other(slot);
            let is_another = !std::ptr::eq(other, full);
            depth > 1 && is_another && self.pass_one_on(other, depth - 1) && other.put(slot)
        };
        let moved = full.slots().enumerate().find(direct);
        let moved = moved.or_else(|| full.slots().enumerate().find(by_chain));
        if let Some((at, _)) = moved {
            full.set(at, Slot::EMPTY);
        }
        moved.is_some()
    }

    /// Replaces a slot by another of the same hash, or by nothing. False when it is not there.
    fn replace(&self, old: Slot, new: Slot) -> bool {
        self.pair(old.hash()).into_iter().any(|bucket| {
            let place = bucket.position(old);
            if let Some(at) = place {
                bucket.set(at, new);
            }
            place.is_some()
        })
    }

    pub(super) fn remove(&self, slot: Slot) -> bool {
        self.replace(slot, Slot::EMPTY)
    }

    /// Lets the slot of entry `from` name entry `to`.
    pub(super) fn repoint(&self, hash: u32, direction: Direction, from: u32, to: u32) -> bool {
        self.replace(
            Slot::new(hash, direction, from),
            Slot::new(hash, direction, to),
        )
    }

    /// The entries that stand in the two buckets of `hash`: who must go when both are full.
    pub(super) fn occupants(&self, hash: u32) -> impl Iterator<Item = u32> + '_ {
        self.pair(hash)
            .into_iter()
            .flat_map(Bucket::slots)
            .filter(|slot| !slot.is_empty())
            .map(Slot::entry)
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val::<[Bucket]>(&self.buckets)
    }

    #[cfg(test)]
    pub(super) fn occupied(&self) -> usize {
        let full = |bucket: &Bucket| WIDTH - bucket.free();
        self.buckets.iter().map(full).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Knuth's MMIX generator, from a fixed seed.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u32 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 32) as u32
        }
    }

    /// Keys come and go at random in an index that stays as full as it may get.
    #[test]
    fn a_full_index_has_room_for_all_it_was_made_for() {
        let connections = 20_000;
        let index = Index::new(Index::buckets_for(connections)).unwrap();
        let mut random = Random(1);
        let mut slots: Vec<Slot> = (0..2 * connections as u32)
            .map(|entry| Slot::new(random.next(), Direction::Original, entry))
            .collect();
        assert!(slots.iter().all(|&slot| index.insert(slot)));
        for round in 0..20 * connections {
            let victim = reduce(random.next(), slots.len() as u32) as usize;
            assert!(index.remove(slots[victim]));
            let entry = slots[victim].entry();
            slots[victim] = Slot::new(random.next(), Direction::Original, entry);
            assert!(index.insert(slots[victim]), "in round {round}");
        }
        assert_eq!(index.occupied(), slots.len());
        for slot in slots {
            let buckets = Index::candidates(slot.hash(), index.buckets.len() as u32);
            let found = index.find(buckets, slot.hash(), Direction::Original, |entry| {
                entry == slot.entry()
            });
            assert_eq!(found, Some(slot.entry()));
        }
    }
}
