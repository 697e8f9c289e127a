//! What the director says of its own accord, once a batch is walked.

use super::errand;
use super::view::View;
use crate::worker::Outbox;
use crate::xsk::Umem;

impl View<'_> {
    /// Says what ends of connections are still to be told.
    pub(super) fn run_errands(&self, umem: &Umem, out: &mut Outbox) {
        while let Some(word) = self.errands.next() {
            let Ok(hop) = self.way_to(word.tuple.dst.addr, &word.tuple) else {
                continue;
            };
            let Some(mut frame) = out.blank() else {
                return;
            };
            errand::say(umem, &mut frame, &word, &hop);
            self.utter(umem, frame, &hop, out);
        }
    }

    /// Tells real servers of what is gone, as far as it may be said now.
    pub(super) fn say_farewells(&self, umem: &Umem, out: &mut Outbox) {
        while let Some(farewell) = self.farewells.next(self.now) {
            let to = &farewell.to;
            let Ok(hop) = self.way_to(to.dst.addr, to) else {
                continue;
            };
            let Some(mut frame) = out.blank() else {
                return;
            };
            farewell.say(umem, &mut frame, &hop);
            self.utter(umem, frame, &hop, out);
        }
    }
}
