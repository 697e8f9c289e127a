//! Counts made rates.

use crate::time::{Tick, Ticks};

/// A count made a rate: over a second at least, so that it does not jump.
#[derive(Debug)]
pub(super) struct Meter {
    count: u64,
    at: Tick,
    rate: f64,
}

impl Meter {
    pub(super) const fn new(count: u64, at: Tick) -> Self {
        Self {
            count,
            at,
            rate: 0.0,
        }
    }

    /// The rate a second when the count is `count` at `now`.
    pub(super) fn read(&mut self, count: u64, now: Tick) -> f64 {
        let Ticks(passed) = self.at.until(now);
        if passed >= Ticks::PER_SECOND {
            let seconds = f64::from(passed) / f64::from(Ticks::PER_SECOND);
            self.rate = count.saturating_sub(self.count) as f64 / seconds;
            (self.count, self.at) = (count, now);
        }
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_taken_over_a_second() {
        let mut meter = Meter::new(100, Tick(0));
        let read = [(150, 5), (300, 10), (301, 12), (300, 20)];
        let rates = read.map(|(count, tick)| meter.read(count, Tick(tick)));
        assert_eq!(rates, [0.0, 200.0, 200.0, 0.0]);
    }
}
