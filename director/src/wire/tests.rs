//! Readings of whole frames.

use pnet_packet::Packet as _;
use pnet_packet::ethernet::EthernetPacket;
use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::tcp::TcpPacket;
use pnet_packet::udp::UdpPacket;
use proptest::prelude::*;

use super::sample::{self, Sample};
use super::*;

fn tuple(protocol: Protocol, src: &str, dst: &str) -> Tuple {
    let endpoint = |text: &str| text.parse::<std::net::SocketAddr>().unwrap().into();
    Tuple {
        protocol,
        src: endpoint(src),
        dst: endpoint(dst),
    }
}

fn tcp4() -> Tuple {
    tuple(Protocol::Tcp, "192.0.2.1:40000", "198.51.100.7:80")
}

fn tcp6() -> Tuple {
    tuple(Protocol::Tcp, "[2001:db8::1]:40000", "[2001:db8:1::7]:80")
}

fn udp4() -> Tuple {
    tuple(Protocol::Udp, "192.0.2.1:40000", "198.51.100.7:53")
}

fn udp6() -> Tuple {
    tuple(Protocol::Udp, "[2001:db8::1]:40000", "[2001:db8:1::7]:53")
}

fn sctp4() -> Tuple {
    tuple(Protocol::Sctp, "192.0.2.1:40000", "198.51.100.7:5000")
}

/// A frame of `tuple` with one byte changed; `at` counts from the IP header, whose checksum is
/// made right again.
fn changed(tuple: Tuple, at: usize, byte: u8) -> Vec<u8> {
    let mut datagram = Sample::of(tuple).datagram();
    datagram[at] = byte;
    let v4 = tuple.src.addr.is_v4();
    if v4 {
        sample::seal_v4(&mut datagram);
    }
    sample::ethernet(v4, &datagram, 0)
}

#[test]
fn each_reason() {
    let long = |tuple: Tuple| {
        Sample {
            extra: 9,
            ..Sample::of(tuple)
        }
        .frame()
    };
    let with_frame = |at: usize, byte: u8| {
        let mut frame = Sample::of(tcp4()).frame();
        frame[at] = byte;
        frame
    };
    let source_route = {
        let mut datagram = Sample {
            extra: 2,
            ..Sample::of(tcp4())
        }
        .datagram();
        datagram[20..28].copy_from_slice(&[1, 131, 7, 4, 10, 0, 0, 1]);
        sample::seal_v4(&mut datagram);
        sample::ethernet(true, &datagram, 0)
    };
    let mapped = {
        let mut datagram = Sample::of(tcp6()).datagram();
        datagram[8..24].copy_from_slice(Addr::v4([192, 0, 2, 1]).octets());
        sample::ethernet(false, &datagram, 0)
    };
    for (frame, expected) in [
        (vec![0; 13], Malformed::Truncated),
        (
            Sample::of(tcp4()).frame()[..33].to_vec(),
            Malformed::Truncated,
        ),
        (
            Sample::of(tcp6()).frame()[..53].to_vec(),
            Malformed::Truncated,
        ),
        (with_frame(0, 0x01), Malformed::LinkGroup),
        (with_frame(12, 0x81), Malformed::NotIp),
        (changed(tcp4(), 0, 0x65), Malformed::BadVersion),
        (changed(tcp6(), 0, 0x45), Malformed::BadVersion),
        (changed(tcp4(), 0, 0x44), Malformed::BadHeaderLength),
        (changed(tcp4(), 3, 19), Malformed::BadHeaderLength),
        (changed(tcp4(), 2, 1), Malformed::BadTotalLength),
        (changed(tcp6(), 4, 1), Malformed::BadTotalLength),
        (with_frame(22, 63), Malformed::BadHeaderChecksum),
        (changed(tcp4(), 6, 0x20), Malformed::Fragment),
        (changed(tcp4(), 7, 1), Malformed::Fragment),
        (source_route, Malformed::SourceRouted),
        (mapped, Malformed::MappedAddress),
        (changed(tcp6(), 6, 60), Malformed::BadExtension),
        (long(tcp6()), Malformed::TooManyExtensions),
        (changed(tcp4(), 9, 47), Malformed::UnknownProtocol),
        (changed(tcp4(), 9, 58), Malformed::UnknownProtocol),
        (changed(tcp6(), 6, 1), Malformed::UnknownProtocol),
        (changed(tcp6(), 6, 59), Malformed::UnknownProtocol),
        (changed(tcp4(), 20 + 12, 0x40), Malformed::BadTcpOffset),
        (changed(tcp6(), 40 + 12, 0xf0), Malformed::BadTcpOffset),
        (changed(udp4(), 20 + 5, 7), Malformed::BadUdpLength),
        (changed(udp6(), 40 + 5, 16), Malformed::BadUdpLength),
    ] {
        assert_eq!(parse(&frame), Err(expected), "{frame:02x?}");
    }
}

#[test]
fn atomic_fragment_is_whole_and_others_are_not() {
    let segment = Sample::of(tcp6()).datagram()[40..].to_vec();
    for (low, expected) in [
        (0, None),
        (1, Some(Malformed::Fragment)),
        (8, Some(Malformed::Fragment)),
    ] {
        let payload = [&[6, 0, 0, low, 0, 0, 0, 9], &segment[..]].concat();
        let Tuple { src, dst, .. } = tcp6();
        let datagram = sample::datagram(src.addr, dst.addr, 64, 44, 0, &payload);
        assert_eq!(
            parse(&sample::ethernet(false, &datagram, 0)).err(),
            expected
        );
    }
}

const ROUTER4: Addr = Addr::v4([203, 0, 113, 9]);

fn router6() -> Addr {
    "2001:db8:ffff::9"
        .parse::<std::net::IpAddr>()
        .unwrap()
        .into()
}

/// The parties of an error about a packet of `tuple`: a router, and who sent the packet.
fn parties(tuple: Tuple) -> [Addr; 2] {
    let router = if tuple.src.addr.is_v4() {
        ROUTER4
    } else {
        router6()
    };
    [router, tuple.src.addr]
}

fn quoted(tuple: Tuple, kind: [u8; 2], rest: u32, length: usize) -> Result<Packet, Malformed> {
    let mut quote = Sample::of(tuple).datagram();
    quote.truncate(length);
    parse(&sample::icmp_error(parties(tuple), kind, rest, &quote))
}

#[test]
fn icmp_errors_of_each_type() {
    for (tuple, kind, rest, mtu) in [
        (tcp4(), [3, 1], 0, None),
        (udp4(), [3, 3], 0, None),
        (tcp4(), [3, 4], 1400, Some(1400)),
        (tcp4(), [3, 4], 0, None),
        (tcp4(), [3, 13], 1400, None),
        (tcp4(), [4, 0], 0, None),
        (tcp4(), [11, 0], 0, None),
        (tcp4(), [12, 0], 5 << 24, None),
        (tcp6(), [1, 4], 0, None),
        (tcp6(), [2, 0], 1280, Some(1280)),
        (udp6(), [3, 0], 0, None),
        (sctp4(), [3, 2], 0, None),
        (tcp6(), [4, 1], 40, None),
    ] {
        let Ok(Packet::IcmpError(error)) = quoted(tuple, kind, rest, usize::MAX) else {
            panic!("{kind:?} is not taken as an error");
        };
        assert_eq!([error.src, error.dst], parties(tuple));
        assert_eq!([error.icmp_type, error.code], kind);
        assert_eq!(error.mtu, mtu);
        assert_eq!(error.quote.tuple, tuple);
        assert_eq!(
            error.quote.number,
            (tuple.protocol != Protocol::Udp).then_some(1000)
        );
        assert_eq!(error.quote.layout.network, error.layout.transport + 8);
        assert_eq!(error.quote.layout.end, error.layout.end);
    }
}

#[test]
fn quote_needs_its_ports_and_no_more() {
    for (tuple, header) in [(tcp4(), 20), (udp4(), 20), (tcp6(), 40), (udp6(), 40)] {
        let kind = if header == 20 { [3, 1] } else { [1, 4] };
        for length in 0..header + 8 {
            assert_eq!(
                quoted(tuple, kind, 0, length),
                Err(Malformed::BadQuote),
                "{length}"
            );
        }
        let Ok(Packet::IcmpError(error)) = quoted(tuple, kind, 0, header + 8) else {
            panic!("eight bytes of transport are not enough");
        };
        assert_eq!(error.quote.tuple, tuple);
    }
}

#[test]
fn padding_is_no_part_of_a_quote() {
    let quote = &Sample::of(tcp4()).datagram()[..24];
    let mut frame = sample::icmp_error(parties(tcp4()), [3, 1], 0, quote);
    frame.extend([0; 20]);
    assert_eq!(parse(&frame), Err(Malformed::BadQuote));
}

#[test]
fn quotes_that_cannot_be_used() {
    let quote = |at: usize, byte: u8| {
        let mut quote = Sample::of(tcp4()).datagram();
        quote[at] = byte;
        parse(&sample::icmp_error(parties(tcp4()), [3, 1], 0, &quote))
    };
    assert_eq!(quote(0, 0x65), Err(Malformed::BadQuote));
    assert_eq!(quote(0, 0x44), Err(Malformed::BadQuote));
    assert_eq!(quote(3, 19), Err(Malformed::BadQuote));
    assert_eq!(quote(7, 1), Err(Malformed::QuoteFragment));
    assert_eq!(quote(9, 1), Err(Malformed::QuoteProtocol));
    assert_eq!(quote(15, 77), Err(Malformed::QuoteMismatch));
    assert!(quote(6, 0x20).is_ok(), "a first fragment has its ports");
}

#[test]
fn other_icmp_and_bad_checksums() {
    assert_eq!(quoted(tcp4(), [8, 0], 0, 99), Err(Malformed::IcmpOther));
    assert_eq!(quoted(tcp4(), [5, 0], 0, 99), Err(Malformed::IcmpOther));
    assert_eq!(quoted(tcp6(), [128, 0], 0, 99), Err(Malformed::IcmpOther));
    assert_eq!(quoted(tcp6(), [135, 0], 0, 99), Err(Malformed::IcmpOther));
    for tuple in [tcp4(), tcp6()] {
        let kind = if tuple == tcp4() { [3, 1] } else { [1, 4] };
        let quote = Sample::of(tuple).datagram();
        let mut frame = sample::icmp_error(parties(tuple), kind, 0, &quote);
        *frame.last_mut().unwrap() ^= 1;
        assert_eq!(parse(&frame), Err(Malformed::BadIcmpChecksum));
    }
}

/// The promises of [`Layout`].
fn assert_in_bounds(frame: &[u8], layout: &Layout) {
    assert!(layout.network < layout.transport);
    assert!(layout.transport <= layout.end);
    assert!(usize::from(layout.end) <= frame.len());
}

fn assert_all_in_bounds(frame: &[u8]) {
    match parse(frame) {
        Ok(Packet::Transport(packet)) => assert_in_bounds(frame, &packet.layout),
        Ok(Packet::IcmpError(error)) => {
            assert_in_bounds(frame, &error.layout);
            assert_in_bounds(frame, &error.quote.layout);
            assert!(error.quote.layout.end <= error.layout.end);
        }
        Err(_) => {}
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        assert_all_in_bounds(&bytes);
    }

    #[test]
    fn any_bytes_after_a_good_start(
        (sample, _) in sample::samples(),
        error: bool,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in any::<prop::sample::Index>(),
    ) {
        let v4 = sample.tuple.src.addr.is_v4();
        let mut frame = match error {
            true => sample::icmp_error(parties(sample.tuple), [3, 1], 0, &sample.datagram()),
            false => sample.frame(),
        };
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        if v4 {
            sample::seal_v4(&mut frame[14..]);
        }
        frame.truncate(length.index(frame.len() * 4));
        assert_all_in_bounds(&frame);
    }

    #[test]
    fn pnet_reads_the_same((sample, _) in sample::samples()) {
        let frame = sample.frame();
        let Ok(Packet::Transport(packet)) = parse(&frame) else {
            panic!("not taken as a packet: {:?}", parse(&frame));
        };
        prop_assert_eq!(packet.tuple, sample.tuple);
        prop_assert_eq!(usize::from(packet.layout.end), frame.len() - sample.padding);
        let view = EthernetPacket::new(&frame).unwrap();
        if sample.tuple.src.addr.is_v4() {
            let ip = Ipv4Packet::new(view.payload()).unwrap();
            prop_assert_eq!(packet.layout.segment(&frame), ip.payload());
        }
        let segment = packet.layout.segment(&frame);
        match packet.tuple.protocol {
            Protocol::Tcp => {
                let tcp = TcpPacket::new(segment).unwrap();
                let ours = tcp::Segment::parse(segment).unwrap();
                prop_assert_eq!(ours.seq, tcp.get_sequence());
                prop_assert_eq!(ours.ack, tcp.get_acknowledgement());
                prop_assert_eq!(ours.flags.0, tcp.get_flags());
                prop_assert_eq!(ours.window, tcp.get_window());
                prop_assert_eq!(ours.payload as usize, tcp.payload().len());
            }
            Protocol::Udp => {
                let udp = UdpPacket::new(segment).unwrap();
                prop_assert_eq!(udp.payload(), &sample.payload[..]);
            }
            Protocol::Sctp => {
                let chunk = sctp::chunks(segment).next().unwrap();
                prop_assert_eq!(sctp::header(segment).unwrap().tag(), sample.seq);
                prop_assert_eq!(chunk.value, &sample.payload[..]);
            }
        }
        let unsummed = packet.tuple.protocol == Protocol::Udp && !sample.checksum;
        prop_assert!(unsummed || is_intact(&frame, &packet));
    }
}
