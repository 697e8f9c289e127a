//! SCTP packets (RFC 9260 §3).

use std::borrow::{Borrow, BorrowMut};

use super::Malformed;
use super::bytes::{put, u16_at, u32_at};
use super::{crc32c, view};

/// Length of the common header, bytes; the chunks follow.
pub const LEN: usize = 12;

/// Length of the header of a chunk, bytes.
pub const CHUNK_LEN: usize = 4;

/// The most chunks of a packet that are looked at. Those that say something about the association
/// come before the data (RFC 9260 §6.10).
pub const MAX_CHUNKS: usize = 8;

mod field {
    pub(super) const TAG: usize = 4;
    pub(super) const CHECKSUM: usize = 8;
}

/// Chunk types (RFC 9260 §3.2, RFC 3168 for the two of ECN).
pub mod kind {
    /// User data.
    pub const DATA: u8 = 0;
    /// The first packet of an association.
    pub const INIT: u8 = 1;
    /// The answer to it.
    pub const INIT_ACK: u8 = 2;
    /// An end gives up.
    pub const ABORT: u8 = 6;
    /// No more data from the sender.
    pub const SHUTDOWN: u8 = 7;
    /// The answer to it.
    pub const SHUTDOWN_ACK: u8 = 8;
    /// Something was wrong, the association lives on.
    pub const ERROR: u8 = 9;
    /// The state that INIT ACK has handed out comes back.
    pub const COOKIE_ECHO: u8 = 10;
    /// The answer to it.
    pub const COOKIE_ACK: u8 = 11;
    /// The last packet of an association.
    pub const SHUTDOWN_COMPLETE: u8 = 14;
}

view::header! {
    /// A view of the common header.
}

view::ports!();

/// The header of a whole packet at `bytes`, which has at least one chunk.
///
/// # Errors
/// [`Malformed::BadSctpChunk`], [`Malformed::Truncated`].
#[inline]
pub fn checked(bytes: &[u8]) -> Result<Header<&[u8; LEN]>, Malformed> {
    let header = header(bytes).ok_or(Malformed::Truncated)?;
    match chunks(bytes).next() {
        Some(_) => Ok(header),
        None => Err(Malformed::BadSctpChunk),
    }
}

/// Whether the checksum of the packet at `bytes` is right.
pub fn is_intact(bytes: &[u8]) -> bool {
    let Some((head, chunks)) = bytes.split_at_checked(LEN) else {
        return false;
    };
    let sum = crc32c::of(&[&head[..field::CHECKSUM], &[0; 4], chunks]);
    header(head).is_some_and(|header| header.checksum() == sum)
}

/// The first chunks of the packet at `bytes`, [`MAX_CHUNKS`] at most; one that does not fit ends
/// them.
#[inline]
pub fn chunks(bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    Chunks(bytes.get(LEN..).unwrap_or_default()).take(MAX_CHUNKS)
}

/// A part of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// What it is, of [`kind`].
    pub kind: u8,
    /// Bits whose meaning is the kind's.
    pub flags: u8,
    /// What follows its header, without padding.
    pub value: &'a [u8],
}

struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    #[inline]
    fn next(&mut self) -> Option<Chunk<'a>> {
        let head: &[u8; CHUNK_LEN] = self.0.first_chunk()?;
        let length = usize::from(u16_at(head, 2));
        let value = self.0.get(CHUNK_LEN..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Chunk {
            kind: head[0],
            flags: head[1],
            value,
        })
    }
}

impl<T: Borrow<[u8; LEN]>> Header<T> {
    /// Verification tag.
    #[inline]
    pub fn tag(&self) -> u32 {
        u32_at(self.0.borrow(), field::TAG)
    }

    /// Checksum, as the number that [`super::crc32c`] reckons with: the only field that is not
    /// big-endian (RFC 9260 appendix A).
    #[inline]
    pub fn checksum(&self) -> u32 {
        u32_at(self.0.borrow(), field::CHECKSUM).swap_bytes()
    }
}

impl<T: BorrowMut<[u8; LEN]>> Header<T> {
    /// Sets the checksum.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u32) {
        put(self.0.borrow_mut(), field::CHECKSUM, checksum.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(chunks: &[u8]) -> Vec<u8> {
        [&[0, 7, 0, 9, 1, 2, 3, 4, 0, 0, 0, 0], chunks].concat()
    }

    #[test]
    fn a_packet_has_a_chunk_that_fits() {
        for (chunks, expected) in [
            (&[][..], Some(Malformed::BadSctpChunk)),
            (&[1, 0, 0], Some(Malformed::BadSctpChunk)),
            (&[1, 0, 0, 3], Some(Malformed::BadSctpChunk)),
            (&[1, 0, 0, 4], None),
            (&[1, 0, 0, 5], Some(Malformed::BadSctpChunk)),
            (&[1, 0, 0, 5, 9], None),
        ] {
            assert_eq!(checked(&packet(chunks)).err(), expected, "{chunks:?}");
        }
        assert_eq!(checked(&[0; 11]).err(), Some(Malformed::Truncated));
    }

    #[test]
    fn chunks_are_padded_to_words_and_end_where_one_does_not_fit() {
        let bytes = packet(&[10, 0, 0, 5, 9, 0, 0, 0, 6, 1, 0, 4, 0, 0, 0, 3]);
        let found: Vec<_> = chunks(&bytes)
            .map(|chunk| (chunk.kind, chunk.flags, chunk.value))
            .collect();
        assert_eq!(found, [(10, 0, &[9][..]), (6, 1, &[])]);
        let many = packet(&[3, 0, 0, 4].repeat(20));
        assert_eq!(chunks(&many).count(), MAX_CHUNKS);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(chunks(&bytes).count() <= MAX_CHUNKS);
        }
    }
}
