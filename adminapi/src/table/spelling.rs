//! How ipvsadm spells what listings and saved lines share.

use crate::model::{Family, Persistence, Protocol};

/// A mark as ipvsadm writes it (`%d`).
pub const fn signed(mark: u32) -> i32 {
    mark as i32
}

/// How a listing calls a protocol.
pub const fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    }
}

/// The mask of clients that count as one, unless each counts by itself.
pub fn client_mask(family: Family, persistence: Persistence) -> Option<String> {
    let prefix = persistence
        .prefix
        .filter(|prefix| *prefix < family.bits())?;
    Some(match family {
        Family::Ipv4 => Persistence::netmask(prefix).to_string(),
        Family::Ipv6 => prefix.to_string(),
    })
}
