//! ICMP (RFC 792) and ICMPv6 (RFC 4443) errors, and the packets that they quote.

mod report;

use std::borrow::{Borrow, BorrowMut};

use super::bytes::{put, put_u16, u16_at, u32_at};
use super::layout::{Datagram, layout};
use super::{Addr, Layout, Malformed, Protocol, Tuple, Version};
use super::{checksum, ipv4, ipv6, udp, view};

pub use report::Report;

/// IANA number of ICMP.
pub const V4: u8 = checksum::ICMP;
/// IANA number of ICMPv6.
pub const V6: u8 = 58;

/// Length of the header of an error, bytes; what it quotes follows.
pub const LEN: usize = 8;

mod field {
    pub(super) const TYPE: usize = 0;
    pub(super) const CODE: usize = 1;
    pub(super) const CHECKSUM: usize = 2;
    pub(super) const REST: usize = 4;
    pub(super) const V4_LENGTH: usize = 5;
    pub(super) const V6_LENGTH: usize = 4;
    pub(super) const V4_MTU: usize = 6;
}

/// Types and codes of ICMP errors.
mod v4 {
    pub(super) const UNREACHABLE: u8 = 3;
    pub(super) const HOST_UNREACHABLE: u8 = 1;
    pub(super) const FRAGMENTATION_NEEDED: u8 = 4;
    pub(super) const SOURCE_QUENCH: u8 = 4;
    pub(super) const TIME_EXCEEDED: u8 = 11;
    pub(super) const PARAMETER_PROBLEM: u8 = 12;
}

/// Types and codes of ICMPv6 errors.
mod v6 {
    pub(super) const UNREACHABLE: u8 = 1;
    pub(super) const ADDRESS_UNREACHABLE: u8 = 3;
    pub(super) const TOO_BIG: u8 = 2;
    pub(super) const TIME_EXCEEDED: u8 = 3;
    pub(super) const PARAMETER_PROBLEM: u8 = 4;
}

/// The least path MTU that is believed, bytes: that of IPv6 (RFC 8200 §5), and for IPv4 what Linux
/// believes (`net.ipv4.route.min_pmtu`). Whoever says less would have packets cut to pieces.
pub const fn least_mtu(version: Version) -> u32 {
    match version {
        Version::V4 => 552,
        Version::V6 => 1280,
    }
}

view::header! {
    /// A view of the header.
}

impl<T: Borrow<[u8; LEN]>> Header<T> {
    /// Type.
    #[inline]
    pub fn icmp_type(&self) -> u8 {
        self.0.borrow()[field::TYPE]
    }

    /// Code.
    #[inline]
    pub fn code(&self) -> u8 {
        self.0.borrow()[field::CODE]
    }

    /// Checksum.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16_at(self.0.borrow(), field::CHECKSUM)
    }

    /// The next hop's MTU, bytes, where the error tells one: ICMP 3/4 (RFC 1191 §4; zero from
    /// routers older than that), ICMPv6 2 (RFC 4443 §3.2).
    fn mtu(&self, version: Version) -> Option<u32> {
        let mtu = match (version, self.icmp_type(), self.code()) {
            (Version::V4, v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED) => {
                u16_at(self.0.borrow(), field::V4_MTU).into()
            }
            (Version::V6, v6::TOO_BIG, _) => u32_at(self.0.borrow(), field::REST),
            _ => 0,
        };
        (mtu != 0).then_some(mtu)
    }

    /// How much of the message behind the header is the packet that it quotes, bytes, where it says so:
    /// extensions stand behind that (RFC 4884 §4).
    fn quoted(&self, version: Version) -> Option<usize> {
        let (length, unit) = match (version, self.icmp_type()) {
            (Version::V4, v4::UNREACHABLE | v4::TIME_EXCEEDED | v4::PARAMETER_PROBLEM) => {
                (self.0.borrow()[field::V4_LENGTH], 4)
            }
            (Version::V6, v6::UNREACHABLE | v6::TIME_EXCEEDED) => {
                (self.0.borrow()[field::V6_LENGTH], 8)
            }
            _ => (0, 0),
        };
        (length != 0).then_some(usize::from(length) * unit)
    }

    fn is_error(&self, version: Version) -> bool {
        match version {
            Version::V4 => matches!(
                self.icmp_type(),
                v4::UNREACHABLE | v4::SOURCE_QUENCH | v4::TIME_EXCEEDED | v4::PARAMETER_PROBLEM
            ),
            Version::V6 => matches!(
                self.icmp_type(),
                v6::UNREACHABLE | v6::TOO_BIG | v6::TIME_EXCEEDED | v6::PARAMETER_PROBLEM
            ),
        }
    }
}

impl<T: BorrowMut<[u8; LEN]>> Header<T> {
    /// Sets the next hop's MTU, which an error of this version tells, and not the checksum.
    pub fn set_mtu(&mut self, version: Version, mtu: u32) {
        let header = self.0.borrow_mut();
        match version {
            Version::V4 => put_u16(header, field::V4_MTU, mtu as u16),
            Version::V6 => put(header, field::REST, mtu.to_be_bytes()),
        }
    }

    /// Sets the checksum.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        put_u16(self.0.borrow_mut(), field::CHECKSUM, checksum);
    }
}

/// What the header of an error of our own says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Type.
    pub icmp_type: u8,
    /// Code.
    pub code: u8,
    /// The four bytes after the checksum: the MTU, or zero.
    pub rest: u32,
}

impl Repr {
    /// Writes the header, its checksum zero.
    pub fn write(&self, header: &mut [u8; LEN]) {
        header[field::TYPE] = self.icmp_type;
        header[field::CODE] = self.code;
        put_u16(header, field::CHECKSUM, 0);
        put(header, field::REST, self.rest.to_be_bytes());
    }
}

/// An error about a packet that someone sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// Where the error stands; `transport` is its ICMP header.
    pub layout: Layout,
    /// Who reports it: often a router in between.
    pub src: Addr,
    /// Whom it is for: the sender of the quoted packet.
    pub dst: Addr,
    /// ICMP or ICMPv6 type.
    pub icmp_type: u8,
    /// Code.
    pub code: u8,
    /// The next hop's MTU, bytes, where the error tells one.
    pub mtu: Option<u32>,
    /// The packet that it is about.
    pub quote: Quote,
}

/// The packet that an error is about, as far as it is quoted: at least to its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Where it stands in the frame; `end` is where the quote ends, if that is earlier than
    /// the quoted packet ended.
    pub layout: Layout,
    /// Whom it was from and to.
    pub tuple: Tuple,
    /// TCP sequence number, or SCTP verification tag.
    pub number: Option<u32>,
}

/// Bytes of the quoted transport header that must be there (RFC 792): ports and, of TCP, the
/// sequence number; of SCTP, the tag; of UDP, the whole header.
const QUOTED: usize = 8;

/// Reads the ICMP message that `datagram` holds.
pub(super) fn error(frame: &[u8], datagram: &Datagram) -> Result<IcmpError, Malformed> {
    let Datagram { layout, protocol } = *datagram;
    let [src, dst] = layout.addrs(frame).ok_or(Malformed::Truncated)?;
    if protocol != number(layout.version) {
        return Err(Malformed::UnknownProtocol);
    }
    let message = layout.segment(frame);
    let header = header(message).ok_or(Malformed::Truncated)?;
    if !header.is_error(layout.version) {
        return Err(Malformed::IcmpOther);
    }
    if !checksum::transport(layout.version, src, dst, protocol, message).is_valid() {
        return Err(Malformed::BadIcmpChecksum);
    }
    let quote = quote(frame, &layout)?;
    if quote.tuple.src.addr != dst {
        return Err(Malformed::QuoteMismatch);
    }
    Ok(IcmpError {
        layout,
        src,
        dst,
        icmp_type: header.icmp_type(),
        code: header.code(),
        mtu: header.mtu(layout.version),
        quote,
    })
}

/// The ICMP that goes with an IP version.
#[inline]
pub const fn number(version: Version) -> u8 {
    match version {
        Version::V4 => V4,
        Version::V6 => V6,
    }
}

/// Reads the packet quoted behind the ICMP header at `outer.transport`.
fn quote(frame: &[u8], outer: &Layout) -> Result<Quote, Malformed> {
    let start = usize::from(outer.transport) + LEN;
    let bytes = frame
        .get(start..outer.end.into())
        .ok_or(Malformed::BadQuote)?;
    let datagram = match outer.version {
        Version::V4 => quoted_v4(bytes, start),
        Version::V6 => quoted_v6(bytes, start),
    }?;
    let protocol = Protocol::from_number(datagram.protocol).ok_or(Malformed::QuoteProtocol)?;
    let head: &[u8; QUOTED] = datagram
        .layout
        .segment(frame)
        .first_chunk()
        .ok_or(Malformed::BadQuote)?;
    let ports = udp::header(head).ok_or(Malformed::BadQuote)?.ports();
    Ok(Quote {
        layout: datagram.layout,
        tuple: datagram
            .tuple(frame, protocol, ports)
            .ok_or(Malformed::BadQuote)?,
        number: (protocol != Protocol::Udp).then(|| u32_at(head, 4)),
    })
}

/// The header of a quoted datagram: it may be cut short, and its checksum is not verified, as
/// routers quote it with the TTL counted down already.
fn quoted_v4(bytes: &[u8], start: usize) -> Result<Datagram, Malformed> {
    let header = ipv4::header(bytes).ok_or(Malformed::BadQuote)?;
    let header_len = header.header_len().map_err(|_| Malformed::BadQuote)?;
    let total_len = header.total_len().min(bytes.len());
    if total_len < header_len {
        return Err(Malformed::BadQuote);
    }
    if header.is_later_fragment() {
        return Err(Malformed::QuoteFragment);
    }
    Ok(Datagram {
        layout: layout(Version::V4, start, header_len, total_len),
        protocol: header.protocol(),
    })
}

fn quoted_v6(bytes: &[u8], start: usize) -> Result<Datagram, Malformed> {
    let header = ipv6::header(bytes).ok_or(Malformed::BadQuote)?;
    if header.version() != 6 || header.src().is_v4() || header.dst().is_v4() {
        return Err(Malformed::BadQuote);
    }
    let total_len = bytes.len().min(ipv6::LEN + header.payload_len());
    let payload = bytes.get(ipv6::LEN..total_len).unwrap_or_default();
    let chain = ipv6::chain(header.next_header(), payload).map_err(|_| Malformed::BadQuote)?;
    if chain.fragment == ipv6::Piece::Later {
        return Err(Malformed::QuoteFragment);
    }
    Ok(Datagram {
        layout: layout(Version::V6, start, ipv6::LEN + chain.length, total_len),
        protocol: chain.protocol,
    })
}
