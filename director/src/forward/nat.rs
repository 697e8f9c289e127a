//! Network address translation of TCP segments and UDP datagrams.

use thiserror::Error;

use super::from;
use crate::wire::checksum::Change;
use crate::wire::{Addr, Layout, Mac, Protocol, Transport, Tuple, Version};
use crate::wire::{ethernet, ipv4, ipv6, tcp, udp};

/// Rewrites addresses and ports so that the tuple of the frame becomes `to`, and brings the
/// checksums after them (RFC 1624). What is wrong before is wrong after, so that the end host
/// still finds out.
///
/// `to` is of the same protocol and IP version as `packet`, the reading of this frame. Once
/// done, the reading is stale in its tuple: its layout still holds.
#[inline]
pub fn translate(frame: &mut [u8], packet: &Transport, to: &Tuple) {
    let Transport { layout, tuple } = packet;
    debug_assert_eq!(tuple.protocol, to.protocol);
    debug_assert_eq!(tuple.src.addr.is_v4(), to.src.addr.is_v4());
    debug_assert_eq!(tuple.dst.addr.is_v4(), to.dst.addr.is_v4());
    let addrs = Change::default()
        .addr(tuple.src.addr, to.src.addr)
        .addr(tuple.dst.addr, to.dst.addr);
    set_addrs(frame, layout, to.src.addr, to.dst.addr, addrs);
    let ports = ports(tuple, to).and(addrs);
    set_ports(from(frame, layout.transport), to, ports);
}

/// What changes in the words of the two ports.
#[inline]
pub(super) fn ports(old: &Tuple, new: &Tuple) -> Change {
    Change::default()
        .word(old.src.port, new.src.port)
        .word(old.dst.port, new.dst.port)
}

/// Sets the addresses of an IP header, and brings the checksum of IPv4 after `change`.
#[inline]
pub(super) fn set_addrs(frame: &mut [u8], layout: &Layout, src: Addr, dst: Addr, change: Change) {
    let bytes = from(frame, layout.network);
    match layout.version {
        Version::V4 => {
            if let Some(mut header) = ipv4::header_mut(bytes) {
                header.set_addrs(src, dst);
                let checksum = change.apply(header.checksum());
                header.set_checksum(checksum);
            }
        }
        Version::V6 => {
            if let Some(mut header) = ipv6::header_mut(bytes) {
                header.set_addrs(src, dst);
            }
        }
    }
}

/// Sets the ports of a whole transport header, and brings its checksum after `change`.
#[inline]
fn set_ports(segment: &mut [u8], to: &Tuple, change: Change) {
    match to.protocol {
        Protocol::Tcp => {
            if let Some(mut header) = tcp::header_mut(segment) {
                header.set_ports(to.src.port, to.dst.port);
                let checksum = change.apply(header.checksum());
                header.set_checksum(checksum);
            }
        }
        Protocol::Udp => {
            if let Some(mut header) = udp::header_mut(segment) {
                header.set_ports(to.src.port, to.dst.port);
                let checksum = change.apply_udp(header.checksum());
                header.set_checksum(checksum);
            }
        }
    }
}

/// The packet has no hop left: it is to be dropped, and its sender told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no hop left")]
pub struct TtlExceeded;

/// Counts the TTL or hop limit down by one.
///
/// # Errors
/// When the packet may not be forwarded any more (RFC 1812 §5.3.1, RFC 8200 §3); the frame is
/// then as it was, ready to be quoted.
#[inline]
pub fn decrement_ttl(frame: &mut [u8], layout: &Layout) -> Result<(), TtlExceeded> {
    let bytes = from(frame, layout.network);
    match layout.version {
        Version::V4 => {
            let mut header = ipv4::header_mut(bytes).ok_or(TtlExceeded)?;
            header.set_ttl(one_less(header.ttl())?);
        }
        Version::V6 => {
            let mut header = ipv6::header_mut(bytes).ok_or(TtlExceeded)?;
            header.set_hop_limit(one_less(header.hop_limit())?);
        }
    }
    Ok(())
}

#[inline]
const fn one_less(hops: u8) -> Result<u8, TtlExceeded> {
    match hops {
        0 | 1 => Err(TtlExceeded),
        _ => Ok(hops - 1),
    }
}

/// Sets the stations of a frame, for its next hop.
#[inline]
pub fn set_ethernet(frame: &mut [u8], src: Mac, dst: Mac) {
    if let Some(mut header) = ethernet::header_mut(frame) {
        header.set_src(src);
        header.set_dst(dst);
    }
}
