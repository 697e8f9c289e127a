//! Which addresses are this host's, as its kernel routes them: those of its interfaces, and those of
//! local routes (`ip route add local`).

use std::io;
use std::net::IpAddr;

use netlink_sys::{Socket, protocols::NETLINK_ROUTE};

/// `nlmsghdr`, `rtmsg` and an attribute with the address (rtnetlink(7)).
mod request {
    pub(super) const HEADER: usize = 16;
    pub(super) const ROUTE: usize = 12;
    pub(super) const ATTRIBUTE: usize = 4;
    /// RTM_GETROUTE.
    pub(super) const GET: u16 = 26;
    /// NLM_F_REQUEST.
    pub(super) const FLAGS: u16 = 1;
    /// RTA_DST.
    pub(super) const DESTINATION: u16 = 1;
}

/// What is answered, and where it says of which type the route is.
mod answer {
    /// RTM_NEWROUTE.
    pub(super) const ROUTE: u16 = 24;
    pub(super) const TYPE: usize = super::request::HEADER + 7;
    /// RTN_LOCAL.
    pub(super) const LOCAL: u8 = 2;
}

/// Asks the kernel of this network namespace.
pub(super) struct Routes(Socket);

impl Routes {
    pub(super) fn open() -> io::Result<Self> {
        Socket::new(NETLINK_ROUTE).map(Self)
    }

    /// Whether what is sent to `addr` stays on this host. An address without a route does not.
    pub(super) fn end_here(&self, addr: IpAddr) -> io::Result<bool> {
        self.0.send(&question(addr), 0)?;
        let (bytes, _) = self.0.recv_from_full()?;
        Ok(is_local(&bytes))
    }
}

fn question(addr: IpAddr) -> Vec<u8> {
    let (family, octets) = match addr {
        IpAddr::V4(addr) => (libc::AF_INET, addr.octets().to_vec()),
        IpAddr::V6(addr) => (libc::AF_INET6, addr.octets().to_vec()),
    };
    let attribute = request::ATTRIBUTE + octets.len();
    let length = request::HEADER + request::ROUTE + attribute;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend((length as u32).to_ne_bytes());
    bytes.extend(request::GET.to_ne_bytes());
    bytes.extend(request::FLAGS.to_ne_bytes());
    bytes.extend([0; 8]);
    let bits = 8 * octets.len() as u8;
    bytes.extend([family as u8, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend((attribute as u16).to_ne_bytes());
    bytes.extend(request::DESTINATION.to_ne_bytes());
    bytes.extend(octets);
    bytes
}

fn is_local(bytes: &[u8]) -> bool {
    let kind = bytes.get(4..).and_then(<[u8]>::first_chunk);
    kind.is_some_and(|kind| u16::from_ne_bytes(*kind) == answer::ROUTE)
        && bytes.get(answer::TYPE) == Some(&answer::LOCAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_loopback_ends_here_and_what_nobody_has_does_not() {
        let routes = Routes::open().unwrap();
        for (addr, here) in [
            ("127.0.0.1", true),
            ("127.3.2.1", true),
            ("192.0.2.77", false),
            ("2001:db8::77", false),
        ] {
            assert_eq!(
                routes.end_here(addr.parse().unwrap()).unwrap(),
                here,
                "{addr}"
            );
        }
    }
}
