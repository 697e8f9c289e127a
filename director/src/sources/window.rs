//! What is counted until it is shown: the heaviest sources of a window of time.

use super::heavy::{Heavy, HeavyHitters, Sample};
use super::{FEWEST, LEVELS, Shown, WINDOW, masked};
use crate::time::Tick;

/// A window that is open.
#[derive(Debug)]
pub(super) struct Window {
    /// Sources, and the networks that they are in, wider ones last.
    hitters: [HeavyHitters; LEVELS],
    began: Tick,
    packets: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            hitters: std::array::from_fn(|_| HeavyHitters::new()),
            began: Tick::default(),
            packets: 0,
        }
    }
}

impl Window {
    /// Takes in a packet, for its source as that is shown, and for the networks that it is in.
    pub(super) fn add(&mut self, sample: Sample) {
        self.packets += sample.weight;
        for (level, hitters) in self.hitters.iter_mut().enumerate() {
            hitters.add(&Sample {
                source: masked(sample.source, level),
                ..sample
            });
        }
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
        let is_known = |heavy: &&Heavy| exact || heavy.samples >= FEWEST;
        for (heavy, hitters) in seen.heavy.iter_mut().zip(&mut self.hitters) {
            heavy.clear();
            heavy.extend(hitters.all().iter().filter(is_known));
            hitters.clear();
        }
        drop(seen);
        (self.began, self.packets) = (now, 0);
    }
}
