//! Real servers that have been asked and have not answered yet: each is asked once more, then another
//! one in its place, and at last the client is told that there is none.
//!
//! What has become of an opening stands in the connection table; the queue of a worker only knows when to
//! look.

use super::waiting::Patient;
use crate::cookie::Proof;
use crate::flow::{Entry, Tracked};
use crate::forward::Word;
use crate::service::RealId;
use crate::tcp::State;
use crate::time::Ticks;
use crate::wire::tcp::Flags;
use crate::wire::{Options, Tuple};

/// SYNs that one real server gets.
const SYNS: u8 = 2;

/// Real servers that are asked for one client.
const REALS: usize = 3;

/// How long a connection whose real server has been asked lives, if nobody looks at it again.
pub(super) const LIFETIME: Ticks = Ticks(Opening::PATIENCE.0 * (SYNS as u32 + 1));

/// Openings that are looked at in one round.
pub(super) const BUDGET: usize = 64;

/// One that is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    /// The tuple of the client's packets.
    pub(super) original: Tuple,
    /// The one that the real server sees.
    to: Tuple,
    /// Real servers that have been asked, the last one at `last`.
    asked: [RealId; REALS],
    last: usize,
    pub(super) proof: Proof,
    /// The client's window, without a scale.
    pub(super) window: u16,
    /// SYNs that the real server has got.
    syns: u8,
}

impl Patient for Opening {
    /// How long a real server has to answer a SYN.
    const PATIENCE: Ticks = Ticks(5);
    /// One that is not kept in view asks once.
    const ROOM: usize = 16_384;
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
        }
    }

    pub(super) const fn real(&self) -> RealId {
        self.asked[self.last]
    }

    /// Whether this real server has been asked for this client.
    pub(super) fn has_asked(&self, real: RealId) -> bool {
        self.asked[..=self.last].contains(&real)
    }

    /// Whether the real server gets one more SYN.
    pub(super) const fn may_repeat(&self) -> bool {
        self.syns < SYNS
    }

    /// The same after one more SYN.
    pub(super) const fn repeated(&self) -> Self {
        Self {
            syns: self.syns + 1,
            ..*self
        }
    }

    /// The same of another real server, if one may still be asked.
    pub(super) fn at(&self, real: RealId, to: Tuple) -> Option<Self> {
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
    pub(super) fn refusal(&self) -> Word {
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
    pub(super) fn state_of(&self, entry: &Entry) -> Option<State> {
        let Tracked::Tcp(tracking) = &entry.tracked else {
            return None;
        };
        let waits = entry.real() == self.real()
            && tracking.told() == Some(self.proof.told)
            && tracking.client_isn() == self.proof.isn;
        waits.then_some(tracking.state)
    }
}
