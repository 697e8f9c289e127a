//! Each scheduler against what the kernel was seen to choose.

use std::sync::Arc;

use adminapi::model::Scheduler as Algorithm;
use proptest::prelude::*;

use super::testing::{Farm, tuple};
use crate::service::testing::real;
use crate::service::{Choice, Newcomer, Phase, Real, Settings};

mod hashing;
mod locality;
mod maglev;

/// Whom the clients 1 to 40 would get of those that can be reached: all but 2.
fn second_choices(farm: &Farm) -> Vec<Option<u32>> {
    let may = |real: &Real| real.id.0 != 2;
    let choose = |host| {
        let newcomer = Newcomer {
            tuple: &tuple([10, 0, 0, host], 40_000),
            now: farm.now,
            flags: farm.flags,
            choice: Choice::Of(&may),
        };
        let name = |real: Option<&Arc<Real>>| real.map(|real| real.id.0);
        let foreseen = name(farm.scheduler.peek(&farm.reals, &newcomer));
        let picked = name(farm.scheduler.pick(&farm.reals, &newcomer));
        assert_eq!(foreseen, picked);
        picked
    };
    (1..=40).map(choose).collect()
}

#[test]
fn who_is_left_out_is_never_chosen() {
    for algorithm in Algorithm::ALL {
        let name = algorithm.name();
        let farm = Farm::new(name, &[3, 9, 2]);
        let chosen = second_choices(&farm);
        let is_other = |real: &Option<u32>| matches!(real, Some(1 | 3));
        assert!(chosen.iter().all(is_other), "{name}: {chosen:?}");
        if ["sh", "mh", "dh"].contains(&name) {
            assert_eq!(second_choices(&farm), chosen, "{name}: clients keep them");
        }
        let alone = second_choices(&Farm::new(name, &[0, 9]));
        assert!(alone.iter().all(Option::is_none), "{name}: {alone:?}");
    }
}

/// Scheduler, weights of 1, 2, 3..., whom the kernel chooses.
const ORDERS: [(&str, &[u32], &str); 56] = [
    ("rr", &[1, 1, 1], "3 2 1 3 2 1 3 2 1 3 2 1"),
    ("rr", &[3, 1, 2], "3 2 1 3 2 1 3 2 1 3 2 1"),
    ("rr", &[3, 0, 2], "3 1 3 1 3 1 3 1 3 1 3 1"),
    ("rr", &[0, 0, 0], "- -"),
    ("rr", &[2], "1 1 1"),
    ("rr", &[], "-"),
    ("wrr", &[1, 1, 1], "3 2 1 3 2 1 3 2 1 3 2 1"),
    ("wrr", &[3, 1, 2], "3 2 1 1 3 1 3 2 1 1 3 1"),
    ("wrr", &[3, 0, 2], "3 1 1 3 1 3 1 1 3 1 3 1"),
    ("wrr", &[0, 0, 0], "- -"),
    ("wrr", &[2], "1 1 1"),
    ("wrr", &[], "-"),
    ("wrr", &[4, 2, 6], "3 2 1 3 3 1 3 2 1 3 3 1"),
    ("wrr", &[5, 5, 5], "3 2 1 3 2 1 3 2 1 3 2 1"),
    ("wrr", &[100, 1, 50], "3 2 1 1 1 1 1 1 1 1 1 1"),
    ("wrr", &[1, 2, 3], "3 2 1 3 3 2 3 2 1 3 3 2"),
    ("wrr", &[0, 3, 1], "3 2 2 2 3 2 2 2 3 2 2 2"),
    ("wrr", &[1, 1, 1, 1, 1, 1], "6 5 4 3 2 1 6 5 4 3 2 1"),
    ("lc", &[3, 1, 2], "3 2 1 3 2 1 3 2 1 3 2 1"),
    ("lc", &[3, 0, 2], "3 1 3 1 3 1 3 1 3 1 3 1"),
    ("lc", &[0, 0, 0], "- -"),
    ("lc", &[], "-"),
    ("wlc", &[1, 1, 1], "3 2 1 3 2 1 3 2 1 3 2 1"),
    ("wlc", &[3, 1, 2], "3 2 1 1 3 1 3 2 1 1 3 1"),
    ("wlc", &[3, 0, 2], "3 1 1 3 1 3 1 1 3 1 3 1"),
    ("wlc", &[0, 0, 0], "- -"),
    ("sed", &[1, 1, 1], "3 2 1 3 2 1 3 2 1 3 2 1"),
    ("sed", &[3, 1, 2], "1 3 1 3 2 1 1 3 1 3 2 1"),
    ("sed", &[3, 0, 2], "1 3 1 3 1 1 3 1 3 1 1 3"),
    ("sed", &[0, 0, 0], "- -"),
    ("sed", &[2], "1 1 1"),
    ("nq", &[1, 1, 1], "3 2 1 3 2 1 3 2 1 3 2 1"),
    ("nq", &[3, 1, 2], "3 2 1 1 3 1 1 3 1 3 2 1 1 3 1 3 2 1"),
    ("nq", &[3, 0, 2], "3 1 1 3 1 1 3 1 3 1 1 3"),
    ("nq", &[0, 0, 0], "- -"),
    ("nq", &[2], "1 1 1"),
    ("fo", &[1, 1, 1], "3 3 3 3"),
    ("fo", &[3, 1, 2], "1 1 1 1"),
    ("fo", &[3, 0, 2], "1 1 1 1"),
    ("fo", &[0, 0, 0], "- -"),
    ("fo", &[2], "1 1 1"),
    ("ovf", &[1, 1, 1], "3 3 2 2 1 1 - -"),
    ("ovf", &[3, 1, 2], "1 1 1 1 3 3 3 2 2 - -"),
    ("ovf", &[3, 0, 2], "1 1 1 1 3 3 3 - -"),
    ("ovf", &[0, 0, 0], "- -"),
    ("ovf", &[2], "1 1 1"),
    ("lblc", &[1, 1, 1], "3 3 2 2 1 1 1 1 1 1 1 1"),
    ("lblc", &[3, 1, 2], "3 3 3 2 2 1 1 1 1 1 1 1"),
    ("lblc", &[3, 0, 2], "3 3 3 1 1 1 1 1 1 1 1 1"),
    ("lblc", &[0, 0, 0], "- -"),
    ("lblc", &[2], "1 1 1"),
    ("lblcr", &[1, 1, 1], "3 3 2 2 1 1 1 2 3 1 2 3"),
    (
        "lblcr",
        &[3, 1, 2],
        "3 3 3 2 2 1 1 1 1 1 3 1 1 2 3 1 3 1 1 2 3 1 3 1",
    ),
    ("lblcr", &[3, 0, 2], "3 3 3 1 1 1 1 1 3 1 1 3"),
    ("lblcr", &[0, 0, 0], "- -"),
    ("lblcr", &[2], "1 1 1"),
];

#[test]
fn orders_are_the_kernels() {
    for (scheduler, weights, expected) in ORDERS {
        let farm = Farm::new(scheduler, weights);
        let count = expected.split(' ').count();
        assert_eq!(farm.open(count), expected, "{scheduler} {weights:?}");
    }
}

#[test]
fn a_whole_list_at_once_gives_the_same_order() {
    for (scheduler, weights, expected) in ORDERS {
        let mut farm = Farm::empty(scheduler);
        for (number, &weight) in (1..).zip(weights) {
            farm.reals.add(real(number, weight));
        }
        farm.settle();
        let count = expected.split(' ').count();
        assert_eq!(farm.open(count), expected, "{scheduler} {weights:?}");
    }
}

#[test]
fn rr_keeps_its_place_through_changes() {
    let mut farm = Farm::new("rr", &[1, 1, 1]);
    assert_eq!(farm.open(4), "3 2 1 3");
    farm.add(4, 1);
    assert_eq!(farm.open(8), "2 1 4 3 2 1 4 3");
    farm.delete(1);
    assert_eq!(farm.open(6), "2 4 3 2 4 3");
    farm.edit(2, 0);
    assert_eq!(farm.open(6), "4 3 4 3 4 3");
}

#[test]
fn rr_steps_back_when_the_one_chosen_last_goes() {
    let mut farm = Farm::new("rr", &[1, 1, 1, 1]);
    assert_eq!(farm.open(2), "4 3");
    farm.delete(3);
    assert_eq!(farm.open(4), "2 1 4 2");
    farm.delete(2);
    farm.delete(4);
    assert_eq!(farm.open(1), "1");
    farm.delete(1);
    farm.add(1, 1);
    farm.add(5, 1);
    assert_eq!(farm.open(3), "5 1 5");
}

#[test]
fn wrr_goes_on_at_its_level_through_changes() {
    let mut farm = Farm::new("wrr", &[3, 1, 2]);
    assert_eq!(farm.open(4), "3 2 1 1");
    farm.edit(2, 5);
    assert_eq!(farm.open(12), "2 1 3 2 1 3 2 1 2 2 2 1");
    farm.add(4, 2);
    assert_eq!(farm.open(12), "2 1 4 3 2 1 4 3 2 1 2 2");
    farm.delete(1);
    assert_eq!(farm.open(12), "2 2 4 3 2 4 3 2 2 2 2 4");
    farm.edit(2, 0);
    assert_eq!(farm.open(8), "4 3 4 3 4 3 4 3");
}

#[test]
fn wrr_holds_out_while_a_worker_has_the_list_of_before() {
    let mut farm = Farm::new("wrr", &[1, 1]);
    let before = (farm.reals.clone(), std::sync::Arc::clone(&farm.scheduler));
    farm.add(3, 1_000_000);
    farm.open(5);
    (farm.reals, farm.scheduler) = before;
    assert_eq!(farm.open(5).replace('-', "").len(), 9);
}

#[test]
fn wrr_built_for_a_list_begins_at_the_top() {
    let mut farm = Farm::new("rr", &[3, 1, 2]);
    farm.scheduler = super::build(Algorithm::Wrr, &farm.reals);
    assert_eq!(farm.open(6), "1 3 1 3 2 1");
}

#[test]
fn wrr_passes_over_the_overloaded_without_going_through_their_levels() {
    let mut farm = Farm::new("wrr", &[1_000_000_000, 2, 1]);
    limit(&mut farm, 1, 1);
    assert_eq!(farm.open(8), "3 2 1 2 3 2 2 3");
}

#[test]
fn wlc_weighs_active_and_inactive_connections() {
    let mut farm = Farm::new("wlc", &[3, 1, 2]);
    assert_eq!(farm.open(6), "3 2 1 1 3 1");
    assert_eq!(farm.open(6), "3 2 1 1 3 1");
    farm.close(3);
    farm.close(2);
    assert_eq!(farm.open(8), "2 3 1 3 2 1 3 1");
    farm.add(4, 3);
    assert_eq!(farm.open(12), "4 4 4 4 4 4 4 4 4 4 1 3");
    farm.edit(1, 0);
    assert_eq!(farm.open(6), "2 4 3 4 4 3");
}

#[test]
fn wlc_does_not_overflow() {
    let mut farm = Farm::new("wlc", &[u32::MAX, u32::MAX - 1]);
    farm.burden(1, u32::MAX, u32::MAX);
    farm.burden(2, u32::MAX, u32::MAX);
    assert_eq!(farm.ask(&tuple([172, 16, 0, 1], 1)).unwrap().id.0, 1);
}

/// Case 023: established and half-open connections, two closing, one real server joining.
#[test]
fn sed_counts_active_connections_only() {
    let mut farm = Farm::new("sed", &[3, 1, 2]);
    assert_eq!(farm.open(6), "1 3 1 3 2 1");
    assert_eq!(farm.open(6), "1 3 1 3 2 1");
    farm.close(1);
    farm.close(3);
    assert_eq!(farm.open(8), "3 1 1 3 1 3 2 1");
    farm.add(4, 3);
    assert_eq!(farm.open(12), "4 4 4 4 4 4 4 4 4 4 1 3");
    farm.edit(1, 0);
    assert_eq!(farm.open(6), "4 4 3 2 4 3");
}

/// Sub-run 86 of cases 005 to 013: UDP connections are never active.
#[test]
fn inactive_connections_count_for_some() {
    for (scheduler, expected) in [
        ("sed", "1 1 1 1 1 1 1 1 1 1 1 1"),
        ("nq", "3 3 3 3 3 3 3 3 3 3 3 3"),
        ("fo", "1 1 1 1 1 1 1 1 1 1 1 1"),
        ("ovf", "1 1 1 1 1 1 1 1 1 1 1 1"),
        ("lblc", "3 3 3 3 3 3 3 3 3 3 3 3"),
        ("lblcr", "3 3 3 3 3 3 3 3 3 3 3 3"),
        ("wlc", "3 2 1 1 3 1 3 2 1 1 3 1"),
        ("lc", "3 2 1 3 2 1 3 2 1 3 2 1"),
    ] {
        let mut farm = Farm::new(scheduler, &[3, 1, 2]);
        farm.phase = Phase::Inactive;
        assert_eq!(farm.open(12), expected, "{scheduler}");
    }
}

fn limit(farm: &mut Farm, number: u32, upper: u32) {
    let settings = farm.real(number).settings();
    farm.set(number, Settings { upper, ..settings });
}

/// Case 020: a threshold below what is there lets one more in.
#[test]
fn rr_passes_over_the_overloaded() {
    let mut farm = Farm::new("rr", &[1, 1, 1, 1]);
    farm.delete(1);
    farm.burden(2, 9, 0);
    limit(&mut farm, 2, 4);
    assert_eq!(farm.open(3), "4 3 2");
    assert_eq!(farm.open(6), "4 3 4 3 4 3");
    (0..7).for_each(|_| farm.real(2).load.leave(Phase::Active));
    assert_eq!(
        farm.open(6),
        "4 3 4 3 4 3",
        "3 of 4 is not below three quarters"
    );
    farm.real(2).load.leave(Phase::Active);
    assert_eq!(farm.open(6), "2 4 3 2 4 3");
}

#[test]
fn twos_gives_each_its_share_and_prefers_the_less_loaded() {
    let mut farm = Farm::new("twos", &[3, 1, 0, 2]);
    farm.open(6000);
    let shares = [1, 2, 3, 4].map(|number| farm.real(number).active());
    assert_eq!(shares[2], 0);
    for (share, expected) in shares.into_iter().zip([3000_u32, 1000, 0, 2000]) {
        assert!(share.abs_diff(expected) < 100, "{shares:?}");
    }
    farm.burden(1, 1_000_000, 0);
    farm.burden(4, 1_000_000, 0);
    let before = farm.real(2).active();
    farm.open(600);
    // The loaded ones get what both draws find there: (5/6)^2.
    let got = farm.real(2).active() - before;
    assert!((100..270).contains(&got), "{got} of 600");
}

proptest! {
    #[test]
    fn wrr_gives_each_its_share_in_every_cycle(
        weights in prop::collection::vec(0u32..50, 1..8),
        factor in 1u32..10,
    ) {
        let total: u32 = weights.iter().sum();
        prop_assume!(total > 0);
        let scaled: Vec<u32> = weights.iter().map(|w| w * factor).collect();
        let farm = Farm::new("wrr", &scaled);
        for cycle in 1..=3 {
            farm.open(total as usize);
            for (number, weight) in (1..).zip(&weights) {
                prop_assert_eq!(farm.real(number).active(), cycle * weight);
            }
        }
    }

    #[test]
    fn nobody_of_weight_zero_is_chosen_and_somebody_is_when_there_is_one(
        weights in prop::collection::vec(0u32..3, 0..6),
        place in 0..Algorithm::ALL.len(),
    ) {
        let scheduler = Algorithm::ALL[place].name();
        let may_refuse = ["dh", "sh", "mh", "ovf"].contains(&scheduler);
        let farm = Farm::new(scheduler, &weights);
        for chosen in farm.open(20).split(' ') {
            match chosen.parse::<u32>() {
                Ok(number) => prop_assert!(farm.real(number).weight > 0),
                Err(_) => prop_assert!(may_refuse || weights.iter().all(|&w| w == 0)),
            }
        }
    }
}
