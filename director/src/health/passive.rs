//! What clients meet: new connections that a real server answers, resets, or leaves without an
//! answer. Enough of the latter within a time take it out.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use adminapi::model::PassiveCheck;

use crate::stats::Handshakes;

/// Into so many parts the time is divided.
const GRAIN: u32 = 20;

/// Counts of the last while, and how they were before.
#[derive(Clone, Debug, Default)]
pub(super) struct Window(VecDeque<(Instant, Handshakes)>);

impl Window {
    /// Takes in the counts of this moment, and says what has come within the time of `policy` if
    /// that is too much. What has been said is not said again.
    pub(super) fn look(
        &mut self,
        counts: Handshakes,
        policy: &PassiveCheck,
        now: Instant,
    ) -> Option<Handshakes> {
        let within = Duration::from(policy.within);
        // The oldest that is kept is as old as the window or a little older.
        while self.0.get(1).is_some_and(|(at, _)| now - *at >= within) {
            self.0.pop_front();
        }
        // A coarse history will do, whoever looks how often.
        let is_recent = |(at, _): &(Instant, _)| now - *at < within / GRAIN;
        if !self.0.back().is_some_and(is_recent) {
            self.0.push_back((now, counts));
        }
        let (_, before) = self.0.front()?;
        let met = counts.since(before);
        let is_too_much = is_too_much(&met, policy);
        if is_too_much {
            self.0.clear();
            self.0.push_back((now, counts));
        }
        is_too_much.then_some(met)
    }
}

fn is_too_much(met: &Handshakes, policy: &PassiveCheck) -> bool {
    let failed = met.refused + met.silent;
    let all = failed + met.answered;
    failed >= u64::from(policy.failures) && failed * 100 >= all * u64::from(policy.share)
}

#[cfg(test)]
mod tests {
    use adminapi::model::Millis;

    use super::*;

    fn policy() -> PassiveCheck {
        PassiveCheck {
            failures: 3,
            within: Millis::seconds(10),
            share: 50,
            ..PassiveCheck::default()
        }
    }

    /// Second by second: answered, refused and silent so far, and whether that is too much.
    #[test]
    fn enough_failures_within_the_time_are_too_much() {
        let rows: [&[(u64, [u64; 3], bool)]; 5] = [
            // Enough of them, and all of them.
            &[
                (0, [0, 0, 0], false),
                (1, [0, 2, 0], false),
                (2, [0, 2, 1], true),
            ],
            // Enough, but few of many.
            &[(0, [0, 0, 0], false), (1, [90, 10, 0], false)],
            // Half of them.
            &[(0, [0, 0, 0], false), (1, [5, 5, 0], true)],
            // Too far apart.
            &[
                (0, [0, 0, 0], false),
                (1, [0, 2, 0], false),
                (12, [0, 2, 0], false),
                (13, [0, 3, 0], false),
            ],
            // Said once.
            &[
                (0, [0, 0, 0], false),
                (1, [0, 3, 0], true),
                (2, [0, 3, 0], false),
                (3, [0, 6, 0], true),
            ],
        ];
        for row in rows {
            let (mut window, start) = (Window::default(), Instant::now());
            for (second, [answered, refused, silent], expected) in row {
                let counts = Handshakes {
                    answered: *answered,
                    refused: *refused,
                    silent: *silent,
                };
                let now = start + Duration::from_secs(*second);
                let said = window.look(counts, &policy(), now);
                assert_eq!(said.is_some(), *expected, "{row:?} at {second}");
            }
        }
    }

    #[test]
    fn a_history_is_bounded() {
        let (mut window, start) = (Window::default(), Instant::now());
        for step in 0..10_000 {
            let now = start + Duration::from_millis(10) * step;
            window.look(Handshakes::default(), &policy(), now);
        }
        assert!(window.0.len() <= GRAIN as usize + 2);
    }
}
