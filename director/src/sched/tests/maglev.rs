//! mh: who moves when real servers come and go.

use proptest::prelude::*;

use super::super::testing::{Farm, real, tuple};

const CLIENTS: u32 = 20_000;

/// The real server of each of many clients.
fn owners(farm: &Farm) -> Vec<u32> {
    let client = |n: u32| tuple(n.wrapping_mul(0x9e37_79b1).to_be_bytes(), 1);
    let ask = |n| farm.ask(&client(n)).map_or(0, |real| real.id.0);
    (0..CLIENTS).map(ask).collect()
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

    /// At most 1 % of the others' clients move when one of 100 equal real servers leaves.
    #[test]
    fn few_others_move_when_one_of_a_hundred_leaves(gone in 1u32..=100, base in 0u32..10_000) {
        let mut farm = Farm::empty("mh");
        for number in 1..=100 {
            farm.reals.add(real(base + number, 1));
        }
        farm.settle();
        let before = owners(&farm);
        farm.delete(base + gone);
        let (moved, others) = moved(&before, &owners(&farm), base + gone);
        prop_assert!(moved * 100 <= others, "{moved} of {others}");
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
        let mut farm = Farm::empty("mh");
        (1..=count).for_each(|number| farm.reals.add(real(number, 1)));
        farm.settle();
        let before = owners(&farm);
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
    let mut farm = Farm::empty("mh");
    for number in 1..=32 {
        farm.reals.add(real(number, 1));
    }
    farm.settle();
    let before = owners(&farm);
    for gone in [32, 31] {
        farm.delete(gone);
    }
    let still: Vec<_> = owners(&farm);
    let stayed = before.iter().zip(&still).filter(|(a, b)| a == b).count();
    assert!(stayed > CLIENTS as usize * 9 / 10);
}

#[test]
fn more_real_servers_than_slots_are_no_trouble() {
    let mut farm = Farm::empty("mh");
    for number in 1..=140_000 {
        farm.reals.add(real(number, 1));
    }
    farm.settle();
    assert!(owners(&farm).iter().all(|&owner| owner > 0));
}
