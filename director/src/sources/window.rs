//! What is counted until it is shown: the heaviest sources of a window of time.

use super::heavy::{Heavy, HeavyHitters, Sample};
use super::{FEWEST, NETWORK, Shown, WINDOW};
use crate::time::Tick;

/// A window that is open.
#[derive(Debug)]
pub(super) struct Window {
    hitters: HeavyHitters,
    began: Tick,
    packets: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            hitters: HeavyHitters::new(),
            began: Tick::default(),
            packets: 0,
        }
    }
}

impl Window {
    /// Takes in a packet, for its source as that is shown.
    pub(super) fn add(&mut self, sample: Sample) {
        self.packets += sample.weight;
        self.hitters.add(&Sample {
            source: match sample.source.is_v4() {
                true => sample.source,
                false => sample.source.masked(NETWORK),
            },
            ..sample
        });
    }

    /// Shows what there is when it has been open for so long, and begins anew. `exact` says whether
    /// every packet was looked at.
    pub(super) fn turn(&mut self, now: Tick, exact: bool, shown: &Shown) {
        let length = self.began.until(now);
        if length < WINDOW {
            return;
        }
        // Who reads it holds the lock for the copy of some kilobytes; the next tick will do.
        let Some(mut seen) = shown.0.try_lock() else {
            return;
        };
        (seen.length, seen.ended, seen.packets) = (length, now, self.packets);
        seen.heavy.clear();
        let is_known = |heavy: &&Heavy| exact || heavy.samples >= FEWEST;
        let known = self.hitters.all().iter().filter(is_known);
        seen.heavy.extend(known);
        drop(seen);
        self.hitters.clear();
        (self.began, self.packets) = (now, 0);
    }
}
