//! Counts made rates.

use std::collections::VecDeque;

use crate::time::{Tick, Ticks};

/// A count made a rate: over a second at least, so that it does not jump. What was counted before it is
/// read first is no part of that: it may be of a director before this one.
#[derive(Debug, Default)]
pub(super) struct Meter {
    last: Option<(u64, Tick)>,
    rate: f64,
}

impl Meter {
    pub(super) const fn new() -> Self {
        Self {
            last: None,
            rate: 0.0,
        }
    }

    /// The rate a second when the count is `count` at `now`.
    pub(super) fn read(&mut self, count: u64, now: Tick) -> f64 {
        let (before, at) = *self.last.get_or_insert((count, now));
        let Ticks(passed) = at.until(now);
        if passed >= Ticks::PER_SECOND {
            let seconds = f64::from(passed) / f64::from(Ticks::PER_SECOND);
            self.rate = count.saturating_sub(before) as f64 / seconds;
            self.last = Some((count, now));
        }
        self.rate
    }
}

/// How much something has grown within the last second. Unlike a [`Meter`] it tells at once.
#[derive(Debug, Default)]
pub(super) struct Growth(VecDeque<(Tick, u64)>);

impl Growth {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// What has been added since a second before `now`, when it is `size`; 0 when it has shrunk.
    pub(super) fn read(&mut self, size: u64, now: Tick) -> u64 {
        let seen = &mut self.0;
        while (seen.get(1)).is_some_and(|(at, _)| at.until(now).0 >= Ticks::PER_SECOND) {
            seen.pop_front();
        }
        seen.push_back((now, size));
        let first = seen.front().map_or(size, |(_, first)| *first);
        size.saturating_sub(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_taken_over_a_second() {
        let mut meter = Meter::new();
        let read = [(100, 0), (150, 5), (300, 10), (301, 12), (300, 20)];
        let rates = read.map(|(count, tick)| meter.read(count, Tick(tick)));
        assert_eq!(rates, [0.0, 0.0, 200.0, 200.0, 0.0]);
    }

    #[test]
    fn what_was_counted_before_is_no_part_of_a_rate() {
        let mut meter = Meter::new();
        let read = [(1_000_000, 500), (1_000_000, 510), (1_000_030, 520)];
        let rates = read.map(|(count, tick)| meter.read(count, Tick(tick)));
        assert_eq!(rates, [0.0, 0.0, 30.0]);
    }

    #[test]
    fn growth_is_that_of_the_last_second() {
        let mut growth = Growth::new();
        let read = [
            (100, 0),
            (150, 1),
            (150, 9),
            (200, 10),
            (200, 11),
            (120, 15),
            (120, 90),
        ];
        let grown = read.map(|(size, tick)| growth.read(size, Tick(tick)));
        assert_eq!(grown, [0, 50, 50, 100, 50, 0, 0]);
    }
}
