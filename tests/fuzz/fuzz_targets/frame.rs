//! Any bytes as a frame: it is read, and then rewritten and answered in every way that the
//! director knows; what comes out has to be read as what was meant.
//!
//! An input is a byte that says whether the frame is repaired first (so that the fuzzer need
//! not guess checksums), then two endpoints to translate to, then the frame.
//!
//! From the root of the project, for a minute, with the stable toolchain:
//!
//! ```text
//! mkdir -p tests/fuzz/corpus/frame
//! cargo fuzz run --fuzz-dir tests/fuzz -s none frame \
//!     tests/fuzz/corpus/frame tests/fuzz/seeds -- -max_total_time=60 -max_len=2048
//! ```

#![no_main]

use director::forward::reply::{self, Problem};
use director::forward::{decrement_ttl, translate, translate_error};
use director::wire::tcp::Segment;
use director::wire::{
    Addr, Endpoint, IcmpError, Layout, Malformed, Packet, Protocol, Transport, Tuple, Version,
};
use director::wire::{checksum, fragment, icmp, ipv4, is_intact, parse, udp};
use libfuzzer_sys::fuzz_target;

const ENDPOINT: usize = 18;
const NETWORK: usize = 14;
/// The least MTU of IPv6: what an ICMPv6 error may be long.
const LONGEST_ERROR: usize = NETWORK + 1280;

fuzz_target!(|input: &[u8]| {
    let Some((head, frame)) = input.split_first_chunk::<{ 1 + 2 * ENDPOINT }>() else {
        return;
    };
    let mut frame = frame.to_vec();
    if head[0] & 1 != 0 {
        repair(&mut frame);
    }
    let (src, dst) = head[1..].split_at(ENDPOINT);
    match parse(&frame) {
        Ok(Packet::Transport(packet)) => {
            check_layout(&frame, &packet.layout);
            let to = Tuple {
                protocol: packet.tuple.protocol,
                src: endpoint(src, packet.layout.version),
                dst: endpoint(dst, packet.layout.version),
            };
            check_segment(&frame, &packet);
            check_translate(&frame, &packet, &to);
            check_ttl(&frame, &packet);
            check_reset(&frame, &packet);
            check_errors(&frame, &packet, to.src.addr);
        }
        Ok(Packet::IcmpError(error)) => {
            check_layout(&frame, &error.layout);
            check_layout(&frame, &error.quote.layout);
            assert!(error.quote.layout.end <= error.layout.end);
            let to = Tuple {
                protocol: error.quote.tuple.protocol,
                src: endpoint(src, error.layout.version),
                dst: endpoint(dst, error.layout.version),
            };
            check_translate_error(&frame, &error, &to);
        }
        Err(Malformed::Fragment) => {
            if let Ok(part) = fragment(&frame) {
                check_layout(&frame, &part.layout);
                assert!(part.span.start < part.span.end);
            }
        }
        Err(reason) => assert_eq!(Malformed::ALL[reason.index()], reason),
    }
});

/// Sets what a fuzzer hardly finds: EtherType, IPv4 header checksum, ICMP checksum.
fn repair(frame: &mut [u8]) {
    let Some(first) = frame.get(NETWORK).copied() else {
        return;
    };
    frame[0] &= !1;
    let v4 = first >> 4 == 4;
    frame[12..NETWORK].copy_from_slice(if v4 { &[0x08, 0x00] } else { &[0x86, 0xdd] });
    if v4 {
        repair_v4(&mut frame[NETWORK..]);
    } else {
        repair_icmp_v6(&mut frame[NETWORK..]);
    }
}

fn repair_v4(bytes: &mut [u8]) {
    let header_len = usize::from(bytes[0] & 0xf) * 4;
    let total_len = bytes.len().min(usize::from(u16::MAX));
    if !(20..=total_len).contains(&header_len) {
        return;
    }
    if ipv4::header(bytes).is_some_and(|header| header.total_len() > total_len) {
        bytes[2..4].copy_from_slice(&(total_len as u16).to_be_bytes());
    }
    set_sum(&mut bytes[..header_len], 10, checksum::Sum::default());
    let total_len = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
    if bytes[9] == icmp::V4 && total_len >= header_len + icmp::LEN {
        set_sum(
            &mut bytes[header_len..total_len],
            2,
            checksum::Sum::default(),
        );
    }
}

/// Only of ICMPv6 right behind the fixed header.
fn repair_icmp_v6(bytes: &mut [u8]) {
    let Some((header, payload)) = bytes.split_first_chunk_mut::<40>() else {
        return;
    };
    let length = payload.len().min(u16::MAX.into());
    let payload = &mut payload[..length];
    header[4..6].copy_from_slice(&(length as u16).to_be_bytes());
    if header[6] == icmp::V6 && length >= icmp::LEN {
        let addr = |at: usize| Addr::v6(header[at..at + 16].try_into().unwrap());
        let pseudo = checksum::Sum::pseudo_header(addr(8), addr(24), icmp::V6, length as u16);
        set_sum(payload, 2, pseudo);
    }
}

fn set_sum(bytes: &mut [u8], at: usize, start: checksum::Sum) {
    bytes[at..at + 2].fill(0);
    let sum = start.bytes(bytes).checksum();
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

fn endpoint(bytes: &[u8], version: Version) -> Endpoint {
    let mut octets: [u8; 16] = bytes[..16].try_into().unwrap();
    let addr = match version {
        Version::V4 => Addr::v4([octets[0], octets[1], octets[2], octets[3]]),
        Version::V6 => {
            octets[0] |= 0x20; // never an IPv4-mapped address
            Addr::v6(octets)
        }
    };
    Endpoint::new(addr, u16::from_be_bytes([bytes[16], bytes[17]]))
}

fn check_layout(frame: &[u8], layout: &Layout) {
    assert!(layout.network < layout.transport);
    assert!(layout.transport <= layout.end);
    assert!(usize::from(layout.end) <= frame.len());
}

fn check_segment(frame: &[u8], packet: &Transport) {
    if packet.tuple.protocol == Protocol::Tcp {
        let segment = Segment::parse(packet.layout.segment(frame)).unwrap();
        assert!(segment.payload < u32::from(packet.layout.end));
        assert!(segment.scale.is_none_or(|shift| shift <= 14));
    }
}

fn read(frame: &[u8]) -> Transport {
    match parse(frame) {
        Ok(Packet::Transport(packet)) => packet,
        other => panic!("a packet has become {other:?}"),
    }
}

/// Whether the end host will take the packet: a UDP datagram without a checksum, too.
fn is_valid(frame: &[u8], packet: &Transport) -> bool {
    let unsummed = packet.tuple.protocol == Protocol::Udp
        && udp::header(packet.layout.segment(frame))
            .unwrap()
            .checksum()
            == 0;
    unsummed || is_intact(frame, packet)
}

fn check_translate(before: &[u8], packet: &Transport, to: &Tuple) {
    let mut frame = before.to_vec();
    translate(&mut frame, packet, to);
    let after = read(&frame);
    assert_eq!(
        after,
        Transport {
            tuple: *to,
            ..*packet
        }
    );
    assert_eq!(is_valid(&frame, &after), is_valid(before, packet));
    translate(&mut frame, &after, &packet.tuple);
    assert_eq!(
        without_checksums(frame, packet),
        without_checksums(before.to_vec(), packet)
    );
}

/// A frame whose two checksums are zeros: there and back, one may come out in its other
/// spelling.
fn without_checksums(mut frame: Vec<u8>, packet: &Transport) -> Vec<u8> {
    if packet.layout.version == Version::V4 {
        frame[NETWORK + 10..NETWORK + 12].fill(0);
    }
    let at = match packet.tuple.protocol {
        Protocol::Tcp => director::wire::tcp::CHECKSUM,
        Protocol::Udp => udp::CHECKSUM,
        Protocol::Sctp => return frame, // it has but one spelling
    } + usize::from(packet.layout.transport);
    frame[at..at + 2].fill(0);
    frame
}

fn check_ttl(before: &[u8], packet: &Transport) {
    let mut frame = before.to_vec();
    match decrement_ttl(&mut frame, &packet.layout) {
        Ok(()) => assert_eq!(read(&frame), *packet),
        Err(_) => assert_eq!(frame, before),
    }
}

fn buffer_with(frame: &[u8]) -> Vec<u8> {
    let mut buffer = frame.to_vec();
    buffer.resize(frame.len().max(1600) + 64, 0);
    buffer
}

fn check_reset(frame: &[u8], packet: &Transport) {
    let mut buffer = buffer_with(frame);
    match reply::reset(&mut buffer, packet) {
        Some(length) => {
            let answer = read(&buffer[..length]);
            assert_eq!(answer.tuple, packet.tuple.reversed());
            assert!(is_valid(&buffer, &answer));
            assert_eq!(reply::reset(&mut buffer, &answer), None);
        }
        None => assert_eq!(buffer[..frame.len()], *frame),
    }
}

fn check_errors(frame: &[u8], packet: &Transport, source: Addr) {
    for problem in [
        Problem::NoRoute,
        Problem::HostUnreachable,
        Problem::PortUnreachable,
        Problem::Prohibited,
        Problem::TimeExceeded,
        Problem::TooBig { mtu: 1400 },
    ] {
        let mut buffer = buffer_with(frame);
        let Some(length) = reply::error(&mut buffer, packet, problem, source) else {
            assert_eq!(buffer[..frame.len()], *frame);
            continue;
        };
        assert!(length <= LONGEST_ERROR);
        match parse(&buffer[..length]) {
            Ok(Packet::IcmpError(error)) => {
                assert_eq!([error.src, error.dst], [source, packet.tuple.src.addr]);
                assert_eq!(error.quote.tuple, packet.tuple);
            }
            // Extension headers longer than all that may be quoted.
            Err(Malformed::BadQuote) if length == LONGEST_ERROR => {}
            other => panic!("an answer has become {other:?}"),
        }
    }
}

fn check_translate_error(before: &[u8], error: &IcmpError, to: &Tuple) {
    let mut frame = before.to_vec();
    translate_error(&mut frame, error, to.dst.addr, to.src.addr, to);
    let Ok(Packet::IcmpError(after)) = parse(&frame) else {
        panic!("an error has become {:?}", parse(&frame));
    };
    assert_eq!([after.src, after.dst], [to.dst.addr, to.src.addr]);
    assert_eq!(after.quote.tuple, *to);
    assert_eq!(
        [after.layout, after.quote.layout],
        [error.layout, error.quote.layout]
    );
    assert_eq!(after.quote.seq, error.quote.seq);
    translate_error(&mut frame, &after, error.src, error.dst, &error.quote.tuple);
    assert_eq!(parse(&frame), Ok(Packet::IcmpError(*error)));
}
