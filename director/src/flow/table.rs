//! The connection table: shards behind a lock each, picked by a keyed hash of the client, which
//! both directions of a connection know.

mod walk;

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;

use super::Direction;
use super::elsewhere::Elsewhere;
use super::entry::Entry;
use super::floor::{self, Memory};
use super::gauge::Gauge;
use super::index::Index;
use super::kept::Shape;
use super::place::{Keyed, Locator, Lot, Place, shard_of};
use super::plan::{Limits, Plan};
use super::refused::{Departed, Refused};
use super::shard::{Shard, State};
use super::slab::{NIL, Pool, Slab};
use super::victim::Random;
use super::wheel::Wheel;
use crate::time::Tick;
use crate::wire::Tuple;

pub use walk::Cursor;

/// The connections of a director. Every worker uses all of it: a reply may arrive at another
/// queue than its connection was made on.
pub struct Table {
    keyed: Keyed,
    /// Buckets in the index of one shard.
    buckets: u32,
    /// Entries in the slab of one shard.
    places: usize,
    gauges: [Gauge; 2],
    cells: Box<[Cell]>,
    elsewhere: Option<Arc<dyn Elsewhere>>,
}

/// Bytes that the index of all shards may take before it is used, enough for six million connections. Tables that
/// are made for more may never be so full.
const MOST_AT_HAND: usize = 128 << 20;

/// A shard at rest.
#[repr(align(128))]
struct Cell {
    state: Mutex<State>,
    /// Outside of the lock for the prefetches; written under it.
    index: Index,
    /// Address of the first entry, for those who do not hold the lock.
    entries: usize,
    /// Whether all of the index has memory, or is not to have it yet.
    is_indexed: AtomicBool,
}

impl Table {
    /// An empty table with a hash key of its own. Address space for all of `limits` is taken at
    /// once, memory as it is used.
    ///
    /// # Errors
    /// The kernel's, when there is no address space, or when `limits` go beyond 2^31 entries a
    /// shard.
    pub fn new(limits: &Limits) -> io::Result<Self> {
        Self::with(limits, Plan::new(limits), Keyed::random(), None, Tick(0))
    }

    /// The same, with its entries in an empty file, from which [`super::Reader`] has them when
    /// this process is gone; its time begins at `now`. The connections of a `former` table all find a place: a shard of the
    /// new one has those of a shard of the other.
    ///
    /// # Errors
    /// As [`Table::new`].
    pub fn kept(
        limits: &Limits,
        file: &File,
        former: Option<&Shape>,
        now: Tick,
    ) -> io::Result<Self> {
        let (plan, keyed) = match former.filter(|former| former.is_sound()) {
            Some(former) => (
                Plan::of_shards(limits, former.shards),
                Keyed::with_key(former.key),
            ),
            None => (Plan::new(limits), Keyed::random()),
        };
        Self::with(limits, plan, keyed, Some(file), now)
    }

    /// What a later process needs to know of the file of [`Table::kept`].
    pub fn shape(&self) -> Shape {
        Shape {
            shards: self.cells.len(),
            places: self.places,
            key: self.keyed.key(),
        }
    }

    pub(super) fn with(
        limits: &Limits,
        plan: Plan,
        keyed: Keyed,
        file: Option<&File>,
        now: Tick,
    ) -> io::Result<Self> {
        if plan.main.saturating_add(plan.half_open) >= 1 << 31 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let places = plan.main + plan.half_open;
        let memory = |shard| match file {
            Some(file) => Memory::Kept(file, shard as u64 * Slab::stride(places)),
            None => Memory::Own,
        };
        let cells = (0..plan.shards)
            .map(|shard| Cell::new(&plan, memory(shard), now))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            keyed,
            buckets: plan.buckets as u32,
            places,
            gauges: [limits.half_open, limits.connections].map(Gauge::new),
            cells,
            elsewhere: None,
        })
    }

    /// The same; who sees the packets of those connections that are cached is `elsewhere`.
    #[must_use]
    pub fn seen_by(self, elsewhere: Option<Arc<dyn Elsewhere>>) -> Self {
        Self { elsewhere, ..self }
    }

    /// When a connection dies unless another packet comes, whoever sees that.
    pub fn expiry(&self, entry: &Entry) -> Tick {
        match self.elsewhere.as_ref().filter(|_| entry.is_cached()) {
            Some(elsewhere) => elsewhere.expires(entry),
            None => entry.expires(),
        }
    }

    /// Where a packet's connection is, if there is one. `tuple` is as on the wire.
    #[inline]
    pub fn locate(&self, direction: Direction, tuple: &Tuple) -> Place {
        let hashes = self.keyed.hashes(direction, tuple);
        Place {
            shard: shard_of(&hashes, self.cells.len() as u32),
            hash: hashes.tuple,
            buckets: Index::candidates(hashes.tuple, self.buckets),
            direction,
            guess: NIL,
        }
    }

    /// Where the connection of an answer is that goes to a port of the director's own: the shard
    /// is that of the port, since the answer does not name the client.
    #[inline(never)]
    pub fn locate_by_port(&self, tuple: &Tuple) -> Place {
        Place {
            shard: u32::from(tuple.dst.port) % self.cells.len() as u32,
            ..self.locate(Direction::Reply, tuple)
        }
    }

    /// What the connection at `place` draws lots with.
    pub fn lot(&self, place: &Place) -> Lot {
        Lot {
            seed: place.hash,
            shard: place.shard,
            shards: self.cells.len() as u32,
        }
    }

    /// Has memory at hand for those who come next, so that no worker waits for it; to be called ten times a second,
    /// not by a worker.
    ///
    /// # Errors
    /// The kernel's: there is none left, or it does not do that (before Linux 5.14).
    pub fn provide(&self) -> io::Result<()> {
        self.cells.iter().try_for_each(Cell::provide)
    }

    /// Asks for the buckets of `place`; to be done for a whole batch before anything else.
    #[inline]
    pub fn prefetch(&self, place: &Place) {
        let cell = self.cell(place);
        for bucket in place.buckets {
            floor::prefetch(cell.index.address(bucket));
        }
    }

    /// Asks for the entry that `place` most likely means, from a look at the buckets without the
    /// lock; `place` remembers it.
    #[inline]
    pub fn prefetch_entry(&self, place: &mut Place) {
        let cell = self.cell(place);
        let guess = cell
            .index
            .find(place.buckets, place.hash, place.direction, |_| true);
        if let Some(at) = guess {
            place.guess = at;
            let entry = cell.entries + at as usize * size_of::<Entry>();
            floor::prefetch(entry);
            floor::prefetch(entry + 64);
            floor::prefetch(entry + Entry::HOT_BYTES - 1);
        }
    }

    /// Locks the shard of `place`.
    #[inline]
    pub fn lock(&self, place: &Place) -> Shard<'_> {
        self.open(self.cell(place))
    }

    /// [`Shard::insert`], for those who do nothing else with the shard. Tuples that do not meet in one
    /// shard are those of no connection.
    ///
    /// # Errors
    /// As there.
    pub fn take_in(
        &self,
        entry: Entry,
        original: &Place,
        reply: Option<&Place>,
        departed: &mut impl FnMut(&Entry, Departed),
    ) -> Result<(), Refused> {
        match reply.is_none_or(|reply| reply.shard == original.shard) {
            true => self
                .lock(original)
                .insert(entry, original, reply, departed)
                .map(drop),
            false => Err(Refused::ReplyTaken),
        }
    }

    /// Takes the connection of the packet `tuple`, client to virtual service, out.
    pub fn close(&self, tuple: &Tuple) -> Option<Entry> {
        let place = self.locate(Direction::Original, tuple);
        let mut shard = self.lock(&place);
        let handle = shard.find(&place, |entry| entry.matches_original(tuple))?;
        Some(shard.remove(handle))
    }

    /// [`Shard::expire`] of shard number `shard`; false for one that does not exist.
    pub fn expire(
        &self,
        shard: usize,
        now: Tick,
        budget: u32,
        departed: &mut impl FnMut(&Entry, Departed),
    ) -> bool {
        self.cells
            .get(shard)
            .is_some_and(|cell| self.open(cell).expire(now, budget, departed))
    }

    /// [`Shard::thin`] of shard number `shard`.
    pub fn thin(&self, shard: usize, one_in: u32, departed: &mut impl FnMut(&Entry, Departed)) {
        if let Some(cell) = self.cells.get(shard) {
            self.open(cell).thin(one_in, departed);
        }
    }

    /// [`Shard::expire_unless`] of shard number `shard`; false for one that does not exist.
    pub fn expire_unless(
        &self,
        shard: usize,
        now: Tick,
        budget: u32,
        stays: &mut impl FnMut(&Entry) -> Option<Tick>,
        departed: &mut impl FnMut(&Entry, Departed),
    ) -> bool {
        self.cells
            .get(shard)
            .is_some_and(|cell| self.open(cell).expire_unless(now, budget, stays, departed))
    }

    /// Says in which shard a connection is.
    pub fn locator(&self) -> Locator {
        Locator::new(self.keyed, self.cells.len() as u32)
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.cells.len()
    }

    /// Connections at this moment, half-open ones included.
    pub fn len(&self) -> usize {
        self.gauges.iter().map(Gauge::live).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Connections in the half-open pool at this moment.
    pub fn half_open_len(&self) -> usize {
        self.gauges[Pool::HalfOpen as usize].live()
    }

    /// How many connections have had to leave the half-open pool for others, ever.
    pub fn half_open_displaced(&self) -> u64 {
        self.gauges[Pool::HalfOpen as usize].displaced()
    }

    /// How many connections the main pool may hold.
    pub fn capacity(&self) -> usize {
        self.gauges[Pool::Main as usize].limit()
    }

    /// How many connections the half-open pool may hold.
    pub fn half_open_capacity(&self) -> usize {
        self.gauges[Pool::HalfOpen as usize].limit()
    }

    /// Bytes of one connection, its share of the index among them.
    pub fn place_bytes(&self) -> usize {
        self.footprint() / (self.capacity() + self.half_open_capacity()).max(1)
    }

    /// Bytes that the table uses when it is full, and never more.
    pub fn footprint(&self) -> usize {
        let of_cell = |cell: &Cell| cell.index.bytes() + cell.state.lock().slab.bytes();
        size_of_val::<[Cell]>(&self.cells) + self.cells.iter().map(of_cell).sum::<usize>()
    }

    /// Bytes that may come to be written in the file of [`Table::kept`].
    pub fn kept_bytes(&self) -> usize {
        let of_cell = |cell: &Cell| cell.state.lock().slab.bytes();
        self.cells.iter().map(of_cell).sum()
    }

    #[cfg(test)]
    pub(super) fn occupied_slots(&self) -> usize {
        self.cells.iter().map(|cell| cell.index.occupied()).sum()
    }

    #[inline]
    fn cell(&self, place: &Place) -> &Cell {
        &self.cells[place.shard as usize]
    }

    #[inline]
    fn open<'a>(&'a self, cell: &'a Cell) -> Shard<'a> {
        Shard {
            state: cell.state.lock(),
            index: &cell.index,
            keyed: &self.keyed,
            gauges: &self.gauges,
            elsewhere: self.elsewhere.as_deref(),
        }
    }
}

impl Cell {
    /// Has memory at hand for who comes next. Not under the lock: a huge page takes as long as thousands
    /// of packets, and ten times that where the machine is a virtual one that has not used it before.
    fn provide(&self) -> io::Result<()> {
        if !self.is_indexed.load(Relaxed) {
            self.index.provide()?;
            self.is_indexed.store(true, Relaxed);
        }
        for pool in [Pool::Main, Pool::HalfOpen] {
            let soon = self.state.lock().slab.soon(pool);
            if !soon.is_empty() {
                let first = self.entries + soon.start as usize * size_of::<Entry>();
                floor::populate(first, soon.len() * size_of::<Entry>())?;
                self.state.lock().slab.provided(pool, soon.end);
            }
        }
        Ok(())
    }

    fn new(plan: &Plan, memory: Memory<'_>, now: Tick) -> io::Result<Self> {
        let slab = Slab::new(memory, plan.half_open as u32, plan.main as u32)?;
        let index = Index::new(plan.buckets)?;
        Ok(Self {
            entries: slab.address(),
            is_indexed: AtomicBool::new(index.bytes() > MOST_AT_HAND / plan.shards),
            index,
            state: Mutex::new(State {
                slab,
                wheel: Wheel::new(now),
                random: Random::new(rand::random()),
            }),
        })
    }
}
