//! What the director says for one end of a connection to the other, beside the packet at hand.

use std::cell::RefCell;

use super::view::{View, flow_of};
use crate::forward::{self, Word};
use crate::neighbour::Hop;
use crate::wire::Mac;
use crate::worker::Outbox;
use crate::xsk::{Frame, Umem};

/// How many may wait for the end of a batch; a client or a real server that misses one asks again.
const ROOM: usize = 256;

/// What a worker has still to say.
#[derive(Debug)]
pub(super) struct Errands(RefCell<Vec<Word>>);

impl Default for Errands {
    fn default() -> Self {
        Self(RefCell::new(Vec::with_capacity(ROOM)))
    }
}

impl Errands {
    /// Has a word said soon.
    pub(super) fn add(&self, word: Word) {
        let mut waiting = self.0.borrow_mut();
        if waiting.len() < ROOM {
            waiting.push(word);
        }
    }
}

impl View<'_> {
    /// Says what waits.
    pub(super) fn run_errands(&self, umem: &Umem, out: &mut Outbox) {
        for word in self.errands.0.borrow_mut().drain(..) {
            let to = word.tuple.dst.addr;
            let Ok(hop) = self.way_to(to, flow_of(&word.tuple)) else {
                continue;
            };
            let Some(mut frame) = out.blank() else {
                return;
            };
            say(umem, &mut frame, &word, &hop);
            self.utter(umem, frame, &hop, out);
        }
    }
}

/// Makes a frame a word that goes to `hop`.
pub(super) fn say(umem: &Umem, frame: &mut Frame, word: &Word, hop: &Hop) {
    let length = word.write(umem.room_mut(frame));
    frame.set_len(length.unwrap_or(0));
    let bytes = umem.packet_mut(frame);
    forward::set_ethernet(bytes, Mac(hop.src_mac), Mac(hop.dst_mac));
}
