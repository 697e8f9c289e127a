//! Connections whose real server is asked when its client has come back with a cookie: the director
//! opens the second half as the client would have, and joins both.
//!
//! ```text
//!  client                    director                      real server
//!    | -- ACK (a cookie) -----> | -- SYN: the client's number --> |      waits at most for so long,
//!    |    waits: no window      | <------------------- SYN+ACK -- |      `openings`
//!    | <-- ACK: a window ------ | -- ACK -----------------------> |
//!    | <====== numbers, clock and windows of the other half ====> |
//! ```

mod tend;

use super::exit::Departure;
use super::judge::{Verdict, segment_of};
use super::onward::Onward;
use super::openings::Opening;
use super::plan::Plan;
use super::view::View;
use super::visitor::opening_window;
use crate::cookie::{self, Hello, Proof};
use crate::drops::Cause;
use crate::flow::{Direction, Entry, Handle, Shard, Tracked};
use crate::forward::{Splice, Word, rescaled};
use crate::neighbour::Hop;
use crate::service::Real;
use crate::tcp::Tracking;
use crate::wire::tcp::{Flags, Segment};
use crate::wire::{Options, Transport, Tuple, is_intact};

impl View<'_> {
    /// The packet by which a client has come back becomes the SYN to its real server.
    #[inline(never)]
    pub(super) fn ask_real(
        &self,
        frame: &[u8],
        packet: &Transport,
        real: &Real,
        proof: &Proof,
        (to, hop): (&Tuple, &Hop),
    ) -> Departure {
        let window = Segment::parse(packet.layout.segment(frame))
            .map_or(0, |segment| opening_window(proof, &segment));
        let opening = Opening::new(packet.tuple, *to, real.id, *proof, window);
        let syn = opening.syn();
        self.openings.put(opening, self.now);
        Departure::Instead(syn, *hop)
    }

    /// What becomes of a segment of a spliced connection that is about its opening; nothing when it
    /// is of those that go on.
    #[inline(never)]
    pub(super) fn joined(
        &self,
        shard: &mut Shard<'_>,
        handle: Handle,
        frame: &[u8],
        at: &Onward<'_>,
    ) -> Result<Option<Plan>, Cause> {
        let Tracked::Tcp(tracking) = shard.entry(handle).tracked else {
            return Ok(None);
        };
        let segment = segment_of(at.packet.layout.segment(frame), at.packet.layout.piece)?;
        match (tracking.told(), at.way) {
            (Some(_), Direction::Original) => {
                self.waits(shard, handle, &tracking, &segment, at).map(Some)
            }
            (Some(_), Direction::Reply) => {
                self.answers(shard, handle, frame, &segment, at).map(Some)
            }
            (None, Direction::Reply) if segment.flags.has(Flags::SYN | Flags::ACK) => {
                Ok(self.answers_again(shard.entry(handle), frame, &segment, at))
            }
            _ => Ok(None),
        }
    }

    /// A client that has nothing to do but to wait, or gives up.
    fn waits(
        &self,
        shard: &mut Shard<'_>,
        handle: Handle,
        tracking: &Tracking,
        segment: &Segment,
        at: &Onward<'_>,
    ) -> Result<Plan, Cause> {
        let seq = tracking.client_isn().wrapping_add(1);
        if !segment.flags.has(Flags::RST) || segment.seq != seq {
            return Err(Cause::NotYetOpen);
        }
        self.forget(shard, handle);
        Ok(Plan::Instead(at.word(seq, 0, Flags::RST), at.hop))
    }

    /// The real server's answer to the SYN.
    fn answers(
        &self,
        shard: &mut Shard<'_>,
        handle: Handle,
        frame: &[u8],
        segment: &Segment,
        at: &Onward<'_>,
    ) -> Result<Plan, Cause> {
        if !is_intact(frame, at.packet) {
            return Err(Cause::TcpHandshake);
        }
        let verdict = self.judge(shard, handle, frame, at.packet, at.way, at.real)?;
        let Verdict::Moves(step) = verdict else {
            // An older connection of the same ends is in its way: the client would not know of it.
            let reset = at.back(segment.ack, Flags::RST);
            let hop = self.way_to(reset.tuple.dst.addr, &reset.tuple);
            return Ok(Plan::Instead(reset, hop.map_err(Cause::from)?));
        };
        let handle = self.take(&step, shard, handle, at.way, at.real);
        let entry = shard.entry_mut(handle);
        if !entry.tracked.is_answered() {
            // It refuses. Another one is asked when its time is up.
            return Err(Cause::ReplyRefused);
        }
        if let Some([value, _]) = clock_of(at.packet, frame) {
            entry.set_clock(entry.clock().wrapping_sub(value));
        }
        let handle = self.join(shard, handle, at.real, segment.seq);
        self.count(at.real, &at.packet.layout, at.way);
        let plan = self.answers_again(shard.entry(handle), frame, segment, at);
        plan.ok_or(Cause::TcpHandshake)
    }

    /// The real server's SYN+ACK, its first or one after its acknowledgement was lost: it is told that
    /// the client is there, and the client gets a window.
    fn answers_again(
        &self,
        entry: &Entry,
        frame: &[u8],
        segment: &Segment,
        at: &Onward<'_>,
    ) -> Option<Plan> {
        let Tracked::Tcp(tracking) = &entry.tracked else {
            return None;
        };
        let splice = splice_of(entry)?;
        let clock = clock_of(at.packet, frame);
        let client = tracking.peer(Direction::Original);
        self.errands.add(Word {
            ack: segment.seq.wrapping_add(1),
            window: (client.max_window >> client.shift).min(u16::MAX.into()) as u16,
            options: Options::of_data(clock.map(|[value, echo]| [echo, value])),
            ..at.back(segment.ack, Flags::ACK)
        });
        let [_, [_, told]] = splice.scales;
        let seq = segment.seq.wrapping_add(splice.numbers).wrapping_add(1);
        let told_clock = |[value, echo]: [u32; 2]| [value.wrapping_add(splice.clock), echo];
        let window = Word {
            window: rescaled(segment.window, [0, told]),
            options: Options::of_data(clock.map(told_clock)),
            ..at.word(seq, segment.ack, Flags::ACK)
        };
        Some(Plan::Instead(window, at.hop))
    }

    /// Makes a segment that goes on one of the other half.
    pub(super) fn translate_splice(&self, entry: &Entry, frame: &mut [u8], at: &Onward<'_>) {
        if let Some(splice) = splice_of(entry) {
            splice.translate(at.packet.layout.segment_mut(frame), at.way);
        }
    }
}

impl Onward<'_> {
    /// A word that goes where the packet was to go.
    fn word(&self, seq: u32, ack: u32, flags: u8) -> Word {
        Word {
            tuple: self.to,
            seq,
            ack,
            flags,
            window: 0,
            options: Options::default(),
        }
    }

    /// One that goes back to where it has come from.
    fn back(&self, seq: u32, flags: u8) -> Word {
        Word {
            tuple: self.packet.tuple.reversed(),
            ..self.word(seq, 0, flags)
        }
    }
}

/// How the halves of a connection differ, if both are there.
pub(super) fn splice_of(entry: &Entry) -> Option<Splice> {
    let Tracked::Tcp(tracking) = &entry.tracked else {
        return None;
    };
    let numbers = tracking.gap()?;
    let shift = |way| tracking.peer(way).shift;
    let offered = tracking.client_scale();
    let told = offered.map_or(0, |_| cookie::SCALE);
    Some(Splice {
        numbers,
        clock: entry.clock(),
        scales: [
            [offered.unwrap_or(0), shift(Direction::Original)],
            [shift(Direction::Reply), told],
        ],
    })
}

/// A segment's clock, and its echo of the other end's.
fn clock_of(packet: &Transport, frame: &[u8]) -> Option<[u32; 2]> {
    let said = Hello::read(packet.layout.segment(frame)).timestamps?;
    Some([said.value, said.echo])
}
