//! Where the parts of a datagram stand in its frame.

use super::ipv6::Piece;
use super::{Addr, Endpoint, Protocol, Tuple, Version};
use super::{ipv4, ipv6};

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

/// A layout from lengths that were checked against a frame of at most 64 KiB.
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
