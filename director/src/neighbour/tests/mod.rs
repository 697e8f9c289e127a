//! Hand-made tables, and what a packet gets from them.

mod links;
mod random;
mod routes;
mod siblings;

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

fn silent(ifindex: u32, who: &str) -> Result<Hop, NoHop> {
    Err(NoHop::Silent {
        ifindex,
        addr: addr(who),
    })
}
