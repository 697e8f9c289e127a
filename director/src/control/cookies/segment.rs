//! The largest segment that clients are offered.

use super::Look;
use super::way::candidates;
use crate::service::{Method, Real, Service};
use crate::wire::{Addr, Endpoint, ipv4, ipv6, tcp};

/// The MTU of a way that is not known.
const USUAL_MTU: u32 = 1500;

/// Segments are never larger than what a cookie can say of a client's (RFC 894).
const LARGEST_MSS: u32 = 1460;

/// The largest segment that gets to every real server.
pub(super) fn mss(service: &Service, vip: Endpoint, look: &Look<'_>) -> u16 {
    let headers = tcp::LEN
        + if vip.addr.is_v4() {
            ipv4::LEN
        } else {
            ipv6::LEN
        };
    let room = |real: &Real| {
        let Endpoint { addr, .. } = real.endpoint;
        let mtu = look.fib.next_hop(addr, 0).map_or(USUAL_MTU, |hop| hop.mtu);
        mtu.saturating_sub(overhead(real.method, addr).into())
    };
    let rooms = candidates(service, look.sysctls).map(room);
    let room = rooms.min().unwrap_or(USUAL_MTU);
    room.saturating_sub(headers as u32).min(LARGEST_MSS) as u16
}

const fn overhead(method: Method, addr: Addr) -> u16 {
    match method {
        Method::Tun(tunnel) => tunnel.overhead(addr),
        _ => 0,
    }
}
