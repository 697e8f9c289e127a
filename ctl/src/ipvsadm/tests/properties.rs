//! What holds for every line.

use std::net::SocketAddr;

use adminapi::model::Scheduler;
use proptest::prelude::*;

use super::memory::MemoryDirector;
use super::{Dialect, Said, ipvsadm, say, words};
use crate::ipvsadm::switches;

/// Below 128.0.0.0, where the order of a listing does not depend on that of the director.
fn low_ipv4() -> impl Strategy<Value = [u8; 4]> {
    (0u32..1 << 31).prop_map(u32::to_be_bytes)
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
}
