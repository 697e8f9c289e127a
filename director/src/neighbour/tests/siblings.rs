//! IPv6 routes of one prefix and metric: siblings, and those that stand side by side.

use super::*;

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
