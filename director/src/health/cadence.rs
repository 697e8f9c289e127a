//! When the next check is due. Checks are spread: the first ones over a moment, all further ones
//! by a jitter, so that they never come in step. `draw` is drawn from 0.0..1.0. The grid is finer than any
//! jitter that matters.

use std::time::{Duration, Instant};

use adminapi::model::Pace;

/// The first checks come within this time, or within their interval if that is shorter.
const FIRST: Duration = Duration::from_secs(1);

/// How far apart the points of the grid are: a twentieth of the interval within these bounds, a quarter of
/// what the usual jitter moves a check about. The more checks of a moment there are, the less each of them costs.
const GRAINS: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(50)];

/// The moments at which checks begin: those of one moment take one turn of the thread together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    origin: Instant,
}

impl Grid {
    /// The grid that has `origin` as a point.
    pub(super) const fn from(origin: Instant) -> Self {
        Self { origin }
    }

    /// The point for checks of `pace` that is nearest to `moment`, so that intervals are right on the
    /// whole.
    pub(super) fn near(self, moment: Instant, pace: &Pace) -> Instant {
        let [finest, coarsest] = GRAINS;
        let grain = (Duration::from(pace.interval) / 20).clamp(finest, coarsest);
        let passed = (moment - self.origin + grain / 2).as_nanos();
        let behind = passed % grain.as_nanos();
        self.origin + Duration::from_nanos((passed - behind) as u64)
    }
}

/// The time until the first check.
pub(super) fn first(pace: &Pace, draw: f64) -> Duration {
    FIRST.min(pace.interval.into()).mul_f64(draw)
}

/// The time from the beginning of a check to that of the next.
pub(super) fn next(pace: &Pace, draw: f64) -> Duration {
    let jitter = f64::from(pace.jitter) / 100.0;
    let interval = Duration::from(pace.interval);
    interval.mul_f64(1.0 + jitter * (2.0 * draw - 1.0))
}

#[cfg(test)]
mod tests {
    use adminapi::model::Millis;

    use super::*;

    fn pace(interval: u32, jitter: u32) -> Pace {
        Pace {
            interval: Millis(interval),
            jitter,
            ..Pace::default()
        }
    }

    #[test]
    fn intervals_are_off_by_the_jitter_at_most_and_right_on_the_whole() {
        for (jitter, draw, millis) in [
            (10, 0.0, 900),
            (10, 0.5, 1000),
            (10, 0.75, 1050),
            (0, 0.0, 1000),
            (50, 0.0, 500),
        ] {
            let span = next(&pace(1000, jitter), draw);
            assert_eq!(span.as_millis(), millis, "{jitter} {draw}");
        }
    }

    #[test]
    fn moments_go_to_the_nearest_point_of_the_grid() {
        let origin = Instant::now();
        let grid = Grid::from(origin);
        for (interval, micros, point) in [
            (100, 0, 0),
            (100, 4_999, 0),
            (100, 5_000, 10),
            (400, 29_999, 20),
            (1000, 24_999, 0),
            (1000, 25_000, 50),
            (2000, 24_999, 0),
            (60_000, 25_000, 50),
            (60_000, 3_600_000_001, 3_600_000),
        ] {
            let moment = origin + Duration::from_micros(micros);
            let near = grid.near(moment, &pace(interval, 10));
            assert_eq!((near - origin).as_millis(), point, "{interval} {micros}");
        }
    }

    #[test]
    fn a_thousand_first_checks_are_spread_over_a_second() {
        let mut slots = [0; 10];
        for number in 0..1000 {
            let draw = f64::from(number) / 1000.0;
            slots[first(&pace(10_000, 10), draw).as_millis() as usize / 100] += 1;
        }
        assert_eq!(slots, [100; 10]);
        assert!(first(&pace(200, 10), 0.99) < Duration::from_millis(200));
    }
}
