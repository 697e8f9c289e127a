//! The entries of a shard: two pools in one array, each with its own free list.

use std::io;
use std::ops::{Index, IndexMut, Range};

use super::entry::Entry;
use super::floor::{HUGE_PAGE, Memory, Region};

/// No entry.
pub(super) const NIL: u32 = u32::MAX;

/// Which part of the slab an entry lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pool {
    /// Handshakes that are not complete; capped, so that a flood of them fills nothing else.
    HalfOpen = 0,
    /// Everything else.
    Main = 1,
}

/// Places that get memory together.
const PORTION: u32 = (64 << 10) / size_of::<Entry>() as u32;

/// Places that have memory before they are used: of small pages, and of huge ones.
const AHEAD: u32 = 4 * PORTION;
const FAR_AHEAD: u32 = (HUGE_PAGE / size_of::<Entry>()) as u32 / 2;

/// One part of the slab: places from `base`, of which those from `fresh` were never used, those from `bare`
/// have no memory of their own yet, and `taken` are.
#[derive(Clone, Copy, Debug)]
struct Part {
    base: u32,
    end: u32,
    fresh: u32,
    bare: u32,
    free: u32,
    taken: u32,
}

/// All entries of a shard.
pub(super) struct Slab {
    entries: Region<Entry>,
    parts: [Part; 2],
}

impl Part {
    const fn new(base: u32, len: u32) -> Self {
        Self {
            base,
            end: base + len,
            fresh: base,
            bare: base,
            free: NIL,
            taken: 0,
        }
    }
}

impl Slab {
    /// Room for that many entries in the two pools. Memory is used as entries are. The half-open
    /// pool stands last and in small pages, so that it costs nothing in times of peace.
    pub(super) fn new(memory: Memory<'_>, half_open: u32, main: u32) -> io::Result<Self> {
        let places = main as usize + half_open as usize;
        Ok(Self {
            entries: Region::zeroed(memory, places, main as usize)?,
            parts: [Part::new(main, half_open), Part::new(0, main)],
        })
    }

    /// Bytes from one slab of so many places to the next one in a file.
    pub(super) const fn stride(places: usize) -> u64 {
        let bytes = (places * size_of::<Entry>()).next_multiple_of(HUGE_PAGE);
        // A region takes a huge page more than it needs.
        (bytes + HUGE_PAGE) as u64
    }

    /// A free place of `pool`; its contents are stale. None when all are taken, or there is no memory
    /// for more.
    pub(super) fn take(&mut self, pool: Pool) -> Option<u32> {
        let part = &mut self.parts[pool as usize];
        let at = if part.free != NIL {
            let at = part.free;
            part.free = self.entries[at as usize].next;
            at
        } else if part.fresh < part.end {
            if part.fresh == part.bare {
                let (bare, portion) = (part.bare as usize, PORTION as usize);
                self.entries.back(bare, portion).ok()?;
                part.bare = (part.bare + PORTION).min(part.end);
            }
            part.fresh += 1;
            part.fresh - 1
        } else {
            return None;
        };
        part.taken += 1;
        Some(at)
    }

    /// The places of `pool` that will be used soon, and have no memory of their own yet.
    pub(super) fn soon(&self, pool: Pool) -> Range<u32> {
        let part = &self.parts[pool as usize];
        let ahead = match pool == Pool::Main && !self.entries.is_kept() {
            true => FAR_AHEAD,
            false => AHEAD,
        };
        part.bare..part.end.min(part.fresh + ahead)
    }

    /// The places of `pool` below `end` have memory.
    pub(super) fn provided(&mut self, pool: Pool, end: u32) {
        let part = &mut self.parts[pool as usize];
        part.bare = part.bare.max(end);
    }

    /// Gives a place back.
    pub(super) fn give(&mut self, at: u32) {
        let part = &mut self.parts[self.pool_of(at) as usize];
        let entry = &mut self.entries[at as usize];
        entry.leave(part.free);
        part.free = at;
        part.taken -= 1;
    }

    /// Lets `entry` live in the place `at`.
    pub(super) fn put(&mut self, at: u32, entry: Entry) {
        self.entries[at as usize].move_in(entry);
    }

    /// The pool that a place belongs to.
    #[inline]
    pub(super) fn pool_of(&self, at: u32) -> Pool {
        if at < self.parts[Pool::Main as usize].end {
            Pool::Main
        } else {
            Pool::HalfOpen
        }
    }

    /// The live entry at `at`, if there is one.
    #[inline]
    pub(super) fn get(&self, at: u32) -> Option<&Entry> {
        self.entries
            .get(at as usize)
            .filter(|entry| !entry.is_free())
    }

    /// Whether nobody is in `pool`.
    pub(super) fn is_empty(&self, pool: Pool) -> bool {
        self.parts[pool as usize].taken == 0
    }

    /// How many places of `pool` were ever used; they stand side by side.
    pub(super) fn used(&self, pool: Pool) -> u32 {
        let part = &self.parts[pool as usize];
        part.fresh - part.base
    }

    /// The live entry in the `n`-th place of `pool`, `n` below [`Slab::used`].
    pub(super) fn live(&self, pool: Pool, n: u32) -> Option<u32> {
        let at = self.parts[pool as usize].base + n;
        (!self.entries[at as usize].is_free()).then_some(at)
    }

    /// Up to `count` places from number `from` on, and the number after them; places that were
    /// never used are left out. `None` past the end.
    pub(super) fn stretch(&self, from: u32, count: u32) -> Option<(&[Entry], u32)> {
        let part = self.parts.iter().rev().find(|part| from < part.fresh)?;
        let start = from.max(part.base);
        let end = start.saturating_add(count).min(part.fresh);
        Some((&self.entries[start as usize..end as usize], end))
    }

    /// Address of the first entry, for prefetches.
    pub(super) fn address(&self) -> usize {
        self.entries.as_ptr().addr()
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val::<[Entry]>(&self.entries)
    }

    pub(super) fn entries_mut(&mut self) -> &mut [Entry] {
        &mut self.entries
    }
}

impl Index<u32> for Slab {
    type Output = Entry;

    #[inline]
    fn index(&self, at: u32) -> &Entry {
        &self.entries[at as usize]
    }
}

impl IndexMut<u32> for Slab {
    #[inline]
    fn index_mut(&mut self, at: u32) -> &mut Entry {
        &mut self.entries[at as usize]
    }
}
