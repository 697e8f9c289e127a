//! Network address translation of ICMP errors about translated connections (RFC 5508 §4).

use super::from;
use super::nat::{addrs, ports, set_addrs};
use crate::wire::checksum::Change;
use crate::wire::{Addr, IcmpError, Protocol, Quote, Tuple, Version};
use crate::wire::{icmp, tcp, udp};

/// Where the sequence number of a quoted segment stands (RFC 9293 §3.1).
const QUOTED_SEQ: usize = 4;

/// Rewrites an error so that it comes from `src`, is for `dst` and quotes a packet of the tuple
/// `quote`: the packet as the receiver had sent it.
///
/// The checksums of the quoted headers come along where the quote reaches that far, and the
/// checksum of the ICMP message with all of them. Addresses and `quote` are of the IP version
/// of `error`, and `quote` is of its protocol.
pub fn translate_error(frame: &mut [u8], error: &IcmpError, src: Addr, dst: Addr, quote: &Tuple) {
    let outer = addrs([error.src, error.dst], [src, dst]);
    set_addrs(frame, &error.layout, src, dst, outer);
    let pseudo_header = match error.layout.version {
        Version::V4 => Change::default(),
        Version::V6 => outer,
    };
    let message = translate_quote(frame, &error.quote, quote).and(pseudo_header);
    if let Some(mut header) = icmp::header_mut(from(frame, error.layout.transport)) {
        let checksum = message.apply(header.checksum());
        header.set_checksum(checksum);
    }
}

/// Has an error that tells of a path narrower than any is believed to be tell of the narrowest.
pub fn widen_path(frame: &mut [u8], error: &IcmpError) {
    let version = error.layout.version;
    let least = icmp::least_mtu(version);
    let Some(mtu) = error.mtu.filter(|mtu| *mtu < least) else {
        return;
    };
    if let Some(mut header) = icmp::header_mut(from(frame, error.layout.transport)) {
        let checksum = Change::default().words(mtu, least).apply(header.checksum());
        header.set_mtu(version, least);
        header.set_checksum(checksum);
    }
}

/// Has an error about a TCP segment quote one that is numbered `by` less. The quoted checksum is left
/// behind: what is quoted in part nobody can check.
pub fn renumber_quote(frame: &mut [u8], error: &IcmpError, by: u32) {
    let segment = error.quote.layout.segment_mut(frame);
    let Some(field) = segment
        .get_mut(QUOTED_SEQ..)
        .and_then(<[u8]>::first_chunk_mut)
    else {
        return;
    };
    let old = u32::from_be_bytes(*field);
    let new = old.wrapping_sub(by);
    *field = new.to_be_bytes();
    if let Some(mut header) = icmp::header_mut(from(frame, error.layout.transport)) {
        let checksum = Change::default().words(old, new).apply(header.checksum());
        header.set_checksum(checksum);
    }
}

/// Rewrites the quoted packet; returns all that changes in the bytes of the quote.
fn translate_quote(frame: &mut [u8], quote: &Quote, to: &Tuple) -> Change {
    let Quote { layout, tuple, .. } = quote;
    let addrs = addrs(tuple.addrs(), to.addrs());
    let ports = ports(tuple.ports(), to.ports());
    let [src, dst] = to.addrs();
    let ip_checksum = set_addrs(frame, layout, src, dst, addrs);
    let segment = layout.segment_mut(frame);
    let transport_checksum = set_checksum(segment, to.protocol, addrs.and(ports));
    if let Some(mut header) = udp::header_mut(segment) {
        header.set_ports(to.src.port, to.dst.port);
    }
    addrs.and(ports).and(ip_checksum).and(transport_checksum)
}

/// Brings the checksum of a quoted segment after `change`, if the quote reaches that far;
/// returns what that changes in the checksum field itself.
fn set_checksum(segment: &mut [u8], protocol: Protocol, change: Change) -> Change {
    let (at, apply): (usize, fn(Change, u16) -> u16) = match protocol {
        Protocol::Tcp => (tcp::CHECKSUM, Change::apply),
        Protocol::Udp => (udp::CHECKSUM, Change::apply_udp),
        // Nobody can check it: it covers all of a packet that is quoted in part.
        Protocol::Sctp => return Change::default(),
    };
    let Some(field) = segment.get_mut(at..).and_then(<[u8]>::first_chunk_mut) else {
        return Change::default();
    };
    let old = u16::from_be_bytes(*field);
    let new = apply(change, old);
    *field = new.to_be_bytes();
    Change::default().word(old, new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sample::{self, Sample};
    use std::net::IpAddr;

    use crate::wire::{Endpoint, Packet, parse};
    use proptest::prelude::*;

    fn read(frame: &[u8]) -> IcmpError {
        match parse(frame) {
            Ok(Packet::IcmpError(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    /// An error about a sample as it is built, its quote cut after eight bytes of transport and
    /// `more`.
    fn error_about(sample: &Sample, router: Addr, more: usize) -> Vec<u8> {
        let mut quote = sample.datagram();
        let header = match sample.tuple.src.addr.is_v4() {
            true => 20 + 4 * usize::from(sample.extra),
            false => 40 + 8 * usize::from(sample.extra),
        };
        quote.truncate(header + 8 + more);
        let kind = if router.is_v4() { [3, 4] } else { [2, 0] };
        sample::icmp_error([router, sample.tuple.src.addr], kind, 1400, &quote)
    }

    #[test]
    fn a_quote_is_renumbered_and_the_error_stays_whole() {
        let [src, dst] = [[192, 0, 2, 1], [198, 51, 100, 1]].map(Addr::v4);
        let sample = Sample::of(Tuple {
            protocol: Protocol::Tcp,
            src: Endpoint::new(src, 1234),
            dst: Endpoint::new(dst, 80),
        });
        let router = sample.tuple.dst.addr;
        let mut frame = error_about(&sample, router, 0);
        let before = read(&frame).quote.number.unwrap();
        let error = read(&frame);
        renumber_quote(&mut frame, &error, 0xffff_0003);
        // Which reads it at all only if its checksum is right.
        let after = read(&frame).quote.number.unwrap();
        assert_eq!(after, before.wrapping_sub(0xffff_0003));
    }

    /// An error about a sample, with a label of MPLS behind the quote (RFC 4884 §4, RFC 4950).
    fn extended(sample: &Sample, router: Addr) -> Vec<u8> {
        let (kind, length) = match router.is_v4() {
            true => ([3, 1], (128 / 4) << 16),
            false => ([1, 3], (128 / 8) << 24),
        };
        let mut quote = sample.datagram();
        quote.resize(128, 0);
        quote.extend([0x20, 0, 0xdb, 0xfe, 0, 8, 1, 1, 0, 1, 1, 1]);
        sample::icmp_error([router, sample.tuple.src.addr], kind, length, &quote)
    }

    #[test]
    fn no_path_is_narrower_than_the_narrowest() {
        for (ends, kind, told, kept) in [
            (["192.0.2.1", "198.51.100.1"], [3, 4], 68, 552),
            (["192.0.2.1", "198.51.100.1"], [3, 4], 600, 600),
            (["192.0.2.1", "198.51.100.1"], [3, 1], 68, 0),
            (["2001:db8::1", "2001:db8::2"], [2, 0], 600, 1280),
            (["2001:db8::1", "2001:db8::2"], [2, 0], 1400, 1400),
        ] {
            let [router, sender] = ends.map(|end| Addr::from(end.parse::<IpAddr>().unwrap()));
            let tuple = Tuple {
                protocol: Protocol::Udp,
                src: Endpoint::new(sender, 1),
                dst: Endpoint::new(router, 2),
            };
            let quote = Sample::of(tuple).datagram();
            let mut frame = sample::icmp_error([router, sender], kind, told, &quote);
            let error = read(&frame);
            widen_path(&mut frame, &error);
            let after = read(&frame);
            assert_eq!(after.mtu.unwrap_or(0), kept, "{kind:?} {told}");
            sample::assert_valid(error.layout.datagram(&frame));
        }
    }

    /// A quote cut inside of the TCP checksum, whose first byte then stays as it was quoted, as
    /// all of a quoted SCTP checksum does.
    const HALF_A_CHECKSUM: usize = 9;

    proptest! {
        #[test]
        fn what_is_told_beside_the_packet_stays((sample, to) in sample::samples()) {
            let mut frame = extended(&sample, sample.tuple.dst.addr);
            let error = read(&frame);
            translate_error(&mut frame, &error, to.dst.addr, to.src.addr, &to);
            sample::assert_valid(error.layout.datagram(&frame));
            let built = Sample { tuple: to, ..sample.clone() };
            let is_whole = to.protocol != Protocol::Sctp;
            if is_whole {
                prop_assert_eq!(&frame, &extended(&built, to.dst.addr));
            }
        }

        #[test]
        fn translation_gives_what_a_router_would_have_built(
            (sample, to) in sample::samples(),
            more in 0usize..40,
        ) {
            // The router stands where the packet was going, and so is renumbered as it is.
            let mut frame = error_about(&sample, sample.tuple.dst.addr, more);
            let error = read(&frame);
            translate_error(&mut frame, &error, to.dst.addr, to.src.addr, &to);
            let built = Sample { tuple: to, ..sample.clone() };
            let has_its_checksum = match to.protocol {
                Protocol::Tcp => more != HALF_A_CHECKSUM,
                Protocol::Udp => true,
                Protocol::Sctp => more == 0,
            };
            if has_its_checksum {
                prop_assert_eq!(&frame, &error_about(&built, to.dst.addr, more));
            }
            sample::assert_valid(error.layout.datagram(&frame));

            let back = read(&frame);
            let tuple = sample.tuple;
            translate_error(&mut frame, &back, tuple.dst.addr, tuple.src.addr, &tuple);
            prop_assert_eq!(&frame, &error_about(&sample, tuple.dst.addr, more));
        }
    }
}
