//! What the director says of its own accord: a reset for a connection that it has given up.

use crate::wire::tcp::Flags;
use crate::wire::{Tuple, Version, checksum, ethernet, ipv4, ipv6, tcp};

/// Hops that it may go (RFC 1700).
const TTL: u8 = 64;

/// Writes the reset that `tuple.src` would send to end its connection, its next sequence number
/// being `seq`, to the start of `buffer`; the stations are left to the caller. Returns the length
/// of the frame, or nothing when the buffer is too short.
pub fn reset_at(buffer: &mut [u8], tuple: &Tuple, seq: u32) -> Option<usize> {
    let (version, header, ethertype) = match tuple.src.addr.is_v4() {
        true => (Version::V4, ipv4::LEN, ethernet::IPV4),
        false => (Version::V6, ipv6::LEN, ethernet::IPV6),
    };
    let end = ethernet::LEN + header + tcp::LEN;
    let frame = buffer.get_mut(..end)?;
    frame.fill(0);
    ethernet::header_mut(frame)?.set_ethertype(ethertype);
    let (network, message) = frame[ethernet::LEN..].split_at_mut(header);
    let (src, dst) = (tuple.src.addr, tuple.dst.addr);
    let protocol = tuple.protocol.number();
    match version {
        Version::V4 => ipv4::Repr {
            src,
            dst,
            protocol,
            tos: 0,
            ttl: TTL,
            payload: tcp::LEN as u16,
            ident: None,
        }
        .write(network.first_chunk_mut()?),
        Version::V6 => ipv6::Repr {
            src,
            dst,
            next_header: protocol,
            hop_limit: TTL,
            payload: tcp::LEN as u16,
            class: 0,
            flow: 0,
        }
        .write(network.first_chunk_mut()?),
    }
    let repr = tcp::Repr {
        src_port: tuple.src.port,
        dst_port: tuple.dst.port,
        seq,
        ack: 0,
        flags: Flags(Flags::RST),
    };
    repr.write(message.first_chunk_mut()?);
    let sum = checksum::transport(version, src, dst, protocol, message);
    tcp::header_mut(message)?.set_checksum(sum.checksum());
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tcp::Segment;
    use crate::wire::{Addr, Endpoint, Packet, Protocol, parse};

    #[test]
    fn a_reset_reads_as_one() {
        for [src, dst] in [
            ["192.0.2.1", "198.51.100.1"],
            ["2001:db8::1", "2001:db8::2"],
        ] {
            let end = |addr: &str, port| {
                let ip: std::net::IpAddr = addr.parse().unwrap();
                Endpoint::new(Addr::from(ip), port)
            };
            let tuple = Tuple {
                protocol: Protocol::Tcp,
                src: end(src, 1234),
                dst: end(dst, 80),
            };
            let mut buffer = [0xff; 128];
            let length = reset_at(&mut buffer, &tuple, 77).unwrap();
            let frame = &buffer[..length];
            let Ok(Packet::Transport(packet)) = parse(frame) else {
                panic!("{:?}", parse(frame));
            };
            assert_eq!(packet.tuple, tuple);
            let bytes = packet.layout.segment(frame);
            let (src, dst) = (tuple.src.addr, tuple.dst.addr);
            let sum = checksum::transport(packet.layout.version, src, dst, 6, bytes);
            assert!(sum.is_valid());
            let segment = Segment::parse(bytes).unwrap();
            assert_eq!((segment.seq, segment.flags), (77, Flags(Flags::RST)));
            assert_eq!(reset_at(&mut [0; 40], &tuple, 77), None);
        }
    }
}
