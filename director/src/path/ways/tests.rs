//! Connections as they are, over routes of several next hops.

use super::*;
use crate::neighbour::{Change, Link, Neighbour, Placement, Prefix, Route, Table, Tables};
use crate::neighbour::{Form, Target, Via};
use crate::wire::{Endpoint, Protocol};

/// Clients, and connections of each.
const CLIENTS: u32 = 250;
const CONNECTIONS: u16 = 40;

fn link(n: u16, up: bool) -> Change {
    Change::Link(Link {
        ifindex: u32::from(n) + 2,
        name: format!("eth{n}").into(),
        mac: Some([2, 0, 0, 0, 0, n as u8]),
        mtu: 1500,
        up,
        port: None,
    })
}

/// Everything lies behind one gateway on each interface, with these weights.
fn tables(weights: &[u32]) -> Tables {
    let names: Vec<_> = (0..weights.len()).map(|n| format!("eth{n}")).collect();
    let mut tables = Tables::new(&names);
    let mut vias = Vec::new();
    for (n, &weight) in weights.iter().enumerate() {
        let (ifindex, gateway) = (n as u32 + 2, Addr::v4([10, 0, n as u8, 254]));
        let (mac, pinned) = ([2; 6], false);
        tables.apply(link(n as u16, true));
        tables.apply(Change::Neighbour(
            ifindex,
            gateway,
            Neighbour { mac, pinned },
        ));
        vias.push(Via {
            ifindex,
            gateway: Some(gateway),
            weight,
            mtu: 0,
        });
    }
    for any in [Addr::v4([0; 4]), Addr::v6([0; 16])] {
        let route = Route {
            prefix: Prefix::new(any, 0),
            table: Table::Main,
            metric: 0,
            form: Form::Group,
            target: Target::Forward(vias.clone()),
        };
        tables.apply(Change::Route(route, Placement::Last));
    }
    tables
}

/// Packets of clients to a service or a real server, whose ports they count up.
fn requests(client: fn(u32) -> Addr, server: Addr) -> Vec<Tuple> {
    let of_client = |n| {
        (0..CONNECTIONS).map(move |port| Tuple {
            protocol: Protocol::Tcp,
            src: Endpoint::new(client(n), 32_768 + port),
            dst: Endpoint::new(server, 80),
        })
    };
    (0..CLIENTS).flat_map(of_client).collect()
}

fn v4(n: u32) -> Addr {
    Addr::v4([10, 1, 0, n as u8])
}

fn v6(n: u32) -> Addr {
    let mut octets = [0; 16];
    octets[..2].copy_from_slice(&[0x20, 0x01]);
    octets[15] = n as u8;
    Addr::v6(octets)
}

/// Both ways of connections in both families.
fn all_kinds() -> [Vec<Tuple>; 4] {
    let v4 = requests(v4, Addr::v4([10, 9, 9, 9]));
    let v6 = requests(v6, Addr::v6([0x20; 16]));
    let replies = |all: &[Tuple]| all.iter().map(|one| one.reversed()).collect();
    [replies(&v4), replies(&v6), v4, v6]
}

/// The interface that each leaves through.
fn exits(tables: &mut Tables, flows: &[Tuple]) -> Vec<u16> {
    let fib = tables.snapshot();
    let exit = |flow: &Tuple| fib.next_hop(flow.dst.addr, flow_of(flow)).unwrap().port;
    flows.iter().map(exit).collect()
}

/// Parts in a thousand that leave through an interface.
fn share(exits: &[u16], port: u16) -> usize {
    exits.iter().filter(|exit| **exit == port).count() * 1000 / exits.len()
}

#[test]
fn connections_spread_over_next_hops_by_weight() {
    for flows in all_kinds() {
        let even = exits(&mut tables(&[1, 1]), &flows);
        assert!((480..=520).contains(&share(&even, 0)), "of {:?}", flows[0]);
        let uneven = exits(&mut tables(&[1, 9]), &flows);
        assert!((85..=115).contains(&share(&uneven, 0)), "of {:?}", flows[0]);
    }
}

#[test]
fn one_client_spreads_by_its_ports_and_one_port_by_its_clients() {
    let [.., flows, _] = all_kinds();
    let exits = exits(&mut tables(&[1, 1]), &flows);
    let of_client = &exits[..usize::from(CONNECTIONS)];
    assert!((200..=800).contains(&share(of_client, 0)));
    let first: Vec<_> = exits.chunks(CONNECTIONS.into()).map(|all| all[0]).collect();
    assert!((400..=600).contains(&share(&first, 0)));
}

#[test]
fn connections_of_a_link_that_goes_down_spread_over_the_others_and_no_other_moves() {
    for flows in all_kinds() {
        let mut tables = tables(&[1, 1, 1]);
        let before = exits(&mut tables, &flows);
        tables.apply(link(1, false));
        let after = exits(&mut tables, &flows);
        let pairs = before.iter().zip(&after);
        assert!(pairs.clone().all(|(old, new)| *old == 1 || old == new));
        let moved: Vec<_> = pairs
            .filter(|(old, _)| **old == 1)
            .map(|(_, new)| *new)
            .collect();
        assert_eq!(share(&moved, 1), 0);
        assert!((300..=700).contains(&share(&moved, 0)), "of {:?}", flows[0]);
    }
}
