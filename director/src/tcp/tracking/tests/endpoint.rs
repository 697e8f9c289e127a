//! A small TCP endpoint: handshake, window, retransmission, close, reset (RFC 9293, RFC 5961).
//!
//! It counts in its own stream, SYN = 0, data from 1, FIN last, in 64 bits; only segments wrap.

use std::collections::BTreeMap;

use rand::Rng;
use rand::rngs::StdRng;

use super::*;

/// Ticks until what is not acknowledged is sent again.
const RETRANSMIT: u32 = 60;

/// What one end is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nature {
    /// Initial sequence number.
    pub isn: u32,
    /// Bytes to send.
    pub total: u64,
    /// Receive buffer, bytes.
    pub buffer: u64,
    /// Window scale that it offers.
    pub scale: Option<u8>,
    /// Largest segment, bytes; merged ones are far larger than any MSS.
    pub chunk: u64,
    /// Whether it sends SACK.
    pub sack: bool,
    /// Whether it closes when its data is sent, or only after the other end's FIN.
    pub eager: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Listen,
    SynSent,
    SynReceived,
    Open,
    /// Reset; answers with RST.
    Dead,
}

/// One end at work.
#[derive(Debug)]
pub(super) struct Endpoint {
    nature: Nature,
    stage: Stage,
    other_isn: u32,
    /// Oldest not acknowledged, next to send, highest that the other end allows.
    unacked: u64,
    next: u64,
    edge: u64,
    /// Shifts of the own and of the other window.
    shifts: [u8; 2],
    /// Next expected, read by the application, ranges beyond a gap, end of the other's stream.
    expected: u64,
    read: u64,
    beyond: BTreeMap<u64, u64>,
    /// What it has acknowledged last.
    acked: u64,
    other_end: Option<u64>,
    ack_due: bool,
    idle: u32,
    /// What is to go out after this tick.
    pub out: Vec<Segment>,
}

impl Endpoint {
    pub(super) fn new(nature: Nature, client: bool) -> Self {
        Self {
            nature,
            stage: if client {
                Stage::SynSent
            } else {
                Stage::Listen
            },
            other_isn: 0,
            unacked: 0,
            next: 0,
            edge: 0,
            shifts: [0; 2],
            expected: 0,
            read: 1,
            beyond: BTreeMap::new(),
            acked: 0,
            other_end: None,
            ack_due: false,
            idle: RETRANSMIT,
            out: Vec::new(),
        }
    }

    /// Whether both streams have ended and this end knows it.
    pub(super) fn is_done(&self) -> bool {
        self.unacked == self.nature.total + 2 && self.other_end == Some(self.expected)
    }

    pub(super) fn is_dead(&self) -> bool {
        self.stage == Stage::Dead
    }

    pub(super) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Whether a RST with this number would be ignored here.
    pub(super) fn ignores_reset(&self, segment: &Segment) -> bool {
        self.is_dead() || segment.seq != self.wire_expected() && !self.in_buffer(segment)
    }

    /// The application aborts.
    pub(super) fn abort(&mut self) {
        let seq = self.nature.isn.wrapping_add(self.next as u32);
        let reset = self.segment(seq, Flags::RST | Flags::ACK, 0);
        self.out.push(reset);
        self.stage = Stage::Dead;
    }

    pub(super) fn receive(&mut self, segment: &Segment) {
        let has = |flag| segment.flags.has(flag);
        match self.stage {
            Stage::Dead if !has(Flags::RST) => self.out.push(Segment {
                seq: segment.ack,
                flags: Flags(Flags::RST),
                ..Segment::default()
            }),
            Stage::Listen if has(Flags::SYN) => self.meet(segment, Stage::SynReceived),
            Stage::SynSent if has(Flags::SYN) && has(Flags::ACK) => {
                self.meet(segment, Stage::Open);
                self.take_ack(segment);
                self.ack_due = true;
            }
            Stage::SynReceived if has(Flags::SYN) => self.idle = RETRANSMIT,
            Stage::SynReceived if self.acks_syn(segment) => {
                self.stage = Stage::Open;
                self.receive_open(segment);
            }
            Stage::Open => self.receive_open(segment),
            _ => {}
        }
    }

    /// Learns the other end's SYN.
    fn meet(&mut self, syn: &Segment, stage: Stage) {
        self.stage = stage;
        self.other_isn = syn.seq;
        self.expected = 1;
        self.edge = self.edge.max(self.unacked + u64::from(syn.window));
        self.shifts = match (self.nature.scale, syn.scale) {
            (Some(own), Some(other)) => [own, other],
            _ => [0, 0],
        };
        if stage == Stage::SynReceived {
            self.nature.scale = self.nature.scale.filter(|_| syn.scale.is_some());
        }
    }

    fn acks_syn(&self, segment: &Segment) -> bool {
        segment.flags.has(Flags::ACK) && segment.ack == self.nature.isn.wrapping_add(1)
    }

    fn receive_open(&mut self, segment: &Segment) {
        if segment.flags.has(Flags::RST) {
            if segment.seq == self.wire_expected() {
                self.stage = Stage::Dead;
            } else {
                self.ack_due |= self.in_buffer(segment);
            }
        } else if segment.flags.has(Flags::SYN) {
            self.ack_due = true;
        } else if self.is_old(segment) {
            self.ack_due = true;
        } else {
            self.take_ack(segment);
            self.take_data(segment);
        }
    }

    /// Whether a segment ends below what was acknowledged, so that nothing in it counts (RFC 9293
    /// §3.10.7.4).
    fn is_old(&self, segment: &Segment) -> bool {
        let acked = self.other_isn.wrapping_add(self.acked as u32);
        after(acked, segment.end())
    }

    fn take_ack(&mut self, segment: &Segment) {
        let ack = u64::from(segment.ack.wrapping_sub(self.nature.isn));
        assert!(ack <= self.next, "acknowledges {ack} of {}", self.next);
        if ack > self.unacked {
            self.unacked = ack;
            self.idle = 0;
        }
        let syn = segment.flags.has(Flags::SYN);
        let shift = if syn { 0 } else { self.shifts[1] };
        self.edge = self.edge.max(ack + (u64::from(segment.window) << shift));
    }

    fn take_data(&mut self, segment: &Segment) {
        let ahead = segment.seq.wrapping_sub(self.wire_expected()) as i32;
        let start = self.expected.saturating_add_signed(ahead.into());
        let limit = self.read + self.nature.buffer + 1;
        let end = (start + u64::from(segment.length())).min(limit);
        self.ack_due |= segment.length() > 0 || ahead != 0;
        if segment.flags.has(Flags::FIN) && start + u64::from(segment.length()) <= limit {
            self.other_end = Some(end);
        }
        if end > start {
            let kept = self.beyond.entry(start).or_default();
            *kept = end.max(*kept);
        }
        while let Some((start, end)) = self.beyond.pop_first() {
            if start > self.expected {
                self.beyond.insert(start, end);
                break;
            }
            self.expected = self.expected.max(end);
        }
    }

    /// One tick: the application reads, what is due goes out.
    pub(super) fn tick(&mut self, rng: &mut StdRng) {
        self.idle += 1;
        match self.stage {
            Stage::SynSent if self.idle > RETRANSMIT => self.send_syn(Flags::SYN),
            Stage::SynReceived if self.idle > RETRANSMIT => self.send_syn(Flags::SYN | Flags::ACK),
            Stage::Open => self.tick_open(rng),
            _ => {}
        }
    }

    fn tick_open(&mut self, rng: &mut StdRng) {
        let before = self.window();
        let unread = self.expected - self.read;
        if rng.random_bool(0.3) {
            self.read += rng.random_range(0..=unread);
        }
        self.ack_due |= self.window() > before && before < 1 + (unread as u32) / 2;
        while self.next < self.edge.min(self.last()) && rng.random_bool(0.9) {
            self.send_next(rng.random_range(1..=self.nature.chunk));
        }
        if self.idle > RETRANSMIT {
            self.retransmit(rng);
        }
        if self.ack_due && rng.random_bool(0.7) {
            let seq = self.nature.isn.wrapping_add(self.next as u32);
            let ack = self.segment(seq, Flags::ACK, 0);
            self.out.push(ack);
        }
    }

    /// The end of the stream as far as it may go now, FIN included.
    fn last(&self) -> u64 {
        let may_close = self.nature.eager || self.other_end.is_some();
        self.nature.total + 1 + u64::from(may_close)
    }

    fn send_syn(&mut self, flags: u8) {
        self.idle = 0;
        self.next = 1;
        let mut syn = self.segment(self.nature.isn, flags, 0);
        syn.window = self.nature.buffer.min(65_535) as u16;
        syn.scale = self.nature.scale;
        self.out.push(syn);
    }

    fn send_next(&mut self, length: u64) {
        let length = length.min(self.edge - self.next);
        self.next += self.send_from(self.next, length);
    }

    /// Sends up to `length` of the stream from `start`; says how much it was.
    fn send_from(&mut self, start: u64, length: u64) -> u64 {
        let end = (start + length).min(self.last());
        let fin = end == self.nature.total + 2;
        let flags = Flags::ACK | if fin { Flags::FIN } else { Flags::PSH };
        let payload = end - start - u64::from(fin);
        let seq = self.nature.isn.wrapping_add(start as u32);
        let segment = self.segment(seq, flags, payload as u32);
        self.out.push(segment);
        end - start
    }

    /// The oldest once more; or a probe of a closed window; or a keep-alive.
    fn retransmit(&mut self, rng: &mut StdRng) {
        self.idle = 0;
        let pending = self.next < self.last();
        if self.unacked < self.next {
            let length = self.nature.chunk.min(self.next - self.unacked);
            self.send_from(self.unacked, length);
        } else if pending && rng.random_bool(0.5) {
            self.next += self.send_from(self.next, 1);
        } else if pending || rng.random_bool(0.3) {
            let old = self
                .nature
                .isn
                .wrapping_add(self.next as u32)
                .wrapping_sub(1);
            let probe = self.segment(old, Flags::ACK, 0);
            self.out.push(probe);
        }
    }

    fn segment(&mut self, seq: u32, flags: u8, payload: u32) -> Segment {
        self.ack_due = false;
        self.acked = self.expected;
        let beyond = self.beyond.values().max().filter(|_| self.nature.sack);
        Segment {
            seq,
            ack: if flags & Flags::ACK == 0 {
                0
            } else {
                self.wire_expected()
            },
            flags: Flags(flags),
            window: self.window() as u16,
            payload,
            scale: None,
            sack: beyond.map(|&end| self.other_isn.wrapping_add(end as u32)),
        }
    }

    /// The window field: what is free in the buffer, scaled.
    fn window(&self) -> u32 {
        let used = self.expected.saturating_sub(self.read);
        let free = self.nature.buffer.saturating_sub(used) >> self.shifts[0];
        free.min(65_535) as u32
    }

    fn wire_expected(&self) -> u32 {
        self.other_isn.wrapping_add(self.expected as u32)
    }

    fn in_buffer(&self, segment: &Segment) -> bool {
        u64::from(segment.seq.wrapping_sub(self.wire_expected())) < self.nature.buffer
    }
}
