//! How the listen queue of a real server presses on its weight: quickly down and slowly up, in few
//! steps, and by nothing that a queue which wobbles around a border does. Nothing here reads a clock.

use std::time::{Duration, Instant};

/// How full a queue is, in percent, or why nobody tells.
pub type Filled = Result<u32, &'static str>;

/// From how full a queue is, in percent, to what it leaves of the weight, in thousandths. A full one
/// leaves as much as the first step of a slow start.
const STEPS: [(u32, u16); 5] = [(0, 1000), (25, 750), (50, 500), (75, 250), (100, 50)];

/// A step ends when the queue is emptier by so much than where the step begins, in points...
const SLACK: u32 = 10;

/// ...and has been for so long; each step lasts so long on the way back.
const REST: Duration = Duration::from_secs(5);

/// That a queue has begun to press, or presses no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A real server has not its whole weight any more.
    Relieved,
    /// It has it again.
    Recovered,
}

/// What a queue does to a weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strain {
    step: usize,
    /// Since when the queue is empty enough for the step before.
    easier: Option<Instant>,
    /// How full it is; none where weights do not go by queues.
    filled: Option<Filled>,
}

impl Strain {
    /// How full the queue is, where weights go by that.
    pub const fn filled(&self) -> Option<Filled> {
        self.filled
    }

    /// What is left of the weight, in thousandths: never 0.
    pub const fn leaves(&self) -> u16 {
        STEPS[self.step].1
    }

    /// Whether it takes anything of the weight.
    pub const fn is_felt(&self) -> bool {
        self.step > 0
    }

    /// Takes in how the queue stands. One that nobody tells of counts as empty, and with none the
    /// whole weight is back at once.
    pub fn take(&mut self, filled: Option<Filled>, now: Instant) -> Option<Turn> {
        let before = self.step;
        self.filled = filled;
        match filled {
            Some(filled) => self.follow(filled.unwrap_or(0), now),
            None => *self = Self::default(),
        }
        match (before, self.step) {
            (0, 1..) => Some(Turn::Relieved),
            (1.., 0) => Some(Turn::Recovered),
            _ => None,
        }
    }

    fn follow(&mut self, percent: u32, now: Instant) {
        let asked = step_of(percent);
        if asked > self.step {
            (self.step, self.easier) = (asked, None);
            return;
        }
        if percent + SLACK > STEPS[self.step].0 {
            self.easier = None;
            return;
        }
        let since = *self.easier.get_or_insert(now);
        if now - since >= REST {
            (self.step, self.easier) = (self.step - 1, Some(now));
        }
    }
}

/// The last step that begins at `percent` or before.
fn step_of(percent: u32) -> usize {
    let later = STEPS.iter().skip(1);
    later.take_while(|(from, _)| *from <= percent).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What is left of the weight after each of these, a second apart.
    fn left(fills: &[u32]) -> Vec<u16> {
        let (mut strain, start) = (Strain::default(), Instant::now());
        let look = |(second, fill): (u32, &u32)| {
            strain.take(Some(Ok(*fill)), start + SECOND * second);
            strain.leaves()
        };
        (0..).zip(fills).map(look).collect()
    }

    #[test]
    fn a_fuller_queue_counts_at_once_and_a_shorter_one_step_by_step() {
        for (fills, expected) in [
            (&[0, 24, 25, 49][..], &[1000, 1000, 750, 750][..]),
            (&[50, 74, 75, 99, 100], &[500, 500, 250, 250, 50]),
            // Ten points below where the step begins, for five seconds.
            (
                &[50, 41, 41, 41, 41, 41, 41, 41],
                &[500, 500, 500, 500, 500, 500, 500, 500],
            ),
            (
                &[50, 40, 40, 40, 40, 40, 40],
                &[500, 500, 500, 500, 500, 500, 750],
            ),
            // Whatever comes between begins that time anew.
            (
                &[50, 0, 0, 0, 0, 45, 0, 0, 0],
                &[500, 500, 500, 500, 500, 500, 500, 500, 500],
            ),
        ] {
            assert_eq!(left(fills), expected, "{fills:?}");
        }
        let mut fills = vec![100];
        fills.resize(22, 0);
        let left = left(&fills);
        let at = [0, 5, 6, 10, 11, 15, 16, 20, 21].map(|second| left[second]);
        assert_eq!(at, [50, 50, 250, 250, 500, 500, 750, 750, 1000]);
    }

    #[test]
    fn it_is_told_when_it_begins_and_when_it_is_over() {
        let (mut strain, start) = (Strain::default(), Instant::now());
        let mut take = |filled, second| strain.take(filled, start + SECOND * second);
        assert_eq!(take(Some(Ok(10)), 0), None);
        assert_eq!(take(Some(Ok(30)), 1), Some(Turn::Relieved));
        assert_eq!(take(Some(Ok(100)), 2), None);
        assert_eq!(take(None, 3), Some(Turn::Recovered));
        assert_eq!(take(Some(Ok(30)), 4), Some(Turn::Relieved));
        // An agent that has gone leaves the weight to come back by itself.
        assert_eq!(take(Some(Err("gone")), 5), None);
        assert_eq!(take(Some(Err("gone")), 10), Some(Turn::Recovered));
    }

    /// From any state that a queue can have brought about.
    fn any_strain() -> impl Strategy<Value = (Strain, Instant)> {
        prop::collection::vec(0..=120_u32, 0..40).prop_map(|fills| {
            let (mut strain, mut now) = (Strain::default(), Instant::now());
            for fill in fills {
                now += SECOND;
                strain.take(Some(Ok(fill)), now);
            }
            (strain, now)
        })
    }

    proptest! {
        #[test]
        fn something_is_always_left_and_never_less_for_an_emptier_queue(
            (strain, now) in any_strain(),
            fills in (0..=120_u32, 0..=120_u32),
        ) {
            let after = |fill| {
                let mut strain = strain;
                strain.take(Some(Ok(fill)), now + SECOND);
                strain.leaves()
            };
            let (emptier, fuller) = (fills.0.min(fills.1), fills.0.max(fills.1));
            prop_assert!(after(fuller) > 0);
            prop_assert!(after(fuller) <= after(emptier));
        }

        /// Wherever it lies: it may move the weight one way, and not back.
        #[test]
        fn a_wobble_of_less_than_the_slack_turns_no_weight_around(
            (strain, now) in any_strain(),
            lowest in 0..=100_u32,
            wobble in prop::collection::vec(0..SLACK, 1..60),
        ) {
            let (mut strain, mut now) = (strain, now);
            let mut seen = vec![strain.leaves()];
            for more in wobble {
                now += SECOND;
                strain.take(Some(Ok(lowest + more)), now);
                seen.push(strain.leaves());
            }
            prop_assert!(seen.is_sorted() || seen.iter().rev().is_sorted(), "{seen:?}");
        }

        /// Two reports a second, and looks whenever: a step down is the only thing that goes fast.
        #[test]
        fn no_two_steps_up_are_closer_than_their_rest(
            fills in prop::collection::vec(0..=120_u32, 1..100),
        ) {
            let (mut strain, start) = (Strain::default(), Instant::now());
            let mut last_up = None;
            for (number, fill) in (0..).zip(fills) {
                let (now, before) = (start + SECOND * number / 2, strain.leaves());
                strain.take(Some(Ok(fill)), now);
                if strain.leaves() > before {
                    prop_assert!(last_up.is_none_or(|last| now - last >= REST));
                    last_up = Some(now);
                }
            }
        }
    }
}
