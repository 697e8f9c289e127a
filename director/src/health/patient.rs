//! All that is known of the health of one real server, and what follows: a state, why, and what it
//! leaves of its weight. Nothing here reads a clock.

mod chart;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adminapi::model::{HealthSource, Pace, PassiveCheck, RealState};

use super::machine::{Machine, Opinion};
use super::passive::Window;
use super::report::{Report, Share, Will};
use super::strain::{Filled, Strain, Turn};
use crate::service::{Bulletin, Fitness, Part};
use crate::stats::Handshakes;

pub use chart::Chart;

/// What somebody or something has said.
pub type Words = Cow<'static, str>;

/// In how many steps a real server is brought up to its weight.
const STEPS: u32 = 20;

/// What a check has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it succeeded.
    pub passed: bool,
    /// What it says.
    pub said: Words,
    /// How long it took.
    pub took: Duration,
    /// When it ended.
    pub at: Instant,
}

/// That a real server has changed its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it was.
    pub from: RealState,
    /// What it is.
    pub to: RealState,
    /// Why.
    pub reason: Words,
}

/// A time for which it is down whatever checks say.
#[derive(Clone, Debug)]
struct Hold {
    until: Instant,
    reason: Words,
}

/// A real server that is looked after.
#[derive(Clone, Debug)]
pub struct Patient {
    machine: Machine,
    /// What the check says of its opinion.
    diagnosis: Words,
    report: Report,
    window: Window,
    hold: Option<Hold>,
    /// Since when it is brought up to its weight.
    warming: Option<Instant>,
    strain: Strain,
    bulletin: Arc<Bulletin>,
    last: Option<Finding>,
    history: History,
}

/// What has been found so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Checks that succeeded.
    pub passed: u64,
    /// Checks that did not.
    pub failed: u64,
    /// How long all of them took together.
    pub took: Duration,
    /// How often it has gone down.
    pub downs: u64,
}

impl History {
    fn note(&mut self, finding: &Finding) {
        match finding.passed {
            true => self.passed += 1,
            false => self.failed += 1,
        }
        self.took += finding.took;
    }
}

impl Patient {
    /// One that nothing is known of.
    pub fn new(now: Instant) -> Self {
        Self {
            machine: Machine::default(),
            diagnosis: Words::Borrowed("not checked yet"),
            report: Report::default(),
            window: Window::default(),
            hold: None,
            warming: None,
            strain: Strain::default(),
            bulletin: Arc::new(Bulletin {
                state: RealState::Unknown,
                since: now,
                reason: Words::Borrowed("not checked yet"),
                source: None,
            }),
            last: None,
            history: History::default(),
        }
    }

    /// The same for other checks: they begin with what is thought of it.
    #[must_use]
    pub fn anew(&self, checked: bool, asked: bool) -> Self {
        let was = self.clone();
        Self {
            machine: match checked {
                true => was.machine.anew(),
                false => Machine::default(),
            },
            report: match asked {
                true => was.report,
                false => Report::default(),
            },
            ..was
        }
    }

    /// Its state.
    pub fn state(&self) -> RealState {
        self.bulletin.state
    }

    /// How it is, as of the last [`Self::settle`].
    pub const fn bulletin(&self) -> &Arc<Bulletin> {
        &self.bulletin
    }

    /// The last check.
    pub const fn last(&self) -> Option<&Finding> {
        self.last.as_ref()
    }

    /// What has been found so far.
    pub const fn history(&self) -> History {
        self.history
    }

    /// Takes in a check. True when it may have changed the state.
    pub fn checked(&mut self, finding: Finding, pace: &Pace) -> bool {
        let changed = self.machine.step(finding.passed, pace);
        if changed {
            self.diagnosis = finding.said.clone();
        }
        self.history.note(&finding);
        self.last = Some(finding);
        changed
    }

    /// Takes in what its agent has said, which is a `line` unless nobody was heard. True when it
    /// may have changed something. An agent that is not heard changes nothing.
    pub fn reported(&mut self, line: &str) -> bool {
        let Some(report) = self.report.after(line) else {
            return false;
        };
        let changed = report != self.report;
        self.report = report;
        changed
    }

    /// Takes in what clients have met so far.
    pub fn met(&mut self, counts: Handshakes, policy: &PassiveCheck, now: Instant) {
        let Some(met) = self.window.look(counts, policy, now) else {
            return;
        };
        let Handshakes {
            answered,
            refused,
            silent,
        } = met;
        let all = answered + refused + silent;
        let reason =
            format!("of {all} new connections {refused} were refused, {silent} not answered");
        self.hold = Some(Hold {
            until: now + Duration::from(policy.hold),
            reason: reason.into(),
        });
        if self.machine.opinion() != Opinion::Unknown {
            self.machine.condemn();
            self.diagnosis = Words::Borrowed("waits for checks to succeed");
        }
    }

    /// Takes in how clients are listened to now, if they are: what they have met holds it down no longer
    /// than that says, and not at all when it says nothing.
    pub fn bound_by(&mut self, policy: Option<&PassiveCheck>, now: Instant) {
        let Some(policy) = policy else {
            self.hold = None;
            self.window = Window::default();
            return;
        };
        if let Some(hold) = &mut self.hold {
            hold.until = hold.until.min(now + Duration::from(policy.hold));
        }
    }

    /// Takes in how its listen queue stands, if its weight goes by that, and says whether that relieves
    /// it now, or no more.
    pub fn pressed(&mut self, filled: Option<Filled>, now: Instant) -> Option<Turn> {
        self.strain.take(filled, now)
    }

    /// What its listen queue does to its weight.
    pub const fn strain(&self) -> &Strain {
        &self.strain
    }

    /// Draws the conclusion of it all. To be called when something was taken in, and once a second
    /// as time alone ends holds and warming.
    pub fn settle(&mut self, slow_start: Duration, now: Instant) -> Option<Change> {
        self.hold.take_if(|hold| hold.until <= now);
        let (verdict, reason, source) = self.verdict();
        let from = self.state();
        let was_down = from == RealState::Down;
        self.warming = match verdict {
            RealState::Up | RealState::Unknown if was_down && !slow_start.is_zero() => Some(now),
            RealState::Down => None,
            _ => self.warming.filter(|since| now - *since < slow_start),
        };
        let to = match verdict {
            RealState::Up if self.warming.is_some() => RealState::Warming,
            verdict => verdict,
        };
        if to == from {
            return None;
        }
        let change = Change {
            from,
            to,
            reason: match from {
                RealState::Warming if to == RealState::Up => "has its whole weight again".into(),
                _ => reason,
            },
        };
        self.history.downs += u64::from(to == RealState::Down);
        self.bulletin = Arc::new(Bulletin {
            state: to,
            since: now,
            reason: change.reason.clone(),
            source,
        });
        Some(change)
    }

    /// What all together say, in the order of their rank.
    fn verdict(&self) -> (RealState, Words, Option<HealthSource>) {
        let agent = |state| {
            let said = Words::from(format!("agent: {}", self.report));
            (state, said, Some(HealthSource::Agent))
        };
        let check = |state| (state, self.diagnosis.clone(), Some(HealthSource::Check));
        match (&self.hold, self.machine.opinion(), self.report.will) {
            (Some(hold), ..) => {
                let said = hold.reason.clone();
                (RealState::Down, said, Some(HealthSource::Clients))
            }
            (None, Opinion::Down, _) => check(RealState::Down),
            (None, _, Will::Maint) => agent(RealState::Down),
            _ if self.report.failed.is_some() => agent(RealState::Down),
            (None, _, Will::Drain) => agent(RealState::Drain),
            (None, Opinion::Up, Will::Ready) => check(RealState::Up),
            (None, Opinion::Unknown, Will::Ready) => match self.state() {
                RealState::Unknown => (RealState::Unknown, self.diagnosis.clone(), None),
                _ => (
                    RealState::Up,
                    Words::Borrowed("nothing speaks against it"),
                    None,
                ),
            },
        }
    }

    /// What its state leaves of its weight, as of the last [`Self::settle`].
    pub fn fitness(&self, slow_start: Duration, now: Instant) -> Fitness {
        match self.state() {
            RealState::Down => Fitness::Failed,
            RealState::Drain => Fitness::Drained,
            RealState::Unknown | RealState::Up | RealState::Warming => {
                let thousandths = self.warmth(slow_start, now);
                let part = Part {
                    thousandths: thousandths as u16,
                    queue: self.strain.leaves(),
                    ..Part::WHOLE
                };
                Fitness::Fit(match self.report.share {
                    Share::Percent(percent) => Part {
                        thousandths: (thousandths * u32::from(percent)).div_ceil(100) as u16,
                        ..part
                    },
                    Share::Weight(weight) => Part {
                        weight: Some(weight),
                        ..part
                    },
                })
            }
        }
    }

    /// How far it has been brought up, in thousandths: a step at once, the last one at the end.
    fn warmth(&self, slow_start: Duration, now: Instant) -> u32 {
        let Some(since) = self.warming else {
            return 1000;
        };
        let passed = (now - since).as_secs_f64() / slow_start.as_secs_f64().max(0.001);
        let step = (passed * f64::from(STEPS)) as u32 + 1;
        step.min(STEPS) * 1000 / STEPS
    }
}

#[cfg(test)]
mod tests;
