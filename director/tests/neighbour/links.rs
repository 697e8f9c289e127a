//! Links, addresses and routers that come and go.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::Arc;

use director::neighbour::{Link, NoHop};
use director::wire::Addr;
use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Protocol, Socket, Type};

use crate::bed::{World, addr, eventually, inside, ip, ports, unresolved};

#[test]
fn a_link_that_goes_down_takes_its_routes_along() {
    inside(
        "links::a_link_that_goes_down_takes_its_routes_along",
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
        "links::routes_that_prefer_a_lost_source_address_go",
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
    inside("links::addresses_and_links_are_announced", async |world| {
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
    inside("links::of_two_ipv6_routers_either_may_go", async |world| {
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
