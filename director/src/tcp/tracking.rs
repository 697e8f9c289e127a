//! One tracked connection: what each end has said, and what a segment means after that.
//!
//! The director stands before both ends: it judges a packet before it sends it on, so it has
//! always seen the cause of an answer. What it has not seen, nobody was told.
//!
//! The handshake is known in three steps, whatever the state table makes of them: the client's
//! SYN ([`Tracking::opening`]); the real server's SYN+ACK (`ANSWERED`); the client's ACK of just
//! that (`CONFIRMED`).

mod agreed;
mod handshake;
mod midway;
mod one_way;
mod said;
mod spliced;

pub use said::Said;

pub use agreed::Agreement;

use super::judgement::{Invalid, Judgement, Unmoved};
use super::window::{ACK_SLACK, Misfit, Peer, after};
use super::{Event, State, StateTable};
use crate::direction::Direction;
use crate::wire::tcp::{Flags, Segment};

/// All that is tracked of one TCP connection, packed for the connection table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Tracking {
    /// [`Peer::end`] of client and real server.
    end: [u32; 2],
    /// [`Peer::max_end`].
    max_end: [u32; 2],
    /// [`Peer::max_ack`].
    max_ack: [u32; 2],
    /// [`Peer::max_window`], in units of the shift in force, rounded up.
    max_window: [u16; 2],
    /// Under `NOTED_SYN`: sequence number of that SYN. Under `NOTED_CHALLENGE`: the
    /// acknowledgement of that segment. `SPLICED` has it for itself.
    note: u32,
    /// Window scale that each end has offered, plus one; 0 = none. Four bits each.
    scales: u8,
    /// The same of the SYN that is noted.
    note_scale: u8,
    /// What is known beside the state.
    flags: u8,
    /// The state.
    pub state: State,
}

const _: () = assert!(size_of::<Tracking>() == 36);

/// No segment is longer.
const LONGEST_SEGMENT: u32 = 65_535;

/// How far back an ICMP error may quote at least: a window without scaling.
const QUOTED_WINDOW: u32 = 65_535;

/// How much a real server may have under way, bytes.
const UNDER_WAY: u32 = 8 << 20;

/// The real server's half is known.
const ANSWERED: u8 = 1 << 0;
/// The client has acknowledged the real server's SYN.
const CONFIRMED: u8 = 1 << 1;
/// `note` holds a SYN that is not this connection's.
const NOTED_SYN: u8 = 1 << 2;
/// `note` holds where the real server says an older connection stands.
const NOTED_CHALLENGE: u8 = 1 << 3;
/// A RST has come that was in the window but not exact.
const DOUBTFUL_RESET: u8 = 1 << 4;
/// Both ends are known to talk to each other.
const PROVED: u8 = 1 << 5;
/// One-way: after the handshake the client has acknowledged more of what the real server says.
const HEARD: u8 = 1 << 6;
/// One-way: after the handshake the client has sent data.
const SPOKE: u8 = 1 << 7;

/// `Ok`: the segment is the connection's, and its numbers have been taken in.
type Finding = Result<(), Judgement>;

impl From<Misfit> for Judgement {
    fn from(misfit: Misfit) -> Self {
        match misfit {
            Misfit::Invalid(reason) => Self::Invalid(reason),
            Misfit::Unmoved(reason) => Self::Ignore(reason),
        }
    }
}

impl Tracking {
    /// A connection that the client's `syn` opens. The caller has checked that it is a SYN alone.
    pub fn opening(syn: &Segment) -> Self {
        let mut opened = Self {
            scales: offered(syn.scale),
            state: State::SynRecv,
            ..Self::default()
        };
        let client = Peer {
            end: syn.end(),
            max_end: syn.end(),
            max_window: u32::from(syn.window).max(1),
            ..Peer::default()
        };
        let server = Peer {
            max_ack: syn.seq,
            ..Peer::default()
        };
        opened.store(Direction::Original, client, server);
        opened
    }

    /// A connection that is picked up in the middle, from what its real server says. Windows and their
    /// scales are not known: the largest are assumed. The client has yet to agree.
    pub fn resumed(said: &Segment) -> Self {
        let mut resumed = Self {
            scales: offered(Some(14)) | offered(Some(14)) << 4,
            flags: ANSWERED,
            state: State::SynAck,
            ..Self::default()
        };
        let widest = u32::from(u16::MAX) << 14;
        let server = Peer {
            // What comes again after a loss is the oldest of what is under way.
            end: said.end().wrapping_add(UNDER_WAY),
            max_end: said.end().wrapping_add(widest),
            max_ack: said.ack,
            max_window: widest,
            ..Peer::default()
        };
        let client = Peer {
            end: said.ack,
            max_end: said.ack.wrapping_add(widest),
            // It may not have heard what is said for the first time here.
            max_ack: said.seq.wrapping_sub(ACK_SLACK),
            max_window: widest,
            ..Peer::default()
        };
        resumed.store(Direction::Original, client, server);
        resumed
    }

    /// What `segment`, going in `direction`, means; takes it in when it is the connection's.
    pub fn judge(
        &mut self,
        direction: Direction,
        segment: &Segment,
        table: &StateTable,
    ) -> Judgement {
        let Some(event) = Event::of(segment.flags) else {
            return Judgement::Invalid(Invalid::Flags);
        };
        let from = self.state;
        let finding = match event {
            Event::Syn => self.syn(direction, segment),
            Event::Rst => self.reset(direction, segment),
            Event::Fin | Event::Ack => self.data(direction, segment),
        };
        match finding {
            Ok(()) => {
                self.state = table.next(direction, event, self.state);
                let to = self.state;
                if self.has(CONFIRMED) && self.has(ANSWERED) && !to.is_half_open() {
                    self.flags |= PROVED;
                }
                Judgement::Accept { from, to }
            }
            Err(judgement) => judgement,
        }
    }

    /// The segment that a first fragment going in `direction` begins, whose length is not known:
    /// the longest that ends within the receiver's window, so that no acknowledgement of it is
    /// above what was sent. It ends no connection, as nobody can say where its FIN stands.
    #[inline(never)]
    pub fn open_ended(&self, direction: Direction, segment: Segment) -> Segment {
        let max_end = self.peer(direction).max_end;
        let longest = match after(max_end, segment.seq) {
            true => max_end.wrapping_sub(segment.seq).min(LONGEST_SEGMENT),
            false => 0,
        };
        Segment {
            payload: segment.payload.max(longest),
            ..segment.without_fin()
        }
    }

    /// `segment`, with the numbers that the end that sends in `direction` would give it next, as far as
    /// is known. Of an end that is not heard it acknowledges no more than before.
    pub fn timely(&self, direction: Direction, segment: Segment) -> Segment {
        let (sender, receiver) = self.load(direction);
        let is_syn = segment.flags.has(Flags::SYN);
        Segment {
            seq: sender.end.wrapping_sub(is_syn.into()),
            ack: match direction == Direction::Reply || self.has(ANSWERED) {
                true => receiver.end,
                false => sender.max_ack,
            },
            ..segment
        }
    }

    /// Whether both ends are known to talk to each other: both have said so, or, when one is not
    /// heard, what the other has said says so. Until then a connection is on probation.
    #[inline]
    pub const fn is_proved(&self) -> bool {
        self.has(PROVED)
    }

    /// Whether the real server's half is known.
    pub const fn is_answered(&self) -> bool {
        self.has(ANSWERED)
    }

    /// The client's initial sequence number, as long as the real server has not acknowledged more;
    /// where it is never heard, for good.
    pub const fn client_isn(&self) -> u32 {
        self.max_ack[Direction::Reply as usize]
    }

    /// The real server's initial sequence number, as long as its SYN is all that it has said.
    pub fn server_isn(&self) -> Option<u32> {
        let answered = self.has(ANSWERED) && self.state.is_half_open();
        answered.then(|| self.peer(Direction::Reply).end.wrapping_sub(1))
    }

    /// What is known of the end that sends in `direction`.
    pub fn peer(&self, direction: Direction) -> Peer {
        let side = direction as usize;
        let shift = self.shift(direction);
        Peer {
            end: self.end[side],
            max_end: self.max_end[side],
            max_ack: self.max_ack[side],
            max_window: u32::from(self.max_window[side]) << shift,
            shift,
        }
    }

    /// Whether the end that sends in `direction` can have sent sequence number `seq` lately, so
    /// that an ICMP error may quote it: not beyond what it has sent, nor further back than the
    /// largest window that it was ever given.
    pub fn has_sent(&self, direction: Direction, seq: u32) -> bool {
        let window = self
            .peer(direction.reversed())
            .max_window
            .max(QUOTED_WINDOW);
        self.peer(direction).end.wrapping_sub(seq) <= window
    }

    /// Whether a RST has come that was inside the window but not exact, so that it was left to
    /// the endpoint.
    pub const fn has_doubtful_reset(&self) -> bool {
        self.has(DOUBTFUL_RESET)
    }

    /// A segment with ACK and neither SYN nor RST.
    fn data(&mut self, direction: Direction, segment: &Segment) -> Finding {
        if self.is_alleged() {
            return self.alleged(direction, segment);
        }
        if !self.has(ANSWERED) {
            return Err(self.unanswered(direction, segment));
        }
        let (mut sender, mut receiver) = self.load(direction);
        let from_client = direction == Direction::Original;
        if from_client && !self.has(CONFIRMED) && !after(segment.ack, sender.max_ack) {
            return Err(Judgement::Invalid(Invalid::Handshake));
        }
        sender.check(&receiver, segment)?;
        sender.advance(&mut receiver, segment);
        self.store(direction, sender, receiver);
        if from_client {
            self.flags |= CONFIRMED;
        }
        match self.has(CONFIRMED) {
            true => Ok(()),
            false => Err(Judgement::Ignore(Unmoved::Unconfirmed)),
        }
    }

    /// Nobody knows whether the client's segments are its own: its FIN is for the real server to judge.
    fn alleged(&mut self, direction: Direction, segment: &Segment) -> Finding {
        if direction == Direction::Original && segment.flags.has(Flags::FIN) {
            return Err(Judgement::Ignore(Unmoved::Doubtful));
        }
        self.learn(direction, segment);
        Ok(())
    }

    /// Before the real server's SYN the client has nothing to acknowledge; the real server can
    /// speak of an older connection only, which the client's RST then ends.
    fn unanswered(&mut self, direction: Direction, segment: &Segment) -> Judgement {
        match direction {
            Direction::Original => Judgement::Invalid(Invalid::Handshake),
            Direction::Reply if self.is_spliced() => Judgement::Ignore(Unmoved::Challenge),
            Direction::Reply => {
                self.note = segment.ack;
                self.flags = self.flags & !NOTED_SYN | NOTED_CHALLENGE;
                Judgement::Ignore(Unmoved::Challenge)
            }
        }
    }

    /// A RST (RFC 5961 §3): exact closes, inside the window is the endpoint's to judge, outside
    /// is invalid.
    fn reset(&mut self, direction: Direction, segment: &Segment) -> Finding {
        match direction {
            Direction::Original if self.answers_challenge(segment) => {
                return Err(Judgement::Ignore(Unmoved::Challenge));
            }
            Direction::Original if self.is_alleged() => {
                return Err(Judgement::Ignore(Unmoved::Reset));
            }
            Direction::Reply if self.refuses(segment) => return Ok(()),
            _ => {}
        }
        let (sender, receiver) = self.load(direction);
        if self.is_exact(direction, segment) {
            return Ok(());
        }
        let in_window = !after(receiver.max_ack, segment.seq) && sender.starts_in_window(segment);
        if !self.has(ANSWERED) || !in_window {
            return Err(Judgement::Invalid(Invalid::Reset));
        }
        self.flags |= DOUBTFUL_RESET;
        Err(Judgement::Ignore(Unmoved::Reset))
    }

    /// Whether a RST stands where its receiver expects the next byte, as far as can be known: at
    /// what the receiver has acknowledged, or after all that the sender has sent.
    fn is_exact(&self, direction: Direction, segment: &Segment) -> bool {
        let (sender, receiver) = self.load(direction);
        let (heard, acked) = match direction {
            Direction::Original => (true, self.has(ANSWERED)),
            Direction::Reply => (self.has(ANSWERED), self.has(CONFIRMED)),
        };
        heard && segment.seq == sender.end || acked && segment.seq == receiver.max_ack
    }

    /// Whether this is the RST of a real server that does not want the connection: it
    /// acknowledges the SYN (RFC 9293 §3.10.7.3).
    fn refuses(&self, segment: &Segment) -> bool {
        let wanted = self.state.is_half_open() && !self.has(CONFIRMED);
        wanted && segment.flags.has(Flags::ACK) && self.acks_client_syn(segment)
            || self.answers_noted_syn(segment)
    }

    /// Whether the client ends what the real server has spoken of (RFC 9293 §3.10.7.3: the RST
    /// to an unacceptable ACK takes its number).
    fn answers_challenge(&self, segment: &Segment) -> bool {
        self.has(NOTED_CHALLENGE) && segment.seq == self.note
    }

    /// Whether the real server's half is known and the client has not acknowledged it.
    const fn is_unconfirmed(&self) -> bool {
        self.flags & (ANSWERED | CONFIRMED) == ANSWERED
    }

    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// What the window field of the end that sends in `direction` is shifted by: its scale when
    /// both ends have offered one (RFC 7323 §2.2), else nothing.
    const fn shift(&self, direction: Direction) -> u8 {
        let (client, server) = (self.scales & 0x0f, self.scales >> 4);
        match (client, server, direction) {
            (0, _, _) | (_, 0, _) => 0,
            (scale, _, Direction::Original) | (_, scale, Direction::Reply) => scale - 1,
        }
    }

    /// Sender and receiver of a segment that goes in `direction`.
    fn load(&self, direction: Direction) -> (Peer, Peer) {
        (self.peer(direction), self.peer(direction.reversed()))
    }

    fn store(&mut self, direction: Direction, sender: Peer, receiver: Peer) {
        for (direction, peer) in [(direction, sender), (direction.reversed(), receiver)] {
            let side = direction as usize;
            let units = peer.max_window.div_ceil(1 << self.shift(direction));
            self.end[side] = peer.end;
            self.max_end[side] = peer.max_end;
            self.max_ack[side] = peer.max_ack;
            self.max_window[side] = units.min(u32::from(u16::MAX)) as u16;
        }
    }
}

/// A window scale option as [`Tracking::scales`] holds it.
const fn offered(scale: Option<u8>) -> u8 {
    match scale {
        Some(scale) if scale < 14 => scale + 1,
        Some(_) => 15,
        None => 0,
    }
}

#[cfg(test)]
mod tests;
