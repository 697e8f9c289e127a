use super::*;

fn quiet() -> Signals {
    Signals {
        budget: Some(Left {
            free: 100 << 20,
            all: 128 << 20,
        }),
        machine: Some(1 << 30),
        pool: 10_000,
        places: 1_000_000,
        connections: 100_000,
        ..Signals::default()
    }
}

#[test]
fn each_signal_calls_at_its_mark() {
    let policy = Policy::default();
    assert_eq!(policy.alarm(&quiet()), None);
    assert_eq!(policy.unrest(&quiet()), None);
    let left = |free| {
        Some(Left {
            free,
            all: 128 << 20,
        })
    };
    for (signals, signal) in [
        (
            Signals {
                budget: left(7 << 20),
                ..quiet()
            },
            Signal::Budget,
        ),
        (
            Signals {
                machine: Some(9 << 20),
                ..quiet()
            },
            Signal::Machine,
        ),
        (
            Signals {
                half_open: 2500,
                ..quiet()
            },
            Signal::HalfOpenPool,
        ),
        (
            Signals {
                half_open: 1000,
                connections: 1500,
                ..quiet()
            },
            Signal::HalfOpenShare,
        ),
        (
            Signals {
                rejected: 1000.0,
                ..quiet()
            },
            Signal::RejectedAcks,
        ),
        (
            Signals {
                new_udp: Some(5000.0),
                ..quiet()
            },
            Signal::NewUdp,
        ),
    ] {
        assert_eq!(
            policy.alarm(&signals).map(|r| r.signal),
            Some(signal),
            "{signals:?}"
        );
    }
}

#[test]
fn between_the_marks_there_is_unrest_and_no_alarm() {
    let signals = Signals {
        half_open: 2000,
        ..quiet()
    };
    let policy = Policy::default();
    assert_eq!(policy.alarm(&signals), None);
    let unrest = policy.unrest(&signals).map(|reason| reason.to_string());
    assert_eq!(
        unrest.as_deref(),
        Some("half-open pool taken: 20.0 %, the mark is 12.0 %")
    );
}

#[test]
fn few_half_open_connections_are_no_share_and_a_small_budget_no_alarm() {
    let policy = Policy::default();
    let few = Signals {
        half_open: 999,
        connections: 999,
        ..quiet()
    };
    assert_eq!(policy.alarm(&few), None);
    let small = |free| Signals {
        budget: Some(Left { free, all: 1 << 20 }),
        ..quiet()
    };
    assert_eq!(policy.alarm(&small(1 << 20)), None);
    assert!(policy.alarm(&small(60 << 10)).is_some());
}

#[test]
fn a_pool_that_fills_and_rings_that_overflow_call_for_cookies() {
    let calls = |half_open, missed| {
        let signals = Signals {
            half_open,
            missed,
            ..quiet()
        };
        Policy::default().calls_for_cookies(&signals)
    };
    let asked = [(0, 0.0), (4_999, 0.09), (5_000, 0.0), (0, 0.1)];
    let called = asked.map(|(half_open, missed)| calls(half_open, missed));
    assert_eq!(called, [false, false, true, true]);
}

#[test]
fn datagrams_that_would_fill_half_of_the_table_call_for_repeats() {
    let calls = |new_udp, missed| {
        let signals = Signals {
            new_udp: Some(new_udp),
            missed,
            ..quiet()
        };
        Policy::default().calls_for_cookies(&signals)
    };
    let asked = [
        (5_000.0, 0.0),
        (50_000.0, 0.0),
        (50_001.0, 0.0),
        (5_000.0, 0.1),
    ];
    let called = asked.map(|(new_udp, missed)| calls(new_udp, missed));
    assert_eq!(called, [false, false, true, true]);
}

#[test]
fn a_pool_that_is_about_to_fill_calls_for_cookies() {
    let calls = |half_open, filling| {
        let signals = Signals {
            half_open,
            filling,
            ..quiet()
        };
        Policy::default().calls_for_cookies(&signals)
    };
    let asked = [(3_000, 499), (3_000, 500), (1_000, 1_000), (4_999, 0)];
    let called = asked.map(|(half_open, filling)| calls(half_open, filling));
    assert_eq!(called, [false, true, true, false]);
}

#[test]
fn what_is_dropped_for_memory_grows_evenly() {
    let policy = Policy::default();
    let memory = |mib: u64| {
        let signals = Signals {
            machine: Some(mib << 20),
            ..quiet()
        };
        policy.wanted(&signals, 0.0)
    };
    assert_eq!([10, 5, 0].map(memory), [0.0, 0.25, 0.5]);
}

#[test]
fn a_full_pool_drops_what_it_cannot_bear_and_no_more() {
    let policy = Policy::default();
    let at = |half_open, displaced, dropped| {
        let signals = Signals {
            half_open,
            displaced,
            ..quiet()
        };
        policy.wanted(&signals, dropped)
    };
    // 10,000 places, each for two seconds: 5,000 a second.
    for (displaced, dropped, wanted) in [
        (0.0, 0.0, 0.0),
        (5_000.0, 0.0, 0.0),
        (6_250.0, 0.0, 0.2),
        // The same flood when a fifth of it stays out.
        (5_000.0, 0.2, 0.2),
        (10_000.0, 0.0, 0.5),
        (1e6, 0.0, 0.5),
        (1e6, 0.5, 0.5),
    ] {
        let found = at(10_000, displaced, dropped);
        assert!(
            (found - wanted).abs() < 1e-9,
            "{displaced} {dropped}: {found}"
        );
    }
    // A service that has little of the pool has not filled it.
    assert_eq!(at(7_499, 1e6, 0.0), 0.0);
}
