//! Real servers are told of half-open connections that the director has given up, so that their
//! backlogs empty: by a reset with the number that they expect, as the client would send it, or by
//! an ICMP error about their SYN+ACK. It is for those whose SYN has reached them by NAT; no more
//! than so many a second.

use std::cell::RefCell;

use super::answer::Allowance;
use super::view::{View, flow_of};
use crate::defence::Tell;
use crate::flow::{Direction, Entry, Tracked};
use crate::forward::{self, notice};
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
enum Words {
    /// The client resets, at the number that the real server expects next.
    Reset { seq: u32 },
    /// `from` has not got the SYN+ACK with this number any further.
    Unreachable { isn: u32, from: Addr },
}

/// What a worker has still to say.
#[derive(Debug, Default)]
pub(super) struct Farewells {
    waiting: RefCell<Vec<Farewell>>,
    allowance: RefCell<Allowance>,
}

impl View<'_> {
    /// Has the real server of a connection that is gone told, if it holds a place for it.
    pub(super) fn bid_farewell(&self, entry: &Entry) {
        if self.orders.tell_reals() == Tell::No {
            return;
        }
        if let Some(farewell) = self.farewell_of(entry) {
            let mut waiting = self.farewells.waiting.borrow_mut();
            if waiting.len() < ROOM {
                waiting.push(farewell);
            }
        }
    }

    fn farewell_of(&self, entry: &Entry) -> Option<Farewell> {
        let Tracked::Tcp(tcp) = &entry.tracked else {
            return None;
        };
        let held = tcp.state.is_half_open() && !entry.is_one_way();
        let real = self.pool.real(entry.real()).filter(|_| held)?;
        let words = match (self.orders.tell_reals(), tcp.server_isn()) {
            (Tell::No, _) => return None,
            (Tell::Unreachable, Some(isn)) => Words::Unreachable {
                isn,
                from: entry.vip().addr,
            },
            // Of one that has said nothing yet an error could quote nothing.
            (Tell::Unreachable | Tell::Reset, _) => Words::Reset {
                seq: tcp.peer(Direction::Original).end,
            },
        };
        Some(Farewell {
            to: self.translated(entry, real, Direction::Original),
            words,
        })
    }

    /// Says what waits, as far as it may be said now.
    pub(super) fn say_farewells(&self, umem: &Umem, out: &mut Outbox) {
        let mut waiting = self.farewells.waiting.borrow_mut();
        let mut allowance = self.farewells.allowance.borrow_mut();
        while let Some(farewell) = waiting.last() {
            if !allowance.take(self.now) {
                return;
            }
            self.say(umem, out, farewell);
            waiting.pop();
        }
    }

    fn say(&self, umem: &Umem, out: &mut Outbox, Farewell { to, words }: &Farewell) {
        let (Ok(hop), Some(mut frame)) = (self.way_to(to.dst.addr, flow_of(to)), out.blank())
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
        self.utter(umem, frame, &hop, out);
    }
}
