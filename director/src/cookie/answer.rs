//! The SYN+ACK with a cookie, or the one that a client resets, as `bpf/cookie/answer.h` makes them in
//! the gate: for the SYNs that the gate leaves to the director.

use super::recipe::Recipe;
use super::{SCALE, WINDOW};
use crate::forward::reply::{Greeting, greet};
use crate::wire::tcp::Segment;
use crate::wire::{Options, Transport};

/// ECE: ECN is agreed on (RFC 3168 §6.1.1).
const ECE: u8 = 0x40;

impl Recipe {
    /// Answers the SYN in `buffer`; the length of the answer.
    pub fn answer(&self, buffer: &mut [u8], packet: &Transport) -> Option<usize> {
        match self.resets {
            true => self.provoke(buffer, packet),
            false => self.welcome(buffer, packet),
        }
    }

    /// With an acknowledgement that its client resets.
    fn provoke(&self, buffer: &mut [u8], packet: &Transport) -> Option<usize> {
        let syn = Segment::parse(packet.layout.segment(buffer)).ok()?;
        let bait = self.bait(packet.tuple.src, syn.seq)?;
        let greeting = Greeting {
            // Nobody looks at it.
            sequence: !bait,
            acknowledged: bait,
            flags: 0,
            window: WINDOW,
            options: &[],
        };
        greet(buffer, packet, &greeting)
    }

    /// With a cookie.
    fn welcome(&self, buffer: &mut [u8], packet: &Transport) -> Option<usize> {
        let bytes = packet.layout.segment(buffer);
        let syn = Segment::parse(bytes).ok()?;
        let minted = self.mint(packet.tuple.src, &syn, bytes)?;
        let offer = &minted.offer;
        let scale = offer.scale.map(|_| SCALE);
        let options = Options::of_handshake(self.mss, offer.sack, minted.timestamps, scale);
        let greeting = Greeting {
            sequence: minted.sequence,
            acknowledged: syn.seq.wrapping_add(1),
            flags: if offer.ecn { ECE } else { 0 },
            window: self.window(),
            options: options.as_slice(),
        };
        greet(buffer, packet, &greeting)
    }
}
