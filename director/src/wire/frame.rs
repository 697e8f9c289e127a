//! From the bytes of a frame to one clear reading of it, or the reason why there is none.

use super::checksum;
use super::ipv6::Piece;
use super::{Addr, Endpoint, IcmpError, Malformed, Protocol, Tuple};
use super::{ethernet, icmp, ipv4, ipv6, sctp, tcp, udp};

/// Where the datagram in `frame` goes to, if that can be said.
pub fn destination(frame: &[u8]) -> Option<Addr> {
    let datagram = frame.get(ethernet::LEN..)?;
    match ethernet::header(frame)?.ethertype() {
        ethernet::IPV4 => Some(ipv4::header(datagram)?.dst()),
        ethernet::IPV6 => Some(ipv6::header(datagram)?.dst()),
        _ => None,
    }
}

/// The IP version of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Version {
    /// RFC 791.
    V4 = 4,
    /// RFC 8200.
    V6 = 6,
}

/// Where the parts of a datagram stand in its frame: offsets in bytes from the first byte of
/// the frame, `network < transport <= end <= frame.len()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The IP version.
    pub version: Version,
    /// The IP header.
    pub network: u16,
    /// The TCP, UDP, SCTP or ICMP header.
    pub transport: u16,
    /// The end of the datagram; what follows is Ethernet padding.
    pub end: u16,
    /// How much of its datagram the frame holds.
    pub piece: Piece,
}

impl Layout {
    /// Length of the datagram, IP header included, bytes.
    #[inline]
    pub const fn datagram_len(&self) -> u16 {
        self.end - self.network
    }

    /// The datagram, IP header included; empty if `frame` is not the one of this layout.
    #[inline]
    pub fn datagram<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        frame
            .get(self.network.into()..self.end.into())
            .unwrap_or_default()
    }

    /// Source and destination address, unless `frame` ends before them.
    #[inline]
    pub fn addrs(&self, frame: &[u8]) -> Option<[Addr; 2]> {
        let bytes = frame.get(self.network.into()..)?;
        match self.version {
            Version::V4 => ipv4::header(bytes).map(|header| [header.src(), header.dst()]),
            Version::V6 => ipv6::header(bytes).map(|header| [header.src(), header.dst()]),
        }
    }

    /// The segment, UDP datagram or ICMP message; empty if `frame` is not the one of this
    /// layout.
    #[inline]
    pub fn segment<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        frame
            .get(self.transport.into()..self.end.into())
            .unwrap_or_default()
    }

    /// As [`Layout::segment`], to write.
    #[inline]
    pub fn segment_mut<'a>(&self, frame: &'a mut [u8]) -> &'a mut [u8] {
        frame
            .get_mut(self.transport.into()..self.end.into())
            .unwrap_or_default()
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

/// A checked IP header: the network layer's reading of a frame.
///
/// The addresses stay in the frame until the last step, [`Datagram::tuple`]: carried along,
/// they go through memory at each step, which takes longer than all the checks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagram {
    pub(super) layout: Layout,
    pub(super) protocol: u8,
}

impl Datagram {
    /// The tuple of a packet with these ports, and the addresses of `frame`.
    #[inline]
    pub(super) fn tuple(
        &self,
        frame: &[u8],
        protocol: Protocol,
        [src_port, dst_port]: [u16; 2],
    ) -> Option<Tuple> {
        let [src, dst] = self.layout.addrs(frame)?;
        Some(Tuple {
            protocol,
            src: Endpoint::new(src, src_port),
            dst: Endpoint::new(dst, dst_port),
        })
    }
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

/// A layout from lengths that were checked against a frame of at most [`MAX_FRAME`] bytes.
#[inline]
pub(super) const fn layout(
    version: Version,
    network: usize,
    header_len: usize,
    total_len: usize,
) -> Layout {
    Layout {
        version,
        network: network as u16,
        transport: (network + header_len) as u16,
        end: (network + total_len) as u16,
        piece: Piece::Whole,
    }
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
