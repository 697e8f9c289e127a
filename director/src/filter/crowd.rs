//! How many connections each source has, and each service, for limits of them.
//!
//! A census counts from the moment when it is set up. Shard by shard of the connection table, under
//! that shard's lock, it first counts what is there; what comes to a shard, or goes, is counted from
//! then on. So nothing is missed and nothing counted twice, and the table remembers nothing of it.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::{Per, Scope, Sharer};
use crate::flow::{Entry, Locator, Table};
use crate::wire::Tuple;

/// How many connections one source may have, or one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// So many.
    pub most: u32,
    /// Whom it is for, and what it takes for one.
    pub scope: Scope,
}

/// Who has a count, under a limit of this number.
type Counted = (usize, Sharer);

/// Locks of the counts: workers seldom meet at one.
const STRIPES: usize = 64;

#[derive(Debug)]
struct Census {
    limits: Vec<Crowd>,
    refused: Vec<AtomicU64>,
    /// The shards whose connections are counted.
    shards: Vec<AtomicBool>,
    hasher: RandomState,
    counts: Vec<Mutex<HashMap<Counted, u32>>>,
}

impl Census {
    fn new(limits: Vec<Crowd>, shards: usize) -> Self {
        Self {
            refused: limits.iter().map(|_| AtomicU64::new(0)).collect(),
            limits,
            shards: (0..shards).map(|_| AtomicBool::new(false)).collect(),
            hasher: RandomState::new(),
            counts: (0..STRIPES).map(|_| Mutex::default()).collect(),
        }
    }

    /// The counts that this one is among.
    fn stripe(&self, counted: &Counted) -> &Mutex<HashMap<Counted, u32>> {
        let place = self.hasher.hash_one(counted) as usize % STRIPES;
        &self.counts[place]
    }

    fn counted<'c>(&'c self, tuple: &'c Tuple) -> impl Iterator<Item = Counted> + 'c {
        let limits = self.limits.iter().enumerate();
        let concerned = limits.filter(|(_, limit)| limit.scope.concerns(tuple));
        concerned.map(|(number, limit)| (number, limit.scope.sharer(tuple)))
    }

    fn add(&self, tuple: &Tuple) {
        for counted in self.counted(tuple) {
            *self.stripe(&counted).lock().entry(counted).or_default() += 1;
        }
    }

    fn take(&self, tuple: &Tuple) {
        for counted in self.counted(tuple) {
            let mut counts = self.stripe(&counted).lock();
            match counts.get_mut(&counted) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(counts.remove(&counted)),
            }
        }
    }

    fn admit(&self, tuple: &Tuple) -> Result<(), Per> {
        let Some(number) = self.full(tuple, 0) else {
            return Ok(());
        };
        self.refused[number].fetch_add(1, Relaxed);
        Err(self.limits[number].scope.per)
    }

    fn full(&self, tuple: &Tuple, left: u32) -> Option<usize> {
        let is_full = |counted: &Counted| {
            let counts = self.stripe(counted).lock();
            counts
                .get(counted)
                .is_some_and(|count| count.saturating_sub(left) >= self.limits[counted.0].most)
        };
        self.counted(tuple).find(is_full).map(|(number, _)| number)
    }
}

/// The limits of connections at one time, and who has how many.
#[derive(Debug, Default)]
pub struct Crowds {
    census: ArcSwapOption<Census>,
    locator: Locator,
}

impl Crowds {
    /// Without limits, for the table that `locator` is of.
    pub const fn of(locator: Locator) -> Self {
        Self {
            census: ArcSwapOption::const_empty(),
            locator,
        }
    }

    /// Makes the limits these; counts who has how many now.
    pub fn set(&self, limits: Vec<Crowd>, table: &Table) {
        if limits.is_empty() {
            self.census.store(None);
            return;
        }
        let census = Arc::new(Census::new(limits, table.shards()));
        self.census.store(Some(Arc::clone(&census)));
        for (shard, is_counted) in census.shards.iter().enumerate() {
            table.visit(shard, |entries| {
                entries.for_each(|entry| census.add(&entry.original()));
                is_counted.store(true, Relaxed);
            });
        }
    }

    /// A connection has come; its shard is locked.
    #[inline]
    pub fn enter(&self, entry: &Entry) {
        if let Some(census) = &*self.census.load() {
            self.count(census, &entry.original(), Census::add);
        }
    }

    /// A connection has gone; its shard is locked.
    #[inline]
    pub fn leave(&self, entry: &Entry) {
        if let Some(census) = &*self.census.load() {
            self.count(census, &entry.original(), Census::take);
        }
    }

    #[inline(never)]
    fn count(&self, census: &Census, tuple: &Tuple, change: fn(&Census, &Tuple)) {
        if census.shards[self.locator.shard(tuple)].load(Relaxed) {
            change(census, tuple);
        }
    }

    /// The limit by which `tuple` may open no more connections, when it leaves `left` of these ends
    /// behind: its number, and what has as many as it may have.
    pub fn full(&self, tuple: &Tuple, left: u32) -> Option<(usize, Per)> {
        let census = self.census.load();
        let census = census.as_ref()?;
        let number = census.full(tuple, left)?;
        Some((number, census.limits[number].scope.per))
    }

    /// Whether it may open one, of a packet that goes no further else. Two workers that ask at once may
    /// both be told that there is room for one.
    ///
    /// # Errors
    /// What has as many as it may have.
    #[inline]
    pub fn admit(&self, tuple: &Tuple) -> Result<(), Per> {
        match &*self.census.load() {
            Some(census) => census.admit(tuple),
            None => Ok(()),
        }
    }

    /// Packets that a limit has refused.
    pub fn refused(&self, number: usize) -> u64 {
        let census = self.census.load();
        let refused = census
            .as_ref()
            .and_then(|census| census.refused.get(number));
        refused.map_or(0, |refused| refused.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Class, Limits};
    use crate::service::RealId;
    use crate::time::Tick;
    use crate::wire::{Addr, Endpoint, Protocol};

    fn tuple(client: [u8; 4], port: u16, vip: u8) -> Tuple {
        Tuple {
            protocol: Protocol::Tcp,
            src: Endpoint::new(Addr::v4(client), port),
            dst: Endpoint::new(Addr::v4([192, 0, 2, vip]), 80),
        }
    }

    fn entry(tuple: &Tuple) -> Entry {
        Entry::new(tuple, RealId(1), 80, Class::Established, Tick(1000))
    }

    fn table() -> Table {
        Table::new(&Limits {
            connections: 40_000,
            half_open: 100,
            workers: 2,
        })
        .unwrap()
    }

    const BY_NETWORK: Crowd = Crowd {
        most: 2,
        scope: Scope {
            per: Per::Source,
            bits_v4: 24,
            bits_v6: 64,
            service: None,
        },
    };

    #[test]
    fn what_is_there_counts_and_what_comes_and_goes() {
        let table = table();
        let mut gone = |_: &Entry, _| panic!("there is room");
        let first = tuple([10, 0, 0, 1], 1, 1);
        let place = table.locate(crate::flow::Direction::Original, &first);
        table
            .take_in(entry(&first), &place, None, &mut gone)
            .unwrap();
        let crowds = Crowds::of(table.locator());
        crowds.enter(&entry(&first));
        crowds.set(vec![BY_NETWORK], &table);
        assert_eq!(crowds.admit(&tuple([10, 0, 0, 9], 2, 1)), Ok(()));

        let second = tuple([10, 0, 0, 9], 2, 1);
        crowds.enter(&entry(&second));
        let third = tuple([10, 0, 0, 200], 3, 1);
        assert_eq!(crowds.admit(&third), Err(Per::Source));
        assert_eq!(crowds.admit(&tuple([10, 0, 1, 1], 3, 1)), Ok(()));
        assert_eq!(crowds.refused(0), 1);

        crowds.leave(&entry(&first));
        assert_eq!(crowds.admit(&third), Ok(()));
        crowds.leave(&entry(&second));
        assert_eq!(remembered(&crowds), 0, "nobody is who has none");
    }

    /// How many have a count.
    fn remembered(crowds: &Crowds) -> usize {
        let census = crowds.census.load();
        let counts = census.as_ref().map(|census| &census.counts);
        let counts = counts.into_iter().flatten();
        counts.map(|counts| counts.lock().len()).sum()
    }

    #[test]
    fn all_sources_share_the_connections_of_a_service() {
        let table = table();
        let crowds = Crowds::of(table.locator());
        let limit = Crowd {
            most: 40,
            scope: Scope {
                per: Per::Service,
                ..BY_NETWORK.scope
            },
        };
        crowds.set(vec![limit], &table);
        let [here, there] = [1, 2].map(|vip| move |n: u8| tuple([10, 0, n, 1], n.into(), vip));
        // Workers open and end connections at once.
        std::thread::scope(|scope| {
            for worker in 0..4u8 {
                let crowds = &crowds;
                scope.spawn(move || {
                    for round in 0..1000u16 {
                        let n = worker * 10 + (round % 10) as u8;
                        match round / 10 % 2 {
                            0 => crowds.enter(&entry(&here(n))),
                            _ => crowds.leave(&entry(&here(n))),
                        }
                    }
                    (0..10).for_each(|n| crowds.enter(&entry(&here(worker * 10 + n))));
                });
            }
        });
        assert_eq!(crowds.admit(&here(99)), Err(Per::Service));
        assert_eq!(crowds.full(&here(0), 1), None);
        assert_eq!(crowds.admit(&there(99)), Ok(()));
        for n in 0..40 {
            crowds.leave(&entry(&here(n)));
            assert_eq!(crowds.admit(&here(99)), Ok(()));
        }
        assert_eq!(remembered(&crowds), 0);
    }

    #[test]
    fn a_limit_is_for_its_service() {
        let table = table();
        let crowds = Crowds::of(table.locator());
        let service = Some((Protocol::Tcp, Endpoint::new(Addr::v4([192, 0, 2, 1]), 80)));
        let limit = Crowd {
            most: 1,
            scope: Scope {
                service,
                ..BY_NETWORK.scope
            },
        };
        crowds.set(vec![limit], &table);
        crowds.enter(&entry(&tuple([10, 0, 0, 1], 1, 1)));
        assert_eq!(
            crowds.full(&tuple([10, 0, 0, 1], 2, 1), 0),
            Some((0, Per::Source))
        );
        assert_eq!(crowds.full(&tuple([10, 0, 0, 1], 1, 1), 1), None);
        assert_eq!(crowds.full(&tuple([10, 0, 0, 1], 2, 2), 0), None);
        crowds.set(Vec::new(), &table);
        assert_eq!(crowds.full(&tuple([10, 0, 0, 1], 2, 1), 0), None);
    }
}
