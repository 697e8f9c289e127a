//! Which addresses a service, a real server or the director itself can have.

use std::net::{IpAddr, Ipv4Addr};

use crate::error::Problem;

/// Judges an address that the director is to speak from; the pointer is empty.
pub fn validate_local_address(address: IpAddr) -> Option<Problem> {
    unusable(address, Role::Local)
}

/// What an address is used for.
#[derive(Clone, Copy)]
pub(super) enum Role {
    Vip,
    Real,
    Local,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Vip => "a VIP",
            Self::Real => "the address of a real server",
            Self::Local => "an address to speak from",
        }
    }
}

/// Addresses that no packet from or to the network can bear; the pointer is empty.
pub(super) fn unusable(address: IpAddr, role: Role) -> Option<Problem> {
    let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let mapped = match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped(),
        IpAddr::V4(_) => None,
    };
    let (why, mend) = if let Some(v4) = mapped {
        ("an IPv4-mapped", format!("write {v4}"))
    } else if address.is_unspecified() {
        ("an unspecified", "name one host".to_owned())
    } else if address.is_multicast() {
        ("a multicast", "name one host".to_owned())
    } else if address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        ("a broadcast", "name one host".to_owned())
    } else if address.is_loopback() {
        let mend = "packets with it never leave a host; use one that the network routes";
        ("a loopback", mend.to_owned())
    } else if link_local {
        (
            "a link-local",
            "use a global or unique local one".to_owned(),
        )
    } else {
        return None;
    };
    let message = format!("{address} is {why} address and cannot be {}", role.name());
    Some(Problem::new("", message, mend))
}
