//! The mirror of routes and neighbours against a real kernel.
//!
//! Each test makes two network namespaces, joined by two veth pairs, and runs itself again
//! inside the first:
//!
//! ```text
//!  director: eth0 10.1.0.1/24, 2001:db8:1::1/64 ---- p0 10.1.0.2/24, 2001:db8:1::2/64 :peer
//!            eth1 10.2.0.1/24, 2001:db8:2::1/64 ---- p1 10.2.0.2/24, 2001:db8:2::2/64
//! ```
//!
//! That needs root; without it the tests say so and pass.

use std::fmt::Debug;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use director::neighbour::{Ask, Hop, Link, Mac, Neighbourhood, NoHop};
use director::time::Tick;
use director::wire::Addr;
use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Protocol, Socket, Type};

/// Set for the process inside the namespace: the name of the other one.
const PEER: &str = "BULWARK_TEST_PEER";

/// Routes in a burst.
const BURST: u32 = 30_000;

/// How long a change may take to be seen; the slowest, a silent neighbour, takes some 20 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two joined namespaces, removed on drop.
struct Net {
    director: String,
    peer: String,
}

impl Net {
    fn new() -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let id = format!("{}-{}", std::process::id(), SERIAL.fetch_add(1, Relaxed));
        let net = Self {
            director: format!("bwnb-d-{id}"),
            peer: format!("bwnb-p-{id}"),
        };
        let (d, p) = (&net.director, &net.peer);
        ip(&format!("netns add {d}"));
        ip(&format!("netns add {p}"));
        for ns in [d, p] {
            ip(&format!("-n {ns} link set lo up"));
        }
        for (n, v4, v6) in [(0, "10.1.0", "2001:db8:1:"), (1, "10.2.0", "2001:db8:2:")] {
            ip(&format!(
                "-n {d} link add eth{n} type veth peer name p{n} netns {p}"
            ));
            for (ns, dev, host) in [(d, format!("eth{n}"), 1), (p, format!("p{n}"), 2)] {
                ip(&format!("-n {ns} addr add {v4}.{host}/24 dev {dev}"));
                ip(&format!("-n {ns} addr add {v6}:{host}/64 dev {dev} nodad"));
                ip(&format!("-n {ns} link set {dev} up"));
            }
        }
        net
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for ns in [&self.director, &self.peer] {
            let _ = Command::new("ip").args(["netns", "del", ns]).status();
        }
    }
}

fn ip(arguments: &str) -> String {
    run("ip", arguments).unwrap_or_else(|error| panic!("ip {arguments}: {error}"))
}

fn run(program: &str, arguments: &str) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments.split_whitespace())
        .output()
        .map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Runs `body`, the test called `name`, inside namespaces of its own.
fn inside<F: Future<Output = ()>>(name: &str, body: impl FnOnce(World) -> F) {
    if let Ok(peer) = std::env::var(PEER) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        return runtime.block_on(async { body(World::new(peer).await).await });
    }
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("SKIPPED {name}: making network namespaces needs root");
        return;
    }
    let net = Net::new();
    let again = std::env::current_exe().unwrap();
    let status = Command::new("ip")
        .args(["netns", "exec", &net.director])
        .arg(again)
        .args(["--exact", name, "--nocapture"])
        .env(PEER, &net.peer)
        .status()
        .unwrap();
    assert!(status.success(), "{name} failed inside its namespace");
}

/// The view from inside the director's namespace.
struct World {
    peer: String,
    network: Neighbourhood,
}

impl World {
    async fn new(peer: String) -> Self {
        let network = Neighbourhood::follow(&["eth0", "eth1"]).await.unwrap();
        Self { peer, network }
    }

    fn next(&self, dst: &str) -> Result<Hop, NoHop> {
        self.network.fib().load().next_hop(addr(dst), 0)
    }

    /// Asks for what is missing until there is a next hop.
    async fn resolve(&self, dst: &str) -> Hop {
        let mut asker = self.network.asker();
        let mut now = Tick(0);
        let hop = eventually(
            dst,
            || {
                let next = self.next(dst);
                if let Some(ask) = next.err().and_then(Ask::to_mend) {
                    now = Tick(now.0 + 1);
                    asker.ask(ask, now);
                }
                next
            },
            Result::is_ok,
        );
        hop.await.unwrap()
    }

    /// Waits until the next hop to `dst` is as `wanted`.
    async fn until(&self, dst: &str, wanted: impl Fn(&Result<Hop, NoHop>) -> bool) {
        let _seen = eventually(dst, || self.next(dst), wanted).await;
    }

    async fn becomes(&self, dst: &str, expected: Result<Hop, NoHop>) {
        self.until(dst, |next| *next == expected).await;
    }

    /// Waits until all that the kernel has told so far is taken in.
    async fn hears_all(&self) {
        let marker = "198.18.0.1";
        for (verb, expected) in [("add", NoHop::Unreachable), ("del", NoHop::NoRoute)] {
            ip(&format!("route {verb} blackhole {marker}"));
            self.becomes(marker, Err(expected)).await;
        }
    }

    /// Runs `ip` in the peer's namespace.
    fn peer(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.peer))
    }
}

/// Looks until `wanted` holds and returns what it then saw.
async fn eventually<T: Debug>(
    what: &str,
    mut look: impl FnMut() -> T,
    wanted: impl Fn(&T) -> bool,
) -> T {
    let start = Instant::now();
    loop {
        let seen = look();
        if wanted(&seen) {
            return seen;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: still {seen:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn addr(text: &str) -> Addr {
    text.parse::<IpAddr>().unwrap().into()
}

fn mac_in(text: &str) -> Mac {
    let text = text.split("link/ether ").nth(1).unwrap();
    let bytes = text.split(' ').next().unwrap().split(':');
    let bytes: Vec<u8> = bytes.map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

fn ifindex(name: &str) -> u32 {
    let path = format!("/sys/class/net/{name}/ifindex");
    let text = std::fs::read_to_string(path).unwrap();
    text.trim().parse().unwrap()
}

fn unresolved(dev: &str, who: &str) -> Result<Hop, NoHop> {
    Err(NoHop::Unresolved {
        ifindex: ifindex(dev),
        addr: addr(who),
    })
}

#[test]
fn an_asked_for_neighbour_is_resolved() {
    inside("an_asked_for_neighbour_is_resolved", async |world| {
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
    });
}

#[test]
fn a_neighbour_that_is_not_there_stays_unresolved() {
    inside(
        "a_neighbour_that_is_not_there_stays_unresolved",
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
            assert_eq!(world.next(ghost), unresolved("eth0", ghost));
            world.resolve(real).await;
        },
    );
}

#[test]
fn kept_addresses_and_gateways_are_resolved_before_traffic() {
    inside(
        "kept_addresses_and_gateways_are_resolved_before_traffic",
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
    inside("a_permanent_entry_is_used_and_left_alone", async |world| {
        ip("neigh add 10.1.0.77 lladdr 02:00:00:00:00:77 dev eth0 nud permanent");
        world.until("10.1.0.77", Result::is_ok).await;
        world.network.keep([addr("10.1.0.77"), addr("10.1.0.2")]);
        world.until("10.1.0.2", Result::is_ok).await;
        assert!(ip("neigh show 10.1.0.77").contains("PERMANENT"));
    });
}

#[test]
fn a_new_ethernet_address_of_a_silent_neighbour_is_noticed() {
    inside(
        "a_new_ethernet_address_of_a_silent_neighbour_is_noticed",
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
fn route_changes_are_followed() {
    inside("route_changes_are_followed", async |world| {
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
fn ipv4_goes_through_an_ipv6_gateway() {
    inside("ipv4_goes_through_an_ipv6_gateway", async |world| {
        let gateway = world.resolve("2001:db8:1::2").await;
        ip("route add 10.9.0.0/16 via inet6 2001:db8:1::2 dev eth0");
        world.becomes("10.9.1.1", Ok(gateway)).await;
    });
}

/// Ports that many flows to `dst` leave through, as a bit set.
fn ports(world: &World, dst: &str) -> u32 {
    let fib = world.network.fib().load();
    let hash = |flow: u64| flow.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    let hops = (0..64).filter_map(|flow| fib.next_hop(addr(dst), hash(flow)).ok());
    hops.fold(0, |ports, hop| ports | 1 << hop.port)
}

#[test]
fn multipath_routes_are_followed_in_both_families() {
    inside(
        "multipath_routes_are_followed_in_both_families",
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

/// What an IPv6 router says of itself, from the address `from` of the peer's interface `dev`: for so
/// many seconds it is one (RFC 4861 §4.2).
fn advertise(world: &World, dev: &str, from: &str, seconds: u8) {
    let namespace = std::fs::File::open(format!("/var/run/netns/{}", world.peer)).unwrap();
    let link = world.peer(&format!("link show {dev}"));
    let scope = link.split(':').next().unwrap().parse().unwrap();
    let from: Ipv6Addr = from.parse().unwrap();
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let say = move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        // Or it would say in its next word that it is no router.
        std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
        let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6)).unwrap();
        socket.set_multicast_hops_v6(255).unwrap();
        socket.set_multicast_if_v6(scope).unwrap();
        let at = |addr| SocketAddrV6::new(addr, 0, 0, scope).into();
        socket.bind(&at(from)).unwrap();
        let words = [134, 0, 0, 0, 64, 0, 0, seconds, 0, 0, 0, 0, 0, 0, 0, 0];
        socket.send_to(&words, &at(all_nodes)).unwrap();
    };
    std::thread::spawn(say).join().unwrap();
}

#[test]
fn of_two_ipv6_routers_either_may_go() {
    inside("of_two_ipv6_routers_either_may_go", async |world| {
        let routers = [("eth0", "p0", "fe80::a1"), ("eth1", "p1", "fe80::a2")];
        for (dev, peer, router) in routers {
            std::fs::write(format!("/proc/sys/net/ipv6/conf/{dev}/accept_ra"), "2").unwrap();
            world.peer(&format!("addr add {router}/64 dev {peer} nodad"));
        }
        let dst = "2001:db8:9::1";
        let defaults = || ip("-6 route show default").matches("proto ra").count();
        for goes in [1, 0] {
            for (_, peer, router) in routers {
                advertise(&world, peer, router, 200);
                eventually(router, || ports(&world, dst), |ports| *ports != 0).await;
            }
            eventually("both routers", defaults, |count| *count == 2).await;
            world.hears_all().await;
            let (_, peer, router) = routers[goes];
            advertise(&world, peer, router, 0);
            eventually("one router", defaults, |count| *count == 1).await;
            world.hears_all().await;
            let other = 1 << (1 - goes);
            eventually(router, || ports(&world, dst), |ports| *ports == other).await;
        }
    });
}

#[test]
fn ipv6_routes_of_one_metric_are_told_apart() {
    inside("ipv6_routes_of_one_metric_are_told_apart", async |world| {
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
    });
}

#[test]
fn routes_follow_their_nexthop_objects() {
    inside("routes_follow_their_nexthop_objects", async |world| {
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
    });
}

#[test]
fn a_link_that_goes_down_takes_its_routes_along() {
    inside(
        "a_link_that_goes_down_takes_its_routes_along",
        async |world| {
            ip("route add 10.9.0.0/16 via 10.1.0.2");
            let gateway = world.resolve("10.1.0.2").await;
            world.becomes("10.9.1.1", Ok(gateway)).await;
            world.peer("link set p0 down");
            world.becomes("10.9.1.1", Err(NoHop::Down)).await;
            world.peer("link set p0 up");
            world.resolve("10.9.1.1").await;
            ip("link set eth0 down");
            // The kernel drops both routes, and says nothing of it.
            world.becomes("10.9.1.1", Err(NoHop::NoRoute)).await;
            world.becomes("10.1.0.2", Err(NoHop::NoRoute)).await;
            ip("link set eth0 up");
            world.resolve("10.1.0.2").await;
            world.becomes("10.9.1.1", Err(NoHop::NoRoute)).await;
        },
    );
}

#[test]
fn routes_that_prefer_a_lost_source_address_go() {
    inside(
        "routes_that_prefer_a_lost_source_address_go",
        async |world| {
            ip("addr add 10.5.0.1/32 dev lo");
            ip("route add 10.9.0.0/16 via 10.1.0.2 src 10.5.0.1");
            world
                .becomes("10.9.1.1", unresolved("eth0", "10.1.0.2"))
                .await;
            ip("addr del 10.5.0.1/32 dev lo");
            world.becomes("10.9.1.1", Err(NoHop::NoRoute)).await;
        },
    );
}

#[test]
fn addresses_and_links_are_announced() {
    inside("addresses_and_links_are_announced", async |world| {
        let (mut addresses, mut links) = (world.network.addresses(), world.network.links());
        let has = |list: &[Addr]| list.contains(&addr("10.1.0.50"));
        assert!(!has(&addresses.borrow()) && addresses.borrow().contains(&addr("10.1.0.1")));
        ip("addr add 10.1.0.50/24 dev eth0");
        addresses.wait_for(|list| has(list)).await.unwrap();
        ip("addr del 10.1.0.50/24 dev eth0");
        addresses.wait_for(|list| !has(list)).await.unwrap();
        ip("link set eth0 mtu 1400");
        let mtu = |list: &[Link], mtu| {
            list.iter()
                .any(|link| link.port == Some(0) && link.mtu == mtu)
        };
        links.wait_for(|list| mtu(list, 1400)).await.unwrap();
        let hop = world.resolve("10.1.0.2").await;
        assert_eq!(hop.mtu, 1400);
        ip("link set eth0 address 02:00:00:00:00:05");
        let own = [2, 0, 0, 0, 0, 5];
        let renewed = |list: &Arc<[Link]>| list.iter().any(|link| link.mac == Some(own));
        links.wait_for(renewed).await.unwrap();
        assert_eq!(world.resolve("10.1.0.2").await.src_mac, own);
        ip("link del eth0");
        links
            .wait_for(|list| list.iter().all(|link| &*link.name != "eth0"))
            .await
            .unwrap();
        world.becomes("10.1.0.2", Err(NoHop::NoRoute)).await;
    });
}

/// A burst of routes overruns the event socket; the mirror must be whole all the same.
#[test]
fn a_burst_of_events_loses_nothing() {
    inside("a_burst_of_events_loses_nothing", async |world| {
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
    inside("the_kernel_agrees_on_where_packets_go", async |world| {
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
    });
}

fn network(addr: [u8; 4], len: u32) -> String {
    let bits = u32::from_be_bytes(addr) & (u32::MAX << (32 - len));
    std::net::Ipv4Addr::from(bits).to_string()
}
