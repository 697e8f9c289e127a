//! Hand-made tables, and what a packet gets from them.

use std::sync::Arc;

use super::*;
use crate::wire::Addr;

const ETH0: u32 = 2;
const ETH1: u32 = 3;
const OTHER: u32 = 9;
const MAC0: Mac = [2, 0, 0, 0, 0, 0x10];
const MAC1: Mac = [2, 0, 0, 0, 0, 0x11];
const GW: Mac = [2, 0, 0, 0, 0, 0xfe];
const HOST: Mac = [2, 0, 0, 0, 0, 0x77];

fn addr(text: &str) -> Addr {
    text.parse::<std::net::IpAddr>().unwrap().into()
}

fn prefix(text: &str) -> Prefix {
    let (net, len) = text.split_once('/').unwrap();
    Prefix::new(addr(net), len.parse().unwrap())
}

fn link(ifindex: u32, name: &str, mac: Mac, up: bool) -> Link {
    Link {
        ifindex,
        name: name.into(),
        mac: Some(mac),
        mtu: 1500,
        up,
        port: None,
    }
}

fn via(ifindex: u32, gateway: Option<&str>) -> Via {
    Via {
        ifindex,
        gateway: gateway.map(addr),
        weight: 1,
        mtu: 0,
    }
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

fn route(net: &str, metric: u32, vias: &[Via]) -> Route {
    Route {
        prefix: prefix(net),
        table: Table::Main,
        metric,
        target: Target::Forward(vias.to_vec()),
        form: match vias.len() {
            0 | 1 => Form::Single,
            _ => Form::Group,
        },
    }
}

fn reject(net: &str, table: Table, why: NoHop) -> Route {
    Route {
        prefix: prefix(net),
        table,
        metric: 0,
        target: Target::Reject(why),
        form: Form::Single,
    }
}

impl Tables {
    fn add(&mut self, route: Route) -> &mut Self {
        self.apply(Change::Route(route, Placement::Last));
        self
    }

    fn learn(&mut self, ifindex: u32, who: &str, mac: Mac) -> &mut Self {
        let pinned = false;
        self.apply(Change::Neighbour(
            ifindex,
            addr(who),
            Neighbour { mac, pinned },
        ));
        self
    }
}

/// eth0 (port 0) and eth1 (port 1) are driven and up, mgmt is not driven.
fn tables() -> Tables {
    let mut tables = Tables::new(&["eth0", "eth1"]);
    tables.apply(Change::Link(link(ETH0, "eth0", MAC0, true)));
    tables.apply(Change::Link(link(ETH1, "eth1", MAC1, true)));
    tables.apply(Change::Link(link(OTHER, "mgmt", [2; 6], true)));
    tables
}

fn to(port: u16, dst_mac: Mac) -> Result<Hop, NoHop> {
    let src_mac = [MAC0, MAC1][usize::from(port)];
    Ok(Hop {
        mtu: 1500,
        port,
        src_mac,
        dst_mac,
    })
}

fn unresolved(ifindex: u32, who: &str) -> Result<Hop, NoHop> {
    Err(NoHop::Unresolved {
        ifindex,
        addr: addr(who),
    })
}

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
fn links_that_change_take_their_routes_along() {
    let mut tables = tables();
    tables
        .add(route("10.0.0.0/24", 0, &[via(ETH0, None)]))
        .add(route("0.0.0.0/0", 0, &[via(ETH0, Some("10.0.0.254"))]))
        .learn(ETH0, "10.0.0.254", GW)
        .learn(ETH0, "10.0.0.7", HOST);
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

#[test]
fn ipv6_siblings_come_and_go_as_the_kernel_tells() {
    let (a, b) = (via(ETH0, Some("fe80::a")), via(ETH1, Some("fe80::b")));
    let net = "2001:db8::/32";
    let dst = addr("2001:db8::1");
    let mut tables = tables();
    tables.add(route(net, 1024, std::slice::from_ref(&a)));
    // A second next hop: the kernel tells of the whole group.
    tables.add(route(net, 1024, &[a.clone(), b.clone()]));
    tables.apply(Change::RouteGone(route(net, 1024, &[a])));
    let fib = tables.snapshot();
    for hash in [0, u64::MAX] {
        assert_eq!(fib.next_hop(dst, hash), unresolved(ETH1, "fe80::b"));
    }
    tables.apply(Change::RouteGone(route(net, 1024, &[b])));
    assert_eq!(tables.snapshot().next_hop(dst, 0), Err(NoHop::NoRoute));
}

#[test]
fn ipv6_link_routes_of_one_metric_stand_side_by_side() {
    let (a, b) = (
        route("fe80::/64", 256, &[via(ETH0, None)]),
        route("fe80::/64", 256, &[via(ETH1, None)]),
    );
    let mut tables = tables();
    tables.add(a.clone()).add(b);
    let next = |tables: &mut Tables| tables.snapshot().next_hop(addr("fe80::1"), 0);
    assert_eq!(next(&mut tables), unresolved(ETH0, "fe80::1"));
    tables.apply(Change::RouteGone(a));
    assert_eq!(next(&mut tables), unresolved(ETH1, "fe80::1"));
}

/// IPv6 routes of one prefix and metric, told of one after the other.
struct Told(Tables);

impl Told {
    const NET: &str = "2001:db8::/32";

    fn news(&mut self, gateways: &[&str], form: Form, placement: Placement) -> &mut Self {
        let route = Self::route(gateways, form);
        self.0.apply(Change::Route(route, placement));
        self
    }

    fn gone(&mut self, gateways: &[&str], form: Form) -> &mut Self {
        self.0.apply(Change::RouteGone(Self::route(gateways, form)));
        self
    }

    fn route(gateways: &[&str], form: Form) -> Route {
        let vias: Vec<_> = gateways.iter().map(|who| via(ETH0, Some(who))).collect();
        let route = route(Self::NET, 1024, &vias);
        Route { form, ..route }
    }

    /// Checks which gateways are in use.
    fn leads_to(&mut self, gateways: &[&str]) -> &mut Self {
        let fib = self.0.snapshot();
        let next = |n: u64| fib.next_hop(addr("2001:db8::1"), n << 28);
        let mut seen: Vec<_> = (0..16).map(next).collect();
        seen.dedup();
        let expected: Vec<_> = match gateways {
            [] => vec![Err(NoHop::NoRoute)],
            all => all.iter().map(|who| unresolved(ETH0, who)).collect(),
        };
        assert_eq!(seen, expected);
        self
    }
}

#[test]
fn ipv6_routes_of_two_routers_stand_side_by_side() {
    let (a, b) = (["fe80::a1"], ["fe80::a2"]);
    for placement in [Placement::First, Placement::Last] {
        let both = || {
            let mut told = Told(tables());
            told.news(&a, Form::Single, placement);
            told.news(&b, Form::Single, placement).leads_to(&a);
            told
        };
        both()
            .gone(&b, Form::Single)
            .leads_to(&a)
            .gone(&a, Form::Single)
            .leads_to(&[]);
        both()
            .gone(&a, Form::Single)
            .leads_to(&b)
            .gone(&b, Form::Single)
            .leads_to(&[]);
    }
}

#[test]
fn an_ipv6_group_stands_beside_the_route_of_a_router() {
    let (router, a, both) = (["fe80::a1"], ["fe80::a"], ["fe80::a", "fe80::b"]);
    Told(tables())
        .news(&a, Form::Single, Placement::First)
        .news(&router, Form::Single, Placement::First)
        .news(&both, Form::Group, Placement::Last)
        .leads_to(&both)
        .news(&a, Form::Single, Placement::Replace)
        .leads_to(&a)
        .gone(&a, Form::Single)
        .leads_to(&router);
}

#[test]
fn a_group_of_which_one_is_alive_is_one_still() {
    Told(tables())
        .news(&["fe80::a"], Form::Group, Placement::Last)
        .news(&["fe80::b", "fe80::c"], Form::Group, Placement::Last)
        .leads_to(&["fe80::b", "fe80::c"])
        .gone(&["fe80::b", "fe80::c"], Form::Group)
        .leads_to(&[]);
}

#[test]
fn an_ipv6_route_of_a_nexthop_object_has_no_siblings_and_follows_the_object() {
    let (one, two) = (Form::Object(1), Form::Object(2));
    Told(tables())
        .news(&["fe80::a"], one, Placement::First)
        .news(&["fe80::b"], two, Placement::Last)
        .news(&["fe80::a"], Form::Single, Placement::Last)
        .leads_to(&["fe80::a"])
        .news(&["fe80::c", "fe80::d"], one, Placement::First)
        .leads_to(&["fe80::c", "fe80::d"])
        .gone(&["fe80::c"], one)
        .leads_to(&["fe80::b"])
        .gone(&["fe80::b"], two)
        .leads_to(&["fe80::a"])
        .gone(&["fe80::a"], Form::Single)
        .leads_to(&[]);
}

#[test]
fn an_ipv6_route_that_may_have_replaced_one_of_several_leaves_that_open() {
    let route = |who| Told::route(&[who], Form::Single);
    let mut told = Told(tables());
    told.news(&["fe80::a"], Form::Single, Placement::First);
    assert!(!told.0.may_replace_others(&route("fe80::c")));
    told.news(&["fe80::b"], Form::Single, Placement::First);
    assert!(told.0.may_replace_others(&route("fe80::c")));
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

mod random {
    use super::*;
    use proptest::prelude::*;

    fn any_via() -> impl Strategy<Value = Via> {
        (ETH0..=ETH1, prop::option::of(0u8..3), 1u32..3).prop_map(|(ifindex, gateway, weight)| {
            Via {
                ifindex,
                gateway: gateway.map(|host| Addr::v4([10, 0, 0, host])),
                weight,
                mtu: 0,
            }
        })
    }

    fn any_route() -> impl Strategy<Value = Route> {
        let target = prop_oneof![
            4 => proptest::collection::vec(any_via(), 1..4).prop_map(Target::Forward),
            1 => Just(Target::Reject(NoHop::Unreachable)),
        ];
        let form = prop_oneof![
            Just(Form::Single),
            Just(Form::Group),
            (0u32..2).prop_map(Form::Object)
        ];
        (any::<bool>(), 0u8..3, 8u8..10, 0u32..2, target, form).prop_map(
            |(v4, net, len, metric, target, form)| {
                let addr = match v4 {
                    true => Addr::v4([net, 0, 0, 0]),
                    false => Addr::v6([net; 16]),
                };
                let prefix = Prefix::new(addr, len);
                let table = Table::Main;
                Route {
                    prefix,
                    table,
                    metric,
                    target,
                    form,
                }
            },
        )
    }

    fn any_change() -> impl Strategy<Value = Change> {
        let placement = prop_oneof![
            Just(Placement::First),
            Just(Placement::Last),
            Just(Placement::Replace)
        ];
        let who = (ETH0..=ETH1, 0u8..3).prop_map(|(i, host)| (i, Addr::v4([10, 0, 0, host])));
        let pinned = false;
        prop_oneof![
            4 => (any_route(), placement).prop_map(|(route, at)| Change::Route(route, at)),
            3 => any_route().prop_map(Change::RouteGone),
            1 => who.clone().prop_map(move |(i, a)| Change::Neighbour(i, a, Neighbour { mac: GW, pinned })),
            1 => who.prop_map(|(i, a)| Change::NeighbourGone(i, a)),
            1 => any::<bool>().prop_map(|up| Change::Link(link(ETH0, "eth0", MAC0, up))),
        ]
    }

    proptest! {
        /// What was worked out step by step is what working it out at the end gives, and
        /// removing all routes frees all slots.
        #[test]
        fn slots_never_go_stale_or_leak(changes in proptest::collection::vec(any_change(), 0..80)) {
            let mut tables = tables();
            for change in changes {
                tables.apply(change);
            }
            tables.check_slots();
            tables.drain_routes();
            prop_assert_eq!(tables.slots_in_use(), 0);
        }
    }
}

#[test]
fn a_snapshot_tells_which_next_hops_of_an_earlier_one_hold_no_more() {
    let mut tables = tables();
    tables
        .add(route("10.0.0.0/24", 0, &[via(ETH0, None)]))
        .add(route("0.0.0.0/0", 0, &[via(ETH0, Some("10.0.0.254"))]))
        .learn(ETH0, "10.0.0.254", GW)
        .learn(ETH0, "10.0.0.7", HOST);
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
