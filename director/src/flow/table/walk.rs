//! All connections of the table, a page under one lock: shown, given another end, or taken out.

use std::time::{Duration, Instant};

use super::Table;
use crate::flow::entry::Entry;
use crate::flow::slab::Pool;
use crate::time::Tick;

/// Where a listing goes on; the default is the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    shard: usize,
    from: u32,
}

impl Cursor {
    /// The cursor as one number, for those outside to keep.
    pub const fn to_bits(self) -> u64 {
        (self.shard as u64) << 32 | self.from as u64
    }

    /// The cursor that [`Cursor::to_bits`] made a number of; one beyond the table is its end.
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            shard: (bits >> 32) as usize,
            from: bits as u32,
        }
    }
}

/// Entries that a listing looks at under one lock.
const PAGE: u32 = 512;
/// The same where packets go on meanwhile, and it takes longer to look at one.
const SHORT_PAGE: u32 = 64;

impl Table {
    /// Shows at most `limit` connections to `each`, from `cursor` on, under one short lock.
    /// Returns where to go on; `None` at the end. What comes or goes in between may be missed.
    pub fn page(&self, cursor: Cursor, limit: u32, mut each: impl FnMut(&Entry)) -> Option<Cursor> {
        let Cursor { shard, from } = cursor;
        let state = self.cells.get(shard)?.state.lock();
        let Some((places, from)) = state.slab.stretch(from, limit.min(PAGE)) else {
            let shard = shard + 1;
            return (shard < self.cells.len()).then_some(Cursor { shard, from: 0 });
        };
        places
            .iter()
            .filter(|entry| !entry.is_free())
            .for_each(&mut each);
        Some(Cursor { shard, from })
    }

    /// Shows connections to `each` from `cursor` on, in short pages, for about as long as `patience`.
    /// Returns where to go on; `None` at the end.
    pub fn browse(
        &self,
        cursor: Cursor,
        patience: Duration,
        mut each: impl FnMut(&Entry),
    ) -> Option<Cursor> {
        let (start, mut next) = (Instant::now(), Some(cursor));
        while let Some(here) = next.filter(|_| start.elapsed() < patience) {
            next = self.page(here, SHORT_PAGE, &mut each);
        }
        next
    }

    /// Shows all connections to `each`, page by page.
    pub fn for_each(&self, mut each: impl FnMut(&Entry)) {
        let mut cursor = Some(Cursor::default());
        while let Some(here) = cursor {
            cursor = self.page(here, PAGE, &mut each);
        }
    }

    /// Takes all connections out that are `doomed`, and tells `departed` of each: page by page,
    /// under one short lock each. What comes meanwhile may be missed.
    pub fn sweep(&self, doomed: impl Fn(&Entry) -> bool, mut departed: impl FnMut(&Entry)) {
        for cell in &self.cells {
            let mut from = Some(0);
            while let Some(here) = from {
                from = self.open(cell).sweep(here, PAGE, &doomed, &mut departed);
            }
        }
    }

    /// Shows all connections of a shard, which is locked until `each` returns.
    pub fn visit(&self, shard: usize, each: impl FnOnce(&mut dyn Iterator<Item = &Entry>)) {
        let Some(cell) = self.cells.get(shard) else {
            return;
        };
        let state = cell.state.lock();
        let mut from = Some(0);
        let mut stretches = std::iter::from_fn(|| {
            let (places, next) = state.slab.stretch(from?, PAGE)?;
            from = Some(next);
            Some(places)
        });
        let entries = stretches.by_ref().flatten();
        each(&mut entries.filter(|entry| !entry.is_free()));
    }

    /// Gives connections of the half-open pool for which `latest` says one an earlier time to die
    /// at; a shard is locked for a page of them at once.
    pub fn hasten(&self, latest: impl Fn(&Entry) -> Option<Tick>) {
        self.retime(Pool::HalfOpen, |entry| {
            latest(entry).filter(|end| *end < entry.expires())
        });
    }

    /// The same with connections of the main pool.
    pub fn hasten_established(&self, latest: impl Fn(&Entry) -> Option<Tick>) {
        self.retime(Pool::Main, |entry| {
            latest(entry).filter(|end| *end < entry.expires())
        });
    }

    /// Gives connections of the main pool another time to die at.
    pub fn retime_established(&self, end: impl Fn(&Entry) -> Option<Tick>) {
        self.retime(Pool::Main, end);
    }

    fn retime(&self, pool: Pool, end: impl Fn(&Entry) -> Option<Tick>) {
        for cell in &self.cells {
            let mut from = Some(0);
            while let Some(place) = from {
                from = self.open(cell).retime(pool, place, PAGE, &end);
            }
        }
    }
}
