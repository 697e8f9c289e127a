//! Weighted round robin (`ip_vs_wrr.c`).

use std::sync::Arc;

use parking_lot::Mutex;

use super::Scheduler;
use crate::service::Real;
use crate::wire::Tuple;

/// Goes through the list again and again with a level that sinks from the highest weight to the
/// lowest: who weighs at least the level is chosen. In one cycle each is chosen
/// weight / (greatest common divisor) times.
///
/// The mark is held for the few steps of one choice, as the kernel holds its spin lock.
#[derive(Debug, Default)]
pub(super) struct WeightedRoundRobin(Mutex<Mark>);

/// Where the cycle stands.
#[derive(Debug, Default)]
struct Mark {
    /// Index of the next real server to ask; the list's length = the level sinks first.
    next: usize,
    /// The level in force; 0 before the first real server.
    level: u32,
    /// The level at which a cycle starts; 0 when nobody has a weight.
    top: u32,
    /// What the level sinks by: the greatest common divisor of the weights.
    step: u32,
}

impl Mark {
    /// A new list, or new weights: goes on at the same level from the head of the list
    /// (`ip_vs_wrr_dest_changed`).
    fn change(&mut self, weights: impl Iterator<Item = u32> + Clone) {
        self.next = 0;
        self.step = weights.clone().fold(0, divisor).max(1);
        self.top = weights.max().unwrap_or(0).saturating_sub(self.step - 1);
        if self.level > self.top || self.level == 0 {
            self.level = self.top;
        } else if self.step > 1 {
            self.level = self.level / self.step * self.step + 1;
        }
    }

    /// The level below, or the top again.
    fn sink(&mut self) {
        self.next = 0;
        self.level = self.level.saturating_sub(self.step);
        if self.level == 0 {
            self.level = self.top;
        }
    }

    /// The next in the list who weighs at least the level.
    fn seek(&mut self, reals: &[Arc<Real>]) -> Option<usize> {
        let rest = reals.get(self.next..).unwrap_or_default();
        let found = rest.iter().position(|real| real.weight >= self.level)?;
        let place = self.next + found;
        self.next = place + 1;
        Some(place)
    }
}

impl Scheduler for WeightedRoundRobin {
    fn pick(&self, reals: &[Arc<Real>], _: &Tuple) -> Option<usize> {
        let heaviest = reals.iter().map(|real| real.weight).max()?;
        let mut mark = self.0.lock();
        if heaviest == 0 || mark.top == 0 {
            return None;
        }
        if let Some(place) = mark.seek(reals) {
            return Some(place);
        }
        mark.sink();
        // A worker may still hold the list before the last change, which nobody heavy is on.
        mark.level = mark.level.min(heaviest);
        mark.seek(reals)
    }

    fn update(&self, reals: &[Arc<Real>]) {
        let mut mark = self.0.lock();
        let weights = |from: usize| reals[from..].iter().map(|real| real.weight);
        let fresh = mark.step == 0;
        // A whole list at once starts as if its real servers had been added one by one.
        let first = if fresh {
            reals.len().saturating_sub(1)
        } else {
            0
        };
        for from in (0..=first).rev() {
            mark.change(weights(from));
        }
    }
}

/// Greatest common divisor; 0 divides nothing and is left out.
const fn divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { divisor(b, a % b) }
}
