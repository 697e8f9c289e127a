//! Dumps of what the kernel knows, over a blocking socket of their own.
//!
//! A dump is worked off as it is read, so a table of a million routes never stands in
//! memory as messages, and the tasks of the runtime are not held up: see [`refresh`].

use std::io;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::candidate::Placement;
use super::decode;
use super::events::DATAGRAM;
use super::table::{Change, Tables};

/// How often a dump that the kernel calls inconsistent (`NLM_F_DUMP_INTR`) is started again;
/// after that, the events that follow have to set it right.
const ATTEMPTS: usize = 5;

/// How much of the tables is dumped anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// Routes.
    Routes,
    /// Everything.
    All,
}

/// Replaces `scope` of `tables` by what the kernel holds now.
pub(super) fn refresh(tables: &mut Tables, scope: Scope) -> io::Result<()> {
    for attempt in 1..=ATTEMPTS {
        match scope {
            Scope::Routes => tables.clear_routes(),
            Scope::All => tables.clear(),
        }
        let mut whole = true;
        for request in requests(scope) {
            whole &= dump(request, &mut |change| tables.apply(change))?;
        }
        if whole {
            return Ok(());
        }
        tracing::debug!(attempt, ?scope, "tables changed while they were read");
    }
    Ok(())
}

fn requests(scope: Scope) -> Vec<RouteNetlinkMessage> {
    let routes = [AddressFamily::Inet, AddressFamily::Inet6].map(|family| {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        RouteNetlinkMessage::GetRoute(message)
    });
    let mut list = match scope {
        Scope::Routes => Vec::new(),
        Scope::All => vec![
            RouteNetlinkMessage::GetLink(LinkMessage::default()),
            RouteNetlinkMessage::GetAddress(AddressMessage::default()),
            RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()),
        ],
    };
    list.extend(routes);
    list
}

/// Runs one dump; false when the kernel says that it is inconsistent.
fn dump(request: RouteNetlinkMessage, each: &mut dyn FnMut(Change)) -> io::Result<bool> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut message = NetlinkMessage::from(request);
    message.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let mut whole = true;
    let mut buffer = Vec::with_capacity(DATAGRAM);
    while !read(&buffer, &mut whole, each)? {
        buffer.clear();
        socket.recv(&mut buffer, 0)?;
    }
    Ok(whole)
}

/// Works off the messages of one datagram; true when the dump is done.
fn read(datagram: &[u8], whole: &mut bool, each: &mut dyn FnMut(Change)) -> io::Result<bool> {
    for message in decode::messages(datagram) {
        *whole &= message.header.flags & NLM_F_DUMP_INTR == 0;
        match message.payload {
            NetlinkPayload::Done(_) => return Ok(true),
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            NetlinkPayload::InnerMessage(inner) => {
                if let Some(change) = decode::change(&inner, 0) {
                    each(behind(change));
                }
            }
            _ => {}
        }
    }
    Ok(false)
}

/// A dump lists the routes of a prefix in their order.
fn behind(change: Change) -> Change {
    match change {
        Change::Route(route, _) => Change::Route(route, Placement::Last),
        other => other,
    }
}
