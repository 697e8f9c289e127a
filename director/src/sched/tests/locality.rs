//! lblc and lblcr over many destinations and long times.

use crate::service::Phase;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::super::locality::EXPIRATION;
use super::super::testing::{Farm, tuple};
use crate::service::{Real, Settings};
use crate::time::Ticks;
use crate::wire::{Addr, Endpoint, Tuple};

/// A connection to the `n`-th destination.
fn to(n: u8) -> Tuple {
    Tuple {
        dst: Endpoint::new(Addr::v4([10, 99, 0, n]), 80),
        ..tuple(Ipv4Addr::new(172, 16, 0, 1), 20_000)
    }
}

/// Case 017.
#[test]
fn lblc_keeps_destinations_where_they_are() {
    let mut farm = Farm::new("lblc", &[1, 1, 1]);
    let first = "3 2 1 3 2 1 3 2 1 3 2 1 3 2 1 3 2 1 3 2 1 3 2 1";
    assert_eq!(farm.open_all((0..24).map(to)), first);
    assert_eq!(farm.open_all((0..24).map(to)), first);
    farm.edit(2, 0);
    let without = "3 1 1 3 3 1 3 1 1 3 3 1";
    assert_eq!(farm.open_all((0..12).map(to)), without);
    let gone = farm.delete(2);
    assert_eq!(farm.open_all((0..12).map(to)), without);
    farm.put(Arc::new(Real::with(&gone, Settings::weight(3))));
    assert_eq!(
        farm.open_all((0..24).map(to)),
        format!("{without} 3 2 1 3 2 1 3 2 1 3 2 1")
    );
}

#[test]
fn lblc_forgets_what_is_unused_for_a_day() {
    let mut farm = Farm::new("lblc", &[1, 1]);
    farm.phase = Phase::Inactive;
    assert_eq!(farm.open_all([to(1), to(1), to(1)]), "2 2 2");
    farm.now = farm.now.after(EXPIRATION);
    assert_eq!(farm.open_all([to(1)]), "1");
}

#[test]
fn neither_uses_the_overloaded() {
    for scheduler in ["lblc", "lblcr"] {
        let mut farm = Farm::new(scheduler, &[9, 9]);
        let limit = Settings {
            upper: 2,
            ..Settings::weight(9)
        };
        farm.set(2, limit);
        assert_eq!(
            farm.open_all([1, 1, 1, 1].map(to)),
            "2 2 1 1",
            "{scheduler}"
        );
    }
}

#[test]
fn lblcr_shrinks_a_set_that_has_not_changed_for_a_day() {
    let mut farm = Farm::new("lblcr", &[1, 1]);
    assert_eq!(farm.open_all([1; 6].map(to)), "2 2 1 1 1 2");
    // Both serve the destination now. The set stays as it is while it is new ...
    farm.burden(1, 0, 5);
    farm.burden(2, 0, 0);
    assert_eq!(farm.open_all([to(1)]), "2");
    farm.burden(2, 0, 9);
    assert_eq!(farm.open_all([to(1)]), "1");
    // ... and loses the more loaded one (2) later, though it is used all the time.
    for _ in 0..3 {
        farm.now = farm.now.after(Ticks(EXPIRATION.0 / 2));
        farm.burden(1, 0, 0);
        assert_eq!(farm.open_all([to(1)]), "1");
    }
    farm.burden(1, 1, 0);
    farm.burden(2, 1, 0);
    assert_eq!(farm.open_all([to(1)]), "1");
    farm.burden(1, 1, 9);
    assert_eq!(farm.open_all([to(1)]), "1", "2 is no member any more");
}
