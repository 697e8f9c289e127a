//! IPv4 datagrams (RFC 791).

use std::borrow::{Borrow, BorrowMut};

use super::bytes::{array_at, put, put_u16, u16_at};
use super::checksum::{Change, Sum};
use super::{Addr, Malformed, view};

/// Length of the header without options, bytes.
pub const LEN: usize = 20;

mod field {
    pub(super) const VERSION_IHL: usize = 0;
    pub(super) const TOS: usize = 1;
    pub(super) const TOTAL_LEN: usize = 2;
    pub(super) const IDENT: usize = 4;
    pub(super) const FRAGMENT: usize = 6;
    pub(super) const TTL: usize = 8;
    pub(super) const PROTOCOL: usize = 9;
    pub(super) const CHECKSUM: usize = 10;
    pub(super) const SRC: usize = 12;
    pub(super) const DST: usize = 16;
}

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

view::header! {
    /// A view of the header without its options.
}

impl<T: Borrow<[u8; LEN]>> Header<T> {
    /// Length with options, bytes, 20 to 60.
    ///
    /// # Errors
    /// [`Malformed::BadVersion`], [`Malformed::BadHeaderLength`].
    #[inline]
    pub fn header_len(&self) -> Result<usize, Malformed> {
        let first = self.0.borrow()[field::VERSION_IHL];
        match (first >> 4, first & 0x0f) {
            (4, words @ 5..) => Ok(usize::from(words) * 4),
            (4, _) => Err(Malformed::BadHeaderLength),
            _ => Err(Malformed::BadVersion),
        }
    }

    /// Length of header and payload, bytes, as the header says.
    #[inline]
    pub fn total_len(&self) -> usize {
        u16_at(self.0.borrow(), field::TOTAL_LEN).into()
    }

    /// Whether this is a part of a datagram, first or later.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.fragment() & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0
    }

    /// Whether this is a part of a datagram other than its first.
    #[inline]
    pub fn is_later_fragment(&self) -> bool {
        self.fragment() & FRAGMENT_OFFSET != 0
    }

    /// Whether routers may not fragment it.
    #[inline]
    pub fn dont_fragment(&self) -> bool {
        self.fragment() & DONT_FRAGMENT != 0
    }

    /// Where the payload stands in that of the whole datagram, bytes.
    #[inline]
    pub fn fragment_offset(&self) -> u16 {
        (self.fragment() & FRAGMENT_OFFSET) * 8
    }

    /// Whether fragments of the datagram follow this one.
    #[inline]
    pub fn more_fragments(&self) -> bool {
        self.fragment() & MORE_FRAGMENTS != 0
    }

    /// What the fragments of one datagram share.
    #[inline]
    pub fn ident(&self) -> u16 {
        u16_at(self.0.borrow(), field::IDENT)
    }

    #[inline]
    fn fragment(&self) -> u16 {
        u16_at(self.0.borrow(), field::FRAGMENT)
    }

    /// Type of service: DSCP and ECN.
    #[inline]
    pub fn tos(&self) -> u8 {
        self.0.borrow()[field::TOS]
    }

    /// Hops left.
    #[inline]
    pub fn ttl(&self) -> u8 {
        self.0.borrow()[field::TTL]
    }

    /// IANA number of the payload's protocol.
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.0.borrow()[field::PROTOCOL]
    }

    /// Header checksum.
    #[inline]
    pub fn checksum(&self) -> u16 {
        u16_at(self.0.borrow(), field::CHECKSUM)
    }

    /// Source address.
    #[inline]
    pub fn src(&self) -> Addr {
        Addr::v4(array_at(self.0.borrow(), field::SRC))
    }

    /// Destination address.
    #[inline]
    pub fn dst(&self) -> Addr {
        Addr::v4(array_at(self.0.borrow(), field::DST))
    }

    /// Sum over the header, `options` included.
    #[inline]
    pub fn sum(&self, options: &[u8]) -> Sum {
        let fixed = Sum::default().bytes(self.0.borrow());
        if options.is_empty() {
            return fixed;
        }
        fixed.bytes(options)
    }
}

impl<T: BorrowMut<[u8; LEN]>> Header<T> {
    /// Sets both addresses, which must be IPv4, and not the checksum.
    #[inline]
    pub fn set_addrs(&mut self, src: Addr, dst: Addr) {
        put(self.0.borrow_mut(), field::SRC, host(src));
        put(self.0.borrow_mut(), field::DST, host(dst));
    }

    /// Sets the header checksum.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        put_u16(self.0.borrow_mut(), field::CHECKSUM, checksum);
    }

    /// Lets routers fragment the datagram, and brings the checksum after it. A whole one gets
    /// `ident` to tell its fragments by: while it could not have any, it needed none (RFC 6864
    /// §4.1).
    pub fn lift_dont_fragment(&mut self, ident: u16) {
        let (flags, old) = (self.fragment(), self.ident());
        let ident = if self.is_fragment() { old } else { ident };
        let lifted = flags & !DONT_FRAGMENT;
        put_u16(self.0.borrow_mut(), field::FRAGMENT, lifted);
        put_u16(self.0.borrow_mut(), field::IDENT, ident);
        let change = Change::default().word(flags, lifted).word(old, ident);
        let checksum = change.apply(self.checksum());
        self.set_checksum(checksum);
    }

    /// Sets the length of header and payload and brings the checksum after it.
    pub fn set_total_len(&mut self, length: u16) {
        let old = u16_at(self.0.borrow(), field::TOTAL_LEN);
        put_u16(self.0.borrow_mut(), field::TOTAL_LEN, length);
        let checksum = Change::default().word(old, length).apply(self.checksum());
        self.set_checksum(checksum);
    }

    /// Sets the hops left and brings the checksum after it.
    #[inline]
    pub fn set_ttl(&mut self, ttl: u8) {
        let bytes = self.0.borrow_mut();
        let old = u16_at(bytes, field::TTL);
        bytes[field::TTL] = ttl;
        let change = Change::default().word(old, u16_at(bytes, field::TTL));
        let checksum = change.apply(self.checksum());
        self.set_checksum(checksum);
    }
}

#[inline]
fn host(addr: Addr) -> [u8; 4] {
    array_at(addr.octets(), 12)
}

/// What a header of our own says; it has no options.
#[derive(Clone, Copy, Debug)]
pub struct Repr {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// IANA number of the payload's protocol.
    pub protocol: u8,
    /// Type of service.
    pub tos: u8,
    /// Hops left.
    pub ttl: u8,
    /// Length of the payload, bytes.
    pub payload: u16,
    /// The identification, if routers may fragment the datagram; else it needs none (RFC 6864
    /// §4.1).
    pub ident: Option<u16>,
}

impl Repr {
    /// Writes the header, its checksum included.
    pub fn write(&self, header: &mut [u8; LEN]) {
        header[field::VERSION_IHL] = 0x45;
        header[field::TOS] = self.tos;
        put_u16(
            header,
            field::TOTAL_LEN,
            self.payload.saturating_add(LEN as u16),
        );
        let flags = match self.ident {
            Some(_) => 0,
            None => DONT_FRAGMENT,
        };
        put_u16(header, field::IDENT, self.ident.unwrap_or(0));
        put_u16(header, field::FRAGMENT, flags);
        header[field::TTL] = self.ttl;
        header[field::PROTOCOL] = self.protocol;
        put_u16(header, field::CHECKSUM, 0);
        let mut header = Header(header);
        header.set_addrs(self.src, self.dst);
        let checksum = header.sum(&[]).checksum();
        header.set_checksum(checksum);
    }
}

/// Option kinds (RFC 791 §3.1).
mod option {
    pub(super) const END: u8 = 0;
    pub(super) const NOP: u8 = 1;
    pub(super) const LOOSE_SOURCE_ROUTE: u8 = 131;
    pub(super) const STRICT_SOURCE_ROUTE: u8 = 137;
}

/// The longest options, bytes.
pub const MAX_OPTIONS: usize = 40;

/// The bit of an option's kind which says that all fragments have it.
const COPIED: u8 = 0x80;

/// Writes those of the `options` into `kept` that fragments other than the first have, filled up
/// to whole words; returns them.
pub fn copied_options<'k>(options: &[u8], kept: &'k mut [u8; MAX_OPTIONS]) -> &'k [u8] {
    let mut rest = options;
    let mut length = 0;
    while let [kind, tail @ ..] = rest {
        rest = match (*kind, tail) {
            (option::END, _) => break,
            (option::NOP, _) => tail,
            (_, [size @ 2..=255, ..]) if usize::from(*size) <= rest.len() => {
                let (this, next) = rest.split_at((*size).into());
                let place = kept.get_mut(length..length + this.len());
                if let Some(place) = place.filter(|_| kind & COPIED != 0) {
                    place.copy_from_slice(this);
                    length += this.len();
                }
                next
            }
            _ => break,
        };
    }
    let padded = length.next_multiple_of(4).min(MAX_OPTIONS);
    kept[length..padded].fill(option::END);
    &kept[..padded]
}

/// Makes a datagram a fragment of another: sets the lengths of it and of its `header`, its place
/// and its checksum.
pub fn set_fragment(datagram: &mut [u8], header: usize, offset: u16, more: bool) {
    let total = datagram.len();
    let Some((fixed, rest)) = datagram.split_first_chunk_mut::<LEN>() else {
        return;
    };
    fixed[field::VERSION_IHL] = 0x40 | (header / 4) as u8;
    put_u16(fixed, field::TOTAL_LEN, total as u16);
    let flag = if more { MORE_FRAGMENTS } else { 0 };
    put_u16(fixed, field::FRAGMENT, flag | (offset / 8));
    put_u16(fixed, field::CHECKSUM, 0);
    let options = rest.get(..header - LEN).unwrap_or_default();
    let mut header = Header(fixed);
    let checksum = header.sum(options).checksum();
    header.set_checksum(checksum);
}

/// Whether the options name a source route, used up or not. Options that cannot be walked
/// to their end are taken as far as they go.
pub fn is_source_routed(options: &[u8]) -> bool {
    let mut rest = options;
    loop {
        rest = match *rest {
            [] | [option::END, ..] => return false,
            [option::LOOSE_SOURCE_ROUTE | option::STRICT_SOURCE_ROUTE, ..] => return true,
            [option::NOP, ref tail @ ..] => tail,
            [_, length @ 2..=255, ..] => match rest.get(length.into()..) {
                Some(tail) => tail,
                None => return false,
            },
            _ => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_routes_are_found_wherever_they_stand() {
        for (options, expected) in [
            (&[][..], false),
            (&[1, 1, 1, 0], false),
            (&[131, 3, 4, 0], true),
            (&[1, 137, 3, 4], true),
            (&[7, 3, 4, 131], true),
            (&[0, 131, 3, 4], false),
            (&[7, 0, 131, 3], false),
            (&[7, 9, 131, 3], false),
            (&[7], false),
        ] {
            assert_eq!(is_source_routed(options), expected, "{options:?}");
        }
    }
}
