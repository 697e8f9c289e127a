//! Where routes lead: by their kind, metric and order, and through several interfaces.

use super::*;

#[test]
fn every_kind_of_route_leads_where_it_says() {
    let mut tables = tables();
    tables
        .add(route("10.0.0.0/24", 0, &[via(ETH0, None)]))
        .add(route("10.0.1.0/24", 0, &[via(ETH1, None)]))
        .add(route("0.0.0.0/0", 0, &[via(ETH0, Some("10.0.0.254"))]))
        .add(route("10.9.0.0/16", 0, &[via(OTHER, None)]))
        .add(route("10.8.0.0/16", 0, &[via(77, None)]))
        .add(route("10.7.0.0/16", 0, &[via(ETH1, Some("fe80::1"))]))
        .add(route("10.6.0.0/16", 0, &[via(ETH1, Some("10.0.1.99"))]))
        .add(route("10.5.0.0/16", 0, &[]))
        .add(reject("10.4.0.0/16", Table::Main, NoHop::Unreachable))
        .add(reject("10.0.0.1/32", Table::Local, NoHop::Local))
        .add(route("2001:db8::/64", 256, &[via(ETH1, None)]))
        .learn(ETH0, "10.0.0.254", GW)
        .learn(ETH0, "10.0.0.7", HOST)
        .learn(ETH1, "10.0.0.8", HOST)
        .learn(ETH1, "fe80::1", GW)
        .learn(ETH1, "2001:db8::7", HOST);
    let fib = tables.snapshot();
    for (dst, expected) in [
        ("10.0.0.7", to(0, HOST)),
        ("10.0.0.8", unresolved(ETH0, "10.0.0.8")), // known, but on the other link
        ("10.0.0.1", Err(NoHop::Local)),
        ("192.0.2.1", to(0, GW)),
        ("10.9.1.1", Err(NoHop::OtherInterface)),
        ("10.8.1.1", Err(NoHop::Down)),
        ("10.7.1.1", to(1, GW)),
        ("10.6.1.1", unresolved(ETH1, "10.0.1.99")),
        ("10.5.1.1", Err(NoHop::Down)),
        ("10.4.1.1", Err(NoHop::Unreachable)),
        ("2001:db8::7", to(1, HOST)),
        ("2001:db8::8", unresolved(ETH1, "2001:db8::8")),
        ("2001:db9::8", Err(NoHop::NoRoute)),
    ] {
        assert_eq!(fib.next_hop(addr(dst), 0), expected, "to {dst}");
    }
}

#[test]
fn the_lowest_metric_counts_and_the_next_takes_over() {
    let mut tables = tables();
    let cheap = route("10.1.0.0/16", 10, &[via(ETH1, Some("10.0.1.9"))]);
    tables
        .add(route("10.1.0.0/16", 100, &[via(ETH0, Some("10.0.0.9"))]))
        .add(cheap.clone());
    let next = |tables: &mut Tables| tables.snapshot().next_hop(addr("10.1.2.3"), 0);
    assert_eq!(next(&mut tables), unresolved(ETH1, "10.0.1.9"));
    tables.apply(Change::RouteGone(cheap));
    assert_eq!(next(&mut tables), unresolved(ETH0, "10.0.0.9"));
    // The table `local` comes before any metric.
    tables.add(reject("10.1.0.0/16", Table::Local, NoHop::Local));
    assert_eq!(next(&mut tables), Err(NoHop::Local));
}

#[test]
fn placement_orders_routes_of_one_metric() {
    let to = |gateway| route("10.1.0.0/16", 5, &[via(ETH0, Some(gateway))]);
    for (placement, expected) in [
        (Placement::First, "10.0.0.2"),
        (Placement::Last, "10.0.0.1"),
        (Placement::Replace, "10.0.0.2"),
    ] {
        let mut tables = tables();
        tables.add(to("10.0.0.1"));
        tables.apply(Change::Route(to("10.0.0.2"), placement));
        let next = tables.snapshot().next_hop(addr("10.1.0.1"), 0);
        assert_eq!(next, unresolved(ETH0, expected), "{placement:?}");
        tables.apply(Change::RouteGone(to("10.0.0.2")));
        let left = tables.snapshot().next_hop(addr("10.1.0.1"), 0);
        match placement {
            Placement::Replace => assert_eq!(left, Err(NoHop::NoRoute)),
            _ => assert_eq!(left, unresolved(ETH0, "10.0.0.1")),
        }
    }
}

#[test]
fn a_snapshot_does_not_see_later_changes() {
    let mut tables = tables();
    tables.add(route("0.0.0.0/0", 0, &[via(ETH0, Some("10.0.0.254"))]));
    let before = tables.snapshot();
    tables.learn(ETH0, "10.0.0.254", GW);
    let after = tables.snapshot();
    tables.learn(ETH0, "10.0.0.254", HOST);
    let dst = addr("192.0.2.1");
    assert_eq!(before.next_hop(dst, 0), unresolved(ETH0, "10.0.0.254"));
    assert_eq!(after.next_hop(dst, 0), to(0, GW));
    assert_eq!(tables.snapshot().next_hop(dst, 0), to(0, HOST));
    tables.apply(Change::NeighbourGone(ETH0, addr("10.0.0.254")));
    assert_eq!(tables.snapshot().next_hop(dst, 0), before.next_hop(dst, 0));
}

#[test]
fn a_route_can_lower_the_mtu_but_not_raise_it() {
    for (route_mtu, expected) in [(0, 1500), (1400, 1400), (9000, 1500)] {
        let mut tables = tables();
        let mut via = via(ETH0, None);
        via.mtu = route_mtu;
        tables
            .add(route("10.0.0.0/24", 0, &[via]))
            .learn(ETH0, "10.0.0.7", HOST);
        let hop = tables.snapshot().next_hop(addr("10.0.0.7"), 0).unwrap();
        assert_eq!(hop.mtu, expected);
    }
}

/// eth0 has weight 1, eth1 weight 3.
fn multipath() -> Tables {
    let mut tables = tables();
    let mut heavy = via(ETH1, Some("10.0.1.254"));
    heavy.weight = 3;
    tables
        .add(route(
            "0.0.0.0/0",
            0,
            &[via(ETH0, Some("10.0.0.254")), heavy],
        ))
        .learn(ETH0, "10.0.0.254", GW)
        .learn(ETH1, "10.0.1.254", GW);
    tables
}

/// Number of flows, of 10,000, that leave through eth0 and eth1.
fn spread(tables: &mut Tables) -> [u32; 2] {
    let fib = tables.snapshot();
    let mut count = [0; 2];
    for flow in 0..10_000u64 {
        let hash = flow.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        if let Ok(hop) = fib.next_hop(addr("192.0.2.1"), hash ^ (hash >> 32)) {
            count[usize::from(hop.port)] += 1;
        }
    }
    count
}

#[test]
fn multipath_spreads_by_weight_and_avoids_links_that_are_down() {
    let mut tables = multipath();
    let [light, heavy] = spread(&mut tables);
    assert_eq!(light + heavy, 10_000);
    assert!(
        (2_300..2_700).contains(&light),
        "{light} of 10000 for weight 1 of 4"
    );
    tables.apply(Change::Link(link(ETH1, "eth1", MAC1, false)));
    assert_eq!(spread(&mut tables), [10_000, 0]);
    tables.apply(Change::Link(link(ETH0, "eth0", MAC0, false)));
    let none = tables.snapshot().next_hop(addr("192.0.2.1"), 7);
    assert_eq!(none, Err(NoHop::Down));
}

#[test]
fn multipath_hits_the_ends_of_the_hash() {
    let fib = multipath().snapshot();
    let port = |hash| fib.next_hop(addr("192.0.2.1"), hash).unwrap().port;
    assert_eq!(port(0), 0);
    assert_eq!(port(u64::MAX), 1);
    assert_eq!(port(0x3fff_ffff), 0);
    assert_eq!(port(0x4000_0000), 1);
}

#[test]
fn ports_are_alternatives_while_a_route_leads_through_several_interfaces() {
    let mut tables = multipath();
    assert_eq!(tables.snapshot().alternatives(), 0b11);
    tables.apply(Change::Link(link(ETH1, "eth1", MAC1, false)));
    assert_eq!(tables.snapshot().alternatives(), 0, "one of them is down");
    tables.apply(Change::Link(link(ETH1, "eth1", MAC1, true)));
    let old = [via(ETH0, Some("10.0.0.254")), via(ETH1, Some("10.0.1.254"))];
    tables.apply(Change::RouteGone(route("0.0.0.0/0", 0, &old)));
    assert_eq!(tables.snapshot().alternatives(), 0, "the route is gone");
    let gateways = ["10.0.0.253", "10.0.0.254"].map(|gateway| via(ETH0, Some(gateway)));
    tables.add(route("0.0.0.0/0", 0, &gateways));
    assert_eq!(tables.snapshot().alternatives(), 0, "one interface");
    let elsewhere = [via(ETH1, Some("10.0.1.254")), via(OTHER, None)];
    tables.add(route("10.9.0.0/16", 0, &elsewhere));
    assert_eq!(tables.snapshot().alternatives(), 0b10);
}
