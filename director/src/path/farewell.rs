//! Real servers are told of half-open connections that the director has given up, so that their
//! backlogs empty: by a reset with the number that they expect, as the client would send it, or by
//! an ICMP error about their SYN+ACK. It is for those whose SYN has reached them by NAT; no more
//! than so many a second.

use std::cell::RefCell;

use super::allowance::Allowance;
use crate::defence::Tell;
use crate::flow::{Direction, Entry, Tracked};
use crate::forward::{self, notice};
use crate::neighbour::Hop;
use crate::time::Tick;
use crate::wire::{Addr, Mac, Tuple};
use crate::xsk::{Frame, Umem};

/// How many may wait to be said; of others nobody is told.
const ROOM: usize = 256;

/// What is to be said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Farewell {
    /// From the client's side to the real server.
    pub(super) to: Tuple,
    words: Words,
}

/// How it is said.
#[derive(Clone, Copy, Debug)]
pub(super) enum Words {
    /// The client resets, at the number that the real server expects next.
    Reset { seq: u32 },
    /// `from` has not got the SYN+ACK with this number any further.
    Unreachable { isn: u32, from: Addr },
}

impl Words {
    /// What the real server of a connection that is gone is told, if it holds a place for it.
    pub(super) fn about(entry: &Entry, tell: Tell) -> Option<Self> {
        let Tracked::Tcp(tcp) = &entry.tracked else {
            return None;
        };
        if !tcp.state.is_half_open() || entry.is_one_way() {
            return None;
        }
        match (tell, tcp.server_isn()) {
            (Tell::No, _) => None,
            (Tell::Unreachable, Some(isn)) => Some(Self::Unreachable {
                isn,
                from: entry.vip().addr,
            }),
            // Of one that has said nothing yet an error could quote nothing.
            (Tell::Unreachable | Tell::Reset, _) => Some(Self::Reset {
                seq: tcp.peer(Direction::Original).end,
            }),
        }
    }
}

/// What a worker has still to say.
#[derive(Debug, Default)]
pub(super) struct Farewells {
    waiting: RefCell<Vec<Farewell>>,
    allowance: RefCell<Allowance>,
}

impl Farewells {
    /// Has `words` said soon, `to` a real server from the client's side.
    pub(super) fn add(&self, to: Tuple, words: Words) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() < ROOM {
            waiting.push(Farewell { to, words });
        }
    }

    /// The next one, if it may be said now.
    pub(super) fn next(&self, now: Tick) -> Option<Farewell> {
        let mut waiting = self.waiting.borrow_mut();
        let may_say = !waiting.is_empty() && self.allowance.borrow_mut().take(now);
        may_say.then(|| waiting.pop()).flatten()
    }
}

impl Farewell {
    /// Makes a frame this one, that goes to `hop`.
    pub(super) fn say(&self, umem: &Umem, frame: &mut Frame, hop: &Hop) {
        let room = umem.room_mut(frame);
        let length = match self.words {
            Words::Reset { seq } => notice::reset_at(room, &self.to, seq),
            Words::Unreachable { isn, from } => {
                notice::unreachable_at(room, &self.to.reversed(), isn, from)
            }
        };
        frame.set_len(length.unwrap_or(0));
        let bytes = umem.packet_mut(frame);
        forward::set_ethernet(bytes, Mac(hop.src_mac), Mac(hop.dst_mac));
    }
}
