//! Fragments of TCP segments and UDP datagrams (RFC 791 §3.2, RFC 8200 §4.5).

use super::frame::{v4_header, v6_header};
use super::layout::layout;
use super::{Addr, Endpoint, Layout, Malformed, Piece, Protocol, Transport, Tuple, Version};
use super::{ethernet, ipv4, ipv6, tcp, udp};

/// One fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Where it stands in its frame. `transport` is where its payload begins, of a first one its
    /// TCP or UDP header.
    pub layout: Layout,
    /// Source and destination.
    pub addrs: [Addr; 2],
    /// What the fragments of one datagram share beside the addresses. That of IPv4 is told apart
    /// by protocol too (RFC 791 §3.2), that of IPv6 is not (RFC 8200 §4.5).
    pub ident: u64,
    /// The part of its datagram that it holds.
    pub span: Span,
    /// Protocol and ports, which the first one alone knows.
    pub tuple: Option<Tuple>,
}

/// A part of the payload of a datagram, in bytes from its beginning; not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: u16,
    /// The byte after the last.
    pub end: u16,
    /// Whether the datagram ends there.
    pub is_last: bool,
}

impl Fragment {
    /// The TCP segment or UDP datagram that begins in it.
    pub fn first(&self) -> Option<Transport> {
        let layout = self.layout;
        self.tuple.map(|tuple| Transport { layout, tuple })
    }
}

/// Reads a frame that [`super::parse`] has found to be a fragment.
///
/// # Errors
/// The reason why the frame is to be dropped.
pub fn fragment(frame: &[u8]) -> Result<Fragment, Malformed> {
    let header = ethernet::header(frame).ok_or(Malformed::Truncated)?;
    match header.ethertype() {
        ethernet::IPV4 => v4(frame),
        ethernet::IPV6 => v6(frame),
        _ => Err(Malformed::NotIp),
    }
}

fn v4(frame: &[u8]) -> Result<Fragment, Malformed> {
    let (header, options, layout) = v4_header(frame)?;
    if ipv4::is_source_routed(options) {
        return Err(Malformed::SourceRouted);
    }
    if !header.is_fragment() {
        return Err(Malformed::Fragment);
    }
    let protocol = header.protocol();
    let span = span(&layout, header.fragment_offset(), header.more_fragments())?;
    // The longest datagram counts its header.
    if usize::from(layout.transport - layout.network) + usize::from(span.end) > MAX_END {
        return Err(Malformed::BadFragment);
    }
    Fragment {
        layout,
        addrs: [header.src(), header.dst()],
        ident: u64::from(protocol) << 16 | u64::from(header.ident()),
        span,
        tuple: None,
    }
    .with_ports(frame, protocol)
}

fn v6(frame: &[u8]) -> Result<Fragment, Malformed> {
    let (header, payload) = v6_header(frame)?;
    let found = ipv6::fragment_header(header.next_header(), payload)?;
    let total_len = ipv6::LEN + payload.len();
    let at = |end: usize| layout(Version::V6, ethernet::LEN, ipv6::LEN + end, total_len);
    let span = span(&at(found.end), found.offset, found.more)?;
    let rest = payload.get(found.end..).unwrap_or_default();
    let (protocol, behind) = match span.start {
        0 => upper_layer(found.next, rest)?,
        _ => (found.next, 0),
    };
    Fragment {
        layout: at(found.end + behind),
        addrs: [header.src(), header.dst()],
        ident: u64::from(found.ident),
        span,
        tuple: None,
    }
    .with_ports(frame, protocol)
}

/// The protocol behind the extension headers of a first fragment, and their length. All of them
/// have to be there (RFC 7112 §5).
fn upper_layer(next: u8, rest: &[u8]) -> Result<(u8, usize), Malformed> {
    let chain = ipv6::chain(next, rest).map_err(|malformed| match malformed {
        Malformed::BadExtension => Malformed::TinyFragment,
        other => other,
    })?;
    match chain.fragment {
        Piece::Whole => Ok((chain.protocol, chain.length)),
        _ => Err(Malformed::Fragment),
    }
}

/// The byte after the last that a datagram can have.
const MAX_END: usize = u16::MAX as usize;

/// What a fragment at `offset` holds whose payload is at `layout.transport`.
fn span(layout: &Layout, offset: u16, more: bool) -> Result<Span, Malformed> {
    let length = layout.end - layout.transport;
    let whole_units = length % 8 == 0;
    let end = offset.checked_add(length).ok_or(Malformed::BadFragment)?;
    match length > 0 && (whole_units || !more) {
        true => Ok(Span {
            start: offset,
            end,
            is_last: !more,
        }),
        false => Err(Malformed::BadFragment),
    }
}

impl Fragment {
    /// With what the transport header of a first fragment says.
    fn with_ports(mut self, frame: &[u8], protocol: u8) -> Result<Self, Malformed> {
        if self.span.start != 0 {
            self.layout.piece = Piece::Later;
            return Ok(self);
        }
        self.layout.piece = Piece::First;
        let segment = self.layout.segment(frame);
        let protocol = Protocol::from_number(protocol).ok_or(Malformed::UnknownProtocol)?;
        let [src_port, dst_port] = match protocol {
            Protocol::Tcp => tcp::checked(segment).map_err(tiny)?.ports(),
            Protocol::Sctp => return Err(Malformed::SctpFragment),
            Protocol::Udp => udp::header(segment).ok_or(Malformed::TinyFragment)?.ports(),
        };
        let [src, dst] = self.addrs;
        self.tuple = Some(Tuple {
            protocol,
            src: Endpoint::new(src, src_port),
            dst: Endpoint::new(dst, dst_port),
        });
        Ok(self)
    }
}

/// A header that does not fit its segment does not fit the fragment.
const fn tiny(_: Malformed) -> Malformed {
    Malformed::TinyFragment
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::wire::sample::{self, Sample};
    use crate::wire::{Packet, parse};
    use proptest::prelude::*;

    /// The fragments of a frame whose payload is cut every `step` bytes, a multiple of eight.
    pub(crate) fn cut(frame: &[u8], step: usize) -> Vec<Vec<u8>> {
        let v4 = frame[12] == 8;
        let network = ethernet::LEN;
        let header_len = match v4 {
            true => usize::from(frame[network] & 15) * 4,
            false => ipv6::LEN,
        };
        let (head, payload) = frame.split_at(network + header_len);
        let count = payload.len().div_ceil(step);
        let piece = |(n, part): (usize, &[u8])| {
            let offset = (n * step) as u16;
            let more = n + 1 < count;
            match v4 {
                true => piece_v4(head, part, offset, more),
                false => piece_v6(head, part, offset, more),
            }
        };
        payload.chunks(step).enumerate().map(piece).collect()
    }

    fn piece_v4(head: &[u8], part: &[u8], offset: u16, more: bool) -> Vec<u8> {
        let mut frame = [head, part].concat();
        let total = (frame.len() - ethernet::LEN) as u16;
        frame[16..18].copy_from_slice(&total.to_be_bytes());
        let word = (offset / 8) | (u16::from(more) << 13);
        frame[20..22].copy_from_slice(&word.to_be_bytes());
        sample::seal_v4(&mut frame[ethernet::LEN..]);
        frame
    }

    fn piece_v6(head: &[u8], part: &[u8], offset: u16, more: bool) -> Vec<u8> {
        let mut frame = head.to_vec();
        let next = std::mem::replace(&mut frame[20], 44);
        frame.extend([next, 0]);
        frame.extend((offset | u16::from(more)).to_be_bytes());
        frame.extend(7u32.to_be_bytes());
        frame.extend(part);
        let length = (8 + part.len()) as u16;
        frame[18..20].copy_from_slice(&length.to_be_bytes());
        frame
    }

    fn transport(frame: &[u8]) -> Transport {
        match parse(frame) {
            Ok(Packet::Transport(packet)) => packet,
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn the_pieces_of_a_packet_are_read_as_such(
            (mut sample, _) in sample::samples(),
            step in 10usize..20,
        ) {
            sample.padding = 0;
            sample.payload.extend([7; 160]);
            let frame = sample.frame();
            let pieces = cut(&frame, step * 8);
            prop_assert!(pieces.len() > 1);
            if sample.tuple.protocol == Protocol::Sctp {
                prop_assert_eq!(fragment(&pieces[0]), Err(Malformed::SctpFragment));
                return Ok(());
            }
            let mut end = 0;
            for (n, piece) in pieces.iter().enumerate() {
                prop_assert_eq!(parse(piece), Err(Malformed::Fragment));
                let read = fragment(piece).unwrap();
                prop_assert_eq!(read.addrs, sample.tuple.addrs());
                prop_assert_eq!(read.span.start, end);
                prop_assert_eq!(read.span.is_last, n + 1 == pieces.len());
                prop_assert_eq!(read.tuple, (n == 0).then_some(sample.tuple));
                prop_assert_eq!(usize::from(read.layout.end), piece.len());
                end = read.span.end;
            }
            let whole = transport(&frame).layout;
            let header = if sample.tuple.src.addr.is_v4() { whole.transport - whole.network } else { 40 };
            prop_assert_eq!(end, whole.datagram_len() - header);
        }

        #[test]
        fn no_bytes_make_it_panic(frame in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = fragment(&frame);
        }
    }

    fn udp(v4: bool, payload: usize) -> Vec<u8> {
        let (src, dst) = match v4 {
            true => ("192.0.2.1:1", "192.0.2.2:2"),
            false => ("[2001:db8::1]:1", "[2001:db8::2]:2"),
        };
        let socket = |text: &str| text.parse::<std::net::SocketAddr>().unwrap().into();
        let mut sample = Sample::of(Tuple {
            protocol: Protocol::Udp,
            src: socket(src),
            dst: socket(dst),
        });
        sample.payload = vec![7; payload];
        sample.frame()
    }

    #[test]
    fn what_no_fragment_can_be_is_refused() {
        for v4 in [true, false] {
            let frame = udp(v4, 100);
            let header = if v4 { 34 } else { 54 };
            let make = |part: &[u8], offset, more| match v4 {
                true => piece_v4(&frame[..header], part, offset, more),
                false => piece_v6(&frame[..header], part, offset, more),
            };
            let read = |part: &[u8], offset, more| fragment(&make(part, offset, more)).err();
            let data = [7; 64];
            assert_eq!(read(&data, 8, true), None);
            assert_eq!(read(&data[..63], 8, false), None);
            assert_eq!(read(&data[..63], 8, true), Some(Malformed::BadFragment));
            assert_eq!(read(&[], 8, true), Some(Malformed::BadFragment));
            assert_eq!(read(&data, 65_528, false), Some(Malformed::BadFragment));
            assert_eq!(read(&data[..4], 65_528, false).is_some(), v4);
        }
    }

    #[test]
    fn a_first_fragment_holds_all_headers() {
        let tiny = |frame: &[u8], step| fragment(&cut(frame, step)[0]).err();
        let mut tcp = udp(true, 100);
        tcp[23] = 6;
        tcp[46] = 0x60;
        assert_eq!(tiny(&tcp, 16), Some(Malformed::TinyFragment));
        assert_eq!(tiny(&tcp, 24), None);
        assert_eq!(tiny(&udp(true, 100), 8), None);
        // A header of options that ends in the second fragment.
        let mut options = udp(false, 100);
        options[20] = 60;
        options[54..56].copy_from_slice(&[17, 1]);
        assert_eq!(tiny(&options, 8), Some(Malformed::TinyFragment));
        assert_eq!(tiny(&options, 16), Some(Malformed::TinyFragment));
        assert_eq!(tiny(&options, 24), None);
    }
}
