//! Real servers that have been asked and have not answered yet: each is asked once more, then another
//! one in its place, and at last the client is told that there is none.
//!
//! All wait equally long, so that the first of the queue is the next that is due. What has become of an
//! opening stands in the connection table; the queue of a worker only knows when to look.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::cookie::Proof;
use crate::flow::{Direction, Entry, Place, Shard, Tracked};
use crate::forward::Word;
use crate::path::view::View;
use crate::path::visitor::{asking, least_loaded};
use crate::service::{Real, RealId};
use crate::tcp::State;
use crate::time::{Tick, Ticks};
use crate::wire::tcp::Flags;
use crate::wire::{Options, Tuple};

/// How long a real server has to answer a SYN.
const PATIENCE: Ticks = Ticks(5);

/// SYNs that one real server gets.
const SYNS: u8 = 2;

/// Real servers that are asked for one client.
const REALS: usize = 3;

/// How long a connection whose real server has been asked lives, if nobody looks at it again.
pub(in crate::path) const LIFETIME: Ticks = Ticks(PATIENCE.0 * (SYNS as u32 + 1));

/// Openings that a worker keeps in view. One that is not asks once.
const ROOM: usize = 16_384;

/// Openings that are looked at in one round.
const BUDGET: usize = 64;

/// One that is waited for.
#[derive(Clone, Copy, Debug)]
pub(in crate::path) struct Opening {
    /// The tuple of the client's packets.
    original: Tuple,
    /// The one that the real server sees.
    to: Tuple,
    /// Real servers that have been asked, the last one at `last`.
    asked: [RealId; REALS],
    last: usize,
    proof: Proof,
    /// The client's window, without a scale.
    window: u16,
    /// SYNs that the real server has got.
    syns: u8,
    due: Tick,
}

impl Opening {
    /// The first SYN of a client.
    pub(super) fn new(original: Tuple, to: Tuple, real: RealId, proof: Proof, window: u16) -> Self {
        Self {
            original,
            to,
            asked: [real; REALS],
            last: 0,
            proof,
            window,
            syns: 1,
            due: Tick::default(),
        }
    }

    const fn real(&self) -> RealId {
        self.asked[self.last]
    }

    /// The same of another real server, if one may still be asked.
    fn at(&self, real: RealId, to: Tuple) -> Option<Self> {
        let mut next = Self {
            to,
            last: self.last + 1,
            syns: 1,
            ..*self
        };
        *next.asked.get_mut(next.last)? = real;
        Some(next)
    }

    /// The SYN, as the client would have sent it.
    pub(super) fn syn(&self) -> Word {
        let offer = &self.proof.offer;
        let clocks = offer.timestamps.then_some(self.proof.timestamps).flatten();
        let clocks = clocks.map(|said| [said.value, 0]);
        Word {
            tuple: self.to,
            seq: self.proof.isn,
            ack: 0,
            flags: Flags::SYN,
            window: self.window,
            options: Options::of_handshake(offer.mss, offer.sack, clocks, offer.scale),
        }
    }

    /// What a client is told for whom there is no real server.
    fn refusal(&self) -> Word {
        Word {
            tuple: self.original.reversed(),
            seq: self.proof.told.wrapping_add(1),
            ack: self.proof.isn.wrapping_add(1),
            flags: Flags::RST | Flags::ACK,
            window: 0,
            options: Options::default(),
        }
    }

    /// The state of its connection, if that is still the one that is waited for.
    fn state_of(&self, entry: &Entry) -> Option<State> {
        let Tracked::Tcp(tracking) = &entry.tracked else {
            return None;
        };
        let waits = entry.real() == self.real()
            && tracking.told() == Some(self.proof.told)
            && tracking.client_isn() == self.proof.isn;
        waits.then_some(tracking.state)
    }
}

/// Those of a worker, the oldest first.
#[derive(Debug)]
pub(in crate::path) struct Openings(RefCell<VecDeque<Opening>>);

impl Default for Openings {
    fn default() -> Self {
        Self(RefCell::new(VecDeque::with_capacity(ROOM)))
    }
}

impl Openings {
    fn due(&self, now: Tick) -> Option<Opening> {
        let mut waiting = self.0.borrow_mut();
        let is_due = waiting.front().is_some_and(|first| first.due <= now);
        is_due.then(|| waiting.pop_front()).flatten()
    }
}

impl View<'_> {
    /// Looks at an opening again when its real server has had its time.
    pub(super) fn wait_for(&self, opening: Opening) {
        let mut waiting = self.openings.0.borrow_mut();
        if waiting.len() < ROOM {
            let due = self.now.after(PATIENCE);
            waiting.push_back(Opening { due, ..opening });
        }
    }

    /// Looks at the openings that are due.
    pub(in crate::path) fn tend_openings(&self) {
        for _ in 0..BUDGET {
            let Some(opening) = self.openings.due(self.now) else {
                return;
            };
            self.tend_opening(&opening);
        }
    }

    fn tend_opening(&self, opening: &Opening) {
        let place = self.table.locate(Direction::Original, &opening.original);
        let mut shard = self.table.lock(&place);
        let is_its = |entry: &Entry| entry.matches_original(&opening.original);
        let Some(handle) = shard.find(&place, is_its) else {
            return;
        };
        let Some(state) = opening.state_of(shard.entry(handle)) else {
            return;
        };
        if state != State::Close && opening.syns < SYNS {
            shard.touch(handle, self.now.after(LIFETIME));
            return self.ask_once_more(opening);
        }
        let sticks = shard.entry(handle).controlled_by().is_some();
        self.forget(&mut shard, handle);
        let next = (!sticks).then(|| self.ask_another(&mut shard, &place, opening));
        if next.flatten().is_none() {
            self.errands.add(opening.refusal());
        }
    }

    fn ask_once_more(&self, opening: &Opening) {
        self.errands.add(opening.syn());
        self.wait_for(Opening {
            syns: opening.syns + 1,
            ..*opening
        });
    }

    /// Asks the real server with the least to do of those that have not been asked.
    fn ask_another(&self, shard: &mut Shard<'_>, place: &Place, opening: &Opening) -> Option<()> {
        let failed: &Real = self.pool.real(opening.real())?;
        let service = self.pool.service(&failed.service)?;
        let guest = asking(opening.proof, opening.window);
        let fit = |real: &Real| {
            let known = opening.asked[..=opening.last].contains(&real.id);
            !known && guest.suits(real)
        };
        let real = least_loaded(service, fit).filter(|_| service.sorry.is_none())?;
        let to = Tuple {
            dst: real.destination(opening.original.dst),
            ..opening.original
        };
        let entry = self.entry(&opening.original, real, &guest);
        let lead = self.lead_to(shard, to, place, real, entry.class()).ok()?;
        let next = opening.at(real.id, lead.to)?;
        self.seat(shard, place, real, &lead, entry).ok()?.ok()?;
        self.count_connection(real);
        self.errands.add(next.syn());
        self.wait_for(next);
        Some(())
    }
}
