//! Answers of the director's own, built in the frame that they answer.
//!
//! Each function takes the whole buffer that holds the frame, of 1600 bytes or more so that
//! an answer always fits, with the reading of that frame, not yet translated. It returns the
//! length of the answer from the start of the buffer, ready to be sent back where the frame
//! came from, or nothing, with the buffer as it was, if the frame must not be answered.
//!
//! Errors are never answered with errors: an error is no [`Transport`]. How often one may
//! answer is for the caller to limit (RFC 1812 §4.3.2.8, RFC 4443 §2.4 f).

mod greeting;
mod returned;

pub use greeting::{Greeting, greet};
pub use returned::{LONGEST_QUOTE, hand_back};

use crate::wire::tcp::{Flags, Segment};
use crate::wire::{Addr, Layout, Protocol, Transport, Version};
use crate::wire::{checksum, ethernet, icmp, ipv4, ipv6, is_intact, tcp};

/// Hops that an answer may go (RFC 1700).
const TTL: u8 = 64;

/// The largest ICMP error, bytes of datagram (RFC 1812 §4.3.2.3).
const MAX_ERROR_V4: usize = 576;
/// The largest ICMPv6 error, bytes of packet: the least MTU (RFC 4443 §2.4 c).
const MAX_ERROR_V6: usize = 1280;

/// Precedence of errors: internetwork control (RFC 1812 §4.3.2.5).
const TOS_ERROR: u8 = 0xc0;

/// Why a packet goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No route leads to its destination.
    NoRoute,
    /// Its destination, or the next hop to it, does not answer.
    HostUnreachable,
    /// No one serves the port.
    PortUnreachable,
    /// It is not let through.
    Prohibited,
    /// No hop was left.
    TimeExceeded,
    /// It is larger than the next link takes, and may not be fragmented.
    TooBig {
        /// What the link takes, bytes of datagram.
        mtu: u16,
    },
}

impl Problem {
    /// How ICMP (RFC 792, RFC 1191, RFC 1812 §5.2.7.1) says it.
    const fn v4(self) -> icmp::Repr {
        match self {
            Self::NoRoute => repr(3, 0, 0),
            Self::HostUnreachable => repr(3, 1, 0),
            Self::PortUnreachable => repr(3, 3, 0),
            Self::Prohibited => repr(3, 13, 0),
            Self::TimeExceeded => repr(11, 0, 0),
            Self::TooBig { mtu } => repr(3, 4, mtu),
        }
    }

    /// How ICMPv6 (RFC 4443 §3) says it.
    const fn v6(self) -> icmp::Repr {
        match self {
            Self::NoRoute => repr(1, 0, 0),
            Self::HostUnreachable => repr(1, 3, 0),
            Self::PortUnreachable => repr(1, 4, 0),
            Self::Prohibited => repr(1, 1, 0),
            Self::TimeExceeded => repr(3, 0, 0),
            Self::TooBig { mtu } => repr(2, 0, mtu),
        }
    }
}

const fn repr(icmp_type: u8, code: u8, mtu: u16) -> icmp::Repr {
    icmp::Repr {
        icmp_type,
        code,
        rest: mtu as u32,
    }
}

/// Answers a TCP segment with a reset, as a host without such a connection does (RFC 9293
/// §3.10.7.1); never a reset, nor a segment whose checksum is wrong.
pub fn reset(buffer: &mut [u8], packet: &Transport) -> Option<usize> {
    let Transport { layout, tuple } = packet;
    if tuple.protocol != Protocol::Tcp || !is_answerable(buffer, packet) {
        return None;
    }
    let segment = Segment::parse(layout.segment(buffer)).ok()?;
    if segment.flags.has(Flags::RST) || !is_intact(buffer, packet) {
        return None;
    }
    let (seq, ack, flags) = match segment.flags.has(Flags::ACK) {
        true => (segment.ack, 0, Flags::RST),
        false => (0, segment.end(), Flags::RST | Flags::ACK),
    };
    let answer = Answer {
        src: tuple.dst.addr,
        dst: tuple.src.addr,
        protocol: Protocol::Tcp.number(),
        tos: 0,
        length: tcp::LEN,
    };
    let message = answer.message(buffer, layout)?;
    let repr = tcp::Repr {
        src_port: tuple.dst.port,
        dst_port: tuple.src.port,
        seq,
        ack,
        flags: Flags(flags),
    };
    repr.write(message.first_chunk_mut()?);
    let sum = answer.sum(message, layout.version);
    tcp::header_mut(message)?.set_checksum(sum.checksum());
    answer.address(buffer, layout)
}

/// Answers a packet with an ICMP or ICMPv6 error from `source`, an address of the director of
/// the packet's IP version. It quotes as much of the packet as the RFCs allow.
pub fn error(
    buffer: &mut [u8],
    packet: &Transport,
    problem: Problem,
    source: Addr,
) -> Option<usize> {
    let Transport { layout, tuple } = packet;
    let version = layout.version;
    if source.is_v4() != (version == Version::V4) || !is_answerable(buffer, packet) {
        return None;
    }
    let repr = match version {
        Version::V4 => problem.v4(),
        Version::V6 => problem.v6(),
    };
    let quote = usize::from(layout.datagram_len()).min(quoted(version));
    let answer = Answer::error(version, source, tuple.src.addr, quote);
    answer.message(buffer, layout)?;
    let network = usize::from(layout.network);
    buffer.copy_within(
        network..network + quote,
        network + header_len(version) + icmp::LEN,
    );
    answer.report(buffer, layout, &repr)
}

/// How much an error quotes at most, bytes.
const fn quoted(version: Version) -> usize {
    let limit = match version {
        Version::V4 => MAX_ERROR_V4,
        Version::V6 => MAX_ERROR_V6,
    };
    limit - header_len(version) - icmp::LEN
}

/// Whether one host sent the packet to one other, on the link as in the internet (RFC 1122
/// §3.2.2, RFC 4443 §2.4 e).
fn is_answerable(buffer: &[u8], packet: &Transport) -> bool {
    let on_link = ethernet::header(buffer)
        .is_some_and(|header| !header.src().is_group() && !header.dst().is_group());
    on_link && packet.tuple.addrs().into_iter().all(Addr::is_host)
}

const fn header_len(version: Version) -> usize {
    match version {
        Version::V4 => ipv4::LEN,
        Version::V6 => ipv6::LEN,
    }
}

/// A datagram of the director's own: an IP header without options, and a message.
struct Answer {
    src: Addr,
    dst: Addr,
    protocol: u8,
    tos: u8,
    /// Of the message, bytes.
    length: usize,
}

impl Answer {
    /// An error that quotes so many bytes.
    const fn error(version: Version, src: Addr, dst: Addr, quote: usize) -> Self {
        Self {
            src,
            dst,
            protocol: icmp::number(version),
            tos: match version {
                Version::V4 => TOS_ERROR,
                Version::V6 => 0,
            },
            length: icmp::LEN + quote,
        }
    }

    /// Writes all of an error but its quote, which is there; returns the length of the frame.
    fn report(&self, buffer: &mut [u8], layout: &Layout, repr: &icmp::Repr) -> Option<usize> {
        let message = self.message(buffer, layout)?;
        repr.write(message.first_chunk_mut()?);
        let sum = self.sum(message, layout.version);
        icmp::header_mut(message)?.set_checksum(sum.checksum());
        self.address(buffer, layout)
    }

    /// The place of the message, if the buffer has room for it.
    fn message<'a>(&self, buffer: &'a mut [u8], layout: &Layout) -> Option<&'a mut [u8]> {
        let start = usize::from(layout.network) + header_len(layout.version);
        buffer.get_mut(start..start + self.length)
    }

    fn sum(&self, message: &[u8], version: Version) -> checksum::Sum {
        checksum::transport(version, self.src, self.dst, self.protocol, message)
    }

    /// Writes the headers in front of the message; returns the length of the frame.
    fn address(&self, buffer: &mut [u8], layout: &Layout) -> Option<usize> {
        let mut link = ethernet::header_mut(buffer)?;
        let (src, dst) = (link.src(), link.dst());
        link.set_src(dst);
        link.set_dst(src);
        let network = buffer.get_mut(layout.network.into()..)?;
        match layout.version {
            Version::V4 => self.v4().write(network.first_chunk_mut()?),
            Version::V6 => self.v6().write(network.first_chunk_mut()?),
        }
        Some(usize::from(layout.network) + header_len(layout.version) + self.length)
    }

    const fn v4(&self) -> ipv4::Repr {
        ipv4::Repr {
            src: self.src,
            dst: self.dst,
            protocol: self.protocol,
            tos: self.tos,
            ttl: TTL,
            payload: self.length as u16,
            ident: None,
        }
    }

    const fn v6(&self) -> ipv6::Repr {
        ipv6::Repr {
            src: self.src,
            dst: self.dst,
            next_header: self.protocol,
            hop_limit: TTL,
            payload: self.length as u16,
            class: 0,
            flow: 0,
        }
    }
}

#[cfg(test)]
mod tests;
