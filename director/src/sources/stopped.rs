//! Who sends most of what the gate keeps from the director: it drops it, or answers it with a cookie.
//!
//! The gate shows one packet in a gap, which is chosen here so that there are about as many as a
//! worker looks at.

use super::heavy::Sample;
use super::window::Window;
use super::{BUDGET, Shown, WIDEST};
use crate::time::Tick;
use crate::wire::Addr;

/// A packet that the gate has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Who sent it.
    pub source: Addr,
    /// For how many it stands.
    pub weight: u32,
    /// Length of the frame.
    pub length: u16,
    /// Whether it would open a TCP connection.
    pub opens: bool,
}

/// What was shown of a window of time.
#[derive(Debug, Default)]
pub struct Stopped {
    window: Window,
    /// 0 until the gate has been told one: by itself it shows nothing.
    gap: u32,
}

impl Stopped {
    /// Takes in what was shown since the last look; how far apart packets are to be that are shown
    /// from now on, if that is to change.
    pub fn look(&mut self, sights: &[Sight], now: Tick, shown: &Shown) -> Option<u32> {
        for sight in sights {
            self.window.add(Sample {
                source: sight.source,
                weight: sight.weight.into(),
                bytes: sight.length.into(),
                opens: sight.opens,
                stopped: true,
            });
        }
        self.window.turn(now, self.gap <= 1, shown);
        let gap = self.next_gap(sights.len() as u32);
        let is_other = std::mem::replace(&mut self.gap, gap) != gap;
        is_other.then_some(gap)
    }

    fn next_gap(&self, taken: u32) -> u32 {
        match taken {
            0..BUDGET => match taken < BUDGET / 4 {
                true => (self.gap / 2).max(1),
                false => self.gap.max(1),
            },
            // What there was no room for is not known: it may be much more.
            many => (self.gap.max(1) * (many / BUDGET).next_power_of_two() * 2).min(WIDEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::together;
    use crate::wire::Addr;

    #[test]
    fn a_gate_that_shows_nothing_is_told_to() {
        let (mut stopped, shown) = (Stopped::default(), Shown::default());
        assert_eq!(stopped.look(&[], Tick(0), &shown), Some(1));
        assert_eq!(stopped.look(&[], Tick(1), &shown), None);
    }

    #[test]
    fn the_gap_follows_the_flood_and_what_is_shown_stands_for_all() {
        let (mut stopped, shown) = (Stopped::default(), Shown::default());
        let mut gap = 1;
        // A flood of 40,000 packets a look, of which the gate has room for 2048.
        let mut looks = Vec::new();
        for tick in 0..40 {
            let sight = Sight {
                source: Addr::v4([192, 0, 2, 1]),
                weight: gap,
                length: 60,
                opens: true,
            };
            let sights = vec![sight; (40_000 / gap).min(2048) as usize];
            looks.push(sights.len() as u32);
            gap = stopped.look(&sights, Tick(tick), &shown).unwrap_or(gap);
        }
        assert!(looks[5..].iter().all(|&look| look < BUDGET), "{looks:?}");
        let sources = together([&shown].into_iter(), Tick(40));
        let [heavy] = &sources.heavy[..] else {
            panic!("{sources:?}");
        };
        assert_eq!(heavy.stopped, heavy.packets);
        // A second has ten looks here.
        assert!((380_000..420_000).contains(&heavy.packets), "{heavy:?}");
        for tick in 40..60 {
            gap = stopped.look(&[], Tick(tick), &shown).unwrap_or(gap);
        }
        assert_eq!(gap, 1);
    }
}
