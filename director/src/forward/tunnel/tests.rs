//! Wrapped frames, taken apart with `pnet_packet`.

use pnet_packet::Packet as _;
use pnet_packet::ethernet::EthernetPacket;
use pnet_packet::gre::GrePacket;
use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::ipv6::Ipv6Packet;
use pnet_packet::udp::UdpPacket;
use pnet_packet::util;
use proptest::prelude::*;

use super::*;
use crate::wire::sample::{self, Sample};
use crate::wire::{Endpoint, Packet, Protocol, Tuple, parse};

fn layout(frame: &[u8]) -> Layout {
    match parse(frame) {
        Ok(Packet::Transport(packet)) => packet.layout,
        other => panic!("{other:?}"),
    }
}

fn any_tunnel() -> impl Strategy<Value = Tunnel> {
    let gue = |checksum| any::<u16>().prop_map(move |port| Tunnel::Gue { port, checksum });
    prop_oneof![
        Just(Tunnel::Ipip),
        any::<bool>().prop_map(|checksum| Tunnel::Gre { checksum }),
        gue(GueChecksum::None),
        gue(GueChecksum::Own),
        gue(GueChecksum::Remote),
    ]
}

fn any_outer() -> impl Strategy<Value = Outer> {
    let ends = prop_oneof![
        (sample::v4_addrs(), sample::v4_addrs()),
        (sample::v6_addrs(), sample::v6_addrs()),
    ];
    (any_tunnel(), ends, any::<u32>(), any::<u16>()).prop_map(
        |(tunnel, (src, dst), entropy, ident)| Outer {
            tunnel,
            src,
            dst,
            entropy,
            keeps_df: true,
            ident,
        },
    )
}

/// The frame of `sample`, wrapped.
fn wrapped(outer: &Outer, inner: &[u8]) -> Vec<u8> {
    let layout = layout(inner);
    let mut frame = vec![0x55; outer.overhead().into()];
    frame.extend(&inner[..layout.end.into()]);
    outer.wrap(&mut frame, &layout);
    frame
}

/// The IP header of a wrapped frame, checked: protocol, class, hops and payload.
fn open_ip(frame: &[u8], outer: &Outer) -> (u8, u8, u8, Vec<u8>) {
    let ethernet = EthernetPacket::new(frame).unwrap();
    if outer.dst.is_v4() {
        assert_eq!(ethernet.get_ethertype().0, 0x0800);
        let ip = Ipv4Packet::new(ethernet.payload()).unwrap();
        assert_eq!((ip.get_version(), ip.get_header_length()), (4, 5));
        assert_eq!(usize::from(ip.get_total_length()), ethernet.payload().len());
        assert_eq!(
            ip.get_checksum(),
            util::checksum(&ethernet.payload()[..20], 5)
        );
        assert_eq!(
            (
                Addr::v4(ip.get_source().octets()),
                Addr::v4(ip.get_destination().octets())
            ),
            (outer.src, outer.dst)
        );
        let class = ip.get_dscp() << 2 | ip.get_ecn();
        (
            ip.get_next_level_protocol().0,
            class,
            ip.get_ttl(),
            ip.payload().to_vec(),
        )
    } else {
        assert_eq!(ethernet.get_ethertype().0, 0x86dd);
        let ip = Ipv6Packet::new(ethernet.payload()).unwrap();
        assert_eq!(
            usize::from(ip.get_payload_length()) + 40,
            ethernet.payload().len()
        );
        assert_eq!(ip.get_flow_label(), outer.entropy & 0xf_ffff);
        assert_eq!(
            (
                Addr::v6(ip.get_source().octets()),
                Addr::v6(ip.get_destination().octets())
            ),
            (outer.src, outer.dst)
        );
        (
            ip.get_next_header().0,
            ip.get_traffic_class(),
            ip.get_hop_limit(),
            ip.payload().to_vec(),
        )
    }
}

/// What the tunnel header carries, checked.
fn open_shim(protocol: u8, payload: &[u8], outer: &Outer, v4: bool) -> Vec<u8> {
    let (ip_protocol, ethertype) = if v4 { (4, 0x0800) } else { (41, 0x86dd) };
    match outer.tunnel {
        Tunnel::Ipip => {
            assert_eq!(protocol, ip_protocol);
            payload.to_vec()
        }
        Tunnel::Gre { checksum } => {
            assert_eq!(protocol, 47);
            let gre = GrePacket::new(payload).unwrap();
            assert_eq!(gre.get_checksum_present(), u8::from(checksum));
            assert_eq!(
                (
                    gre.get_version(),
                    gre.get_key_present(),
                    gre.get_sequence_present()
                ),
                (0, 0, 0)
            );
            assert_eq!(gre.get_protocol_type(), ethertype);
            if checksum {
                let sum = u16::from_be_bytes([payload[4], payload[5]]);
                assert_eq!(sum, util::checksum(payload, 2));
                assert_eq!(payload[6..8], [0, 0]);
            }
            payload[if checksum { 8 } else { 4 }..].to_vec()
        }
        Tunnel::Gue { port, checksum } => {
            assert_eq!(protocol, 17);
            let udp = UdpPacket::new(payload).unwrap();
            assert_eq!(udp.get_destination(), port);
            assert!(udp.get_source() >= 0xc000);
            assert_eq!(usize::from(udp.get_length()), payload.len());
            check_udp_sum(&udp, payload, outer, checksum);
            assert_eq!(udp.payload()[..4], [0, ip_protocol, 0, 0]);
            udp.payload()[4..].to_vec()
        }
    }
}

fn check_udp_sum(udp: &UdpPacket<'_>, payload: &[u8], outer: &Outer, checksum: GueChecksum) {
    let sum = sample::transport_checksum(payload, 3, outer.src, outer.dst, 17);
    let expected = match (checksum, sum) {
        (GueChecksum::None, _) => 0,
        (_, 0) => 0xffff,
        (_, sum) => sum,
    };
    assert_eq!(udp.get_checksum(), expected);
}

/// Gives a datagram this type of service or traffic class, and don't-fragment flag.
fn mark(frame: &mut [u8], class: u8, dont_fragment: bool) {
    if frame[12..14] == [8, 0] {
        frame[15] = class;
        frame[20] = u8::from(dont_fragment) << 6;
        sample::seal_v4(&mut frame[14..]);
    } else {
        frame[14] = 0x60 | class >> 4;
        frame[15] = frame[15] & 0x0f | class << 4;
    }
}

proptest! {
    #[test]
    fn what_is_wrapped_is_what_comes_out(
        outer in any_outer(),
        (sample, _) in sample::samples(),
        class in any::<u8>(),
        dont_fragment in any::<bool>(),
    ) {
        let mut inner = sample.frame();
        mark(&mut inner, class, dont_fragment);
        let datagram = layout(&inner).datagram(&inner).to_vec();
        let v4 = sample.tuple.src.addr.is_v4();
        let frame = wrapped(&outer, &inner);
        let (protocol, outer_class, hops, payload) = open_ip(&frame, &outer);
        prop_assert_eq!((outer_class, hops), (class, sample.ttl));
        prop_assert_eq!(outer.tunnel.inside(&payload), Some(&datagram[..]));
        prop_assert_eq!(open_shim(protocol, &payload, &outer, v4), datagram);
        if outer.dst.is_v4() {
            let ip = Ipv4Packet::new(&frame[14..]).unwrap();
            let flag = if v4 && dont_fragment { 2 } else { 0 };
            let ident = if flag == 2 { 0 } else { outer.ident };
            prop_assert_eq!((ip.get_flags(), ip.get_identification()), (flag, ident));
        }
    }

    #[test]
    fn a_frame_without_room_is_left_alone(outer in any_outer(), length in 0usize..100) {
        let end = |host, port| Endpoint::new(Addr::v4([10, 0, 0, host]), port);
        let tuple = Tuple { protocol: Protocol::Udp, src: end(1, 9), dst: end(2, 80) };
        let layout = layout(&Sample::of(tuple).frame());
        let mut frame = vec![0x55; length];
        outer.wrap(&mut frame, &layout);
        prop_assert_eq!(frame.len(), length);
    }
}

/// Lengths as captured from IPVS: a SYN of 40 bytes.
#[test]
fn overheads_are_those_of_ipvs() {
    let dst = Addr::v4([10, 2, 1, 1]);
    let gue = |checksum| Tunnel::Gue {
        port: 6080,
        checksum,
    };
    for (tunnel, length) in [
        (Tunnel::Ipip, 60),
        (Tunnel::Gre { checksum: false }, 64),
        (Tunnel::Gre { checksum: true }, 68),
        (gue(GueChecksum::None), 72),
        (gue(GueChecksum::Own), 72),
        (gue(GueChecksum::Remote), 72),
    ] {
        assert_eq!(40 + tunnel.overhead(dst), length, "{tunnel:?}");
        assert_eq!(
            tunnel.overhead(Addr::v6([1; 16])),
            tunnel.overhead(dst) + 20
        );
    }
}
