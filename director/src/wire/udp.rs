//! UDP datagrams (RFC 768).

use std::borrow::{Borrow, BorrowMut};

use super::bytes::{put_u16, u16_at};
use super::{Malformed, view};

/// Length of the header, bytes.
pub const LEN: usize = 8;

mod field {
    pub(super) const LENGTH: usize = 4;
    pub(super) const CHECKSUM: usize = 6;
}

/// Where the checksum stands, bytes from the start of the header.
pub const CHECKSUM: usize = field::CHECKSUM;

view::header! {
    /// A view of the header.
}

view::ports!();

/// The header of a whole datagram at `bytes`, its length checked.
///
/// # Errors
/// [`Malformed::BadUdpLength`], [`Malformed::Truncated`].
#[inline]
pub fn checked(bytes: &[u8]) -> Result<Header<&[u8; LEN]>, Malformed> {
    let header = header(bytes).ok_or(Malformed::Truncated)?;
    if (LEN..=bytes.len()).contains(&header.length()) {
        Ok(header)
    } else {
        Err(Malformed::BadUdpLength)
    }
}

impl<T: Borrow<[u8; LEN]>> Header<T> {
    /// Length of header and payload, bytes, as the header says.
    #[inline]
    pub fn length(&self) -> usize {
        u16_at(self.0.borrow(), field::LENGTH).into()
    }

    /// Checksum; zero when there is none.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16_at(self.0.borrow(), field::CHECKSUM)
    }
}

impl<T: BorrowMut<[u8; LEN]>> Header<T> {
    /// Sets the checksum.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        put_u16(self.0.borrow_mut(), field::CHECKSUM, checksum);
    }
}

/// What a header of our own says.
#[derive(Clone, Copy, Debug)]
pub struct Repr {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Length of header and payload, bytes.
    pub length: u16,
}

impl Repr {
    /// Writes the header, without a checksum.
    pub fn write(&self, header: &mut [u8; LEN]) {
        Header(&mut *header).set_ports(self.src_port, self.dst_port);
        put_u16(header, field::LENGTH, self.length);
        put_u16(header, field::CHECKSUM, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_checked_against_header_and_datagram() {
        let with_length = |length: u8| [0, 1, 0, 2, 0, length, 0, 0, 0, 0];
        for (length, expected) in [
            (0, Some(Malformed::BadUdpLength)),
            (7, Some(Malformed::BadUdpLength)),
            (8, None),
            (10, None),
            (11, Some(Malformed::BadUdpLength)),
        ] {
            assert_eq!(checked(&with_length(length)).err(), expected, "{length}");
        }
        assert_eq!(checked(&[0; 7]).err(), Some(Malformed::Truncated));
    }
}
