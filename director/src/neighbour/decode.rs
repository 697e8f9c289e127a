//! rtnetlink messages (`rtnetlink(7)`) as [`Change`]s.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_APPEND, NLM_F_REPLACE, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric, RouteNextHop,
    RouteNextHopFlags, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::candidate::{Form, Placement, Table};
use super::fib::{Link, Neighbour, NoHop};
use super::lpm::Prefix;
use super::slots::{Target, Via};
use super::table::{Change, Route};
use crate::wire::Addr;

/// `RTM_NEWNEXTHOP` and `RTM_DELNEXTHOP` (linux/rtnetlink.h), which the library does not know.
const NEXTHOPS: [u16; 2] = [104, 105];

/// What the messages of a datagram change.
pub(super) fn changes(datagram: &[u8]) -> impl Iterator<Item = Change> + '_ {
    each(datagram).filter_map(|bytes| {
        if kind(bytes).is_some_and(|kind| NEXTHOPS.contains(&kind)) {
            return Some(Change::Nexthops);
        }
        let message = understood(bytes)?;
        match &message.payload {
            NetlinkPayload::InnerMessage(inner) => change(inner, message.header.flags),
            _ => None,
        }
    })
}

/// The messages of a datagram that are understood.
pub(super) fn messages(
    datagram: &[u8],
) -> impl Iterator<Item = NetlinkMessage<RouteNetlinkMessage>> + '_ {
    each(datagram).filter_map(understood)
}

fn understood(message: &[u8]) -> Option<NetlinkMessage<RouteNetlinkMessage>> {
    NetlinkMessage::deserialize(message)
        .inspect_err(|error| tracing::debug!(%error, "a netlink message is not understood"))
        .ok()
}

fn each(mut datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (message, rest) = first_message(datagram)?;
        datagram = rest;
        Some(message)
    })
}

/// The type in the header of a message.
fn kind(message: &[u8]) -> Option<u16> {
    message
        .get(4..)?
        .first_chunk()
        .map(|kind| u16::from_ne_bytes(*kind))
}

/// The first message of a datagram and what follows it (`NLMSG_ALIGN`: four bytes); none
/// when its length field cannot be true.
fn first_message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    if length < 16 {
        return None;
    }
    let message = bytes.get(..length)?;
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((message, rest))
}

/// What a message changes; none when it is of no concern. `flags` are those of its header.
pub(super) fn change(message: &RouteNetlinkMessage, flags: u16) -> Option<Change> {
    use RouteNetlinkMessage as Message;
    match message {
        Message::NewLink(link) => self::link(link).map(Change::Link),
        Message::DelLink(link) => whole_link(link).then_some(Change::LinkGone(link.header.index)),
        Message::NewAddress(m) => {
            let prefix = m.header.prefix_len;
            Some(Change::Address(m.header.index, own_address(m)?, prefix))
        }
        Message::DelAddress(m) => Some(Change::AddressGone(m.header.index, own_address(m)?)),
        Message::NewNeighbour(m) => neighbour(m),
        Message::DelNeighbour(m) => {
            Some(Change::NeighbourGone(m.header.ifindex, neighbour_addr(m)?))
        }
        Message::NewRoute(m) => Some(Change::Route(route(m)?, placement(flags))),
        Message::DelRoute(m) => Some(Change::RouteGone(route(m)?)),
        _ => None,
    }
}

fn placement(flags: u16) -> Placement {
    if flags & NLM_F_REPLACE != 0 {
        Placement::Replace
    } else if flags & NLM_F_APPEND != 0 {
        Placement::Last
    } else {
        Placement::First
    }
}

/// Messages of family AF_BRIDGE are about a port's place in its bridge, not about the link.
fn whole_link(message: &LinkMessage) -> bool {
    message.header.interface_family == AddressFamily::Unspec
}

fn link(message: &LinkMessage) -> Option<Link> {
    let (mut name, mut mac, mut mtu) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text.as_str().into()),
            LinkAttribute::Address(bytes) => mac = bytes.as_slice().try_into().ok(),
            LinkAttribute::Mtu(bytes) => mtu = Some(*bytes),
            _ => {}
        }
    }
    let up = LinkFlags::Up | LinkFlags::LowerUp;
    whole_link(message).then_some(Link {
        ifindex: message.header.index,
        name: name?,
        mac,
        mtu: mtu?,
        up: message.header.flags.contains(up),
        port: None,
    })
}

/// IFA_LOCAL where there is one: IFA_ADDRESS is the peer's on point-to-point links.
fn own_address(message: &AddressMessage) -> Option<Addr> {
    let find =
        |pick: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(pick);
    let local = find(|attribute| match attribute {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    let address = || {
        find(|attribute| match attribute {
            AddressAttribute::Address(ip) => Some(*ip),
            _ => None,
        })
    };
    local.or_else(address).map(Addr::from)
}

fn neighbour(message: &NeighbourMessage) -> Option<Change> {
    let addr = neighbour_addr(message)?;
    let ifindex = message.header.ifindex;
    let mac = message.attributes.iter().find_map(|a| match a {
        NeighbourAttribute::LinkLayerAddress(bytes) => bytes.as_slice().try_into().ok(),
        _ => None,
    });
    let change = match (pinned(message.header.state), mac) {
        (Some(pinned), Some(mac)) => Change::Neighbour(ifindex, addr, Neighbour { mac, pinned }),
        _ if message.header.state == NeighbourState::Failed => {
            Change::NeighbourSilent(ifindex, addr)
        }
        _ => Change::NeighbourGone(ifindex, addr),
    };
    Some(change)
}

/// For the usable states, whether the kernel never validates the entry.
fn pinned(state: NeighbourState) -> Option<bool> {
    use NeighbourState as State;
    match state {
        State::Reachable | State::Stale | State::Delay | State::Probe => Some(false),
        State::Permanent | State::Noarp => Some(true),
        _ => None,
    }
}

/// The neighbour's address; none for bridge entries and for addresses we only proxy.
fn neighbour_addr(message: &NeighbourMessage) -> Option<Addr> {
    if message.header.flags.contains(NeighbourFlags::Proxy) {
        return None;
    }
    message.attributes.iter().find_map(|a| match a {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => Some(Addr::v4(v4.octets())),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => Some(Addr::v6(v6.octets())),
        _ => None,
    })
}

/// The attributes of a route that matter here.
#[derive(Default)]
struct Parts {
    destination: Option<Addr>,
    table: Option<u32>,
    metric: u32,
    mtu: u32,
    oif: Option<u32>,
    gateway: Option<Addr>,
    multipath: Vec<RouteNextHop>,
    encapsulated: bool,
    object: Option<u32>,
}

impl Parts {
    fn read(attributes: &[RouteAttribute]) -> Self {
        let mut parts = Self::default();
        attributes.iter().for_each(|one| parts.take(one));
        parts
    }

    fn take(&mut self, attribute: &RouteAttribute) {
        use RouteAttribute as Attribute;
        match attribute {
            Attribute::Destination(to) => self.destination = route_addr(to),
            Attribute::Table(id) => self.table = Some(*id),
            Attribute::Priority(metric) => self.metric = *metric,
            Attribute::Oif(ifindex) => self.oif = Some(*ifindex),
            Attribute::Gateway(addr) => self.gateway = route_addr(addr),
            Attribute::Via(RouteVia::Inet(v4)) => self.gateway = Some(Addr::v4(v4.octets())),
            Attribute::Via(RouteVia::Inet6(v6)) => self.gateway = Some(Addr::v6(v6.octets())),
            Attribute::MultiPath(hops) => self.multipath.clone_from(hops),
            Attribute::NhId(number) => self.object = Some(*number),
            Attribute::Encap(_) | Attribute::EncapType(_) => self.encapsulated = true,
            Attribute::Metrics(metrics) => {
                self.mtu = metrics.iter().find_map(mtu).unwrap_or_default();
            }
            _ => {}
        }
    }

    fn form(&self) -> Form {
        match self.object {
            Some(number) => Form::Object(number),
            None if self.multipath.is_empty() => Form::Single,
            None => Form::Group,
        }
    }

    fn vias(self, flags: RouteFlags) -> Vec<Via> {
        if !self.multipath.is_empty() {
            let mtu = self.mtu;
            return self
                .multipath
                .iter()
                .filter_map(|hop| via(hop, mtu))
                .collect();
        }
        let alive = self.oif.filter(|_| !flags.contains(RouteFlags::Dead));
        let via = alive.map(|ifindex| Via {
            ifindex,
            gateway: self.gateway,
            weight: 1,
            mtu: self.mtu,
        });
        via.into_iter().collect()
    }
}

fn mtu(metric: &RouteMetric) -> Option<u32> {
    match metric {
        RouteMetric::Mtu(mtu) => Some(*mtu),
        _ => None,
    }
}

fn route_addr(addr: &RouteAddress) -> Option<Addr> {
    match addr {
        RouteAddress::Inet(v4) => Some(Addr::v4(v4.octets())),
        RouteAddress::Inet6(v6) => Some(Addr::v6(v6.octets())),
        _ => None,
    }
}

/// A next hop that is alive; `rtnh_hops` is its weight less one.
fn via(hop: &RouteNextHop, mtu: u32) -> Option<Via> {
    let gateway = Parts::read(&hop.attributes).gateway;
    let alive = !hop.flags.contains(RouteNextHopFlags::Dead);
    alive.then(|| Via {
        ifindex: hop.interface_index,
        gateway,
        weight: u32::from(hop.hops) + 1,
        mtu,
    })
}

/// A route of the tables `main` and `local` that is for all packets to its prefix.
fn route(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    let parts = Parts::read(&message.attributes);
    let plain = header.tos == 0
        && header.source_prefix_length == 0
        && !header.flags.contains(RouteFlags::Cloned);
    let table = match parts.table.unwrap_or(u32::from(header.table)) {
        255 => Table::Local,
        id if id == u32::from(RouteHeader::RT_TABLE_MAIN) => Table::Main,
        _ => return None,
    };
    let any = match header.address_family {
        AddressFamily::Inet => Addr::v4([0; 4]),
        AddressFamily::Inet6 => Addr::v6([0; 16]),
        _ => return None,
    };
    let network = parts.destination.unwrap_or(any);
    plain.then(|| Route {
        prefix: Prefix::new(network, header.destination_prefix_length),
        table,
        metric: parts.metric,
        form: parts.form(),
        target: target(header, parts),
    })
}

fn target(header: &RouteHeader, parts: Parts) -> Target {
    match header.kind {
        RouteType::Unicast if !parts.encapsulated => Target::Forward(parts.vias(header.flags)),
        RouteType::Local | RouteType::Anycast => Target::Reject(NoHop::Local),
        RouteType::Throw => Target::Reject(NoHop::NoRoute),
        _ => Target::Reject(NoHop::Unreachable),
    }
}
