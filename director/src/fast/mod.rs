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
mod shape;
mod tallies;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::direction::Direction;
use crate::flow::{Elsewhere, Entry, Tracked};
use crate::gate::flows::{Flow, Flows, LAYOUT, REALS, Way};
use crate::neighbour::Hop;
use crate::service::RealId;
use crate::tcp::{State, Timeouts};
use crate::time::{Tick, Ticks};
use crate::wire::Tuple;

use bounds::{count_of, last_seen, raise, reset, said_in};
use hash::Keys;
use hops::Hops;
use index::Index;
use pause::Pause;
use place::Place;
use room::Room;

pub use bounds::Count;
pub use shape::{Manner, Shape, Shim, Wrapping};
pub use tallies::{Carried, Tallies};

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

/// What has been in force when a worker began to look: what it finds holds for no later moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment(u32);

impl Moment {
    #[cfg(test)]
    pub(crate) const fn of(version: u32) -> Self {
        Self(version)
    }
}

/// One way of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Leg {
    /// Which.
    pub way: Direction,
    /// Where its packets go.
    pub hop: Hop,
    /// Length of the longest one that may go there, bytes.
    pub longest: u32,
    /// The real server.
    pub real: RealId,
    /// When all that was found.
    pub found: Moment,
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

    /// To be asked before the snapshots are read by which a flow is entered.
    #[inline]
    pub fn moment(&self) -> Moment {
        Moment(self.version.load(Acquire))
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

    /// Has the gate forward the packets of a connection that go one way. It is cached from then on.
    /// Before the beginning it is told only how far one has come that a former director has entered.
    pub fn enter(&self, entry: &mut Entry, shape: &Shape, leg: &Leg) {
        if !self.begun.load(Acquire) {
            if entry.is_cached() {
                self.raise(entry);
            }
            return;
        }
        if leg.real.0 as usize >= REALS {
            return;
        }
        if let Some(flow) = self.place_of(entry, shape) {
            raise(flow, entry);
            self.point(flow, leg);
        }
    }

    /// Takes what a packet that the gate has not seen has moved to the gate.
    pub fn raise(&self, entry: &Entry) {
        if let Some(flow) = self.flow_of(entry) {
            raise(flow, entry);
        }
    }

    /// Brings a connection after what the gate has seen of it; false when the gate does not know it.
    pub fn catch_up(&self, entry: &mut Entry) -> bool {
        let Some(flow) = self.flow_of(entry) else {
            return false;
        };
        let is_one_way = entry.is_one_way();
        let sides = [Direction::Original, Direction::Reply].map(|way| (way, entry.side(way)));
        if let Tracked::Tcp(tcp) = &mut entry.tracked {
            for (way, side) in sides {
                let said = said_in(&flow.courses[way as usize]);
                tcp.catch_up(side, &said, is_one_way);
                if is_one_way {
                    break;
                }
            }
        }
        true
    }

    /// Whether the gate forwards by itself the packets of a connection that go this way.
    pub fn forwards(&self, entry: &Entry, way: Direction) -> bool {
        self.flow_of(entry).is_some_and(|flow| {
            let way = &flow.ways[way as usize];
            way.hop.load(Acquire) != 0 && self.holds(flow, way)
        })
    }

    /// Whether the gate leaves packets of a connection to the director that it has forwarded before.
    pub fn is_outdated(&self, entry: &Entry) -> bool {
        let Some(flow) = self.flow_of(entry) else {
            return false;
        };
        let mut told = flow.ways.iter().filter(|way| way.hop.load(Relaxed) != 0);
        told.any(|way| !self.holds(flow, way))
    }

    /// Whether what the gate has been told of one way of a flow is in force still.
    fn holds(&self, flow: &Flow, way: &Way) -> bool {
        let real = self.shared.reals.get(flow.real.load(Relaxed) as usize);
        real.is_some_and(|real| real.era.load(Relaxed) == way.era.load(Relaxed))
            && Hops::holds(&self.shared.hops, way.hop.load(Relaxed))
    }

    /// Tells the gate again where packets go that it has forwarded before, unless something else
    /// becomes of them by now. The shard of their connection is locked.
    pub fn renew(&self, shape: &Shape, leg: &Leg) {
        let place = self.place(&shape.original());
        let Some((_, place)) = place.filter(|(_, place)| shape.is_of(place)) else {
            return;
        };
        let was_told = place.flow.ways[leg.way as usize].hop.load(Relaxed) != 0;
        if was_told && (leg.real.0 as usize) < REALS {
            self.point(place.flow, leg);
        }
    }

    /// Leaves what comes from a connection's client to the filters, and to the director behind them, which
    /// may enter it again. The shard of the connection is locked.
    pub fn withhold(&self, entry: &Entry) {
        if let Some(flow) = self.flow_of(entry) {
            flow.ways[Direction::Original as usize]
                .hop
                .store(0, Release);
        }
    }

    /// When a cached connection dies by the timeouts of now, if the gate has seen a packet of it since
    /// a worker has.
    pub fn deadline(&self, entry: &Entry) -> Option<Tick> {
        let flow = self.flow_of(entry)?;
        match last_seen(flow, entry.is_one_way()) {
            Tick(0) => None,
            seen => {
                let life = lifetime(entry, &self.timeouts.load());
                Some(self.pause.latest(seen).after(life))
            }
        }
    }

    /// The same, for a caller that writes it down: only what the gate sees from now on is newer.
    pub fn take_deadline(&self, entry: &Entry) -> Option<Tick> {
        let deadline = self.deadline(entry)?;
        for course in &self.flow_of(entry)?.courses {
            course.seen.store(0, Relaxed);
        }
        Some(deadline)
    }

    /// What the gate has forwarded of a cached connection since it was entered, by direction.
    pub fn counts(&self, entry: &Entry) -> Option<[Count; 2]> {
        Some(self.flow_of(entry)?.courses.each_ref().map(count_of))
    }

    /// Takes a connection from the gate; the caller has caught up, or does not care any more.
    pub fn drop_flow(&self, entry: &mut Entry) {
        self.leave(entry);
        entry.set_cached(false);
    }

    /// Has each flow of these real servers looked at anew.
    pub fn renew_reals(&self, reals: &[RealId]) {
        if reals.is_empty() {
            return;
        }
        self.version.fetch_add(1, AcqRel);
        for real in reals {
            if let Some(real) = self.shared.reals.get(real.0 as usize) {
                real.era.fetch_add(1, Release);
            }
        }
    }

    /// The same of each flow whose next hop is `outdated`.
    pub fn renew_hops(&self, outdated: impl Fn(&Hop) -> bool) {
        self.version.fetch_add(1, AcqRel);
        self.hops.renew(&self.shared.hops, outdated, self.now());
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

    /// Tells one way of a flow where its packets go, unless that may have changed meanwhile.
    fn point(&self, flow: &Flow, leg: &Leg) {
        let Some(hop) = self.hops.number(&self.shared.hops, &leg.hop, self.now()) else {
            return;
        };
        let era = self.shared.reals[leg.real.0 as usize].era.load(Acquire);
        if self.moment() != leg.found {
            return;
        }
        let way = &flow.ways[leg.way as usize];
        let longest = leg.longest.min(u16::MAX.into()) as u16;
        way.longest.store(longest, Relaxed);
        flow.real.store(leg.real.0 as u16, Relaxed);
        way.era.store(era, Relaxed);
        way.hop.store(hop, Release);
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

/// How long a cached connection lives from its last packet on.
pub fn lifetime(entry: &Entry, timeouts: &Timeouts) -> Ticks {
    match &entry.tracked {
        Tracked::Udp | Tracked::Call(_) => timeouts.udp(),
        _ => timeouts.tcp(State::Established),
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
