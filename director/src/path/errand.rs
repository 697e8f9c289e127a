//! What the director says for one end of a connection to the other, beside the packet at hand.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::forward::{self, Word};
use crate::neighbour::Hop;
use crate::wire::Mac;
use crate::xsk::{Frame, Umem};

/// How many may wait for the end of a batch; a client or a real server that misses one asks again.
const ROOM: usize = 256;

/// What a worker has still to say.
#[derive(Debug)]
pub(super) struct Errands(RefCell<VecDeque<Word>>);

impl Default for Errands {
    fn default() -> Self {
        Self(RefCell::new(VecDeque::with_capacity(ROOM)))
    }
}

impl Errands {
    /// Has a word said soon.
    pub(super) fn add(&self, word: Word) {
        let mut waiting = self.0.borrow_mut();
        if waiting.len() < ROOM {
            waiting.push_back(word);
        }
    }

    /// The next one.
    pub(super) fn next(&self) -> Option<Word> {
        self.0.borrow_mut().pop_front()
    }
}

/// Makes a frame a word that goes to `hop`.
pub(super) fn say(umem: &Umem, frame: &mut Frame, word: &Word, hop: &Hop) {
    let length = word.write(umem.room_mut(frame));
    frame.set_len(length.unwrap_or(0));
    let bytes = umem.packet_mut(frame);
    forward::set_ethernet(bytes, Mac(hop.src_mac), Mac(hop.dst_mac));
}
