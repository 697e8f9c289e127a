use pnet_packet::Packet as _;
use pnet_packet::icmp::IcmpPacket;
use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::ipv6::Ipv6Packet;
use pnet_packet::tcp::TcpPacket;
use proptest::prelude::*;

use super::*;
use crate::wire::sample::{self, STATIONS, Sample};
use crate::wire::{Packet, Tuple, parse};

/// A frame in a buffer as a UMEM has them.
fn buffer_of(frame: &[u8]) -> (Vec<u8>, Transport) {
    let Ok(Packet::Transport(packet)) = parse(frame) else {
        panic!("{:?}", parse(frame));
    };
    let mut buffer = vec![0x55; 2048];
    buffer[..frame.len()].copy_from_slice(frame);
    (buffer, packet)
}

fn tuple(src: &str, dst: &str) -> Tuple {
    let endpoint = |text: &str| text.parse::<std::net::SocketAddr>().unwrap().into();
    Tuple {
        protocol: Protocol::Tcp,
        src: endpoint(src),
        dst: endpoint(dst),
    }
}

fn v4() -> Tuple {
    tuple("192.0.2.1:40000", "198.51.100.7:80")
}

fn v6() -> Tuple {
    tuple("[2001:db8::1]:40000", "[2001:db8:1::7]:80")
}

/// The director's own address of the family of `tuple`.
fn director(tuple: Tuple) -> Addr {
    match tuple.src.addr.is_v4() {
        true => "198.51.100.1",
        false => "2001:db8:1::1",
    }
    .parse::<std::net::IpAddr>()
    .unwrap()
    .into()
}

/// Source, destination and payload of a datagram without options, by pnet.
fn opened(datagram: &[u8]) -> (Addr, Addr, Vec<u8>) {
    use std::net::IpAddr;
    let addr = |ip: IpAddr| Addr::from(ip);
    match datagram[0] >> 4 {
        4 => {
            let ip = Ipv4Packet::new(datagram).unwrap();
            let payload = ip.payload().to_vec();
            (
                addr(ip.get_source().into()),
                addr(ip.get_destination().into()),
                payload,
            )
        }
        _ => {
            let ip = Ipv6Packet::new(datagram).unwrap();
            let payload = ip.payload().to_vec();
            (
                addr(ip.get_source().into()),
                addr(ip.get_destination().into()),
                payload,
            )
        }
    }
}

#[test]
fn reset_of_each_segment() {
    let (fin, syn, rst, ack) = (Flags::FIN, Flags::SYN, Flags::RST, Flags::ACK);
    for (flags, payload, expected) in [
        (syn, 0, Some((0, 1001, rst | ack))),
        (syn, 5, Some((0, 1006, rst | ack))),
        (0, 5, Some((0, 1005, rst | ack))),
        (syn | ack, 0, Some((2000, 0, rst))),
        (ack, 5, Some((2000, 0, rst))),
        (fin | ack, 0, Some((2000, 0, rst))),
        (rst, 0, None),
        (rst | ack, 0, None),
    ] {
        for tuple in [v4(), v6()] {
            let payload = vec![7; payload];
            let sample = Sample {
                flags,
                payload,
                ..Sample::of(tuple)
            };
            let (mut buffer, packet) = buffer_of(&sample.frame());
            let found = reset(&mut buffer, &packet).map(|length| {
                let (src, dst, bytes) = opened(&buffer[14..length]);
                let tcp = TcpPacket::new(&bytes).unwrap();
                assert_eq!((src, tcp.get_source()), (tuple.dst.addr, tuple.dst.port));
                assert_eq!(
                    (dst, tcp.get_destination()),
                    (tuple.src.addr, tuple.src.port)
                );
                sample::assert_valid(&buffer[14..length]);
                (
                    tcp.get_sequence(),
                    tcp.get_acknowledgement(),
                    tcp.get_flags(),
                )
            });
            assert_eq!(found, expected, "{:?}", Flags(flags));
        }
    }
}

#[test]
fn no_reset_of_a_damaged_segment_or_of_udp() {
    let mut frame = Sample::of(v4()).frame();
    *frame.last_mut().unwrap() ^= 1;
    let (mut buffer, packet) = buffer_of(&frame);
    assert_eq!(reset(&mut buffer, &packet), None);
    let udp = Tuple {
        protocol: Protocol::Udp,
        ..v4()
    };
    let (mut buffer, packet) = buffer_of(&Sample::of(udp).frame());
    assert_eq!(reset(&mut buffer, &packet), None);
}

#[test]
fn errors_say_what_the_rfcs_say() {
    let too_big = Problem::TooBig { mtu: 1400 };
    for (tuple, problem, expected) in [
        (v4(), Problem::NoRoute, [3, 0, 0, 0, 0, 0]),
        (v4(), Problem::HostUnreachable, [3, 1, 0, 0, 0, 0]),
        (v4(), Problem::PortUnreachable, [3, 3, 0, 0, 0, 0]),
        (v4(), Problem::Prohibited, [3, 13, 0, 0, 0, 0]),
        (v4(), Problem::TimeExceeded, [11, 0, 0, 0, 0, 0]),
        (v4(), too_big, [3, 4, 0, 0, 5, 120]),
        (v6(), Problem::NoRoute, [1, 0, 0, 0, 0, 0]),
        (v6(), Problem::HostUnreachable, [1, 3, 0, 0, 0, 0]),
        (v6(), Problem::PortUnreachable, [1, 4, 0, 0, 0, 0]),
        (v6(), Problem::Prohibited, [1, 1, 0, 0, 0, 0]),
        (v6(), Problem::TimeExceeded, [3, 0, 0, 0, 0, 0]),
        (v6(), too_big, [2, 0, 0, 0, 5, 120]),
    ] {
        let (mut buffer, packet) = buffer_of(&Sample::of(tuple).frame());
        let length = error(&mut buffer, &packet, problem, director(tuple)).unwrap();
        let (_, _, message) = opened(&buffer[14..length]);
        let [icmp_type, code, _, _, rest @ ..] = *message.first_chunk::<8>().unwrap();
        assert_eq!(
            [&[icmp_type, code][..], &rest].concat(),
            expected,
            "{problem:?}"
        );
    }
}

#[test]
fn quotes_end_at_the_limit_of_their_family() {
    for (tuple, limit) in [(v4(), 576), (v6(), 1280)] {
        let payload = vec![7; 1400];
        let (mut buffer, packet) = buffer_of(
            &Sample {
                payload,
                ..Sample::of(tuple)
            }
            .frame(),
        );
        let length = error(&mut buffer, &packet, Problem::TimeExceeded, director(tuple));
        assert_eq!(length, Some(14 + limit));
        sample::assert_valid(&buffer[14..14 + limit]);
    }
}

#[test]
fn groups_and_nobody_are_not_answered() {
    for tuple in [
        tuple("0.0.0.0:1", "198.51.100.7:80"),
        tuple("127.0.0.1:1", "198.51.100.7:80"),
        tuple("224.0.0.1:1", "198.51.100.7:80"),
        tuple("255.255.255.255:1", "198.51.100.7:80"),
        tuple("192.0.2.1:1", "224.0.0.1:80"),
        tuple("192.0.2.1:1", "255.255.255.255:80"),
        tuple("[::]:1", "[2001:db8::7]:80"),
        tuple("[::1]:1", "[2001:db8::7]:80"),
        tuple("[ff02::1]:1", "[2001:db8::7]:80"),
        tuple("[2001:db8::7]:1", "[ff02::1]:80"),
    ] {
        assert_unanswered(tuple, Sample::of(tuple).frame());
    }
    for tuple in [v4(), v6()] {
        let mut frame = Sample::of(tuple).frame();
        frame[6] |= 1;
        assert_unanswered(tuple, frame);
    }
}

/// Asserts that there is neither a reset nor an error, and nothing written.
fn assert_unanswered(tuple: Tuple, frame: Vec<u8>) {
    let (mut buffer, packet) = buffer_of(&frame);
    let before = buffer.clone();
    let source = director(tuple);
    assert_eq!(reset(&mut buffer, &packet), None, "{tuple:?}");
    assert_eq!(
        error(&mut buffer, &packet, Problem::NoRoute, source),
        None,
        "{tuple:?}"
    );
    assert_eq!(buffer, before);
}

#[test]
fn no_error_without_room_or_from_the_other_family() {
    let (mut buffer, packet) = buffer_of(&Sample::of(v4()).frame());
    let before = buffer.clone();
    assert_eq!(
        error(&mut buffer, &packet, Problem::NoRoute, director(v6())),
        None
    );
    let exact = 14 + 28 + usize::from(packet.layout.datagram_len());
    let short = &mut buffer[..exact - 1];
    assert_eq!(
        error(short, &packet, Problem::NoRoute, director(v4())),
        None
    );
    assert_eq!(buffer, before);
    let enough = &mut buffer[..exact];
    assert_eq!(
        error(enough, &packet, Problem::NoRoute, director(v4())),
        Some(exact)
    );
}

proptest! {
    #[test]
    fn an_error_is_read_as_one_about_its_packet((sample, _) in sample::samples()) {
        let frame = sample.frame();
        let (mut buffer, packet) = buffer_of(&frame);
        let source = director(sample.tuple);
        let length = error(&mut buffer, &packet, Problem::PortUnreachable, source).unwrap();
        sample::assert_valid(&buffer[14..length]);
        let Ok(Packet::IcmpError(read)) = parse(&buffer[..length]) else {
            panic!("{:?}", parse(&buffer[..length]));
        };
        prop_assert_eq!([read.src, read.dst], [source, sample.tuple.src.addr]);
        prop_assert_eq!(read.quote.tuple, sample.tuple);
        prop_assert_eq!(read.quote.layout.datagram(&buffer), packet.layout.datagram(&frame));
        prop_assert_eq!(&buffer[..12], &[STATIONS[0].0, STATIONS[1].0].concat()[..]);
        prop_assert!(IcmpPacket::new(read.layout.segment(&buffer)).is_some());
    }

    #[test]
    fn a_reset_is_valid_and_never_reset((sample, _) in sample::samples()) {
        let (mut buffer, packet) = buffer_of(&sample.frame());
        let Some(length) = reset(&mut buffer, &packet) else {
            prop_assert!(sample.tuple.protocol != Protocol::Tcp || sample.flags & Flags::RST != 0);
            return Ok(());
        };
        sample::assert_valid(&buffer[14..length]);
        let Ok(Packet::Transport(answer)) = parse(&buffer[..length]) else {
            panic!("{:?}", parse(&buffer[..length]));
        };
        prop_assert_eq!(answer.tuple, sample.tuple.reversed());
        prop_assert_eq!(reset(&mut buffer, &answer), None);
    }
}
