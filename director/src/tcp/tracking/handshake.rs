//! The handshake: what the SYNs of both ends mean, and of which connection they are.

use super::{
    ANSWERED, CONFIRMED, Finding, NOTED_CHALLENGE, NOTED_SYN, Tracking, UNDER_WAY, offered,
};
use crate::direction::Direction;
use crate::tcp::judgement::{Invalid, Judgement, Unmoved};
use crate::tcp::window::{after, later, right_edge};
use crate::wire::tcp::{Flags, Segment};

impl Tracking {
    pub(super) fn syn(&mut self, direction: Direction, segment: &Segment) -> Finding {
        match (direction, segment.flags.has(Flags::ACK)) {
            (Direction::Original, false) => self.client_syn(segment),
            (Direction::Original, true) => self.client_syn_ack(segment),
            (Direction::Reply, false) => self.server_syn(segment),
            (Direction::Reply, true) => self.server_syn_ack(segment),
        }
    }

    /// A SYN from the client: the one that opened the connection once more, or another one, which
    /// opens the next when this one is over.
    fn client_syn(&mut self, segment: &Segment) -> Finding {
        if self.state.is_over() {
            *self = Self::opening(segment);
            return Ok(());
        }
        if !self.repeats_client_syn(segment) {
            self.note_syn(segment);
            return Err(Judgement::Ignore(Unmoved::Syn));
        }
        let (mut client, server) = self.load(Direction::Original);
        client.end = later(segment.end(), client.end);
        client.max_end = later(segment.end(), client.max_end);
        client.max_window = client.max_window.max(u32::from(segment.window));
        self.store(Direction::Original, client, server);
        Ok(())
    }

    /// A SYN+ACK from the client: only when both ends have sent a SYN (RFC 9293 §3.5, figure 7).
    fn client_syn_ack(&mut self, segment: &Segment) -> Finding {
        let (mut client, mut server) = self.load(Direction::Original);
        let crossing = self.is_unconfirmed() && segment.end() == client.end;
        if !crossing || segment.ack != server.end {
            return Err(Judgement::Invalid(Invalid::Handshake));
        }
        client.advance(&mut server, segment);
        self.store(Direction::Original, client, server);
        self.flags |= CONFIRMED;
        Ok(())
    }

    /// A SYN without ACK from the real server: it crosses the client's, or means nothing here.
    fn server_syn(&mut self, segment: &Segment) -> Finding {
        let first = self.state.is_half_open() && !self.has(ANSWERED);
        let again = self.is_unconfirmed() && segment.seq == self.peer(Direction::Original).max_ack;
        if !first && !again {
            return Err(Judgement::Ignore(Unmoved::Syn));
        }
        let acked = self.peer(Direction::Reply).max_ack;
        self.take_answer(segment, acked);
        Ok(())
    }

    /// The real server's SYN+ACK: to the client's SYN, or to the one noted when the real server
    /// has forgotten the connection that stands here.
    fn server_syn_ack(&mut self, segment: &Segment) -> Finding {
        if self.answers_noted_syn(segment) && !self.repeats_answer(segment) {
            *self = Self::opening(&self.noted_syn());
        }
        let open = !self.state.is_half_open() || self.has(CONFIRMED);
        if open {
            return Err(Judgement::Ignore(Unmoved::Syn));
        }
        if !self.acks_client_syn(segment) {
            return Err(Judgement::Invalid(Invalid::Handshake));
        }
        self.take_answer(segment, segment.ack);
        Ok(())
    }

    /// Records the real server's half from its SYN, which acknowledges the client up to `acked`.
    fn take_answer(&mut self, segment: &Segment, acked: u32) {
        let (mut client, mut server) = self.load(Direction::Original);
        let window = u32::from(segment.window);
        server.end = segment.end();
        server.max_end = segment.end().wrapping_add(client.max_window);
        server.max_ack = acked;
        server.max_window = window.max(1);
        client.max_end = later(right_edge(acked, window), client.max_end);
        client.max_ack = segment.seq;
        self.scales = self.scales & 0x0f | offered(segment.scale) << 4;
        self.store(Direction::Original, client, server);
        self.flags |= ANSWERED;
    }

    /// Whether the client's SYN is acknowledged, and nothing that the client has not sent.
    pub(super) fn acks_client_syn(&self, segment: &Segment) -> bool {
        let (client, server) = self.load(Direction::Original);
        let above_syn = after(segment.ack, server.max_ack)
            || self.has(ANSWERED) && segment.ack == server.max_ack;
        above_syn && !after(segment.ack, client.end)
    }

    fn repeats_client_syn(&self, segment: &Segment) -> bool {
        let acked = self.peer(Direction::Reply).max_ack;
        let same = if self.has(ANSWERED) {
            segment.seq.wrapping_add(1) == acked || segment.end() == acked
        } else {
            segment.seq == acked
        };
        same && self.state.is_half_open() && !self.has(CONFIRMED)
    }

    pub(super) fn note_syn(&mut self, segment: &Segment) {
        if self.is_spliced() {
            return;
        }
        self.note = segment.seq;
        self.note_scale = offered(segment.scale);
        self.flags = self.flags & !NOTED_CHALLENGE | NOTED_SYN;
    }

    /// The SYN that was noted, with the window that is the most it can have had.
    pub(super) fn noted_syn(&self) -> Segment {
        Segment {
            seq: self.note,
            flags: Flags(Flags::SYN),
            window: u16::MAX,
            scale: self.note_scale.checked_sub(1),
            ..Segment::default()
        }
    }

    pub(super) fn answers_noted_syn(&self, segment: &Segment) -> bool {
        self.has(NOTED_SYN)
            && segment.flags.has(Flags::ACK)
            && segment.ack == self.note.wrapping_add(1)
    }

    /// Whether a SYN+ACK is the one that this connection began with, late or come twice, and the
    /// SYN that was noted its like. The number that a real server draws anew is elsewhere.
    fn repeats_answer(&self, segment: &Segment) -> bool {
        let end = self.peer(Direction::Reply).end;
        self.has(CONFIRMED) && self.has(ANSWERED) && end.wrapping_sub(segment.end()) <= UNDER_WAY
    }
}
