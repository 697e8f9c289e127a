//! Why a frame has no reading.

/// The reason why a frame is not taken, each a drop counter of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Malformed {
    /// The frame ends inside a header.
    Truncated,
    /// Sent to a group of stations, never to be forwarded (RFC 1812 §5.3.4).
    LinkGroup,
    /// Neither IPv4 nor IPv6 (a VLAN tag included).
    NotIp,
    /// The IP version is not the one of the EtherType.
    BadVersion,
    /// IPv4 header length below five words or beyond the datagram.
    BadHeaderLength,
    /// IP length below its own headers or beyond the frame.
    BadTotalLength,
    /// The IPv4 header checksum is wrong.
    BadHeaderChecksum,
    /// A fragment of a datagram, first or later: [`super::fragment()`] reads it. As a reason, a
    /// fragment within a fragment.
    Fragment,
    /// A first fragment that does not hold all headers (RFC 1858, RFC 7112).
    TinyFragment,
    /// A fragment without payload, of a length that no fragment follows, or beyond the end that
    /// any datagram can have.
    BadFragment,
    /// A fragment of an SCTP packet: its checksum cannot be brought after new ports without the
    /// length of the whole.
    SctpFragment,
    /// Source routed: its destination is not its last (RFC 791 §3.1, RFC 8200 §4.4).
    SourceRouted,
    /// An IPv4-mapped address on the IPv6 wire (RFC 4942 §2.2).
    MappedAddress,
    /// An IPv6 extension header out of bounds or out of place.
    BadExtension,
    /// More IPv6 extension headers than are followed.
    TooManyExtensions,
    /// Neither TCP, UDP, SCTP nor the ICMP of its IP version.
    UnknownProtocol,
    /// TCP data offset below five words or beyond the segment.
    BadTcpOffset,
    /// UDP length below its header or beyond the datagram.
    BadUdpLength,
    /// The first SCTP chunk is cut off, or shorter than its header.
    BadSctpChunk,
    /// ICMP other than an error: echo, redirect, neighbour discovery.
    IcmpOther,
    /// The ICMP checksum is wrong.
    BadIcmpChecksum,
    /// The packet quoted by an ICMP error cannot be read as far as its ports.
    BadQuote,
    /// The packet quoted by an ICMP error is a later fragment, which has no ports.
    QuoteFragment,
    /// The packet quoted by an ICMP error is neither TCP, UDP nor SCTP.
    QuoteProtocol,
    /// The packet quoted by an ICMP error was not sent by the one who gets the error.
    QuoteMismatch,
}

impl Malformed {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 25] = [
        Self::Truncated,
        Self::LinkGroup,
        Self::NotIp,
        Self::BadVersion,
        Self::BadHeaderLength,
        Self::BadTotalLength,
        Self::BadHeaderChecksum,
        Self::Fragment,
        Self::TinyFragment,
        Self::BadFragment,
        Self::SctpFragment,
        Self::SourceRouted,
        Self::MappedAddress,
        Self::BadExtension,
        Self::TooManyExtensions,
        Self::UnknownProtocol,
        Self::BadTcpOffset,
        Self::BadUdpLength,
        Self::BadSctpChunk,
        Self::IcmpOther,
        Self::BadIcmpChecksum,
        Self::BadQuote,
        Self::QuoteFragment,
        Self::QuoteProtocol,
        Self::QuoteMismatch,
    ];

    /// Place in [`Malformed::ALL`], for an array of counters.
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Name for counters and logs, in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::LinkGroup => "link_group",
            Self::NotIp => "not_ip",
            Self::BadVersion => "bad_version",
            Self::BadHeaderLength => "bad_header_length",
            Self::BadTotalLength => "bad_total_length",
            Self::BadHeaderChecksum => "bad_header_checksum",
            Self::Fragment => "fragment",
            Self::TinyFragment => "fragment_first_too_small",
            Self::BadFragment => "bad_fragment",
            Self::SctpFragment => "sctp_fragment",
            Self::SourceRouted => "source_routed",
            Self::MappedAddress => "mapped_address",
            Self::BadExtension => "bad_extension",
            Self::TooManyExtensions => "too_many_extensions",
            Self::UnknownProtocol => "unknown_protocol",
            Self::BadTcpOffset => "bad_tcp_offset",
            Self::BadUdpLength => "bad_udp_length",
            Self::BadSctpChunk => "bad_sctp_chunk",
            Self::IcmpOther => "icmp_other",
            Self::BadIcmpChecksum => "bad_icmp_checksum",
            Self::BadQuote => "bad_quote",
            Self::QuoteFragment => "quote_fragment",
            Self::QuoteProtocol => "quote_protocol",
            Self::QuoteMismatch => "quote_mismatch",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_in_the_order_of_index_and_names_are_unique() {
        for (place, reason) in Malformed::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), place);
        }
        let names: std::collections::HashSet<_> = Malformed::ALL.map(Malformed::name).into();
        assert_eq!(names.len(), Malformed::ALL.len());
    }
}
