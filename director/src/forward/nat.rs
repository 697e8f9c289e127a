//! Network address translation of TCP segments, UDP datagrams and SCTP packets.

use thiserror::Error;

use super::from;
use crate::wire::checksum::Change;
use crate::wire::{Addr, Layout, Mac, Piece, Protocol, Transport, Tuple, Version};
use crate::wire::{crc32c, ethernet, ipv4, ipv6, sctp, tcp, udp};

/// Rewrites addresses and ports so that the tuple of the frame becomes `to`, and brings the
/// checksums after them (RFC 1624). What is wrong before is wrong after, so that the end host
/// still finds out. Of a first fragment the checksum is brought along as that of the whole
/// datagram, which it is; a later fragment has addresses only.
///
/// `to` is of the same protocol and IP version as `packet`, the reading of this frame. Once
/// done, the reading is stale in its tuple: its layout still holds.
#[inline]
pub fn translate(frame: &mut [u8], packet: &Transport, to: &Tuple) {
    let Transport { layout, tuple } = packet;
    debug_assert_eq!(tuple.protocol, to.protocol);
    debug_assert_eq!(tuple.src.addr.is_v4(), to.src.addr.is_v4());
    debug_assert_eq!(tuple.dst.addr.is_v4(), to.dst.addr.is_v4());
    let [src, dst] = to.addrs();
    let Some(addrs) = layout.addrs(frame).map(|old| addrs(old, [src, dst])) else {
        return;
    };
    set_addrs(frame, layout, src, dst, addrs);
    if layout.piece == Piece::Later {
        return;
    }
    set_ports(layout.segment_mut(frame), to, addrs);
}

/// What changes in the words of the two ports.
#[inline]
pub(super) fn ports(old: [u16; 2], new: [u16; 2]) -> Change {
    Change::default().word(old[0], new[0]).word(old[1], new[1])
}

/// Sets the addresses of an IP header, and brings the checksum of IPv4 after `change`; returns
/// what that changes in the checksum field itself.
#[inline]
pub(super) fn set_addrs(
    frame: &mut [u8],
    layout: &Layout,
    src: Addr,
    dst: Addr,
    change: Change,
) -> Change {
    let bytes = from(frame, layout.network);
    let mut field = Change::default();
    match layout.version {
        Version::V4 => {
            if let Some(mut header) = ipv4::header_mut(bytes) {
                header.set_addrs(src, dst);
                let old = header.checksum();
                let new = change.apply(old);
                header.set_checksum(new);
                field = field.word(old, new);
            }
        }
        Version::V6 => {
            if let Some(mut header) = ipv6::header_mut(bytes) {
                header.set_addrs(src, dst);
            }
        }
    }
    field
}

/// What changes in the words of the addresses, from source and destination to source and
/// destination.
#[inline]
pub(super) fn addrs(old: [Addr; 2], new: [Addr; 2]) -> Change {
    let [src, dst] = old;
    Change::default().addr(src, new[0]).addr(dst, new[1])
}

/// Sets the ports of a whole transport header, and brings its checksum after them and after
/// the `addrs` of its pseudo header.
#[inline]
fn set_ports(segment: &mut [u8], to: &Tuple, addrs: Change) {
    match to.protocol {
        Protocol::Tcp => {
            if let Some(mut header) = tcp::header_mut(segment) {
                let change = ports(header.ports(), to.ports()).and(addrs);
                header.set_ports(to.src.port, to.dst.port);
                let checksum = change.apply(header.checksum());
                header.set_checksum(checksum);
            }
        }
        Protocol::Udp => {
            if let Some(mut header) = udp::header_mut(segment) {
                let change = ports(header.ports(), to.ports()).and(addrs);
                header.set_ports(to.src.port, to.dst.port);
                let checksum = change.apply_udp(header.checksum());
                header.set_checksum(checksum);
            }
        }
        Protocol::Sctp => set_sctp_ports(segment, to.ports()),
    }
}

/// The same for SCTP, whose checksum has no pseudo header (RFC 9260 §6.8).
#[inline(never)]
fn set_sctp_ports(packet: &mut [u8], to: [u16; 2]) {
    let length = packet.len() as u16;
    let Some(mut header) = sctp::header_mut(packet) else {
        return;
    };
    let word = |[src, dst]: [u16; 2]| u32::from(src) << 16 | u32::from(dst);
    let (old, new) = (word(header.ports()), word(to));
    if old != new {
        let checksum = crc32c::after_change_of_head(header.checksum(), length, old, new);
        header.set_ports(to[0], to[1]);
        header.set_checksum(checksum);
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

/// Whether the packet may be forwarded once more: [`decrement_ttl`] would not refuse.
#[inline]
pub fn has_hop_left(frame: &[u8], layout: &Layout) -> bool {
    let bytes = layout.datagram(frame);
    let hops = match layout.version {
        Version::V4 => ipv4::header(bytes).map(|header| header.ttl()),
        Version::V6 => ipv6::header(bytes).map(|header| header.hop_limit()),
    };
    hops.is_some_and(|hops| hops > 1)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sample::{self, STATIONS, Sample};
    use crate::wire::{Packet, parse};
    use proptest::prelude::*;

    fn read(frame: &[u8]) -> Transport {
        match parse(frame) {
            Ok(Packet::Transport(packet)) => packet,
            other => panic!("{other:?}"),
        }
    }

    fn datagram(frame: &[u8]) -> &[u8] {
        read(frame).layout.datagram(frame)
    }

    #[test]
    fn stations_are_set() {
        let (sample, _) = a_udp_pair();
        let mut frame = sample.frame();
        set_ethernet(&mut frame, Mac([6; 6]), Mac([8; 6]));
        assert_eq!(frame[..12], [[8; 6], [6; 6]].concat());
        set_ethernet(&mut frame, STATIONS[0], STATIONS[1]);
        assert_eq!(frame, sample.frame());
    }

    /// A datagram, and a tuple that differs from its own in the source port by one.
    fn a_udp_pair() -> (Sample, Tuple) {
        let tuple = Tuple {
            protocol: Protocol::Udp,
            src: "192.0.2.1:1"
                .parse::<std::net::SocketAddr>()
                .unwrap()
                .into(),
            dst: "192.0.2.2:2"
                .parse::<std::net::SocketAddr>()
                .unwrap()
                .into(),
        };
        let mut other = tuple;
        other.src.port = 2;
        (Sample::of(tuple), other)
    }

    #[test]
    fn udp_checksum_that_comes_out_as_zero_is_sent_as_ffff() {
        let (mut sample, other) = a_udp_pair();
        sample.payload = vec![0, 0];
        let sum = |frame: &[u8]| u16::from_be_bytes([frame[40], frame[41]]);
        // Choose the payload so that one more in the source port makes the sum 0xffff.
        let short = sum(&sample.frame()) - 1;
        sample.payload = short.to_be_bytes().into();
        let mut frame = sample.frame();
        assert_eq!(sum(&frame), 1);
        let packet = read(&frame);
        translate(&mut frame, &packet, &other);
        assert_eq!(sum(&frame), 0xffff);
        sample::assert_valid(datagram(&frame));
    }

    #[test]
    fn hops_run_out() {
        for tuple in [a_udp_pair().0.tuple, v6_tuple()] {
            for (ttl, expected) in [(0, Err(TtlExceeded)), (1, Err(TtlExceeded)), (2, Ok(()))] {
                let mut frame = Sample {
                    ttl,
                    ..Sample::of(tuple)
                }
                .frame();
                let layout = read(&frame).layout;
                assert_eq!(decrement_ttl(&mut frame, &layout), expected);
                let left = if expected.is_ok() { ttl - 1 } else { ttl };
                assert_eq!(
                    frame,
                    Sample {
                        ttl: left,
                        ..Sample::of(tuple)
                    }
                    .frame()
                );
            }
        }
    }

    fn v6_tuple() -> Tuple {
        Tuple {
            protocol: Protocol::Tcp,
            src: "[2001:db8::1]:1"
                .parse::<std::net::SocketAddr>()
                .unwrap()
                .into(),
            dst: "[2001:db8::2]:2"
                .parse::<std::net::SocketAddr>()
                .unwrap()
                .into(),
        }
    }

    proptest! {
        #[test]
        fn translation_gives_what_the_sender_would_have_built((sample, to) in sample::samples()) {
            let mut frame = sample.frame();
            let packet = read(&frame);
            translate(&mut frame, &packet, &to);
            sample::assert_valid(datagram(&frame));
            prop_assert_eq!(&frame, &Sample { tuple: to, ..sample.clone() }.frame());

            let back = read(&frame);
            prop_assert_eq!(back, Transport { tuple: to, ..packet });
            translate(&mut frame, &back, &sample.tuple);
            prop_assert_eq!(&frame, &sample.frame());
        }

        #[test]
        fn wrong_checksum_stays_wrong((mut sample, to) in sample::samples(), flip in 1u8..) {
            sample.checksum = true;
            sample.payload.push(0);
            let mut frame = sample.frame();
            let last = frame.len() - sample.padding - 1;
            frame[last] ^= flip;
            let packet = read(&frame);
            translate(&mut frame, &packet, &to);
            prop_assert!(!crate::wire::is_intact(&frame, &read(&frame)));
        }

        #[test]
        fn hops_are_counted_down((mut sample, _) in sample::samples(), ttl in 2u8..) {
            sample.ttl = ttl;
            let mut frame = sample.frame();
            let layout = read(&frame).layout;
            prop_assert_eq!(decrement_ttl(&mut frame, &layout), Ok(()));
            let built = Sample { ttl: ttl - 1, ..sample };
            prop_assert_eq!(frame, built.frame());
        }
    }
}
