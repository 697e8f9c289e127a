//! Routes of both families are followed as the kernel has them.

use director::neighbour::{Hop, NoHop};
use director::wire::Addr;

use crate::bed::{eventually, ifindex, inside, ip, ports, run};

/// Routes in a burst.
const BURST: u32 = 30_000;

#[test]
fn route_changes_are_followed() {
    inside("routes::route_changes_are_followed", async |world| {
        let (one, two) = ("10.1.0.2", "10.2.0.2");
        let (first, second) = (world.resolve(one).await, world.resolve(two).await);
        let dst = "10.9.1.1";
        for (change, expected) in [
            ("route add 10.9.0.0/16 via 10.1.0.2", Ok(first)),
            ("route replace 10.9.0.0/16 via 10.2.0.2", Ok(second)),
            ("route add 10.9.1.0/24 via 10.1.0.2 metric 20", Ok(first)),
            ("route add 10.9.1.0/24 via 10.2.0.2 metric 10", Ok(second)),
            ("route del 10.9.1.0/24 metric 10", Ok(first)),
            ("route add blackhole 10.9.1.1/32", Err(NoHop::Unreachable)),
            ("route del blackhole 10.9.1.1/32", Ok(first)),
            ("route del 10.9.1.0/24", Ok(second)),
            (
                "route replace 10.9.0.0/16 dev lo",
                Err(NoHop::OtherInterface),
            ),
            (
                "route replace 10.9.0.0/16 via 10.1.0.2 mtu 1400",
                Ok(Hop { mtu: 1400, ..first }),
            ),
            ("route del 10.9.0.0/16", Err(NoHop::NoRoute)),
            ("addr add 10.9.1.1/32 dev lo", Err(NoHop::Local)),
        ] {
            ip(change);
            eprintln!("ip {change}");
            world.becomes(dst, expected).await;
        }
    });
}

#[test]
fn multipath_routes_are_followed_in_both_families() {
    inside(
        "routes::multipath_routes_are_followed_in_both_families",
        async |world| {
            for (family, net, dst, gateways) in [
                ("-4", "10.9.0.0/16", "10.9.1.1", ["10.1.0.2", "10.2.0.2"]),
                (
                    "-6",
                    "2001:db8:9::/48",
                    "2001:db8:9::1",
                    ["2001:db8:1::2", "2001:db8:2::2"],
                ),
            ] {
                let [a, b] = gateways;
                world.resolve(a).await;
                world.resolve(b).await;
                ip(&format!(
                    "{family} route add {net} nexthop via {a} nexthop via {b}"
                ));
                eventually(net, || ports(&world, dst), |ports| *ports == 0b11).await;
                world.peer("link set p1 down");
                eventually(
                    "one carrier lost",
                    || ports(&world, dst),
                    |ports| *ports == 0b01,
                )
                .await;
                // Going down took the peer's IPv6 address along.
                world.peer("link set p1 up");
                world.peer("addr replace 2001:db8:2::2/64 dev p1 nodad");
                if family == "-6" {
                    ip(&format!("{family} route del {net} via {a} dev eth0"));
                    world.resolve(b).await;
                    eventually("one removed", || ports(&world, dst), |ports| *ports == 0b10).await;
                }
            }
        },
    );
}

#[test]
fn ipv6_routes_of_one_metric_are_told_apart() {
    inside(
        "routes::ipv6_routes_of_one_metric_are_told_apart",
        async |world| {
            world.resolve("2001:db8:1::2").await;
            world.resolve("2001:db8:2::2").await;
            for (change, expected) in [
                ("-6 route add NET via 2001:db8:1::2 proto ra", 0b01),
                ("-6 route append NET via 2001:db8:2::2 proto ra", 0b11),
                ("-6 route del NET via 2001:db8:1::2", 0b10),
                ("-6 route append NET dev eth0", 0b10),
                ("-6 route replace NET via 2001:db8:1::2", 0b01),
                ("-6 route del NET via 2001:db8:1::2", 0b00),
                ("-6 route replace NET via 2001:db8:2::2", 0b10),
                ("-6 route del NET", 0b00),
                ("nexthop add id 1 via 2001:db8:1::2 dev eth0", 0b00),
                ("nexthop add id 2 via 2001:db8:2::2 dev eth1", 0b00),
                ("-6 route add NET nhid 1", 0b01),
                ("-6 route append NET nhid 2", 0b01),
                ("-6 route del NET nhid 1", 0b10),
                ("-6 route append NET nhid 1", 0b10),
                ("-6 route del NET nhid 2", 0b01),
                ("-6 route append NET via 2001:db8:2::2", 0b01),
                ("-6 route append NET via 2001:db8:2::7", 0b01),
                ("nexthop replace id 1 via 2001:db8:2::2 dev eth1", 0b10),
                ("-6 route del NET nhid 1", 0b10),
                ("-6 route append NET via 2001:db8:1::2", 0b11),
            ] {
                ip(&change.replace("NET", "2001:db8:9::/48"));
                eprintln!("ip {change}");
                world.hears_all().await;
                let ports = || ports(&world, "2001:db8:9::1");
                eventually(change, ports, |ports| *ports == expected).await;
            }
        },
    );
}

#[test]
fn routes_follow_their_nexthop_objects() {
    inside(
        "routes::routes_follow_their_nexthop_objects",
        async |world| {
            world.resolve("10.1.0.2").await;
            world.resolve("10.2.0.2").await;
            for (change, expected) in [
                ("nexthop add id 1 via 10.1.0.2 dev eth0", 0b00),
                ("nexthop add id 2 via 10.2.0.2 dev eth1", 0b00),
                ("route add 10.9.0.0/16 nhid 1", 0b01),
                ("nexthop del id 1", 0b00),
                ("nexthop add id 1 via 10.1.0.2 dev eth0", 0b00),
                ("nexthop add id 9 group 2/1", 0b00),
                ("route add 10.9.0.0/16 nhid 9", 0b11),
                ("nexthop del id 2", 0b01),
                ("nexthop replace id 1 via 10.2.0.2 dev eth1", 0b10),
                ("nexthop del id 9", 0b00),
            ] {
                ip(change);
                eprintln!("ip {change}");
                let ports = || ports(&world, "10.9.1.1");
                eventually(change, ports, |ports| *ports == expected).await;
            }
        },
    );
}

/// A burst of routes overruns the event socket; the mirror must be whole all the same.
#[test]
fn a_burst_of_events_loses_nothing() {
    inside("routes::a_burst_of_events_loses_nothing", async |world| {
        let gateway = world.resolve("10.1.0.2").await;
        let host = |n: u32, last: u8| Addr::v4([20, (n >> 8) as u8, n as u8, last]);
        let file = tempfile::NamedTempFile::new().unwrap();
        for (verb, expected) in [("add", Ok(gateway)), ("del", Err(NoHop::NoRoute))] {
            let line = |n| format!("route {verb} {}/24 via 10.1.0.2\n", host(n, 0));
            std::fs::write(file.path(), (0..BURST).map(line).collect::<String>()).unwrap();
            // This blocks the runtime, so nobody reads the events.
            ip(&format!("-batch {}", file.path().display()));
            let fib = || world.network.fib().load();
            let missing = || {
                let differs = |n: &u32| fib().next_hop(host(*n, 1), 0) != expected;
                (0..BURST).filter(differs).count()
            };
            eventually(verb, missing, |missing| *missing == 0).await;
        }
        assert!(events_lost(), "the burst was too small to prove anything");
    });
}

/// Whether the kernel dropped messages to a socket of this namespace (column `Drops`).
fn events_lost() -> bool {
    let sockets = std::fs::read_to_string("/proc/net/netlink").unwrap();
    let drops = |line: &str| line.split_whitespace().nth(8)?.parse::<u64>().ok();
    sockets.lines().filter_map(drops).any(|drops| drops > 0)
}

/// `ip route get` as the oracle, over routes that nest and compete.
#[test]
fn the_kernel_agrees_on_where_packets_go() {
    inside(
        "routes::the_kernel_agrees_on_where_packets_go",
        async |world| {
            for (n, len) in (8..=30).enumerate() {
                let (gateway, metric) = (1 + n % 2, 100 - n);
                ip(
                    &format!("route add 10.77.77.77/{len} via 10.{gateway}.0.2 metric {metric}")
                        .replace("10.77.77.77", &network([10, 77, 77, 77], len)),
                );
            }
            ip("route add blackhole 10.77.77.64/28 metric 1");
            ip("route add 10.77.0.0/16 dev eth0 metric 7");
            ip("route add local 10.77.64.0/20 dev lo");
            world.resolve("10.1.0.2").await;
            world.resolve("10.2.0.2").await;
            world.hears_all().await;
            for bit in 0..32 {
                let dst = Addr::v4((u32::from_be_bytes([10, 77, 77, 77]) ^ 1 << bit).to_be_bytes());
                let said = run("ip", &format!("route get {dst}"));
                let expected = match &said {
                    Ok(text) if text.starts_with("local") => Some("lo".to_owned()),
                    Ok(text) => text
                        .split(" dev ")
                        .nth(1)
                        .map(|rest| rest.split(' ').next().unwrap().into()),
                    Err(_) => None,
                };
                let ours = match world.network.fib().load().next_hop(dst, 0) {
                    Ok(hop) => Some(format!("eth{}", hop.port)),
                    Err(NoHop::Unresolved { ifindex: at, .. }) => ["eth0", "eth1"]
                        .iter()
                        .find(|dev| ifindex(dev) == at)
                        .map(|dev| (*dev).to_owned()),
                    Err(NoHop::Local) => Some("lo".to_owned()),
                    Err(_) => None,
                };
                assert_eq!(ours, expected, "to {dst}: {said:?}");
            }
        },
    );
}

fn network(addr: [u8; 4], len: u32) -> String {
    let bits = u32::from_be_bytes(addr) & (u32::MAX << (32 - len));
    std::net::Ipv4Addr::from(bits).to_string()
}
