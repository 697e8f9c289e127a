//! How ipvsadm spells what listings and saved lines share.

use adminapi::model::{Family, Persistence, Protocol, ServiceId};

use super::grammar::Transport;

/// How a protocol is written in an address.
pub(crate) const fn transport(protocol: Protocol) -> Transport {
    match protocol {
        Protocol::Tcp => Transport::Tcp,
        Protocol::Udp => Transport::Udp,
        Protocol::Sctp => Transport::Sctp,
    }
}

/// A mark as ipvsadm writes it (`%d`).
pub(crate) const fn signed(mark: u32) -> i32 {
    mark as i32
}

/// How ports of a service are named; those of a mark are not, as it has no protocol.
pub(crate) fn transport_of(id: ServiceId) -> Option<Transport> {
    id.protocol().map(transport)
}

/// How a listing calls a protocol.
pub(crate) const fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    }
}

/// The mask of clients that count as one, unless each counts by itself.
pub(crate) fn client_mask(family: Family, persistence: Persistence) -> Option<String> {
    let prefix = persistence
        .prefix
        .filter(|prefix| *prefix < family.bits())?;
    Some(match family {
        Family::Ipv4 => Persistence::netmask(prefix).to_string(),
        Family::Ipv6 => prefix.to_string(),
    })
}
