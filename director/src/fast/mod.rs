//! The fast path, as the director sees it: which connections the gate forwards by itself, and what it
//! has seen of them.
//!
//! ```text
//!  worker: a packet of a connection that both ends have agreed on
//!     |  enter   its flow, and this way of it: rewrite, next hop, bounds
//!     v
//!  gate: forwards the next ones, moves the bounds, counts
//!     |
//!     v  catch up   before a packet that the gate did not take is judged
//!  worker, expiry, eviction, listings
//! ```
//!
//! A flow is good as long as the eras of its next hop and its real server are those that it was
//! entered with ([`Fast::renew_reals`], [`Fast::renew_hops`]): what changes there sends the next packet
//! of each flow the way through the director, which decides and enters it anew. So that it does not
//! have to be there for those who are silent, it tells the gate of them by itself ([`Fast::renew`]).
//!
//! * `told`: what the gate is told of a way, and until when that holds.
//! * `seen`: what it has seen of a connection.
//! * `bounds`: how far a flow has come, for both sides, and how much was forwarded of it.
//! * `hash`, `index`: where a tuple is found.
//! * `room`: places for flows, which rest before they are given to somebody else.
//! * `place`: where a flow stands, and what beside it.
//! * `shape`: what is written of a flow.
//! * `hops`: next hops by number, and their eras; numbers rest as places do.
//! * `tallies`: what the gate has forwarded for each real server.
//! * `pause`: when nobody has told the gate the time.

mod bounds;
mod hash;
mod hops;
mod index;
mod pause;
mod place;
mod room;
mod seen;
mod shape;
mod tallies;
mod told;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::direction::Direction;
use crate::flow::{Elsewhere, Entry};
use crate::gate::flows::{Flow, Flows, LAYOUT};
use crate::tcp::Timeouts;
use crate::time::Tick;
use crate::wire::Tuple;

use bounds::reset;
use hash::Keys;
use hops::Hops;
use index::Index;
use pause::Pause;
use place::Place;
use room::Room;

pub use bounds::Count;
pub use seen::lifetime;
pub use shape::{Manner, Shape, Shim, Wrapping};
pub use tallies::{Carried, Tallies};
pub use told::{Leg, Moment};

use Ordering::{AcqRel, Acquire, Relaxed, Release};

/// The flows that the gate forwards by itself.
#[derive(Debug)]
pub struct Fast {
    shared: Flows,
    keys: Keys,
    room: Room,
    hops: Hops,
    /// Goes up before an era does.
    version: AtomicU32,
    pause: Pause,
    timeouts: Arc<ArcSwap<Timeouts>>,
    tallies: Tallies,
    refused: AtomicU64,
    /// Whether flows may be entered: not before the gate of a former director has gone.
    begun: AtomicBool,
}

impl Fast {
    /// The flows in the memory that is `shared` with the gate: none yet, or those of a former
    /// director.
    pub fn new(shared: Flows, timeouts: Arc<ArcSwap<Timeouts>>) -> Self {
        let head = shared.head();
        let keys = match head.layout.load(Acquire) {
            LAYOUT => Keys::told(head),
            _ => prepare(&shared),
        };
        let used = Index::of(&shared.buckets).flows();
        Self {
            room: Room::with(shared.flows.len() as u32, used),
            hops: Hops::new(),
            keys,
            tallies: Tallies::since(&shared.tallies),
            shared,
            version: AtomicU32::new(0),
            pause: Pause::default(),
            timeouts,
            refused: AtomicU64::new(0),
            begun: AtomicBool::new(false),
        }
    }

    /// Begins to enter flows. To be called when the gate is this director's: what a former one has
    /// entered is looked at anew.
    pub fn begin(&self) {
        self.version.fetch_add(1, AcqRel);
        self.index().mend();
        self.hops.renew_all(&self.shared.hops);
        self.begun.store(true, Release);
    }

    /// Forgets the flows of all but connections that are `known` by the tuple of their clients'
    /// packets.
    pub fn keep_only(&self, known: impl Fn(&Tuple) -> bool) {
        for tuple in self.tuples().filter(|tuple| !known(tuple)) {
            self.end(&tuple);
        }
    }

    /// Counts all flows as seen at `now`: while no director lived, the gate had no clock.
    pub fn wake(&self, now: Tick) {
        self.tick(now);
        for at in self.index().flows() {
            if let Some(flow) = self.shared.flows.get(at as usize) {
                flow.courses[0].seen.store(now.0, Relaxed);
            }
        }
    }

    /// The tuples of the packets that flows have from their clients.
    pub fn tuples(&self) -> impl Iterator<Item = Tuple> + '_ {
        let flows = self.index().flows().into_iter();
        flows.filter_map(|at| Some(Place::of(&self.shared, at)?.original()))
    }

    /// Tells the gate what time it is.
    #[inline]
    pub fn tick(&self, Tick(now): Tick) {
        let cell = &self.shared.head().now;
        let before = cell.load(Acquire);
        if before != now {
            self.pause.note(Tick(before), Tick(now));
            cell.store(now, Release);
        }
    }

    /// How many flows there are, and how many there can be.
    pub fn usage(&self) -> (u32, u32) {
        (self.room.used(), self.room.len())
    }

    /// How often there was no place for a flow.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Whether the gate may send through `port` at this moment.
    #[inline]
    pub fn delivers(&self, port: u16) -> bool {
        let lane = self.shared.lanes.get(usize::from(port));
        lane.is_some_and(|lane| lane.on.load(Relaxed) != 0)
    }

    /// Bytes that it takes.
    pub fn footprint(&self) -> usize {
        self.shared.footprint()
    }

    /// Whether there is a place for a flow that nobody has agreed on: those take half of the places
    /// at most.
    #[inline]
    pub fn has_room_for_strangers(&self) -> bool {
        self.room.used() < self.room.len() / 2
    }

    /// Takes a connection from the gate; the caller has caught up, or does not care any more.
    pub fn drop_flow(&self, entry: &mut Entry) {
        self.leave(entry);
        entry.set_cached(false);
    }

    /// The flow of a connection that has one of this shape, or gets one.
    fn place_of(&self, entry: &mut Entry, shape: &Shape) -> Option<&Flow> {
        if entry.is_cached() {
            let place = self.place(&entry.original());
            if let Some((_, place)) = place.filter(|(_, place)| shape.is_of(place)) {
                return Some(place.flow);
            }
            self.drop_flow(entry);
        }
        let flow = self.open(entry, shape);
        match flow {
            Some(_) => entry.set_cached(true),
            None => _ = self.refused.fetch_add(1, Relaxed),
        }
        flow
    }

    fn open(&self, entry: &Entry, shape: &Shape) -> Option<&Flow> {
        let at = self.room.take(self.now())?;
        let place = Place::of(&self.shared, at)?;
        shape.write(&place);
        reset(place.flow, entry);
        let filed = self.file(at, shape);
        if !filed {
            self.room.give(at, self.now());
        }
        filed.then_some(place.flow)
    }

    /// Lets both tuples lead to the flow `at`; false when there is no room for one of them.
    fn file(&self, at: u32, shape: &Shape) -> bool {
        let index = self.index();
        let there = self.keys.hash(&shape.original());
        if !index.insert(there, at, Direction::Original) {
            return false;
        }
        let Some(back) = shape.reply() else {
            return true;
        };
        let filed = index.insert(self.keys.hash(&back), at, Direction::Reply);
        if !filed {
            index.remove(there);
        }
        filed
    }

    /// The flow of a cached connection.
    fn flow_of(&self, entry: &Entry) -> Option<&Flow> {
        let (_, place) = self.place(&entry.original())?;
        Some(place.flow)
    }

    /// The place, and its number, that the packets of `tuple`, from a client, lead to.
    fn place(&self, tuple: &Tuple) -> Option<(u32, Place<'_>)> {
        let at = self.index().find(self.keys.hash(tuple))?;
        let place = Place::of(&self.shared, at)?;
        (place.original() == *tuple).then_some((at, place))
    }

    /// Takes the flow that the packets of `tuple`, from a client, belong to out.
    fn end(&self, tuple: &Tuple) {
        let Some((at, place)) = self.place(tuple) else {
            return;
        };
        let index = self.index();
        index.remove(self.keys.hash(tuple));
        if let Some(reply) = place.reply() {
            index.remove(self.keys.hash(&reply));
        }
        for way in &place.flow.ways {
            way.hop.store(0, Relaxed);
        }
        self.room.give(at, self.now());
    }

    fn index(&self) -> Index<'_> {
        Index::of(&self.shared.buckets)
    }

    fn now(&self) -> Tick {
        Tick(self.shared.head().now.load(Relaxed))
    }
}

impl Elsewhere for Fast {
    fn expires(&self, entry: &Entry) -> Tick {
        self.deadline(entry).unwrap_or(entry.expires())
    }

    fn leave(&self, entry: &Entry) {
        self.end(&entry.original());
    }
}

/// An empty cache; returns what tuples are hashed under.
fn prepare(shared: &Flows) -> Keys {
    let head = shared.head();
    let keys = Keys::random();
    keys.tell(head);
    head.mask.store(shared.buckets.len() as u32 - 1, Relaxed);
    for hop in shared.hops.iter() {
        // None is good before it is told; number 0 never is.
        hop.era.store(1, Relaxed);
    }
    head.layout.store(LAYOUT, Release);
    keys
}
