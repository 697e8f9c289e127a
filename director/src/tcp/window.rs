//! Sequence windows: what one end can have sent, given what the other end has said.
//!
//! The four bounds are those of G. van Rooij, "Real Stateful TCP Packet Filtering in IP Filter"
//! (2001), as nf_conntrack applies them (`tcp_in_window`): I and III are upper bounds and hold for
//! every segment that an honest end sends; II and IV are lower bounds, which an old duplicate may
//! miss.

use super::judgement::{Invalid, Unmoved};
use crate::wire::tcp::{Flags, Segment};

/// How far below the data sent an acknowledgement may always lie, bytes (`MAXACKWINCONST` of
/// nf_conntrack: a full unscaled window).
pub(super) const ACK_SLACK: u32 = 66_000;

/// Whether `a` lies after `b` on the circle of sequence numbers (RFC 9293 §3.4): the only place
/// where they are compared.
#[inline]
pub(crate) const fn after(a: u32, b: u32) -> bool {
    (b.wrapping_sub(a) as i32) < 0
}

/// The later of two sequence numbers.
#[inline]
pub(super) const fn later(a: u32, b: u32) -> u32 {
    if after(a, b) { a } else { b }
}

/// One end of a connection: how far it has sent, and how far the other end lets it send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Sequence number after the highest one sent (SND.NXT as seen here).
    pub end: u32,
    /// Highest sequence number that this end may send, from the other end's ACK + window.
    pub max_end: u32,
    /// Highest acknowledgement that this end has sent; before the first, the other end's initial
    /// sequence number.
    pub max_ack: u32,
    /// Largest window that this end has advertised, bytes.
    pub max_window: u32,
    /// What the window field of this end's segments is shifted by.
    pub shift: u8,
}

impl Peer {
    /// The window that `segment` of this end advertises, bytes. The window of a SYN is never
    /// scaled (RFC 7323 §2.2).
    fn window(&self, segment: &Segment) -> u32 {
        if segment.flags.has(Flags::SYN) {
            u32::from(segment.window)
        } else {
            u32::from(segment.window) << self.shift
        }
    }

    /// I: the segment starts within the receiver's window, or where an accepted one has ended: a
    /// FIN behind a full window ends one above it, and what its sender says next starts there.
    pub(super) const fn starts_in_window(&self, segment: &Segment) -> bool {
        !after(segment.seq, later(self.max_end, self.end))
    }

    /// II: the segment ends at most a window below what was sent; or where the receiver is known to
    /// have come, when more is taken for sent than was.
    const fn ends_in_window(&self, receiver: &Self, segment: &Segment) -> bool {
        let within = self.end.wrapping_sub(receiver.max_window);
        !after(within, segment.end()) || !after(receiver.max_ack, segment.end())
    }

    /// III: the segment acknowledges only what the receiver has sent.
    const fn acks_sent(&self, receiver: &Self, segment: &Segment) -> bool {
        !after(highest_ack(segment), receiver.end)
    }

    /// IV: the segment acknowledges at most a window below what this end has acknowledged before.
    ///
    /// The paper measures from what the receiver has sent. This is the bound of RFC 5961 §5, so
    /// that nothing counts as old here that the receiver takes in.
    const fn acks_in_window(&self, segment: &Segment) -> bool {
        let slack = if self.max_window > ACK_SLACK {
            self.max_window
        } else {
            ACK_SLACK
        };
        !after(self.max_ack.wrapping_sub(slack), highest_ack(segment))
    }

    /// Bounds I-IV together, for a segment with ACK from this end to `receiver`.
    pub(super) fn check(&self, receiver: &Self, segment: &Segment) -> Result<(), Misfit> {
        if !self.starts_in_window(segment) {
            Err(Misfit::Invalid(Invalid::DataAboveWindow))
        } else if !self.acks_sent(receiver, segment) {
            Err(Misfit::Invalid(Invalid::AckAboveSent))
        } else if !self.ends_in_window(receiver, segment) {
            Err(Misfit::Unmoved(Unmoved::OldData))
        } else if !self.acks_in_window(segment) {
            Err(Misfit::Unmoved(Unmoved::OldAck))
        } else {
            Ok(())
        }
    }

    /// Takes in what a segment with ACK from this end says to `receiver`.
    pub(super) fn advance(&mut self, receiver: &mut Self, segment: &Segment) {
        let window = self.window(segment);
        let edge = right_edge(segment.ack, window);
        self.end = later(segment.end(), self.end);
        self.max_ack = later(segment.ack, self.max_ack);
        self.max_window = self.max_window.max(window);
        receiver.max_end = later(edge, receiver.max_end);
    }
}

/// The highest number that an acknowledgement with `window` allows: a closed window may be probed
/// with one byte (RFC 9293 §3.8.6.1).
pub(super) const fn right_edge(ack: u32, window: u32) -> u32 {
    ack.wrapping_add(if window == 0 { 1 } else { window })
}

/// Why a segment misses the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// An upper bound: no honest end sends it.
    Invalid(Invalid),
    /// A lower bound: old, harmless.
    Unmoved(Unmoved),
}

/// The highest number that the segment acknowledges, by ACK or by SACK.
const fn highest_ack(segment: &Segment) -> u32 {
    match segment.sack {
        Some(sack) => later(sack, segment.ack),
        None => segment.ack,
    }
}
