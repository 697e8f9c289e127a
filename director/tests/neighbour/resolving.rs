//! Neighbours are asked for, kept, and noticed when they change.

use director::neighbour::{Ask, Hop, NoHop};
use director::time::Tick;

use crate::bed::{addr, eventually, inside, ip, mac_in, unresolved};

#[test]
fn an_asked_for_neighbour_is_resolved() {
    inside(
        "resolving::an_asked_for_neighbour_is_resolved",
        async |world| {
            for (port, dst) in [(0, "10.1.0.2"), (1, "2001:db8:2::2")] {
                assert_eq!(world.next(dst), unresolved(&format!("eth{port}"), dst));
                let expected = Hop {
                    mtu: 1500,
                    port,
                    src_mac: mac_in(&ip(&format!("link show eth{port}"))),
                    dst_mac: mac_in(&world.peer(&format!("link show p{port}"))),
                };
                assert_eq!(world.resolve(dst).await, expected);
            }
            assert_eq!(world.next("10.1.0.1"), Err(NoHop::Local));
            assert_eq!(world.next("10.1.0.255"), Err(NoHop::Unreachable));
            assert_eq!(world.next("198.51.100.1"), Err(NoHop::NoRoute));
        },
    );
}

#[test]
fn a_neighbour_that_is_not_there_is_silent() {
    inside(
        "resolving::a_neighbour_that_is_not_there_is_silent",
        async |world| {
            let (ghost, real) = ("10.1.0.99", "10.1.0.2");
            let mut asker = world.network.asker();
            let ask = Ask::to_mend(world.next(ghost).unwrap_err()).unwrap();
            assert!(asker.ask(ask, Tick(0)));
            assert!(!asker.ask(ask, Tick(9)), "asked twice within a second");
            eventually(
                "ghost entry",
                || ip("neigh show 10.1.0.99"),
                |text| text.contains("FAILED"),
            )
            .await;
            let is_silent = |next: &Result<Hop, NoHop>| matches!(next, Err(NoHop::Silent { .. }));
            world.until(ghost, is_silent).await;
            assert_eq!(Ask::to_mend(world.next(ghost).unwrap_err()), Some(ask));
            world.resolve(real).await;
        },
    );
}

#[test]
fn kept_addresses_and_gateways_are_resolved_before_traffic() {
    inside(
        "resolving::kept_addresses_and_gateways_are_resolved_before_traffic",
        async |world| {
            ip("route add default via 10.2.0.2");
            world
                .network
                .keep([addr("10.1.0.2"), addr("2001:db8:1::2")]);
            for dst in ["10.1.0.2", "2001:db8:1::2", "192.0.2.1"] {
                world.until(dst, Result::is_ok).await;
            }
        },
    );
}

#[test]
fn a_permanent_entry_is_used_and_left_alone() {
    inside(
        "resolving::a_permanent_entry_is_used_and_left_alone",
        async |world| {
            ip("neigh add 10.1.0.77 lladdr 02:00:00:00:00:77 dev eth0 nud permanent");
            world.until("10.1.0.77", Result::is_ok).await;
            world.network.keep([addr("10.1.0.77"), addr("10.1.0.2")]);
            world.until("10.1.0.2", Result::is_ok).await;
            assert!(ip("neigh show 10.1.0.77").contains("PERMANENT"));
        },
    );
}

#[test]
fn a_new_ethernet_address_of_a_silent_neighbour_is_noticed() {
    inside(
        "resolving::a_new_ethernet_address_of_a_silent_neighbour_is_noticed",
        async |world| {
            for (key, value) in [
                ("base_reachable_time_ms", "1000"),
                ("delay_first_probe_time", "1"),
                ("retrans_time_ms", "100"),
                ("gc_stale_time", "600"),
            ] {
                let path = format!("/proc/sys/net/ipv4/neigh/eth0/{key}");
                std::fs::write(path, value).unwrap();
            }
            world.network.keep([addr("10.1.0.2")]);
            world.until("10.1.0.2", Result::is_ok).await;
            world.peer("link set p0 address 02:00:00:00:aa:aa");
            let new = |next: &Result<Hop, NoHop>| {
                next.is_ok_and(|hop| hop.dst_mac == [2, 0, 0, 0, 0xaa, 0xaa])
            };
            world.until("10.1.0.2", new).await;
        },
    );
}

#[test]
fn ipv4_goes_through_an_ipv6_gateway() {
    inside(
        "resolving::ipv4_goes_through_an_ipv6_gateway",
        async |world| {
            let gateway = world.resolve("2001:db8:1::2").await;
            ip("route add 10.9.0.0/16 via inet6 2001:db8:1::2 dev eth0");
            world.becomes("10.9.1.1", Ok(gateway)).await;
        },
    );
}
