//! From the bytes of a frame to one clear reading of it, or the reason why there is none.

use super::ipv6::Piece;
use super::layout::{Datagram, layout};
use super::{Addr, IcmpError, Layout, Malformed, Protocol, Tuple, Version};
use super::{checksum, ethernet, icmp, ipv4, ipv6, sctp, tcp, udp};

/// Where the datagram in `frame` goes to, if that can be said.
pub fn destination(frame: &[u8]) -> Option<Addr> {
    let datagram = frame.get(ethernet::LEN..)?;
    match ethernet::header(frame)?.ethertype() {
        ethernet::IPV4 => Some(ipv4::header(datagram)?.dst()),
        ethernet::IPV6 => Some(ipv6::header(datagram)?.dst()),
        _ => None,
    }
}

/// A TCP segment, a UDP datagram or an SCTP packet, or the beginning of one; of a later fragment,
/// what its first one says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Where it stands.
    pub layout: Layout,
    /// Whom it is from and to.
    pub tuple: Tuple,
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A TCP segment, a UDP datagram or an SCTP packet.
    Transport(Transport),
    /// An ICMP or ICMPv6 error about one of these.
    IcmpError(IcmpError),
}

/// The most bytes of a frame that are looked at, so that offsets fit 16 bits.
const MAX_FRAME: usize = u16::MAX as usize;

// The steps of `parse` are always inlined: as calls, they hand their results on through memory,
// and a packet takes half as long again (benches/wire.rs).

/// Reads a frame from its Ethernet header on.
///
/// The checksum of an IPv4 header and of an ICMP error is verified (RFC 1812 §4.2.2.5,
/// RFC 792), those of TCP, UDP and SCTP are left to the end host.
///
/// # Errors
/// The reason why the frame is to be dropped.
#[inline(always)]
pub fn parse(frame: &[u8]) -> Result<Packet, Malformed> {
    let frame = frame.get(..MAX_FRAME).unwrap_or(frame);
    let header = ethernet::header(frame).ok_or(Malformed::Truncated)?;
    if header.dst().is_group() {
        return Err(Malformed::LinkGroup);
    }
    match header.ethertype() {
        ethernet::IPV4 => payload(frame, &v4(frame)?),
        ethernet::IPV6 => payload(frame, &v6(frame)?),
        _ => Err(Malformed::NotIp),
    }
}

/// Reads what a datagram carries.
#[inline(always)]
fn payload(frame: &[u8], datagram: &Datagram) -> Result<Packet, Malformed> {
    let layout = datagram.layout;
    let segment = layout.segment(frame);
    let (protocol, ports) = match datagram.protocol {
        TCP => (Protocol::Tcp, tcp::checked(segment)?.ports()),
        UDP => (Protocol::Udp, udp::checked(segment)?.ports()),
        SCTP => (Protocol::Sctp, sctp::checked(segment)?.ports()),
        icmp::V4 | icmp::V6 => return icmp::error(frame, datagram).map(Packet::IcmpError),
        _ => return Err(Malformed::UnknownProtocol),
    };
    let tuple = datagram
        .tuple(frame, protocol, ports)
        .ok_or(Malformed::Truncated)?;
    Ok(Packet::Transport(Transport { layout, tuple }))
}

const TCP: u8 = Protocol::Tcp.number();
const UDP: u8 = Protocol::Udp.number();
const SCTP: u8 = Protocol::Sctp.number();

#[inline(always)]
fn v4(frame: &[u8]) -> Result<Datagram, Malformed> {
    let (header, options, layout) = v4_header(frame)?;
    if header.is_fragment() {
        return Err(Malformed::Fragment);
    }
    if ipv4::is_source_routed(options) {
        return Err(Malformed::SourceRouted);
    }
    Ok(Datagram {
        layout,
        protocol: header.protocol(),
    })
}

type HeaderV4<'a> = ipv4::Header<&'a [u8; ipv4::LEN]>;

/// A checked header, its options, and where the datagram or fragment stands.
#[inline(always)]
pub(super) fn v4_header(frame: &[u8]) -> Result<(HeaderV4<'_>, &[u8], Layout), Malformed> {
    let bytes = frame.get(ethernet::LEN..).ok_or(Malformed::Truncated)?;
    let header = ipv4::header(bytes).ok_or(Malformed::Truncated)?;
    let header_len = header.header_len()?;
    let total_len = header.total_len();
    if total_len > bytes.len() {
        return Err(Malformed::BadTotalLength);
    }
    if total_len < header_len {
        return Err(Malformed::BadHeaderLength);
    }
    let options = bytes.get(ipv4::LEN..header_len).unwrap_or_default();
    if !header.sum(options).is_valid() {
        return Err(Malformed::BadHeaderChecksum);
    }
    let layout = layout(Version::V4, ethernet::LEN, header_len, total_len);
    Ok((header, options, layout))
}

type HeaderV6<'a> = ipv6::Header<&'a [u8; ipv6::LEN]>;

#[inline(always)]
fn v6(frame: &[u8]) -> Result<Datagram, Malformed> {
    let (header, payload) = v6_header(frame)?;
    let chain = ipv6::chain(header.next_header(), payload)?;
    if chain.fragment != Piece::Whole {
        return Err(Malformed::Fragment);
    }
    let total_len = ipv6::LEN + payload.len();
    Ok(Datagram {
        layout: layout(
            Version::V6,
            ethernet::LEN,
            ipv6::LEN + chain.length,
            total_len,
        ),
        protocol: chain.protocol,
    })
}

/// A checked header, and all that follows it.
#[inline(always)]
pub(super) fn v6_header(frame: &[u8]) -> Result<(HeaderV6<'_>, &[u8]), Malformed> {
    let bytes = frame.get(ethernet::LEN..).ok_or(Malformed::Truncated)?;
    let header = ipv6::header(bytes).ok_or(Malformed::Truncated)?;
    if header.version() != 6 {
        return Err(Malformed::BadVersion);
    }
    let payload = bytes
        .get(ipv6::LEN..ipv6::LEN + header.payload_len())
        .ok_or(Malformed::BadTotalLength)?;
    if header.src().is_v4() || header.dst().is_v4() {
        return Err(Malformed::MappedAddress);
    }
    Ok((header, payload))
}

/// Whether the checksum of what a frame holds is right, as far as it covers it.
pub fn is_intact(frame: &[u8], packet: &Transport) -> bool {
    let Tuple { protocol, src, dst } = packet.tuple;
    let segment = packet.layout.segment(frame);
    let covered = match (protocol, udp::header(segment)) {
        (Protocol::Sctp, _) => return sctp::is_intact(segment),
        (Protocol::Udp, Some(header)) => segment.get(..header.length()).unwrap_or(segment),
        _ => segment,
    };
    let version = packet.layout.version;
    checksum::transport(version, src.addr, dst.addr, protocol.number(), covered).is_valid()
}
