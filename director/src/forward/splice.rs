//! Segments of a connection whose halves were opened one after the other: what each end says of the
//! other one's numbers, clock and window is made what the other one has said.

use super::numbers::{amend, shift_acks};
use crate::direction::Direction;
use crate::wire::tcp::{self, Flags};

/// How the halves of a connection differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Splice {
    /// What is added to the real server's sequence numbers for the client.
    pub numbers: u32,
    /// What is added to its clock.
    pub clock: u32,
    /// How far the windows are shifted, of client and real server: as the sender has them, and as the
    /// receiver reads them.
    pub scales: [[u8; 2]; 2],
}

impl Splice {
    /// Makes a segment that goes in `way` one of the other half.
    pub fn translate(&self, segment: &mut [u8], way: Direction) {
        amend(segment, |header| match way {
            Direction::Original => self.mean(header),
            Direction::Reply => self.tell(header),
        });
    }

    /// What a client says of the real server.
    fn mean(&self, header: &mut [u8]) {
        let Some(flags) = tcp::header(header).map(|header| header.flags()) else {
            return;
        };
        if !flags.has(Flags::ACK) {
            return;
        }
        shift_acks(header, |ack| ack.wrapping_sub(self.numbers));
        let options = header.get_mut(tcp::LEN..).unwrap_or_default();
        if let Some([.., a, b, c, d]) = tcp::clocks(options) {
            let echo = u32::from_be_bytes([*a, *b, *c, *d]).wrapping_sub(self.clock);
            [*a, *b, *c, *d] = echo.to_be_bytes();
        }
        self.scale(header, Direction::Original);
    }

    /// What the real server says of itself.
    fn tell(&self, header: &mut [u8]) {
        if let Some(mut header) = tcp::header_mut(header) {
            let seq = header.seq().wrapping_add(self.numbers);
            header.set_seq(seq);
        }
        let options = header.get_mut(tcp::LEN..).unwrap_or_default();
        if let Some([a, b, c, d, ..]) = tcp::clocks(options) {
            let value = u32::from_be_bytes([*a, *b, *c, *d]).wrapping_add(self.clock);
            [*a, *b, *c, *d] = value.to_be_bytes();
        }
        self.scale(header, Direction::Reply);
    }

    /// The window of a SYN has no scale (RFC 7323 §2.2).
    fn scale(&self, header: &mut [u8], way: Direction) {
        let header = tcp::header_mut(header);
        if let Some(mut header) = header.filter(|header| !header.flags().has(Flags::SYN)) {
            let window = rescaled(header.window(), self.scales[way as usize]);
            header.set_window(window);
        }
    }
}

/// A window that the sender has shifted in the one way, for a receiver that shifts it in the other: no
/// larger than it was.
pub const fn rescaled(window: u16, [said, read]: [u8; 2]) -> u16 {
    let bytes = (window as u64) << said;
    let units = bytes >> read;
    if units > u16::MAX as u64 {
        u16::MAX
    } else {
        units as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tcp::Segment;
    use pnet_packet::util;
    use proptest::prelude::*;

    /// What a segment says that concerns both halves.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Said {
        seq: u32,
        ack: u32,
        clocks: [u32; 2],
        edges: [u32; 4],
    }

    /// A segment that says it, behind so many NOPs, with a right checksum (without pseudo header).
    fn segment(said: &Said, nops: usize) -> Vec<u8> {
        let mut bytes = vec![0; 20];
        bytes[4..8].copy_from_slice(&said.seq.to_be_bytes());
        bytes[8..12].copy_from_slice(&said.ack.to_be_bytes());
        bytes[13] = Flags::ACK;
        bytes[14..16].copy_from_slice(&500u16.to_be_bytes());
        bytes.resize(20 + nops, 1);
        bytes.extend([8, 10]);
        bytes.extend(said.clocks.iter().flat_map(|clock| clock.to_be_bytes()));
        bytes.extend([5, 18]);
        bytes.extend(said.edges.iter().flat_map(|edge| edge.to_be_bytes()));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes[12] = (bytes.len() as u8 / 4) << 4;
        bytes.extend(b"odd");
        let sum = util::checksum(&bytes, 8);
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn said() -> impl Strategy<Value = Said> {
        let words = any::<(u32, u32, [u32; 2], [u32; 4])>();
        words.prop_map(|(seq, ack, clocks, edges)| Said {
            seq,
            ack,
            clocks,
            edges,
        })
    }

    /// Zero has two ones' complement forms.
    fn same(a: &[u8], b: &[u8]) -> bool {
        let sum = |bytes: &[u8]| util::checksum(bytes, usize::MAX);
        let rest = |bytes: &[u8]| [&bytes[..16], &bytes[18..]].concat();
        rest(a) == rest(b) && sum(a) == sum(b)
    }

    proptest! {
        /// All around the circle of numbers, wherever the options stand.
        #[test]
        fn each_end_reads_its_own_numbers(said in said(), numbers: u32, clock: u32, nops in 0usize..4) {
            let splice = Splice { numbers, clock, ..Splice::default() };
            let mut to_client = segment(&said, nops);
            splice.translate(&mut to_client, Direction::Reply);
            let told = Said {
                seq: said.seq.wrapping_add(numbers),
                clocks: [said.clocks[0].wrapping_add(clock), said.clocks[1]],
                ..said
            };
            prop_assert!(same(&to_client, &segment(&told, nops)));

            let mut to_real = segment(&said, nops);
            splice.translate(&mut to_real, Direction::Original);
            let meant = Said {
                ack: said.ack.wrapping_sub(numbers),
                clocks: [said.clocks[0], said.clocks[1].wrapping_sub(clock)],
                edges: said.edges.map(|edge| edge.wrapping_sub(numbers)),
                ..said
            };
            prop_assert!(same(&to_real, &segment(&meant, nops)));
        }

        #[test]
        fn any_bytes_are_survived(
            mut bytes in prop::collection::vec(any::<u8>(), 0..80), scales: [[u8; 2]; 2],
        ) {
            let splice = Splice {
                numbers: 1,
                clock: 1,
                scales: scales.map(|pair| pair.map(|scale| scale % 15)),
            };
            let length = bytes.len();
            splice.translate(&mut bytes, Direction::Original);
            splice.translate(&mut bytes, Direction::Reply);
            prop_assert_eq!(bytes.len(), length);
        }

        #[test]
        fn no_window_gets_larger(window: u16, said in 0u8..15, read in 0u8..15) {
            let units = rescaled(window, [said, read]);
            let [before, after] = [u64::from(window) << said, u64::from(units) << read];
            prop_assert!(after <= before);
            prop_assert!(before - after < 1 << read || units == u16::MAX);
        }
    }

    #[test]
    fn windows_are_scaled_but_for_those_of_a_syn() {
        let splice = Splice {
            scales: [[8, 7], [10, 7]],
            ..Splice::default()
        };
        let plain = Said {
            seq: 1,
            ack: 1,
            clocks: [0; 2],
            edges: [0; 4],
        };
        for (way, flags, expected) in [
            (Direction::Original, Flags::ACK, 1000),
            (Direction::Reply, Flags::ACK, 4000),
            (Direction::Reply, Flags::SYN | Flags::ACK, 500),
        ] {
            let mut bytes = segment(&plain, 2);
            bytes[13] = flags;
            splice.translate(&mut bytes, way);
            assert_eq!(Segment::parse(&bytes).unwrap().window, expected);
        }
    }

    /// What has no ACK acknowledges nothing, whatever stands there.
    #[test]
    fn a_reset_without_ack_is_left_as_it_is() {
        let splice = Splice {
            numbers: 9,
            clock: 9,
            ..Splice::default()
        };
        let plain = Said {
            seq: 1,
            ack: 0,
            clocks: [3, 0],
            edges: [0; 4],
        };
        let mut bytes = segment(&plain, 2);
        bytes[13] = Flags::RST;
        let before = bytes.clone();
        splice.translate(&mut bytes, Direction::Original);
        assert_eq!(bytes, before);
    }
}
