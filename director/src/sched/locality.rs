//! lblc and lblcr go by what they remember of destination addresses, in bounded memory.

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::service::{Newcomer, Real, Reals, Scheduler};
use crate::time::{Tick, Ticks};
use crate::wire::Addr;

/// 1024 buckets of 16: the size beyond which the kernel's tables collect garbage.
const BUCKETS: usize = 1024;
const BUCKET: usize = 16;

/// How long an unused entry lasts (`lblc_expiration`, `lblcr_expiration`).
pub(super) const EXPIRATION: Ticks = Ticks::seconds(24 * 60 * 60);

/// What is remembered of a destination address.
pub(super) trait Locality: Clone + Debug + Send + 'static {
    /// Chooses a real server by what is remembered, and has the choice remembered.
    fn choose<'r>(
        kept: &mut Option<Self>,
        reals: &'r Reals,
        newcomer: &Newcomer<'_>,
    ) -> Option<&'r Arc<Real>>;
}

/// Chooses by that.
#[derive(Debug)]
pub(super) struct ByLocality<L>(Localities<L>);

impl<L> Default for ByLocality<L> {
    fn default() -> Self {
        Self(Localities::default())
    }
}

impl<L: Locality> Scheduler for ByLocality<L> {
    fn pick<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        let (destination, now) = (newcomer.tuple.dst.addr, newcomer.now);
        let choose = |kept: &mut _| L::choose(kept, reals, newcomer);
        self.0.visit(destination, now, choose)
    }

    fn peek<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        let mut kept = self.0.copied(newcomer.tuple.dst.addr, newcomer.now);
        L::choose(&mut kept, reals, newcomer)
    }
}

/// Destination address -> `V`. A bucket that is full forgets what was unused longest.
#[derive(Debug)]
struct Localities<V> {
    buckets: Box<[Mutex<Vec<Entry<V>>>]>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Entry<V> {
    destination: Addr,
    used: Tick,
    value: V,
}

impl<V> Default for Localities<V> {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl<V> Localities<V> {
    /// Lets `act` see and change what is remembered of `destination`. Workers that ask for
    /// addresses of the same bucket wait for each other.
    fn visit<T>(&self, destination: Addr, now: Tick, act: impl FnOnce(&mut Option<V>) -> T) -> T {
        let bucket = self.hasher.hash_one(destination) as usize % BUCKETS;
        let mut bucket = self.buckets[bucket].lock();
        bucket.retain(|entry| entry.used.until(now) < EXPIRATION);
        let place = bucket.iter().position(|e| e.destination == destination);
        let mut value = place.map(|place| bucket.swap_remove(place).value);
        let done = act(&mut value);
        if let Some(value) = value {
            make_room(&mut bucket);
            bucket.push(Entry {
                destination,
                used: now,
                value,
            });
        }
        done
    }
}

impl<V: Clone> Localities<V> {
    /// A copy of what is remembered of `destination`.
    fn copied(&self, destination: Addr, now: Tick) -> Option<V> {
        let bucket = self.hasher.hash_one(destination) as usize % BUCKETS;
        let bucket = self.buckets[bucket].lock();
        let lives = |entry: &&Entry<V>| entry.used.until(now) < EXPIRATION;
        let mut entries = bucket.iter().filter(lives);
        let found = entries.find(|entry| entry.destination == destination);
        found.map(|entry| entry.value.clone())
    }
}

fn make_room<V>(bucket: &mut Vec<Entry<V>>) {
    if bucket.len() < BUCKET {
        return;
    }
    let oldest = (0..bucket.len()).min_by_key(|&place| bucket[place].used);
    if let Some(oldest) = oldest {
        bucket.swap_remove(oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> Addr {
        Addr::v4(n.to_be_bytes())
    }

    impl<V: Copy> Localities<V> {
        fn recall(&self, n: u32, now: Tick) -> Option<V> {
            self.visit(address(n), now, |value| *value)
        }

        fn remember(&self, n: u32, value: V, now: Tick) {
            self.visit(address(n), now, |slot| *slot = Some(value));
        }

        fn len(&self) -> usize {
            self.buckets.iter().map(|bucket| bucket.lock().len()).sum()
        }
    }

    #[test]
    fn an_entry_lasts_a_day_after_its_last_use() {
        let localities = Localities::default();
        let start = Tick(1000);
        let almost = start.after(Ticks(EXPIRATION.0 - 1));
        localities.remember(1, 'a', start);
        localities.remember(2, 'b', start);
        assert_eq!(localities.recall(1, almost), Some('a'));
        let later = start.after(EXPIRATION);
        assert_eq!(localities.recall(1, later), Some('a'));
        assert_eq!(localities.recall(2, later), None);
        assert_eq!(localities.recall(3, later), None);
        localities.visit(address(1), later, |value| *value = None);
        assert_eq!(localities.len(), 0);
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let localities = Localities::default();
        let mut now = Tick(0);
        for n in 1..100_000 {
            now = now.after(Ticks(1));
            localities.remember(n, n, now);
            assert_eq!(localities.recall(1, now), Some(1));
        }
        assert!(localities.len() <= BUCKETS * BUCKET);
        assert!(localities.len() > BUCKETS * BUCKET * 9 / 10);
    }
}
