//! mh: who moves when real servers come and go.

use adminapi::model::{SchedulerFlag, SchedulerFlags};
use proptest::prelude::*;

use super::super::testing::{Farm, tuple};
use crate::service::Settings;
use crate::service::testing::real;

const CLIENTS: u32 = 20_000;

/// The real server of each of many clients; 0 is nobody.
fn owners(farm: &Farm) -> Vec<u32> {
    owners_of(farm, CLIENTS)
}

fn owners_of(farm: &Farm, clients: u32) -> Vec<u32> {
    let client = |n: u32| tuple(n.wrapping_mul(0x9e37_79b1).to_be_bytes(), 1);
    let ask = |n| farm.ask(&client(n)).map_or(0, |real| real.id.0);
    (0..clients).map(ask).collect()
}

/// Real servers 1, 2, 3... of the weight 1, known as a whole.
fn farm_of(count: u32) -> Farm {
    let mut farm = Farm::empty("mh");
    (1..=count).for_each(|number| farm.reals.add(real(number, 1)));
    farm.settle();
    farm
}

/// Clients whose real server has changed though it is not `gone`, and all that were not its own.
fn moved(before: &[u32], after: &[u32], gone: u32) -> (usize, usize) {
    let others = || before.iter().zip(after).filter(|(old, _)| **old != gone);
    (
        others().filter(|(old, new)| old != new).count(),
        others().count(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// At most 1 % of the others' clients move when one of 100 equal real servers leaves: none as
    /// long as its table is not there yet.
    #[test]
    fn few_others_move_when_one_of_a_hundred_leaves(gone in 1u32..=100, base in 0u32..10_000) {
        let mut farm = Farm::empty("mh");
        for number in 1..=100 {
            farm.reals.add(real(base + number, 1));
        }
        farm.settle();
        let before = owners(&farm);
        farm.delete(base + gone);
        for percent in [0, 1] {
            let after = owners(&farm);
            prop_assert!(!after.contains(&(base + gone)) && !after.contains(&0));
            let (moved, others) = moved(&before, &after, base + gone);
            prop_assert!(moved * 100 <= others * percent, "{moved} of {others}");
            farm.catch_up();
        }
    }

    /// However a list changes: who is not in it or has no weight gets nothing, with the fallback
    /// everybody is served, and in the end the table is that of the list.
    #[test]
    fn a_table_of_before_will_do_until_there_is_the_next(
        steps in prop::collection::vec((0u8..4, 1u32..80), 1..40),
    ) {
        let mut farm = farm_of(64);
        for (step, number) in steps {
            let is_there = farm.reals.iter().any(|real| real.id.0 == number);
            match (step, is_there) {
                (0, true) => drop(farm.delete(number)),
                (1, true) => farm.set(number, Settings::weight(0)),
                (2, true) => farm.set(number, Settings::weight(2)),
                (3, _) => farm.catch_up(),
                (_, true) => {}
                (_, false) => farm.add(number, 1),
            }
            let weighs = |farm: &Farm, number| farm.real(number).weight > 0;
            farm.flags = SchedulerFlags::NONE;
            for number in owners_of(&farm, 300) {
                prop_assert!(number == 0 || weighs(&farm, number));
            }
            farm.flags = SchedulerFlags::NONE.with(SchedulerFlag::Fallback);
            for number in owners_of(&farm, 300) {
                prop_assert!(number > 0 && weighs(&farm, number));
            }
        }
        farm.catch_up();
        let caught_up = owners_of(&farm, 300);
        let grown = Farm { reals: farm.reals.clone(), flags: farm.flags, ..farm_of(80) };
        let afresh = Farm { scheduler: grown.scheduler.caught_up(&farm.reals).unwrap(), ..grown };
        prop_assert_eq!(caught_up, owners_of(&afresh, 300));
    }

    #[test]
    fn shares_follow_the_weights(weights in prop::collection::vec(1u32..10, 1..10)) {
        let farm = Farm::new("mh", &weights);
        let owners = owners(&farm);
        let total: u32 = weights.iter().sum();
        for (number, weight) in (1..).zip(weights) {
            let got = owners.iter().filter(|owner| **owner == number).count() as f64;
            let share = f64::from(CLIENTS) * f64::from(weight) / f64::from(total);
            prop_assert!((got - share).abs() < share * 0.1 + 100.0, "{got}, not {share}");
        }
    }
}

/// Up to 31 real servers share the kernel's table, where fewer slots for each mean more moves.
#[test]
fn of_a_few_real_servers_more_clients_of_others_move() {
    for count in [2, 4, 8, 16, 31] {
        let before = owners(&farm_of(count));
        let mut worst = 0.0f64;
        for gone in 1..=count {
            let mut rest = Farm::empty("mh");
            let others = (1..=count).filter(|number| *number != gone);
            others.for_each(|number| rest.reals.add(real(number, 1)));
            rest.settle();
            let (moved, others) = moved(&before, &owners(&rest), gone);
            worst = worst.max(moved as f64 / others as f64);
        }
        assert!(worst < 0.03, "{count}: {worst}");
    }
}

#[test]
fn a_table_that_has_grown_stays_so() {
    let mut farm = farm_of(32);
    let before = owners(&farm);
    for gone in [32, 31] {
        farm.delete(gone);
    }
    farm.catch_up();
    let still: Vec<_> = owners(&farm);
    let stayed = before.iter().zip(&still).filter(|(a, b)| a == b).count();
    assert!(stayed > CLIENTS as usize * 9 / 10);
}

/// Another director that is told how many slots there were places each client as the one before did.
#[test]
fn a_table_is_made_as_large_as_one_before() {
    let mut farm = farm_of(32);
    for gone in [32, 31] {
        farm.delete(gone);
    }
    farm.catch_up();
    let slots = farm.scheduler.slots().unwrap();
    let mut afresh = farm_of(30);
    assert_ne!(owners(&afresh), owners(&farm), "30 call for a smaller one");
    let widened = afresh.scheduler.widened(&afresh.reals, slots);
    afresh.scheduler = widened.unwrap();
    assert_eq!(owners(&afresh), owners(&farm));
    assert!(afresh.scheduler.widened(&afresh.reals, slots).is_none());
    assert!(farm_of(32).scheduler.widened(&farm.reals, 0).is_none());
}

#[test]
fn more_real_servers_than_slots_are_no_trouble() {
    let farm = farm_of(140_000);
    assert!(owners(&farm).iter().all(|&owner| owner > 0));
}

/// What takes the time is not done while who asks for the change waits.
#[test]
fn one_more_of_many_has_its_share_later() {
    let mut farm = farm_of(100);
    farm.add(101, 1);
    assert!(farm.scheduler.is_behind(&farm.reals));
    assert!(!owners(&farm).contains(&101));
    farm.catch_up();
    assert!(!farm.scheduler.is_behind(&farm.reals));
    let share = owners(&farm).iter().filter(|owner| **owner == 101).count();
    assert!(share.abs_diff(CLIENTS as usize / 101) < 100, "{share}");
}

/// Where hashing is as behind the kernel, and where most of a table would be of no use any more.
#[test]
fn a_few_or_most_of_all_have_their_shares_at_once() {
    let mut few = farm_of(30);
    few.add(31, 1);
    assert!(!few.scheduler.is_behind(&few.reals));
    let mut most = farm_of(100);
    for number in 1..=100 {
        most.reals.remove(real(number, 1).endpoint);
        most.reals.add(real(100 + number, 1));
    }
    most.settle();
    assert!(!most.scheduler.is_behind(&most.reals));
    assert!(owners(&most).iter().all(|owner| *owner > 100));
}
