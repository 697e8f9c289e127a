//! The SYN+ACK with a cookie, as `bpf/cookie/answer.h` makes it in the gate: for the SYNs that the
//! gate leaves to the director.

use super::recipe::{Minted, Recipe};
use super::{SCALE, WINDOW};
use crate::forward::reply::{Greeting, greet};
use crate::wire::Transport;
use crate::wire::tcp::Segment;

/// ECE: ECN is agreed on (RFC 3168 §6.1.1).
const ECE: u8 = 0x40;

/// The options that it can have: MSS, SACK, timestamps, scale.
const MOST: usize = 20;

/// Options of a SYN+ACK, in whole words.
#[derive(Default)]
struct Options {
    bytes: [u8; MOST],
    length: usize,
}

impl Options {
    fn of(minted: &Minted, mss: u16) -> Self {
        let mut options = Self::default();
        let [high, low] = mss.to_be_bytes();
        options.add([2, 4, high, low]);
        let offer = &minted.offer;
        if let Some([value, echo]) = minted.timestamps {
            let sack = if offer.sack { [4, 2] } else { [1, 1] };
            options.add([sack[0], sack[1], 8, 10]);
            options.add(value.to_be_bytes());
            options.add(echo.to_be_bytes());
        } else if offer.sack {
            options.add([1, 1, 4, 2]);
        }
        if offer.scale.is_some() {
            options.add([1, 3, 3, SCALE]);
        }
        options
    }

    fn add(&mut self, word: [u8; 4]) {
        self.bytes[self.length..self.length + 4].copy_from_slice(&word);
        self.length += 4;
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Recipe {
    /// Answers the SYN in `buffer` with a cookie; the length of the answer.
    pub fn answer(&self, buffer: &mut [u8], packet: &Transport) -> Option<usize> {
        let bytes = packet.layout.segment(buffer);
        let syn = Segment::parse(bytes).ok()?;
        let minted = self.mint(packet.tuple.src, &syn, bytes)?;
        let options = Options::of(&minted, self.mss);
        let greeting = Greeting {
            sequence: minted.sequence,
            flags: if minted.offer.ecn { ECE } else { 0 },
            window: WINDOW,
            options: options.as_slice(),
        };
        greet(buffer, packet, &greeting)
    }
}
