use adminapi::model::Millis;

use super::*;

/// A patient, and the time in seconds.
struct Case {
    patient: Patient,
    start: Instant,
    slow_start: Duration,
}

impl Case {
    fn new(slow_start: u64) -> Self {
        let start = Instant::now();
        Self {
            patient: Patient::new(start),
            start,
            slow_start: Duration::from_secs(slow_start),
        }
    }

    fn at(&self, second: u64) -> Instant {
        self.start + Duration::from_secs(second)
    }

    /// A check, `+` or `-`, an agent's line, `!` for what clients meet, or nothing; the state.
    fn then(&mut self, second: u64, event: &str) -> &'static str {
        let now = self.at(second);
        let pace = Pace {
            rise: 2,
            fall: 2,
            ..Pace::default()
        };
        match event {
            "" => {}
            "+" | "-" => {
                let finding = Finding {
                    passed: event == "+",
                    said: Words::from(event.to_owned()),
                    took: Duration::ZERO,
                    at: now,
                };
                self.patient.checked(finding, &pace);
            }
            "!" => {
                let policy = PassiveCheck {
                    failures: 1,
                    hold: Millis::seconds(10),
                    ..PassiveCheck::default()
                };
                self.patient.met(Handshakes::default(), &policy, now);
                let refused = Handshakes {
                    refused: 9,
                    ..Handshakes::default()
                };
                self.patient.met(refused, &policy, now);
            }
            line => drop(self.patient.reported(line)),
        }
        self.patient.settle(self.slow_start, now);
        self.patient.state().name()
    }

    fn weight(&self, second: u64) -> u32 {
        self.patient
            .fitness(self.slow_start, self.at(second))
            .of(100)
    }
}

#[test]
fn states_follow_what_is_taken_in() {
    let stories: [&[(u64, &str, &str, u32)]; 8] = [
        &[
            (0, "", "unknown", 100),
            (1, "+", "up", 100),
            (2, "-", "up", 100),
            (3, "-", "down", 0),
        ],
        &[
            (1, "-", "down", 0),
            (2, "+", "down", 0),
            (3, "+", "up", 100),
        ],
        // An agent is heard beside checks.
        &[
            (1, "+", "up", 100),
            (2, "50%", "up", 50),
            (3, "drain", "drain", 0),
            (4, "ready", "up", 50),
        ],
        &[
            (1, "+", "up", 100),
            (2, "down", "down", 0),
            (3, "up", "up", 100),
            (4, "maint", "down", 0),
        ],
        &[
            (1, "30", "unknown", 30),
            (2, "down", "down", 0),
            (3, "up", "up", 30),
        ],
        // An agent cannot bring up what checks find down.
        &[(1, "-", "down", 0), (2, "up", "down", 0)],
        // Clients meet a dead end: with checks those have to bring it back, after the hold.
        &[
            (1, "+", "up", 100),
            (2, "!", "down", 0),
            (3, "+", "down", 0),
            (4, "+", "down", 0),
            (12, "", "up", 100),
        ],
        // Without checks the end of the hold does.
        &[
            (2, "!", "down", 0),
            (11, "", "down", 0),
            (12, "", "up", 100),
        ],
    ];
    for story in stories {
        let mut case = Case::new(0);
        for (second, event, state, weight) in story {
            assert_eq!(case.then(*second, event), *state, "{story:?} at {second}");
            assert_eq!(case.weight(*second), *weight, "{story:?} at {second}");
        }
    }
}

#[test]
fn a_hold_is_no_longer_than_what_is_configured_now() {
    let policy = |seconds| PassiveCheck {
        failures: 1,
        hold: Millis::seconds(seconds),
        ..PassiveCheck::default()
    };
    let held = || {
        let mut case = Case::new(0);
        assert_eq!(case.then(2, "!"), "down");
        case
    };
    // As it was, longer, shorter.
    for (hold, until) in [(10, 12), (3600, 12), (4, 7)] {
        let mut case = held();
        for (second, state) in [(3, "down"), (until - 1, "down"), (until, "up")] {
            let now = case.at(second);
            case.patient.bound_by(Some(&policy(hold)), now);
            assert_eq!(case.then(second, ""), state, "{hold} s at {second}");
        }
    }
    let mut case = held();
    case.patient.bound_by(None, case.at(3));
    assert_eq!(case.then(3, ""), "up");
    // What clients meet while nobody listens is not taken for what they meet afterwards.
    let refused = Handshakes {
        refused: 99,
        ..Handshakes::default()
    };
    case.patient.met(refused, &policy(10), case.at(4));
    assert_eq!(case.then(4, ""), "up");
}

#[test]
fn one_that_comes_back_is_brought_up_slowly() {
    let mut case = Case::new(20);
    assert_eq!(case.then(0, "+"), "up", "the first time it is well at once");
    case.then(1, "-");
    assert_eq!(case.then(2, "-"), "down");
    case.then(3, "+");
    assert_eq!(case.then(4, "+"), "warming");
    for (second, weight) in [(4, 5), (5, 10), (14, 55), (23, 100)] {
        assert_eq!(case.then(second, ""), "warming");
        assert_eq!(case.weight(second), weight, "at {second}");
    }
    assert_eq!(case.then(24, ""), "up");
    assert_eq!(case.weight(24), 100);
    case.then(25, "-");
    case.then(26, "-");
    case.then(27, "+");
    case.then(28, "+");
    assert_eq!(case.then(30, "50%"), "warming");
    assert_eq!(case.weight(30), 8, "half of 15 %");
    case.then(31, "-");
    assert_eq!(case.then(32, "-"), "down");
}

#[test]
fn a_change_is_told_once_with_its_reason() {
    let mut case = Case::new(0);
    case.then(0, "+");
    let now = case.at(1);
    let patient = &mut case.patient;
    assert_eq!(patient.settle(Duration::ZERO, now), None);
    patient.reported("drain");
    let change = patient.settle(Duration::ZERO, now).unwrap();
    assert_eq!((change.from, change.to), (RealState::Up, RealState::Drain));
    assert_eq!(change.reason, "agent: drain");
    assert_eq!(patient.settle(Duration::ZERO, now), None);
    let bulletin = Bulletin {
        state: RealState::Drain,
        since: now,
        reason: "agent: drain".into(),
        source: Some(HealthSource::Agent),
    };
    assert_eq!(**patient.bulletin(), bulletin);
}

#[test]
fn what_was_found_is_counted() {
    let mut case = Case::new(0);
    for (second, event) in ["+", "-", "-", "-", "+", "+", "drain", "down"]
        .iter()
        .enumerate()
    {
        case.then(second as u64, event);
    }
    let history = case.patient.anew(true, true).history();
    let History {
        passed,
        failed,
        downs,
        ..
    } = history;
    assert_eq!((passed, failed, downs), (3, 3, 2));
}

#[test]
fn other_checks_begin_with_what_is_thought() {
    let mut case = Case::new(0);
    case.then(0, "-");
    case.patient = case.patient.anew(true, false);
    assert_eq!(case.then(1, ""), "down");
    case.patient = case.patient.anew(false, false);
    assert_eq!(case.then(2, ""), "up", "who is checked no more is not down");
}

#[test]
fn a_full_queue_relieves_who_is_well_beside_all_else_and_changes_no_state() {
    let mut case = Case::new(0);
    case.then(1, "+");
    let now = case.at(2);
    assert_eq!(
        case.patient.pressed(Some(Ok(80)), now),
        Some(Turn::Relieved)
    );
    assert_eq!((case.then(2, ""), case.weight(2)), ("up", 25));
    assert_eq!((case.then(3, "50%"), case.weight(3)), ("up", 13));
    assert_eq!((case.then(4, "drain"), case.weight(4)), ("drain", 0));
    case.then(5, "ready");
    assert_eq!(case.patient.pressed(None, now), Some(Turn::Recovered));
    assert_eq!(case.weight(5), 50);
}
