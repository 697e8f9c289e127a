//! Weighted round robin (`ip_vs_wrr.c`).

use std::sync::Arc;

use parking_lot::Mutex;

use crate::service::{Newcomer, Real, Reals, Scheduler, common_divisor};

/// Goes through the list again and again with a level that sinks from the highest weight to the
/// lowest: who weighs at least the level is chosen. In one cycle each is chosen
/// weight / (greatest common divisor) times.
///
/// The mark is held for the few steps of one choice, as the kernel holds its spin lock.
#[derive(Debug)]
pub(super) struct WeightedRoundRobin {
    scale: Scale,
    mark: Arc<Mutex<Mark>>,
}

/// Where the cycle stands.
#[derive(Clone, Debug)]
struct Mark {
    /// Place of the next real server to ask; the list's length = the level sinks first.
    next: usize,
    /// The level in force; 0 before the first real server.
    level: u32,
}

/// The levels of a list: `top`, `top - step`, ..., 1.
#[derive(Clone, Copy, Debug)]
struct Scale {
    /// The level at which a cycle starts; 0 when nobody has a weight.
    top: u32,
    /// The greatest common divisor of the weights.
    step: u32,
}

impl Scale {
    fn new(heaviest: u32, divisor: u32) -> Self {
        let step = divisor.max(1);
        Self {
            top: heaviest.saturating_sub(step - 1),
            step,
        }
    }

    fn of(reals: &Reals) -> Self {
        Self::new(reals.heaviest(), reals.divisor())
    }

    /// The level of this scale that takes the place of one of another
    /// (`ip_vs_wrr_dest_changed`).
    const fn nearest(self, level: u32) -> u32 {
        if level > self.top || level == 0 {
            self.top
        } else if self.step > 1 {
            level / self.step * self.step + 1
        } else {
            level
        }
    }

    /// The level after `level` at which somebody is chosen when the heaviest who takes
    /// connections weighs `heaviest`, at least 1.
    fn below(self, level: u32, heaviest: u32) -> u32 {
        let below = match level.saturating_sub(self.step) {
            0 => self.top,
            below => below,
        };
        let steps = below.saturating_sub(heaviest).div_ceil(self.step);
        below.saturating_sub(steps.saturating_mul(self.step)).max(1)
    }
}

impl Mark {
    /// The next in the list who weighs at least the level and may have `newcomer`.
    fn seek<'r>(&mut self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        let level = self.level;
        let (steps, found) = reals
            .from_place(self.next)
            .enumerate()
            .find(|(_, real)| real.weight >= level && newcomer.may_have(real))?;
        self.next += steps + 1;
        Some(found)
    }
}

impl WeightedRoundRobin {
    pub(super) fn new(reals: &Reals) -> Self {
        let scale = Scale::of(reals);
        let mark = Mark {
            next: 0,
            level: scale.top,
        };
        Self {
            scale,
            mark: Arc::new(Mutex::new(mark)),
        }
    }
}

impl WeightedRoundRobin {
    /// Moves `mark` to the next who is chosen.
    fn advance<'r>(
        &self,
        mark: &mut Mark,
        reals: &'r Reals,
        newcomer: &Newcomer<'_>,
    ) -> Option<&'r Arc<Real>> {
        if self.scale.top == 0 {
            return None;
        }
        if let Some(real) = mark.seek(reals, newcomer) {
            return Some(real);
        }
        let heaviest = newcomer.willing(reals).map(|real| real.weight).max()?;
        mark.next = 0;
        mark.level = self.scale.below(mark.level, heaviest);
        mark.seek(reals, newcomer)
    }
}

impl Scheduler for WeightedRoundRobin {
    fn pick<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        self.advance(&mut self.mark.lock(), reals, newcomer)
    }

    fn peek<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        let mut copy = self.mark.lock().clone();
        self.advance(&mut copy, reals, newcomer)
    }

    fn changed(&self, reals: &Reals) -> Option<Arc<dyn Scheduler>> {
        let scale = Scale::of(reals);
        let mut mark = self.mark.lock();
        mark.next = 0;
        mark.level = match self.scale.top {
            0 => level_after_adding_all(reals),
            _ => scale.nearest(mark.level),
        };
        Some(Arc::new(Self {
            scale,
            mark: Arc::clone(&self.mark),
        }))
    }
}

/// A whole list at once starts as if its real servers had been added one by one.
fn level_after_adding_all(reals: &Reals) -> u32 {
    let (mut heaviest, mut divisor, mut level) = (0, 0, 0);
    for real in reals.iter().rev() {
        heaviest = real.weight.max(heaviest);
        divisor = common_divisor(real.weight, divisor);
        level = Scale::new(heaviest, divisor).nearest(level);
    }
    level
}
