//! What holds for every line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use adminapi::model::Scheduler;
use proptest::prelude::*;

use super::memory::MemoryDirector;
use super::{Dialect, Said, bulwark, ipvsadm, say, words};
use crate::ipvsadm::switches;

/// Below 128.0.0.0, where the order of a listing does not depend on that of the director.
fn low_ipv4() -> impl Strategy<Value = [u8; 4]> {
    (0u32..1 << 31).prop_map(u32::to_be_bytes)
}

/// Most of them have names: short and long ones, and such as lead elsewhere.
fn named_ipv4() -> impl Strategy<Value = IpAddr> {
    let known = (
        prop_oneof![Just([10, 0, 0]), Just([192, 0, 2])],
        proptest::sample::select(vec![1u8, 10, 11, 12, 20, 77, 78, 79, 98, 99]),
    );
    let known = known.prop_map(|([a, b, c], d)| Ipv4Addr::new(a, b, c, d));
    prop_oneof![5 => known, 1 => low_ipv4().prop_map(Ipv4Addr::from)].prop_map(IpAddr::from)
}

/// The first one has a name.
fn named_ipv6() -> impl Strategy<Value = IpAddr> {
    (1u16..4).prop_map(|last| [0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into())
}

fn named_port() -> impl Strategy<Value = u16> {
    let known = proptest::sample::select(vec![22, 53, 80, 443, 5353, 8080, 8085, 65535]);
    prop_oneof![5 => known, 1 => 1u16..]
}

/// A service and its real servers, of one family.
fn named_service() -> impl Strategy<Value = (SocketAddr, Vec<SocketAddr>)> {
    fn of(host: impl Strategy<Value = IpAddr>) -> impl Strategy<Value = SocketAddr> {
        (host, named_port()).prop_map(SocketAddr::from)
    }
    let some = 0..4;
    prop_oneof![
        3 => (of(named_ipv4()), proptest::collection::vec(of(named_ipv4()), some.clone())),
        1 => (of(named_ipv6()), proptest::collection::vec(of(named_ipv6()), some)),
    ]
}

/// The lines: where addresses are far apart, their order depends on that of the director.
fn in_any_order(text: &str) -> Vec<String> {
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

fn any_word() -> impl Strategy<Value = String> {
    let switches = switches::SWITCHES.iter().chain(switches::OWN_SWITCHES);
    // What is watched never ends.
    let mut known: Vec<String> = switches
        .filter(|switch| switch.long != "watch")
        .flat_map(|s| {
            [
                Some(format!("--{}", s.long)),
                s.short.map(|c| format!("-{c}")),
            ]
        })
        .flatten()
        .collect();
    known.extend(
        [
            "192.0.2.10:80",
            "[2001:db8::1]:80",
            "10.0.0.1",
            "rr",
            "5",
            "0",
            "-1",
            "--",
            "-",
            "",
            "master",
            "gue",
            "-Lnc",
            "--weight=3",
            "-p=",
            "\u{e9}",
            "-\u{e9}",
            "--=",
        ]
        .map(str::to_owned),
    );
    prop_oneof![4 => proptest::sample::select(known), 1 => ".{0,12}"]
}

proptest! {
    #[test]
    fn no_line_panics(
        args in proptest::collection::vec(any_word(), 0..10),
        input in "(.{0,20}\n){0,3}",
    ) {
        let director = MemoryDirector::default();
        for dialect in [Dialect::Bulwark, Dialect::Ipvsadm] {
            let said = say(&director, dialect, &args, input.as_bytes());
            prop_assert_eq!(said.status == 0, said.err.is_empty(), "{:?}", said);
        }
    }

    #[test]
    fn what_is_saved_restores(
        services in proptest::collection::btree_map(
            (any::<bool>(), low_ipv4(), 1u16..),
            (0usize..4, proptest::collection::btree_map((low_ipv4(), any::<u16>()), 0..=i32::MAX as u32, 0..4)),
            0..6,
        ),
    ) {
        let director = MemoryDirector::default();
        for ((udp, vip, port), (scheduler, reals)) in services {
            let vip = SocketAddr::from((vip, port));
            let selector = format!("-{} {vip}", if udp { 'u' } else { 't' });
            let scheduler = Scheduler::ALL[scheduler].name();
            prop_assert_eq!(ipvsadm(&director, &format!("-A {selector} -s {scheduler}")).status, 0);
            for (real, weight) in reals {
                let real = SocketAddr::from(real);
                let line = format!("-a {selector} -r {real} -m -w {weight}");
                prop_assert_eq!(ipvsadm(&director, &line).status, 0);
            }
        }
        let saved = ipvsadm(&director, "-Sn").out;
        let other = MemoryDirector::default();
        let restored = say(&other, Dialect::Ipvsadm, &words("-R"), saved.as_bytes());
        prop_assert_eq!(restored, Said { out: String::new(), err: String::new(), status: 0 });
        prop_assert_eq!(ipvsadm(&other, "-Ln").out, ipvsadm(&director, "-Ln").out);
        prop_assert_eq!(ipvsadm(&other, "-Sn").out, saved);
    }

    #[test]
    fn what_is_saved_with_names_restores(
        services in proptest::collection::vec((any::<bool>(), named_service()), 0..6),
    ) {
        let director = MemoryDirector::default();
        for (udp, (vip, reals)) in services {
            let selector = format!("-{} {vip}", if udp { 'u' } else { 't' });
            // What is there already is refused.
            ipvsadm(&director, &format!("-A {selector}"));
            for real in reals {
                ipvsadm(&director, &format!("-a {selector} -r {real} -m"));
            }
        }
        for line in ["-S", "-S --full"] {
            let saved = bulwark(&director, line).out;
            let other = MemoryDirector::default();
            let restored = say(&other, Dialect::Bulwark, &words("-R"), saved.as_bytes());
            prop_assert_eq!(restored, Said { out: String::new(), err: String::new(), status: 0 }, "{}", saved);
            let lines = |director| in_any_order(&bulwark(director, "-Sn").out);
            prop_assert_eq!(lines(&other), lines(&director), "{}", saved);
        }
    }
}
