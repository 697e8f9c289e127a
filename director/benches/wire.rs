//! What reading a frame costs, nanoseconds a packet: our parser against `pnet_packet` views
//! that make the same checks. `cargo bench -p bulwark-director --bench wire`

#![allow(missing_docs)]

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Instant;

use director::forward::{decrement_ttl, set_ethernet, translate};
use director::wire::{
    Endpoint, Mac, Malformed, Packet, Protocol, Tuple, Version, ipv4, ipv6, parse,
};
use pnet_packet::Packet as _;
use pnet_packet::ethernet::{EtherTypes, EthernetPacket};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv4::{Ipv4Flags, Ipv4Packet};
use pnet_packet::ipv6::Ipv6Packet;
use pnet_packet::tcp::TcpPacket;
use pnet_packet::udp::UdpPacket;
use pnet_packet::util;

/// Frames of each kind: more than a predictor learns by heart, few enough for the cache.
const FRAMES: usize = 256;
const ROUNDS: usize = 40;
const REPEATS: usize = 200;

fn main() {
    println!(
        "{:<10}{:>9}{:>9}{:>8}{:>11}",
        "frame", "ours", "pnet", "ratio", "rewrite"
    );
    for (name, v4, protocol) in [
        ("tcp4", true, Protocol::Tcp),
        ("udp4", true, Protocol::Udp),
        ("tcp6", false, Protocol::Tcp),
        ("udp6", false, Protocol::Udp),
    ] {
        let mut frames: Vec<_> = (0..FRAMES).map(|n| frame(v4, protocol, n as u16)).collect();
        assert!(frames.iter().all(|frame| ours(frame) == by_pnet(frame)));
        let to = ours(&frames[FRAMES / 2]).unwrap();
        let our = nanoseconds(&mut frames, |frame| {
            black_box(&parse(black_box(frame)));
        });
        let pnet = nanoseconds(&mut frames, |frame| {
            black_box(&by_pnet(black_box(frame)));
        });
        let rewritten = nanoseconds(&mut frames, |frame| rewrite(frame, &to)) - our;
        assert!(frames.iter().all(|frame| ours(frame) == Ok(to)));
        let ratio = our / pnet;
        println!("{name:<10}{our:>9.1}{pnet:>9.1}{ratio:>8.2}{rewritten:>11.1}");
    }
    println!("ns/packet, the best of {ROUNDS} rounds; rewrite = NAT, TTL and MACs, ours only");
}

/// The best round's time for one frame.
fn nanoseconds(frames: &mut [Vec<u8>], mut work: impl FnMut(&mut [u8])) -> f64 {
    let mut round = || {
        let start = Instant::now();
        for _ in 0..REPEATS {
            frames.iter_mut().for_each(|frame| work(frame));
        }
        start.elapsed().as_nanos() as f64 / (REPEATS * FRAMES) as f64
    };
    (0..ROUNDS).map(|_| round()).fold(f64::MAX, f64::min)
}

fn ours(frame: &[u8]) -> Result<Tuple, Malformed> {
    match parse(frame)? {
        Packet::Transport(packet) => Ok(packet.tuple),
        Packet::IcmpError(error) => Ok(error.quote.tuple),
    }
}

/// Forwards the packet to `to`.
fn rewrite(frame: &mut [u8], to: &Tuple) {
    let Ok(Packet::Transport(packet)) = parse(black_box(frame)) else {
        return;
    };
    translate(frame, &packet, black_box(to));
    if decrement_ttl(frame, &packet.layout).is_err() {
        renew(frame, packet.layout.version);
    }
    set_ethernet(frame, black_box(Mac([2; 6])), black_box(Mac([4; 6])));
}

/// Gives a frame of many rounds its hops back.
fn renew(frame: &mut [u8], version: Version) {
    match version {
        Version::V4 => ipv4::header_mut(&mut frame[14..]).unwrap().set_ttl(255),
        Version::V6 => ipv6::header_mut(&mut frame[14..])
            .unwrap()
            .set_hop_limit(255),
    }
}

/// The checks of [`parse`] on TCP and UDP, with the views of pnet.
fn by_pnet(frame: &[u8]) -> Result<Tuple, Malformed> {
    let ethernet = EthernetPacket::new(frame).ok_or(Malformed::Truncated)?;
    if ethernet.get_destination().is_multicast() {
        return Err(Malformed::LinkGroup);
    }
    match ethernet.get_ethertype() {
        EtherTypes::Ipv4 => v4_by_pnet(ethernet.payload()),
        EtherTypes::Ipv6 => v6_by_pnet(ethernet.payload()),
        _ => Err(Malformed::NotIp),
    }
}

fn v4_by_pnet(bytes: &[u8]) -> Result<Tuple, Malformed> {
    let ip = Ipv4Packet::new(bytes).ok_or(Malformed::Truncated)?;
    let header_len = usize::from(ip.get_header_length()) * 4;
    let total_len = usize::from(ip.get_total_length());
    if ip.get_version() != 4 {
        return Err(Malformed::BadVersion);
    }
    if !(20..=total_len).contains(&header_len) {
        return Err(Malformed::BadHeaderLength);
    }
    if total_len > bytes.len() {
        return Err(Malformed::BadTotalLength);
    }
    if util::checksum(&bytes[..header_len], 5) != ip.get_checksum() {
        return Err(Malformed::BadHeaderChecksum);
    }
    if ip.get_flags() & Ipv4Flags::MoreFragments != 0 || ip.get_fragment_offset() != 0 {
        return Err(Malformed::Fragment);
    }
    if header_len > 20 && director::wire::ipv4::is_source_routed(ip.get_options_raw()) {
        return Err(Malformed::SourceRouted);
    }
    let addrs = [ip.get_source().into(), ip.get_destination().into()];
    transport_by_pnet(addrs, ip.get_next_level_protocol().0, ip.payload())
}

/// Without extension headers: the frames of this program have none.
fn v6_by_pnet(bytes: &[u8]) -> Result<Tuple, Malformed> {
    let ip = Ipv6Packet::new(bytes).ok_or(Malformed::Truncated)?;
    if ip.get_version() != 6 {
        return Err(Malformed::BadVersion);
    }
    if usize::from(ip.get_payload_length()) > bytes.len() - 40 {
        return Err(Malformed::BadTotalLength);
    }
    let (src, dst) = (ip.get_source(), ip.get_destination());
    if src.to_ipv4_mapped().is_some() || dst.to_ipv4_mapped().is_some() {
        return Err(Malformed::MappedAddress);
    }
    transport_by_pnet(
        [src.into(), dst.into()],
        ip.get_next_header().0,
        ip.payload(),
    )
}

fn transport_by_pnet(
    [src, dst]: [IpAddr; 2],
    protocol: u8,
    segment: &[u8],
) -> Result<Tuple, Malformed> {
    let (protocol, src_port, dst_port) = if protocol == IpNextHeaderProtocols::Tcp.0 {
        let tcp = TcpPacket::new(segment).ok_or(Malformed::Truncated)?;
        if !(20..=segment.len()).contains(&(usize::from(tcp.get_data_offset()) * 4)) {
            return Err(Malformed::BadTcpOffset);
        }
        (Protocol::Tcp, tcp.get_source(), tcp.get_destination())
    } else if protocol == IpNextHeaderProtocols::Udp.0 {
        let udp = UdpPacket::new(segment).ok_or(Malformed::Truncated)?;
        if !(8..=segment.len()).contains(&udp.get_length().into()) {
            return Err(Malformed::BadUdpLength);
        }
        (Protocol::Udp, udp.get_source(), udp.get_destination())
    } else {
        return Err(Malformed::UnknownProtocol);
    };
    Ok(Tuple {
        protocol,
        src: Endpoint::new(src.into(), src_port),
        dst: Endpoint::new(dst.into(), dst_port),
    })
}

/// A frame of 60 bytes, or as long as its headers; the transport checksum is left zero.
fn frame(v4: bool, protocol: Protocol, n: u16) -> Vec<u8> {
    let transport_len = if protocol == Protocol::Tcp { 20 } else { 8 };
    let [high, low] = n.to_be_bytes();
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    if v4 {
        let total_len = 20 + transport_len;
        frame.extend([
            8,
            0,
            0x45,
            0,
            0,
            total_len,
            0,
            0,
            0x40,
            0,
            64,
            protocol.number(),
            0,
            0,
        ]);
        frame.extend([10, 0, high, low, 192, 0, 2, 1]);
        let sum = util::checksum(&frame[14..], 5);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
    } else {
        frame.extend([
            0x86,
            0xdd,
            0x60,
            0,
            0,
            0,
            0,
            transport_len,
            protocol.number(),
            64,
        ]);
        frame.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low]);
        frame.extend([0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
    frame.extend([high | 0x80, low, 0, 80]);
    frame.extend(match protocol {
        Protocol::Tcp => vec![0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 2, 0, 0, 0, 0, 0],
        _ => vec![0, transport_len, 0, 0],
    });
    frame.resize(frame.len().max(60), 0);
    frame
}
