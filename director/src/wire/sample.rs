//! Frames for tests, built and checked with `pnet_packet` and so without the code under test.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pnet_packet::ethernet::{EtherType, MutableEthernetPacket};
use pnet_packet::icmp::MutableIcmpPacket;
use pnet_packet::ip::IpNextHeaderProtocol;
use pnet_packet::ipv4::{Ipv4Packet, MutableIpv4Packet};
use pnet_packet::ipv6::{Ipv6Packet, MutableIpv6Packet};
use pnet_packet::tcp::MutableTcpPacket;
use pnet_packet::udp::MutableUdpPacket;
use pnet_packet::util;
use proptest::prelude::*;

use super::{Addr, Endpoint, Mac, Protocol, Tuple, ethernet};

/// The station that sends the frames, and the one that they are for.
pub(crate) const STATIONS: [Mac; 2] = [Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2])];

/// A TCP segment, a UDP datagram, or an SCTP packet with one DATA chunk and `seq` as its tag.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) tuple: Tuple,
    pub(crate) ttl: u8,
    /// Words of IPv4 options, or IPv6 extension headers of eight bytes.
    pub(crate) extra: u8,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) payload: Vec<u8>,
    /// Ethernet padding, bytes.
    pub(crate) padding: usize,
    /// Whether a UDP datagram has a checksum.
    pub(crate) checksum: bool,
}

impl Sample {
    /// Whatever a plain packet of `tuple` is like.
    pub(crate) fn of(tuple: Tuple) -> Self {
        Self {
            tuple,
            ttl: 64,
            extra: 0,
            seq: 1000,
            ack: 2000,
            flags: super::tcp::Flags::ACK,
            payload: b"payload".to_vec(),
            padding: 0,
            checksum: true,
        }
    }

    /// The whole frame.
    pub(crate) fn frame(&self) -> Vec<u8> {
        ethernet(self.is_v4(), &self.datagram(), self.padding)
    }

    /// The frame from its IP header on, without padding.
    pub(crate) fn datagram(&self) -> Vec<u8> {
        let (src, dst) = (self.tuple.src.addr, self.tuple.dst.addr);
        let segment = match self.tuple.protocol {
            Protocol::Tcp => self.tcp(),
            Protocol::Udp => self.udp(),
            Protocol::Sctp => self.sctp(),
        };
        let protocol = self.tuple.protocol.number();
        datagram(src, dst, self.ttl, protocol, self.extra, &segment)
    }

    fn is_v4(&self) -> bool {
        self.tuple.src.addr.is_v4()
    }

    fn tcp(&self) -> Vec<u8> {
        let mut bytes = vec![0; 20];
        let mut tcp = MutableTcpPacket::new(&mut bytes).unwrap();
        tcp.set_source(self.tuple.src.port);
        tcp.set_destination(self.tuple.dst.port);
        tcp.set_sequence(self.seq);
        tcp.set_acknowledgement(self.ack);
        tcp.set_data_offset(5);
        tcp.set_flags(self.flags);
        tcp.set_window(512);
        bytes.extend(&self.payload);
        let (src, dst) = (self.tuple.src.addr, self.tuple.dst.addr);
        let sum = transport_checksum(&bytes, 8, src, dst, 6);
        MutableTcpPacket::new(&mut bytes).unwrap().set_checksum(sum);
        bytes
    }

    fn udp(&self) -> Vec<u8> {
        let mut bytes = vec![0; 8];
        let mut udp = MutableUdpPacket::new(&mut bytes).unwrap();
        udp.set_source(self.tuple.src.port);
        udp.set_destination(self.tuple.dst.port);
        udp.set_length(8 + self.payload.len() as u16);
        bytes.extend(&self.payload);
        let (src, dst) = (self.tuple.src.addr, self.tuple.dst.addr);
        let sum = match (self.checksum, transport_checksum(&bytes, 3, src, dst, 17)) {
            (false, _) => 0,
            (true, 0) => 0xffff,
            (true, sum) => sum,
        };
        MutableUdpPacket::new(&mut bytes).unwrap().set_checksum(sum);
        bytes
    }

    fn sctp(&self) -> Vec<u8> {
        let mut bytes = vec![];
        for port in self.tuple.ports() {
            bytes.extend(port.to_be_bytes());
        }
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend([0, 3]);
        bytes.extend((self.payload.len() as u16 + 4).to_be_bytes());
        bytes.extend(&self.payload);
        let sum = super::crc32c::of(&[&bytes]);
        bytes[8..12].copy_from_slice(&sum.to_le_bytes());
        bytes
    }
}

/// An ICMP or ICMPv6 error, by the family of its addresses; `rest` is what follows its
/// checksum.
pub(crate) fn icmp_error(
    [src, dst]: [Addr; 2],
    [icmp_type, code]: [u8; 2],
    rest: u32,
    quote: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![icmp_type, code, 0, 0];
    bytes.extend(rest.to_be_bytes());
    bytes.extend(quote);
    let protocol = if src.is_v4() { 1 } else { 58 };
    let sum = match src.is_v4() {
        true => util::checksum(&bytes, 1),
        false => transport_checksum(&bytes, 1, src, dst, protocol),
    };
    MutableIcmpPacket::new(&mut bytes)
        .unwrap()
        .set_checksum(sum);
    ethernet(src.is_v4(), &datagram(src, dst, 64, protocol, 0, &bytes), 0)
}

/// A frame around a datagram.
pub(crate) fn ethernet(v4: bool, datagram: &[u8], padding: usize) -> Vec<u8> {
    let mut frame = vec![0; ethernet::LEN];
    let mut header = MutableEthernetPacket::new(&mut frame).unwrap();
    header.set_source(STATIONS[0].0.into());
    header.set_destination(STATIONS[1].0.into());
    header.set_ethertype(EtherType(if v4 { 0x0800 } else { 0x86dd }));
    frame.extend(datagram);
    frame.resize(frame.len() + padding, 0xee);
    frame
}

/// An IP datagram around a segment, `extra` as in [`Sample::extra`].
pub(crate) fn datagram(
    src: Addr,
    dst: Addr,
    ttl: u8,
    protocol: u8,
    extra: u8,
    segment: &[u8],
) -> Vec<u8> {
    match (src.into(), dst.into()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => datagram_v4(src, dst, ttl, protocol, extra, segment),
        (IpAddr::V6(src), IpAddr::V6(dst)) => datagram_v6(src, dst, ttl, protocol, extra, segment),
        _ => panic!("{src} and {dst} are of two families"),
    }
}

fn datagram_v4(
    src: Ipv4Addr,
    dst: Ipv4Addr,
    ttl: u8,
    protocol: u8,
    extra: u8,
    segment: &[u8],
) -> Vec<u8> {
    const NOP: u8 = 1;
    let header_len = 20 + 4 * usize::from(extra);
    let mut bytes = vec![NOP; header_len];
    bytes[..20].fill(0);
    bytes.extend(segment);
    let total_len = bytes.len() as u16;
    let mut ip = MutableIpv4Packet::new(&mut bytes).unwrap();
    ip.set_version(4);
    ip.set_header_length(header_len as u8 / 4);
    ip.set_total_length(total_len);
    ip.set_identification(0xabcd);
    ip.set_ttl(ttl);
    ip.set_next_level_protocol(IpNextHeaderProtocol(protocol));
    ip.set_source(src);
    ip.set_destination(dst);
    seal_v4(&mut bytes);
    bytes
}

/// Gives an IPv4 datagram the checksum that its header should have.
pub(crate) fn seal_v4(datagram: &mut [u8]) {
    let header_len = usize::from(datagram[0] & 0xf) * 4;
    let sum = util::checksum(&datagram[..header_len.clamp(20, datagram.len())], 5);
    datagram[10..12].copy_from_slice(&sum.to_be_bytes());
}

fn datagram_v6(
    src: Ipv6Addr,
    dst: Ipv6Addr,
    ttl: u8,
    protocol: u8,
    extra: u8,
    segment: &[u8],
) -> Vec<u8> {
    const DESTINATION_OPTIONS: u8 = 60;
    let mut next = protocol;
    let mut payload = segment.to_vec();
    for _ in 0..extra {
        payload.splice(0..0, [next, 0, 1, 4, 0, 0, 0, 0]);
        next = DESTINATION_OPTIONS;
    }
    let mut bytes = vec![0; 40];
    let mut ip = MutableIpv6Packet::new(&mut bytes).unwrap();
    ip.set_version(6);
    ip.set_flow_label(0xabcde);
    ip.set_payload_length(payload.len() as u16);
    ip.set_next_header(IpNextHeaderProtocol(next));
    ip.set_hop_limit(ttl);
    ip.set_source(src);
    ip.set_destination(dst);
    bytes.extend(payload);
    bytes
}

/// Full computation over a segment and its pseudo header, the word `skip` taken as zero.
pub(crate) fn transport_checksum(
    segment: &[u8],
    skip: usize,
    src: Addr,
    dst: Addr,
    protocol: u8,
) -> u16 {
    let protocol = IpNextHeaderProtocol(protocol);
    match (src.into(), dst.into()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            util::ipv4_checksum(segment, skip, &[], &src, &dst, protocol)
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            util::ipv6_checksum(segment, skip, &[], &src, &dst, protocol)
        }
        _ => panic!("{src} and {dst} are of two families"),
    }
}

/// Asserts that every checksum of an unfragmented datagram (IP header, TCP, UDP, ICMP) is the
/// one that a full computation gives, and its length that of `datagram`.
pub(crate) fn assert_valid(datagram: &[u8]) {
    let (src, dst, protocol, segment): (IpAddr, IpAddr, u8, &[u8]) = if datagram[0] >> 4 == 4 {
        let ip = Ipv4Packet::new(datagram).unwrap();
        let header_len = usize::from(ip.get_header_length()) * 4;
        assert_eq!(usize::from(ip.get_total_length()), datagram.len());
        assert_eq!(
            ip.get_checksum(),
            util::checksum(&datagram[..header_len], 5),
            "IPv4 header"
        );
        let protocol = ip.get_next_level_protocol().0;
        (
            ip.get_source().into(),
            ip.get_destination().into(),
            protocol,
            &datagram[header_len..],
        )
    } else {
        let ip = Ipv6Packet::new(datagram).unwrap();
        assert_eq!(usize::from(ip.get_payload_length()) + 40, datagram.len());
        let (mut next, mut at) = (ip.get_next_header().0, 40);
        while next == 60 {
            (next, at) = (datagram[at], at + 8);
        }
        (
            ip.get_source().into(),
            ip.get_destination().into(),
            next,
            &datagram[at..],
        )
    };
    let at = match protocol {
        1 | 58 => 2,
        6 => 16,
        17 => 6,
        132 => {
            return assert!(super::sctp::is_intact(segment), "checksum of SCTP");
        }
        _ => panic!("protocol {protocol}"),
    };
    let found = u16::from_be_bytes([segment[at], segment[at + 1]]);
    let computed = match protocol {
        1 => util::checksum(segment, 1),
        _ => transport_checksum(segment, at / 2, src.into(), dst.into(), protocol),
    };
    match (protocol, found, computed) {
        (17, 0, _) | (17, 0xffff, 0) => {}
        _ => assert_eq!(found, computed, "checksum of protocol {protocol}"),
    }
}

/// IPv4 addresses of hosts.
pub(crate) fn v4_addrs() -> impl Strategy<Value = Addr> {
    (1u8..127, any::<[u8; 3]>()).prop_map(|(a, [b, c, d])| Addr::v4([a, b, c, d]))
}

/// IPv6 addresses of hosts.
pub(crate) fn v6_addrs() -> impl Strategy<Value = Addr> {
    (0x20u8..0x40, any::<[u8; 15]>()).prop_map(|(first, rest)| {
        let mut octets = [first; 16];
        octets[1..].copy_from_slice(&rest);
        Addr::v6(octets)
    })
}

/// Pairs of tuples of one protocol and one family.
pub(crate) fn tuple_pairs() -> impl Strategy<Value = (Tuple, Tuple)> {
    let addrs = prop_oneof![
        proptest::collection::vec(v4_addrs(), 4),
        proptest::collection::vec(v6_addrs(), 4),
    ];
    let protocols = prop::sample::select(&[Protocol::Tcp, Protocol::Udp, Protocol::Sctp]);
    (protocols, addrs, any::<[u16; 4]>()).prop_map(|(protocol, addrs, ports)| {
        let tuple = |src: usize, dst: usize| Tuple {
            protocol,
            src: Endpoint::new(addrs[src], ports[src]),
            dst: Endpoint::new(addrs[dst], ports[dst]),
        };
        (tuple(0, 1), tuple(2, 3))
    })
}

/// Packets of all sorts, together with another tuple of their protocol and family.
pub(crate) fn samples() -> impl Strategy<Value = (Sample, Tuple)> {
    let rest = (
        any::<(u8, u32, u32, u8, bool)>(),
        0u8..=7,
        proptest::collection::vec(any::<u8>(), 0..100),
        0usize..10,
    );
    (tuple_pairs(), rest).prop_map(|((tuple, other), (numbers, extra, payload, padding))| {
        let (ttl, seq, ack, flags, checksum) = numbers;
        let sample = Sample {
            tuple,
            ttl,
            extra,
            seq,
            ack,
            flags,
            payload,
            padding,
            checksum,
        };
        (sample, other)
    })
}
