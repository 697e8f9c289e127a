//! dh, sh and mh: whom the kernel gives each client.

use std::net::{Ipv4Addr, Ipv6Addr};

use adminapi::model::{SchedulerFlag, SchedulerFlags};

use super::super::testing::{Farm, tuple};
use crate::service::Settings;
use crate::service::testing::{real, real_at};
use crate::wire::{Addr, Endpoint, Tuple};

const FALLBACK: SchedulerFlags = SchedulerFlags::NONE.with(SchedulerFlag::Fallback);
const PORT: SchedulerFlags = SchedulerFlags::NONE.with(SchedulerFlag::Port);
const NONE: SchedulerFlags = SchedulerFlags::NONE;

/// The clients of a capture, in the order sent.
#[derive(Clone, Copy, Debug)]
enum Clients {
    /// 172.16.{0..3}.{1,16,31..226}, port 40000.
    Scattered,
    /// 172.16.1.1, .2, .3..., port 40000.
    Neighbours,
    /// 172.16.0.1, ports from 20000.
    One,
    /// fd00:16::1, ::12, ::23..., port 40000.
    V6,
}

impl Clients {
    fn nth(self, n: u16) -> Tuple {
        let [row, column] = [n / 16, n % 16].map(|n| n as u8);
        match self {
            Self::Scattered => tuple(Ipv4Addr::new(172, 16, row, 1 + 15 * column), 40_000),
            Self::Neighbours => tuple(Ipv4Addr::new(172, 16, 1, 1 + n as u8), 40_000),
            Self::One => tuple(Ipv4Addr::new(172, 16, 0, 1), 20_000 + n),
            Self::V6 => tuple(
                Ipv6Addr::new(0xfd00, 0x16, 0, 0, 0, 0, 0, 1 + 0x11 * n),
                40_000,
            ),
        }
    }
}

/// Scheduler, flags, port of the real servers, their weights, clients, whom the kernel chose.
type Capture = (
    &'static str,
    SchedulerFlags,
    u16,
    &'static [u32],
    Clients,
    &'static str,
);

const CAPTURES: [Capture; 24] = [
    ("dh", NONE, 81, &[1, 1, 1], Clients::One, "1 1 1"),
    ("dh", NONE, 84, &[3, 1, 2], Clients::Neighbours, "1 1 1 1"),
    ("dh", NONE, 87, &[0, 0, 0], Clients::One, "- -"),
    ("dh", NONE, 88, &[2], Clients::One, "1 1 1"),
    ("dh", NONE, 85, &[1, 1, 1], Clients::V6, "2 2 2 2"),
    ("sh", NONE, 81, &[1, 1, 1], Clients::One, "1 1 1 1"),
    ("sh", NONE, 82, &[3, 1, 2], Clients::One, "2 2 2 2"),
    (
        "sh",
        NONE,
        84,
        &[3, 1, 2],
        Clients::Neighbours,
        "3 2 3 2 1 3 1 1 1 1 2 1 3 1 1 3 1 3 1 3 2 3 3 1",
    ),
    ("sh", NONE, 85, &[3, 0, 2], Clients::One, "- - - -"),
    ("sh", NONE, 87, &[0, 0, 0], Clients::One, "- -"),
    ("sh", NONE, 88, &[2], Clients::One, "1 1 1"),
    (
        "sh",
        NONE,
        83,
        &[1, 1, 1],
        Clients::V6,
        "2 2 3 3 2 2 3 1 1 1 1 1 1 1 1 3 2 2 3 3 2 2 3 1",
    ),
    (
        "sh",
        PORT,
        87,
        &[3, 1, 2],
        Clients::V6,
        "3 2 3 1 1 1 2 3 3 3 1 1 1 1 3 2 3 2 1 1 1 1 2 3",
    ),
    (
        "mh",
        NONE,
        81,
        &[1, 1, 1],
        Clients::Scattered,
        "2 2 2 1 2 2 1 3 3 2 3 2 1 1 2 3 2 1 2 3 1 1 1 3 1 2 2 1 2 3 2 1 \
         1 2 2 1 3 1 2 1 3 3 2 1 3 3 2 3 3 2 2 2 2 1 2 2 3 1 3 3 2 1 3 3",
    ),
    (
        "mh",
        NONE,
        82,
        &[3, 1, 2],
        Clients::Scattered,
        "1 3 1 3 1 1 1 3 2 2 2 3 1 3 1 1 2 3 2 2 3 1 2 2 1 3 1 1 2 1 3 3 \
         1 3 3 1 3 1 3 1 1 1 1 1 1 1 1 3 3 1 1 1 3 1 3 2 1 2 1 2 1 1 3 1",
    ),
    (
        "mh",
        NONE,
        84,
        &[3, 1, 2],
        Clients::Neighbours,
        "2 3 1 1 1 1 1 3 3 1 1 3 1 1 1 3 1 3 1 3 1 2 2 2",
    ),
    (
        "mh",
        PORT,
        85,
        &[1, 1, 1],
        Clients::One,
        "3 1 3 3 1 2 3 1 2 1 1 2 3 2 1 2 3 3 2 3 2 2 2 3 2 1 1 1 2 1 3 3",
    ),
    (
        "mh",
        NONE,
        86,
        &[1, 0, 1],
        Clients::Scattered,
        "1 3 1 1 3 1 3 1 1 1 3 3 3 3 3 1 1 3 3 1 3 1 3 1",
    ),
    (
        "mh",
        FALLBACK,
        87,
        &[1, 0, 1],
        Clients::Scattered,
        "1 1 3 3 3 3 3 3 1 1 3 3 1 3 3 3 1 3 1 3 3 1 3 3",
    ),
    (
        "mh",
        NONE,
        89,
        &[1, 1, 1, 1, 1, 1],
        Clients::Scattered,
        "6 2 1 3 2 5 1 5 5 3 1 3 1 3 3 2 3 4 3 5 6 5 4 1 5 2 3 2 4 4 1 4",
    ),
    (
        "mh",
        NONE,
        90,
        &[5, 5, 5],
        Clients::Scattered,
        "3 1 3 3 1 2 3 2 2 3 2 3 1 3 2 2",
    ),
    (
        "mh",
        NONE,
        84,
        &[1, 1, 1],
        Clients::V6,
        "1 1 2 3 3 1 3 1 2 1 3 1 1 1 2 3 2 1 2 1 3 1 3 1",
    ),
    (
        "mh",
        PORT,
        86,
        &[3, 1, 2],
        Clients::V6,
        "1 1 1 3 1 1 3 1 3 1 1 2 2 2 2 3 2 3 3 1 3 3 3 1",
    ),
    ("mh", NONE, 87, &[0, 0, 0], Clients::One, "- -"),
];

fn v6(number: u32) -> Addr {
    let segments = [0xfd00, 2, number as u16, 0, 0, 0, 0, 1];
    std::net::IpAddr::from(Ipv6Addr::from(segments)).into()
}

/// Real servers of these numbers and weights, added in this order.
fn farm(scheduler: &str, clients: Clients, port: u16, reals: &[(u32, u32)]) -> Farm {
    let mut farm = Farm::empty(scheduler);
    for &(number, weight) in reals {
        let addr = match clients {
            Clients::V6 => v6(number),
            _ => real(number, weight).endpoint.addr,
        };
        farm.put(real_at(number, Endpoint::new(addr, port), weight));
    }
    farm
}

fn ask(farm: &Farm, clients: Clients, like: &str) -> String {
    let count = like.split(' ').count() as u16;
    farm.open_all((0..count).map(|n| clients.nth(n)))
}

#[test]
fn each_client_has_the_real_server_that_the_kernel_gives_it() {
    for (scheduler, flags, port, weights, clients, expected) in CAPTURES {
        let reals: Vec<_> = (1..).zip(weights.iter().copied()).collect();
        let mut farm = farm(scheduler, clients, port, &reals);
        farm.flags = flags;
        let got = ask(&farm, clients, expected);
        assert_eq!(
            got, expected,
            "{scheduler} {flags:?} {weights:?} {clients:?}"
        );
    }
}

/// Case 015, port 83.
#[test]
fn mh_after_a_removal() {
    let equal = [(1, 1), (2, 1), (3, 1)];
    let mut farm = farm("mh", Clients::Scattered, 83, &equal);
    farm.delete(2);
    let expected = "1 3 1 3 3 3 1 3 3 3 1 3 3 3 3 1 1 1 3 3 1 1 3 1 1 1 1 3 3 3 1 3";
    assert_eq!(ask(&farm, Clients::Scattered, expected), expected);
}

/// Case 015, port 84.
#[test]
fn mh_depends_on_the_order_of_adding() {
    let turned = [(3, 1), (1, 1), (2, 1)];
    let farm = farm("mh", Clients::Scattered, 84, &turned);
    let expected = "1 1 1 1 1 3 1 1 1 2 2 3 2 1 3 3 2 3 3 1 2 1 2 3 3 3 3 2 2 1 2 3";
    assert_eq!(ask(&farm, Clients::Scattered, expected), expected);
}

/// Case 015, port 88: who is quiesced keeps its slots, and the fallback finds others.
#[test]
fn mh_falls_back_from_a_quiesced_one() {
    let equal = [(1, 1), (2, 1), (3, 1)];
    let mut farm = farm("mh", Clients::One, 88, &equal);
    farm.flags = PORT.with(SchedulerFlag::Fallback);
    farm.edit(1, 0);
    let expected = "2 3 2 3 2 2 2 3 2 2 2 3 2 3 3 3";
    assert_eq!(ask(&farm, Clients::One, expected), expected);
    farm.flags = PORT;
    let refused = ask(&farm, Clients::One, expected);
    let kept = |(fallback, plain): (&str, &str)| plain == "-" || plain == fallback;
    assert!(
        expected.split(' ').zip(refused.split(' ')).all(kept),
        "{refused}"
    );
    assert!(refused.contains('-'));
}

/// Case 015, port 91.
#[test]
fn mh_passes_over_the_overloaded_with_fallback_only() {
    let equal = [(1, 1), (2, 1), (3, 1)];
    let mut farm = farm("mh", Clients::Scattered, 91, &equal);
    farm.set(
        1,
        Settings {
            upper: 2,
            ..Settings::weight(1)
        },
    );
    let expected = "2 2 2 2 2 2 2 3 2 1 2 3 3 2 2 1";
    assert_eq!(ask(&farm, Clients::Scattered, expected), expected);
    farm.flags = FALLBACK;
    let more = |n| tuple(Ipv4Addr::new(172, 16, 9, n), 40_000);
    assert_eq!(farm.open_all((1..9).map(more)), "2 3 2 2 3 2 3 2");
}

#[test]
fn sh_falls_back_to_whoever_takes_connections() {
    let reals = [(1, 3), (2, 0), (3, 2)];
    let mut farm = farm("sh", Clients::Scattered, 85, &reals);
    let all = || (0..64).map(|n| Clients::Scattered.nth(n));
    let plain = farm.open_all(all());
    farm.flags = FALLBACK;
    let fallback = farm.open_all(all());
    assert!(plain.contains('-') && !fallback.contains('-'));
    let kept = |(plain, fallback): (&str, &str)| plain == "-" || plain == fallback;
    assert!(plain.split(' ').zip(fallback.split(' ')).all(kept));
    farm.edit(1, 0);
    farm.edit(3, 0);
    assert_eq!(farm.open_all(all().take(3)), "- - -");
}
