//! Real servers are told of half-open connections that the director has given up, so that their
//! backlogs empty: by a reset with the number that they expect, as the client would send it, or by
//! an ICMP error about their SYN+ACK. It is for those whose SYN has reached them by NAT; no more
//! than so many a second.

use std::cell::RefCell;

use super::allowance::Allowance;
use super::ways::{Ways, flow_of};
use crate::defence::Tell;
use crate::flow::{Direction, Entry, Tracked};
use crate::forward::{self, notice};
use crate::time::Tick;
use crate::wire::{Addr, Mac, Tuple};
use crate::worker::Outbox;
use crate::xsk::Umem;

/// How many may wait to be said; of others nobody is told.
const ROOM: usize = 256;

/// What is to be said.
#[derive(Clone, Copy, Debug)]
struct Farewell {
    /// From the client's side to the real server.
    to: Tuple,
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

    /// Says what waits, as far as it may be said now.
    pub(super) fn say(&self, ways: &Ways, umem: &Umem, out: &mut Outbox, now: Tick) {
        let mut waiting = self.waiting.borrow_mut();
        let mut allowance = self.allowance.borrow_mut();
        while let Some(farewell) = waiting.last() {
            if !allowance.take(now) {
                return;
            }
            farewell.say(ways, umem, out);
            waiting.pop();
        }
    }
}

impl Farewell {
    fn say(&self, ways: &Ways, umem: &Umem, out: &mut Outbox) {
        let Self { to, words } = self;
        let (Ok(hop), Some(mut frame)) = (ways.next_hop(to.dst.addr, flow_of(to)), out.blank())
        else {
            return;
        };
        let room = umem.room_mut(&mut frame);
        let length = match *words {
            Words::Reset { seq } => notice::reset_at(room, to, seq),
            Words::Unreachable { isn, from } => {
                notice::unreachable_at(room, &to.reversed(), isn, from)
            }
        };
        frame.set_len(length.unwrap_or(0));
        let bytes = umem.packet_mut(&mut frame);
        forward::set_ethernet(bytes, Mac(hop.src_mac), Mac(hop.dst_mac));
        out.answer(hop.port, frame);
    }
}
