//! What checks in a row say together.

use adminapi::model::Pace;
use serde::{Deserialize, Serialize};

/// What is thought of a real server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Opinion {
    /// It has not been checked yet.
    #[default]
    Unknown,
    /// It does its work.
    Up,
    /// It does not.
    Down,
}

/// How many in a row it takes.
#[derive(Clone, Copy, Debug)]
enum Need {
    /// The first one decides.
    One,
    /// [`Pace::rise`].
    Rise,
    /// [`Pace::fall`].
    Fall,
}

use Need::{Fall, One, Rise};
use Opinion::{Down, Unknown, Up};

/// From, whether the checks succeed, how many of them it takes, to. Any other check ends a row.
const TRANSITIONS: [(Opinion, bool, Need, Opinion); 4] = [
    (Unknown, true, One, Up),
    (Unknown, false, One, Down),
    (Up, false, Fall, Down),
    (Down, true, Rise, Up),
];

/// The opinion of a real server, and how far the row is that would change it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    opinion: Opinion,
    row: u32,
}

impl Machine {
    /// One that begins with this opinion.
    pub(super) const fn of(opinion: Opinion) -> Self {
        Self { opinion, row: 0 }
    }

    /// What is thought of it.
    pub(super) const fn opinion(&self) -> Opinion {
        self.opinion
    }

    /// Takes in a check. True when it has changed the opinion.
    pub(super) fn step(&mut self, passed: bool, pace: &Pace) -> bool {
        let mut transitions = TRANSITIONS.iter();
        let found = transitions.find(|(from, on, ..)| *from == self.opinion && *on == passed);
        let Some((_, _, need, to)) = found else {
            self.row = 0;
            return false;
        };
        self.row += 1;
        let needed = match need {
            One => 1,
            Rise => pace.rise,
            Fall => pace.fall,
        };
        let changes = self.row >= needed;
        if changes {
            *self = Self::of(*to);
        }
        changes
    }

    /// It is down, whatever checks have said; they have to bring it back.
    pub(super) fn condemn(&mut self) {
        *self = Self::of(Down);
    }

    /// The same opinion for other checks to change.
    #[must_use]
    pub(super) const fn anew(self) -> Self {
        Self::of(self.opinion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rise: u32, fall: u32) -> Pace {
        Pace {
            rise,
            fall,
            ..Pace::default()
        }
    }

    /// Checks, `+` or `-`, and what is thought after each: `?`, `u`, `d`.
    #[test]
    fn opinions_follow_rows_of_checks() {
        for (rise, fall, checks, opinions) in [
            (2, 3, "+", "u"),
            (2, 3, "-", "d"),
            (2, 3, "+--+--", "uuuuuu"),
            (2, 3, "+---", "uuud"),
            (2, 3, "-+-++", "ddddu"),
            (2, 3, "---++---", "ddddUuud"),
            (1, 1, "+-+-", "udud"),
            (3, 2, "+--++-+++", "uuddddddu"),
        ] {
            let mut machine = Machine::default();
            let seen = checks.chars().map(|check| {
                let before = machine.opinion();
                let changed = machine.step(check == '+', &pace(rise, fall));
                assert_eq!(changed, before != machine.opinion(), "{checks}");
                match machine.opinion() {
                    Unknown => '?',
                    Up => 'u',
                    Down => 'd',
                }
            });
            let seen: String = seen.collect();
            assert_eq!(seen, opinions.to_lowercase(), "{rise} {fall} {checks}");
        }
    }

    #[test]
    fn one_that_is_condemned_has_to_rise() {
        let (mut machine, pace) = (Machine::default(), pace(2, 3));
        machine.step(true, &pace);
        machine.condemn();
        assert!(!machine.step(true, &pace));
        assert!(machine.step(true, &pace));
        assert_eq!(machine.opinion(), Up);
    }

    #[test]
    fn other_checks_start_their_own_rows() {
        let (mut machine, pace) = (Machine::default(), pace(2, 2));
        machine.step(true, &pace);
        machine.step(false, &pace);
        let mut anew = machine.anew();
        assert_eq!(anew.opinion(), Up);
        assert!(
            !anew.step(false, &pace),
            "the failure before does not count"
        );
        assert!(machine.step(false, &pace));
    }
}
