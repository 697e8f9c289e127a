//! Any changes, in any order.

use proptest::prelude::*;

use super::*;

fn any_via() -> impl Strategy<Value = Via> {
    (ETH0..=ETH1, prop::option::of(0u8..3), 1u32..3).prop_map(|(ifindex, gateway, weight)| Via {
        ifindex,
        gateway: gateway.map(|host| Addr::v4([10, 0, 0, host])),
        weight,
        mtu: 0,
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
