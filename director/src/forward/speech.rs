//! Other words in the place of some in the payload of a TCP segment, which gets longer or shorter by
//! that.

use std::ops::Range;

use super::from;
use crate::wire::checksum::{Change, Sum};
use crate::wire::{Layout, Version, ipv4, ipv6, tcp};

/// The longest words, bytes.
const LONGEST: usize = 32;

/// Words, and where they are to stand in a frame.
#[derive(Clone, Copy, Debug)]
pub struct Speech {
    layout: Layout,
    start: u16,
    end: u16,
    words: [u8; LONGEST],
    length: u8,
}

impl Speech {
    /// `words` in the place of the bytes `old` of a segment's payload; none when they are too long.
    /// The layout is that of the segment's frame, which holds all of it.
    pub fn new(layout: &Layout, old: Range<usize>, words: &[u8]) -> Option<Self> {
        let mut kept = [0; LONGEST];
        kept.get_mut(..words.len())?.copy_from_slice(words);
        Some(Self {
            layout: *layout,
            start: u16::try_from(old.start).ok()?,
            end: u16::try_from(old.end).ok()?,
            words: kept,
            length: words.len() as u8,
        })
    }

    /// By how many bytes the segment gets longer.
    pub const fn growth(&self) -> i32 {
        self.length as i32 + self.start as i32 - self.end as i32
    }

    /// Length of the datagram afterwards, bytes.
    pub fn datagram_len(&self) -> u16 {
        self.layout
            .datagram_len()
            .saturating_add_signed(self.growth() as i16)
    }

    /// Puts the words in, and brings lengths and checksums after them; gives the length of the frame
    /// then. `room` is that of the frame and what is free behind it; too little, and nothing changes.
    pub fn put(&self, room: &mut [u8]) -> usize {
        let (old_end, segment) = (
            usize::from(self.layout.end),
            usize::from(self.layout.transport),
        );
        let payload = segment + self.data_offset(room);
        let (start, rest) = (
            payload + usize::from(self.start),
            payload + usize::from(self.end),
        );
        let end = old_end.saturating_add_signed(self.growth() as isize);
        if start > rest || rest > old_end || end > room.len() {
            return old_end;
        }
        let before = Sum::default().bytes(&room[segment..old_end]).fold();
        let words = &self.words[..self.length.into()];
        room.copy_within(rest..old_end, start + words.len());
        room[start..start + words.len()].copy_from_slice(words);
        let after = Sum::default().bytes(&room[segment..end]).fold();
        let lengths = [old_end, end].map(|end| (end - segment) as u16);
        let change = Change::default()
            .word(before, after)
            .word(lengths[0], lengths[1]);
        if let Some(mut header) = tcp::header_mut(&mut room[segment..]) {
            let checksum = change.apply(header.checksum());
            header.set_checksum(checksum);
        }
        self.set_length(room);
        end
    }

    fn data_offset(&self, room: &mut [u8]) -> usize {
        tcp::header(from(room, self.layout.transport)).map_or(0, |header| header.data_offset())
    }

    fn set_length(&self, room: &mut [u8]) {
        let network = from(room, self.layout.network);
        match self.layout.version {
            Version::V4 => {
                if let Some(mut header) = ipv4::header_mut(network) {
                    header.set_total_len(self.datagram_len());
                }
            }
            Version::V6 => {
                if let Some(mut header) = ipv6::header_mut(network) {
                    header.set_payload_len(self.datagram_len() - ipv6::LEN as u16);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sample::{self, Sample};
    use crate::wire::{Packet, Protocol, parse};
    use proptest::prelude::*;

    fn layout(frame: &[u8]) -> Layout {
        match parse(frame) {
            Ok(Packet::Transport(packet)) => packet.layout,
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn the_segment_is_as_if_it_had_been_said_so(
            (mut sample, _) in sample::samples(),
            head in "[a-z]{0,40}",
            old in "[0-9]{0,30}",
            new in "[A-Z]{1,32}",
            tail in "[a-z]{0,40}",
        ) {
            sample.tuple.protocol = Protocol::Tcp;
            let says = |words: &str| Sample {
                payload: [&head, words, &tail].concat().into(),
                ..sample.clone()
            }.frame();
            let mut frame = says(&old);
            let layout = layout(&frame);
            let speech =
                Speech::new(&layout, head.len()..head.len() + old.len(), new.as_bytes()).unwrap();
            prop_assert_eq!(speech.growth(), new.len() as i32 - old.len() as i32);
            frame.resize(frame.len() + 64, 0xee);
            let end = speech.put(&mut frame);
            let expected = says(&new);
            prop_assert_eq!(&frame[..end], &expected[..self::layout(&expected).end.into()]);
        }
    }

    #[test]
    fn without_room_nothing_is_said() {
        let socket = |text: &str| text.parse::<std::net::SocketAddr>().unwrap().into();
        let mut sample = Sample::of(crate::wire::Tuple {
            protocol: Protocol::Tcp,
            src: socket("192.0.2.1:1"),
            dst: socket("192.0.2.2:2"),
        });
        sample.payload = b"(1)".to_vec();
        let mut frame = sample.frame();
        let layout = layout(&frame);
        let speech = Speech::new(&layout, 0..3, b"(123456)").unwrap();
        frame.truncate(layout.end.into());
        let before = frame.clone();
        assert_eq!(speech.put(&mut frame), before.len());
        assert_eq!(frame, before);
        assert!(Speech::new(&layout, 0..3, &[b'x'; LONGEST + 1]).is_none());
    }
}
