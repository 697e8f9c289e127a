//! A segment of the director's own making, where it speaks for one end to the other.

use crate::wire::tcp::{self, Flags};
use crate::wire::{Options, Tuple, Version, checksum, ethernet, ipv4, ipv6};

/// Hops that it may go (RFC 1700).
const TTL: u8 = 64;

/// A segment without data.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// From whom, and to whom.
    pub tuple: Tuple,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement.
    pub ack: u32,
    /// Control bits.
    pub flags: u8,
    /// Window.
    pub window: u16,
    /// Options.
    pub options: Options,
}

impl Word {
    /// Writes it to the start of `buffer`, with an IP and an Ethernet header, whose stations are left
    /// to the caller. Returns the length of the frame, or nothing when the buffer is too short.
    pub fn write(&self, buffer: &mut [u8]) -> Option<usize> {
        let options = self.options.as_slice();
        let length = tcp::LEN + options.len();
        let (version, header, ethertype) = match self.tuple.src.addr.is_v4() {
            true => (Version::V4, ipv4::LEN, ethernet::IPV4),
            false => (Version::V6, ipv6::LEN, ethernet::IPV6),
        };
        let end = ethernet::LEN + header + length;
        let frame = buffer.get_mut(..end)?;
        frame.fill(0);
        ethernet::header_mut(frame)?.set_ethertype(ethertype);
        let (network, message) = frame[ethernet::LEN..].split_at_mut(header);
        self.write_network(network, length as u16, version)?;
        let Tuple { protocol, src, dst } = self.tuple;
        tcp::Repr {
            src_port: src.port,
            dst_port: dst.port,
            seq: self.seq,
            ack: self.ack,
            flags: Flags(self.flags),
        }
        .write(message.first_chunk_mut()?);
        message.get_mut(tcp::LEN..)?.copy_from_slice(options);
        let mut view = tcp::header_mut(message)?;
        view.set_data_offset(length);
        view.set_window(self.window);
        let sum = checksum::transport(version, src.addr, dst.addr, protocol.number(), message);
        tcp::header_mut(message)?.set_checksum(sum.checksum());
        Some(end)
    }

    fn write_network(&self, network: &mut [u8], payload: u16, version: Version) -> Option<()> {
        let Tuple { protocol, src, dst } = self.tuple;
        match version {
            Version::V4 => ipv4::Repr {
                src: src.addr,
                dst: dst.addr,
                protocol: protocol.number(),
                tos: 0,
                ttl: TTL,
                payload,
                ident: None,
            }
            .write(network.first_chunk_mut()?),
            Version::V6 => ipv6::Repr {
                src: src.addr,
                dst: dst.addr,
                next_header: protocol.number(),
                hop_limit: TTL,
                payload,
                class: 0,
                flow: 0,
            }
            .write(network.first_chunk_mut()?),
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tcp::Segment;
    use crate::wire::{Addr, Endpoint, Packet, Protocol, is_intact, parse};

    #[test]
    fn what_is_written_reads_as_it_was_meant() {
        for [src, dst] in [
            ["192.0.2.1", "198.51.100.1"],
            ["2001:db8::1", "2001:db8::2"],
        ] {
            let end = |text: &str, port| {
                let ip: std::net::IpAddr = text.parse().unwrap();
                Endpoint::new(Addr::from(ip), port)
            };
            let word = Word {
                tuple: Tuple {
                    protocol: Protocol::Tcp,
                    src: end(src, 1234),
                    dst: end(dst, 80),
                },
                seq: 7,
                ack: 8,
                flags: Flags::SYN,
                window: 9,
                options: Options::of_handshake(1300, true, Some([10, 11]), Some(5)),
            };
            let mut buffer = [0xff; 128];
            let length = word.write(&mut buffer).unwrap();
            let Ok(Packet::Transport(packet)) = parse(&buffer[..length]) else {
                panic!("no packet");
            };
            assert_eq!(packet.tuple, word.tuple);
            assert!(is_intact(&buffer[..length], &packet));
            let bytes = packet.layout.segment(&buffer);
            let read = Segment::parse(bytes).unwrap();
            assert_eq!((read.seq, read.ack, read.window), (7, 8, 9));
            let options: Vec<_> = tcp::options(bytes).collect();
            let clocks = &[0, 0, 0, 10, 0, 0, 0, 11][..];
            let expected = [(2, &[5, 20][..]), (4, &[]), (8, clocks), (3, &[5])];
            assert_eq!(options, expected);
            assert_eq!(word.write(&mut [0; 60]), None);
        }
    }
}
