//! Each scheduler against what the kernel was seen to choose.

use proptest::prelude::*;

use super::*;
use crate::service::{Load, Method, RealId, ServiceKey, Standing};
use crate::stats::PerWorker;
use crate::wire::{Addr, Endpoint, Protocol};

/// A service with real servers that are known by number, and its scheduler.
struct Farm {
    scheduler: Arc<dyn Scheduler>,
    reals: Vec<Arc<Real>>,
}

fn by_name(name: &str) -> Arc<dyn Scheduler> {
    build(
        Algorithm::ALL
            .into_iter()
            .find(|a| a.name() == name)
            .unwrap(),
    )
}

fn tuple() -> Tuple {
    let endpoint = Endpoint::new(Addr::v4([172, 16, 0, 1]), 20_000);
    Tuple {
        protocol: Protocol::Tcp,
        src: endpoint,
        dst: endpoint,
    }
}

impl Farm {
    fn new(scheduler: &str, weights: &[u32]) -> Self {
        let mut farm = Self {
            scheduler: by_name(scheduler),
            reals: Vec::new(),
        };
        for (number, &weight) in (1..).zip(weights) {
            farm.add(number, weight);
        }
        farm
    }

    fn add(&mut self, number: u32, weight: u32) {
        self.reals.insert(0, real(number, weight));
        self.scheduler.update(&self.reals);
    }

    fn edit(&mut self, number: u32, weight: u32) {
        for real in self.reals.iter_mut().filter(|r| r.id.0 == number) {
            *real = Arc::new(Real {
                weight,
                ..Real::clone(real)
            });
        }
        self.scheduler.update(&self.reals);
    }

    fn delete(&mut self, number: u32) {
        self.reals.retain(|r| r.id.0 != number);
        self.scheduler.update(&self.reals);
    }

    /// Opens `count` connections, and says who got them: `3 2 1`, `-` for nobody.
    fn open(&self, count: usize) -> String {
        let chosen = (0..count).map(|_| {
            let Some(place) = self.scheduler.pick(&self.reals, &tuple()) else {
                return "-".to_owned();
            };
            self.reals[place].load.enter(true);
            self.reals[place].id.0.to_string()
        });
        chosen.collect::<Vec<_>>().join(" ")
    }

    fn real(&self, number: u32) -> &Real {
        self.reals.iter().find(|r| r.id.0 == number).unwrap()
    }

    /// A connection of the real server `number` is no longer active.
    fn close(&self, number: u32) {
        self.real(number).load.turn(true, false);
    }
}

fn real(number: u32, weight: u32) -> Arc<Real> {
    Arc::new(Real {
        id: RealId(number),
        service: ServiceKey {
            protocol: Protocol::Tcp,
            vip: tuple().dst,
        },
        endpoint: Endpoint::new(Addr::v4([10, 2, number as u8, 1]), 80),
        weight,
        method: Method::Nat,
        standing: Standing::Listed,
        load: Arc::default(),
        traffic: Arc::new(PerWorker::new(1)),
        service_traffic: Arc::new(PerWorker::new(1)),
    })
}

/// Scheduler, weights of 1, 2, 3..., whom the kernel chooses.
const ORDERS: [(&str, &[u32], &str); 26] = [
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
        let mut farm = Farm::new(scheduler, &[]);
        farm.scheduler = by_name(scheduler);
        farm.reals = (1..).zip(weights).map(|(n, &w)| real(n, w)).collect();
        farm.reals.reverse();
        farm.scheduler.update(&farm.reals);
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
    let before = farm.reals.clone();
    farm.add(3, 1_000_000);
    farm.open(5);
    for _ in 0..5 {
        assert!(farm.scheduler.pick(&before, &tuple()).is_some());
    }
    assert!(farm.scheduler.pick(&[], &tuple()).is_none());
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
    for real in &mut farm.reals {
        let load = Arc::new(Load::of(u32::MAX, u32::MAX));
        *real = Arc::new(Real {
            load,
            ..Real::clone(real)
        });
    }
    assert_eq!(farm.scheduler.pick(&farm.reals, &tuple()), Some(1));
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
        place in 0usize..4,
    ) {
        let scheduler = Algorithm::ALL[place].name();
        let farm = Farm::new(scheduler, &weights);
        for chosen in farm.open(20).split(' ') {
            match chosen.parse::<u32>() {
                Ok(number) => prop_assert!(farm.real(number).weight > 0),
                Err(_) => prop_assert!(weights.iter().all(|&w| w == 0)),
            }
        }
    }
}
