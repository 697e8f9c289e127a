//! A packet that opens a connection, or a TCP segment of any flags, to ask with. It is never sent, so its checksums above IP
//! need not be right.

use std::net::IpAddr;

use super::length;
use crate::sip::MAX_CALL_ID;
use crate::wire::checksum::Sum;
use crate::wire::tcp::Flags;
use crate::wire::{Protocol, Tuple};

const HOPS: u8 = 64;

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Probe<'a> {
    /// Its ends.
    pub tuple: Tuple,
    /// Of a TCP segment, whose numbers are 0.
    pub flags: Flags,
    /// The call of a SIP message.
    pub call_id: Option<&'a str>,
}

impl Probe<'_> {
    /// A packet that opens a connection.
    pub const fn opening(tuple: Tuple) -> Self {
        Self {
            tuple,
            flags: Flags(Flags::SYN),
            call_id: None,
        }
    }

    /// Whether it opens a connection, if none of its ends is there.
    pub fn opens(&self) -> bool {
        self.tuple.protocol != Protocol::Tcp || self.flags.opens()
    }

    /// Whether the gate takes it for a segment of a connection: for no SYN alone, whatever else it says.
    pub fn goes_on(&self) -> bool {
        let is_syn = self.flags.has(Flags::SYN) && !self.flags.has(Flags::ACK);
        self.tuple.protocol == Protocol::Tcp && !is_syn
    }

    /// Whether it has flags that no TCP sends together.
    pub fn is_nonsense(&self) -> bool {
        self.tuple.protocol == Protocol::Tcp && self.flags.is_nonsense()
    }
}

/// The frame of a segment, an INIT, or a datagram: an empty one, or a SIP message of a call.
pub(super) fn frame(probe: &Probe<'_>) -> Vec<u8> {
    let tuple = &probe.tuple;
    let segment = segment(probe);
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

fn segment(probe: &Probe<'_>) -> Vec<u8> {
    let tuple = &probe.tuple;
    let mut bytes = vec![0; length(tuple.protocol)];
    bytes[..2].copy_from_slice(&tuple.src.port.to_be_bytes());
    bytes[2..4].copy_from_slice(&tuple.dst.port.to_be_bytes());
    match tuple.protocol {
        Protocol::Tcp => {
            bytes[12] = 5 << 4;
            bytes[13] = probe.flags.0;
            bytes[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
        }
        Protocol::Udp => {
            let id = probe.call_id.filter(|id| id.len() <= MAX_CALL_ID);
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
                let probe = Probe {
                    call_id: Some("a@x"),
                    ..Probe::opening(tuple)
                };
                match wire::parse(&frame(&probe)) {
                    Ok(Packet::Transport(packet)) => assert_eq!(packet.tuple, tuple),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}
