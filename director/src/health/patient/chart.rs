//! What is written down of a patient for the next daemon: what is thought of it, and until when.

use std::sync::Arc;

use adminapi::model::{HealthSource, RealState};
use serde::{Deserialize, Serialize};

use super::{History, Hold, Patient, Words};
use crate::health::machine::{Machine, Opinion};
use crate::health::passive::Window;
use crate::health::report::Report;
use crate::health::strain::Strain;
use crate::service::Bulletin;
use crate::time::{Clock, Tick};

/// A patient on paper, moments as ticks. A row of checks that has not changed an opinion yet is not
/// on it, nor what clients have met so far, nor its listen queue, of which its agent tells anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chart {
    opinion: Opinion,
    diagnosis: Words,
    report: Report,
    /// Until when it is held down, and why.
    hold: Option<(u32, Words)>,
    warming: Option<u32>,
    state: RealState,
    since: u32,
    reason: Words,
    source: Option<HealthSource>,
}

impl Patient {
    /// What is to be written down, if anything is known.
    pub fn chart(&self, clock: &Clock) -> Option<Chart> {
        let tick = |moment| clock.tick_of(moment).0;
        let bulletin = &*self.bulletin;
        let chart = Chart {
            opinion: self.machine.opinion(),
            diagnosis: self.diagnosis.clone(),
            report: self.report,
            hold: (self.hold.as_ref()).map(|hold| (tick(hold.until), hold.reason.clone())),
            warming: self.warming.map(tick),
            state: bulletin.state,
            since: tick(bulletin.since),
            reason: bulletin.reason.clone(),
            source: bulletin.source,
        };
        let is_known = chart.state != RealState::Unknown || chart.report != Report::default();
        is_known.then_some(chart)
    }

    /// One that a former daemon has looked after. Its present checks begin with what was thought of it.
    pub fn of(chart: Chart, clock: &Clock) -> Self {
        let moment = |tick| clock.moment_of(Tick(tick));
        let hold = |(until, reason)| Hold {
            until: moment(until),
            reason,
        };
        Self {
            machine: Machine::of(chart.opinion),
            diagnosis: chart.diagnosis,
            report: chart.report,
            window: Window::default(),
            hold: chart.hold.map(hold),
            warming: chart.warming.map(moment),
            strain: Strain::default(),
            bulletin: Arc::new(Bulletin {
                state: chart.state,
                since: moment(chart.since),
                reason: chart.reason,
                source: chart.source,
            }),
            last: None,
            history: History::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use adminapi::model::{Millis, Pace, PassiveCheck};

    use super::*;
    use crate::health::Finding;
    use crate::stats::Handshakes;

    const PACE: Pace = Pace {
        interval: Millis(1000),
        timeout: Millis(1000),
        rise: 2,
        fall: 2,
        jitter: 0,
    };

    fn check(patient: &mut Patient, passed: bool, at: Instant) -> RealState {
        let finding = Finding {
            passed,
            said: "said".into(),
            took: Duration::ZERO,
            at,
        };
        patient.checked(finding, &PACE);
        patient.settle(Duration::ZERO, at);
        patient.state()
    }

    /// What the next daemon makes of a chart, which it reads from a file.
    fn handed_over(patient: &Patient, clock: &Clock) -> Patient {
        let chart = patient.chart(clock).unwrap();
        let text = serde_json::to_string(&chart).unwrap();
        let heir = Patient::of(serde_json::from_str(&text).unwrap(), clock);
        assert_eq!(heir.chart(clock), Some(chart));
        heir
    }

    #[test]
    fn nothing_is_written_of_who_is_not_known() {
        let clock = Clock::start();
        let mut patient = Patient::new(Instant::now());
        assert_eq!(patient.chart(&clock), None);
        patient.reported("50%");
        assert!(patient.chart(&clock).is_some());
    }

    #[test]
    fn opinions_go_on_and_rows_begin_anew() {
        let (clock, now) = (Clock::start(), Instant::now());
        let mut patient = Patient::new(now);
        assert_eq!(check(&mut patient, false, now), RealState::Down);
        assert_eq!(check(&mut patient, true, now), RealState::Down);
        let mut heir = handed_over(&patient, &clock);
        assert_eq!(heir.settle(Duration::ZERO, now), None);
        assert_eq!(heir.state(), RealState::Down);
        assert_eq!(heir.bulletin().reason, "said");
        assert_eq!(check(&mut heir, true, now), RealState::Down);
        assert_eq!(check(&mut heir, true, now), RealState::Up);
        let mut heir = handed_over(&heir, &clock);
        assert_eq!(check(&mut heir, false, now), RealState::Up);
        assert_eq!(check(&mut heir, false, now), RealState::Down);
    }

    #[test]
    fn holds_and_agents_go_on() {
        let (clock, now) = (Clock::start(), Instant::now());
        let mut patient = Patient::new(now);
        patient.reported("40%");
        let policy = PassiveCheck {
            failures: 1,
            hold: Millis::seconds(10),
            ..PassiveCheck::default()
        };
        let refused = Handshakes {
            refused: 9,
            ..Handshakes::default()
        };
        patient.met(Handshakes::default(), &policy, now);
        patient.met(refused, &policy, now);
        patient.settle(Duration::ZERO, now);
        let mut heir = handed_over(&patient, &clock);
        let after = |seconds| now + Duration::from_secs(seconds);
        heir.settle(Duration::ZERO, after(9));
        assert_eq!(heir.state(), RealState::Down);
        heir.settle(Duration::ZERO, after(11));
        assert_eq!(heir.state(), RealState::Up);
        assert_eq!(heir.fitness(Duration::ZERO, after(11)).of(100), 40);
    }
}
