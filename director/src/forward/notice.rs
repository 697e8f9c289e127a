//! What the director says of its own accord of a connection that it has given up: a reset, or an
//! ICMP error.

use super::Word;
use super::reply::{self, Problem};
use crate::wire::tcp::Flags;
use crate::wire::{Addr, Options, Packet, Tuple, Version, parse};

/// Writes the reset that `tuple.src` would send to end its connection, its next sequence number
/// being `seq`, to the start of `buffer`; the stations are left to the caller. Returns the length
/// of the frame, or nothing when the buffer is too short.
pub fn reset_at(buffer: &mut [u8], tuple: &Tuple, seq: u32) -> Option<usize> {
    segment_at(buffer, tuple, seq, Flags(Flags::RST))
}

/// Writes the error by which `from` tells the sender of a SYN+ACK of `tuple` with the number `seq`
/// that it goes no further, so that it gives the connection up, as [`reset_at`] writes a reset.
///
/// Of all errors these two have Linux drop a connection that waits for its ACK
/// (`tcp_v4_err` and `tcp_req_err` of `net/ipv4/tcp_ipv4.c`, `icmpv6_err_convert`).
pub fn unreachable_at(buffer: &mut [u8], tuple: &Tuple, seq: u32, from: Addr) -> Option<usize> {
    let length = segment_at(buffer, tuple, seq, Flags(Flags::SYN | Flags::ACK))?;
    let Ok(Packet::Transport(quoted)) = parse(buffer.get(..length)?) else {
        return None;
    };
    let problem = match quoted.layout.version {
        Version::V4 => Problem::HostUnreachable,
        Version::V6 => Problem::Prohibited,
    };
    reply::error(buffer, &quoted, problem, from)
}

fn segment_at(buffer: &mut [u8], tuple: &Tuple, seq: u32, flags: Flags) -> Option<usize> {
    let word = Word {
        tuple: *tuple,
        seq,
        ack: 0,
        flags: flags.0,
        window: 0,
        options: Options::default(),
    };
    word.write(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tcp::Segment;
    use crate::wire::{Addr, Endpoint, Packet, Protocol, checksum, parse};

    fn addr(text: &str) -> Addr {
        let ip: std::net::IpAddr = text.parse().unwrap();
        ip.into()
    }

    /// One of each family.
    fn tuples() -> [Tuple; 2] {
        let pairs = [
            ["192.0.2.1", "198.51.100.1"],
            ["2001:db8::1", "2001:db8::2"],
        ];
        pairs.map(|[src, dst]| Tuple {
            protocol: Protocol::Tcp,
            src: Endpoint::new(addr(src), 1234),
            dst: Endpoint::new(addr(dst), 80),
        })
    }

    #[test]
    fn an_error_quotes_the_segment_that_it_is_about() {
        for (tuple, from, kind) in [
            (tuples()[0], "203.0.113.1", (3, 1)),
            (tuples()[1], "2001:db8::3", (1, 1)),
        ] {
            let mut buffer = [0xff; 1600];
            let length = unreachable_at(&mut buffer, &tuple, 77, addr(from)).unwrap();
            let Ok(Packet::IcmpError(error)) = parse(&buffer[..length]) else {
                panic!("{:?}", parse(&buffer[..length]));
            };
            assert_eq!((error.icmp_type, error.code), kind);
            assert_eq!((error.src, error.dst), (addr(from), tuple.src.addr));
            assert_eq!((error.quote.tuple, error.quote.number), (tuple, Some(77)));
            assert_eq!(unreachable_at(&mut [0; 80], &tuple, 77, addr(from)), None);
        }
    }

    #[test]
    fn a_reset_reads_as_one() {
        for tuple in tuples() {
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
