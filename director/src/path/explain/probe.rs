//! A packet that opens a connection, to ask with. It is never sent, so its checksums above IP
//! need not be right.

use std::net::IpAddr;

use super::length;
use crate::sip::MAX_CALL_ID;
use crate::wire::checksum::Sum;
use crate::wire::{Protocol, Tuple};

const HOPS: u8 = 64;
const SYN: u8 = 0x02;

/// The frame of a SYN, an INIT, or a datagram: an empty one, or a SIP message of a call.
pub(super) fn frame(tuple: &Tuple, call_id: Option<&str>) -> Vec<u8> {
    let segment = segment(tuple, call_id);
    let length = segment.len() as u16;
    let (ethertype, header) = match (tuple.src.addr.into(), tuple.dst.addr.into()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let ends = (src.octets(), dst.octets());
            (0x0800u16, ipv4(ends, tuple.protocol, length))
        }
        (src, dst) => {
            let octets = |address| match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                IpAddr::V6(v6) => v6.octets(),
            };
            (
                0x86ddu16,
                ipv6((octets(src), octets(dst)), tuple.protocol, length),
            )
        }
    };
    let ethernet = [&[0; 12][..], &ethertype.to_be_bytes()].concat();
    [ethernet, header, segment].concat()
}

fn ipv4((src, dst): ([u8; 4], [u8; 4]), protocol: Protocol, length: u16) -> Vec<u8> {
    let total = 20 + length;
    let mut header = vec![0x45, 0];
    header.extend(total.to_be_bytes());
    header.extend([0, 0, 0x40, 0, HOPS, protocol.number(), 0, 0]);
    header.extend(src);
    header.extend(dst);
    let sum = Sum::default().bytes(&header).checksum();
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

fn ipv6((src, dst): ([u8; 16], [u8; 16]), protocol: Protocol, length: u16) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend(length.to_be_bytes());
    header.extend([protocol.number(), HOPS]);
    header.extend(src);
    header.extend(dst);
    header
}

fn segment(tuple: &Tuple, call_id: Option<&str>) -> Vec<u8> {
    let mut bytes = vec![0; length(tuple.protocol)];
    bytes[..2].copy_from_slice(&tuple.src.port.to_be_bytes());
    bytes[2..4].copy_from_slice(&tuple.dst.port.to_be_bytes());
    match tuple.protocol {
        Protocol::Tcp => {
            bytes[12] = 5 << 4;
            bytes[13] = SYN;
            bytes[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
        }
        Protocol::Udp => {
            let id = call_id.filter(|id| id.len() <= MAX_CALL_ID);
            let message = id.map(|id| format!("OPTIONS sip: SIP/2.0\r\nCall-ID: {id}\r\n\r\n"));
            bytes.extend(message.unwrap_or_default().into_bytes());
            let length = bytes.len() as u16;
            bytes[4..6].copy_from_slice(&length.to_be_bytes());
        }
        Protocol::Sctp => {
            // INIT: length, tag, window, one stream each way (RFC 9260, section 3.3.2).
            bytes[12..16].copy_from_slice(&[1, 0, 0, 20]);
            bytes[19] = 1;
            bytes[20..24].copy_from_slice(&u32::from(u16::MAX).to_be_bytes());
            bytes[25] = 1;
            bytes[27] = 1;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{self, Endpoint, Packet};

    #[test]
    fn a_probe_is_read_as_what_it_asks() {
        for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
            for (src, dst) in [
                ("10.0.0.1:5", "10.9.9.9:80"),
                ("[fd00::1]:5", "[fd00::2]:80"),
            ] {
                let end = |text: &str| {
                    let at: std::net::SocketAddr = text.parse().unwrap();
                    Endpoint::from(at)
                };
                let (src, dst) = (end(src), end(dst));
                let tuple = Tuple { protocol, src, dst };
                match wire::parse(&frame(&tuple, Some("a@x"))) {
                    Ok(Packet::Transport(packet)) => assert_eq!(packet.tuple, tuple),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}
