//! Packets in tunnels, made by hand as [`crate::packet`] makes them.

use std::net::IpAddr;

use crate::packet::{checksum, ip, protocol, transport_checksum};

/// The UDP port of GUE (IANA).
pub const GUE_PORT: u16 = 6080;

/// The source port of the outer UDP header, which senders choose by the inner flow.
const ENTROPY_PORT: u16 = 50_000;

/// How a packet is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// Nothing between the headers.
    Ipip,
    /// GRE without options (RFC 2784).
    Gre,
    /// GRE with a checksum.
    GreChecksum,
    /// GUE variant 0, and a checksum in the UDP header.
    Gue,
    /// GUE variant 1: the inner packet right behind the UDP header, which has no checksum.
    GueDirect,
    /// GUE variant 0 with remote checksum offload: the inner checksum is left to the receiver.
    GueRemoteChecksum,
}

impl Tunnel {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Ipip,
        Self::Gre,
        Self::GreChecksum,
        Self::Gue,
        Self::GueDirect,
        Self::GueRemoteChecksum,
    ];

    /// `inner`, an IP packet, wrapped for the way from `source` to `destination`.
    pub fn wrap(self, source: IpAddr, destination: IpAddr, inner: &[u8]) -> Vec<u8> {
        let gue = |checksum, payload: &[u8]| udp(source, destination, checksum, payload);
        match self {
            Self::Ipip => ip(source, destination, inner_protocol(inner), inner),
            Self::Gre => ip(source, destination, protocol::GRE, &gre(inner)),
            Self::GreChecksum => ip(source, destination, protocol::GRE, &gre_checksum(inner)),
            Self::Gue => gue(true, &[&[0, inner_protocol(inner), 0, 0], inner].concat()),
            Self::GueDirect => gue(false, inner),
            Self::GueRemoteChecksum => gue(false, &gue_remote_checksum(inner)),
        }
    }
}

fn is_v6(packet: &[u8]) -> bool {
    packet[0] >> 4 == 6
}

fn inner_protocol(packet: &[u8]) -> u8 {
    if is_v6(packet) {
        protocol::IPV6
    } else {
        protocol::IPIP
    }
}

fn ether_type(packet: &[u8]) -> [u8; 2] {
    if is_v6(packet) {
        [0x86, 0xdd]
    } else {
        [0x08, 0x00]
    }
}

fn gre(inner: &[u8]) -> Vec<u8> {
    [&[0, 0], &ether_type(inner)[..], inner].concat()
}

fn gre_checksum(inner: &[u8]) -> Vec<u8> {
    let mut bytes = [&[0x80, 0], &ether_type(inner)[..], &[0; 4], inner].concat();
    let sum = checksum(&[&bytes]);
    bytes[4..6].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn udp(source: IpAddr, destination: IpAddr, with_checksum: bool, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    let words = [ENTROPY_PORT, GUE_PORT, length, 0];
    let mut bytes = [&words.map(u16::to_be_bytes).concat(), payload].concat();
    if with_checksum {
        let sum = transport_checksum(source, destination, protocol::UDP, &bytes);
        bytes[6..8].copy_from_slice(&sum.to_be_bytes());
    }
    ip(source, destination, protocol::UDP, &bytes)
}

/// The private flag for remote checksum offload, and where to sum from and to (Linux,
/// include/net/gue.h). The checksum field of the inner TCP or UDP header holds the sum of the
/// pseudo header.
fn gue_remote_checksum(inner: &[u8]) -> Vec<u8> {
    let (addresses, transport, protocol) = if is_v6(inner) {
        (8..40, 40, inner[6])
    } else {
        (12..20, 20, inner[9])
    };
    let field = transport + if protocol == protocol::TCP { 16 } else { 6 };
    let tail = [
        &((inner.len() - transport) as u32).to_be_bytes()[..],
        &[0, 0, 0, protocol],
    ]
    .concat();
    let seed = !checksum(&[&inner[addresses], &tail]);
    let mut left = inner.to_vec();
    left[field..field + 2].copy_from_slice(&seed.to_be_bytes());
    let places = [transport as u16, field as u16]
        .map(u16::to_be_bytes)
        .concat();
    let header = [2, inner_protocol(inner), 0, 1, 0x80, 0, 0, 0];
    [&header[..], &places, &left].concat()
}
