//! Links, what they take along when they change, and the addresses they have.

use std::sync::Arc;

use super::*;

/// A neighbour and a gateway at eth0.
fn one_link() -> Tables {
    let mut tables = tables();
    tables
        .add(route("10.0.0.0/24", 0, &[via(ETH0, None)]))
        .add(route("0.0.0.0/0", 0, &[via(ETH0, Some("10.0.0.254"))]))
        .learn(ETH0, "10.0.0.254", GW)
        .learn(ETH0, "10.0.0.7", HOST);
    tables
}

/// Sockets and gate stay with an interface that is renamed.
#[test]
fn a_link_that_is_renamed_stays_what_it_is() {
    let mut tables = Tables::new(&["eth0", "eth1"]);
    let mut call = |ifindex, name| {
        tables.apply(Change::Link(link(ifindex, name, MAC0, true)));
        let links = Arc::clone(tables.snapshot().links());
        links.iter().map(|link| link.port).collect::<Vec<_>>()
    };
    call(ETH0, "eth0");
    assert_eq!(call(ETH1, "eth1"), [Some(0), Some(1)]);
    assert_eq!(call(ETH0, "wan"), [Some(0), Some(1)]);
    assert_eq!(call(ETH1, "eth0"), [Some(0), Some(1)], "they swap names");
    assert_eq!(call(ETH0, "eth1"), [Some(0), Some(1)]);
    assert_eq!(call(OTHER, "wan"), [Some(0), Some(1), None]);

    tables.clear();
    tables.apply(Change::Link(link(ETH1, "eth0", MAC0, true)));
    assert_eq!(tables.snapshot().links()[0].port, Some(1));
    tables.apply(Change::LinkGone(ETH0));
    tables.apply(Change::Link(link(OTHER, "eth0", MAC0, true)));
    assert_eq!(tables.snapshot().links()[1].port, Some(0), "a new one");
}

#[test]
fn links_that_change_take_their_routes_along() {
    let mut tables = one_link();
    let both = |tables: &mut Tables| {
        let fib = tables.snapshot();
        [addr("10.0.0.7"), addr("192.0.2.1")].map(|dst| fib.next_hop(dst, 0))
    };
    assert_eq!(both(&mut tables), [to(0, HOST), to(0, GW)]);
    tables.apply(Change::Link(link(ETH0, "eth0", MAC0, false)));
    assert_eq!(both(&mut tables), [Err(NoHop::Down); 2]);
    let mut jumbo = link(ETH0, "eth0", [6; 6], true);
    jumbo.mtu = 9000;
    tables.apply(Change::Link(jumbo));
    for hop in both(&mut tables) {
        let hop = hop.unwrap();
        assert_eq!((hop.mtu, hop.src_mac), (9000, [6; 6]));
    }
    tables.apply(Change::Link(link(ETH0, "renamed", MAC0, true)));
    assert_eq!(both(&mut tables), [to(0, HOST), to(0, GW)]);
    tables.apply(Change::LinkGone(ETH0));
    assert_eq!(both(&mut tables), [Err(NoHop::Down); 2]);
}

#[test]
fn who_is_silent_is_known_until_there_is_other_news_of_him() {
    let mut tables = one_link();
    let (host, gateway) = (addr("10.0.0.7"), addr("10.0.0.254"));
    let ways = |tables: &mut Tables| {
        let fib = tables.snapshot();
        [host, addr("192.0.2.1")].map(|dst| fib.next_hop(dst, 0))
    };
    for who in [host, gateway] {
        tables.apply(Change::NeighbourSilent(ETH0, who));
    }
    let given_up = [silent(ETH0, "10.0.0.7"), silent(ETH0, "10.0.0.254")];
    assert_eq!(ways(&mut tables), given_up);
    tables.check_slots();
    for who in [host, gateway] {
        tables.apply(Change::NeighbourGone(ETH0, who));
    }
    let unknown = [unresolved(ETH0, "10.0.0.7"), unresolved(ETH0, "10.0.0.254")];
    assert_eq!(ways(&mut tables), unknown);
    for who in [host, gateway] {
        tables.apply(Change::NeighbourSilent(ETH0, who));
    }
    let before = tables.snapshot();
    tables.learn(ETH0, "10.0.0.7", HOST);
    tables.learn(ETH0, "10.0.0.254", GW);
    assert_eq!(ways(&mut tables), [to(0, HOST), to(0, GW)]);
    assert!(tables.snapshot().outdated_since(&before).is_empty());
    tables.check_slots();
}

#[test]
fn a_snapshot_tells_which_next_hops_of_an_earlier_one_hold_no_more() {
    let mut tables = one_link();
    let stations = |macs: &[Mac]| Outdated::Stations(macs.iter().map(|mac| (0, *mac)).collect());
    let mut before = tables.snapshot();
    let mut after = |tables: &mut Tables| {
        let now = tables.snapshot();
        let outdated = now.outdated_since(&before);
        before = now;
        outdated
    };
    assert!(after(tables.learn(ETH0, "10.0.0.8", MAC1)).is_empty());
    let moved = after(tables.learn(ETH0, "10.0.0.7", MAC1));
    assert_eq!(moved, stations(&[HOST]));
    assert!(moved.has(&to(0, HOST).unwrap()) && !moved.has(&to(0, GW).unwrap()));
    let gateway = after(tables.learn(ETH0, "10.0.0.254", MAC0));
    assert!(gateway.has(&to(0, GW).unwrap()) && !gateway.has(&to(0, MAC1).unwrap()));
    let route = route("10.5.0.0/16", 0, &[via(ETH1, None)]);
    assert_eq!(after(tables.add(route)), Outdated::All);
    tables.apply(Change::Link(link(OTHER, "mgmt", [2; 6], false)));
    assert!(after(&mut tables).is_empty(), "nothing leads there");
    tables.apply(Change::Link(link(ETH1, "eth1", MAC1, false)));
    assert_eq!(after(&mut tables), Outdated::All);
}

#[test]
fn local_addresses_are_listed_once_and_leave_with_the_last_interface() {
    let mut tables = tables();
    let vip = addr("10.0.0.1");
    for ifindex in [ETH0, ETH1] {
        tables.apply(Change::Address(ifindex, vip, 32));
    }
    assert_eq!(tables.snapshot().local_addresses()[..], [vip]);
    tables.apply(Change::AddressGone(ETH0, vip));
    assert_eq!(tables.snapshot().local_addresses()[..], [vip]);
    tables.apply(Change::AddressGone(ETH1, vip));
    assert!(tables.snapshot().local_addresses().is_empty());
}

#[test]
fn a_tunnel_starts_at_an_address_of_its_link_near_the_other_end() {
    let mut tables = tables();
    for (ifindex, text, prefix) in [
        (ETH0, "10.0.0.9", 32),
        (ETH0, "10.0.0.2", 24),
        (ETH0, "10.0.7.2", 24),
        (ETH0, "2001:db8::2", 64),
        (ETH0, "fe80::2", 64),
        (ETH1, "10.0.8.2", 24),
    ] {
        tables.apply(Change::Address(ifindex, addr(text), prefix));
    }
    let fib = tables.snapshot();
    let source = |port, dst| fib.source(port, addr(dst), |_| false);
    assert_eq!(source(0, "10.0.0.77"), Some(addr("10.0.0.2")));
    assert_eq!(source(0, "10.0.7.77"), Some(addr("10.0.7.2")));
    assert_eq!(source(0, "2001:db8::77"), Some(addr("2001:db8::2")));
    assert_eq!(source(1, "10.0.0.77"), Some(addr("10.0.8.2")));
    assert_eq!(source(1, "2001:db8::77"), None);
    assert_eq!(source(9, "10.0.0.77"), None);
    let vip = addr("10.0.0.2");
    let other = fib.source(0, addr("10.0.0.77"), |one| one == vip);
    assert_eq!(other, Some(addr("10.0.7.2")));
}
