//! IPv6 packets and their extension headers (RFC 8200).

use std::borrow::{Borrow, BorrowMut};

use super::bytes::{array_at, put, put_u16, put_u32, u16_at, u32_at};
use super::{Addr, Malformed, view};

/// Length of the fixed header, bytes.
pub const LEN: usize = 40;

/// The most extension headers that are followed; a longer chain is no traffic that anyone
/// means well with (RFC 8504 §5.3 lets a node set such a limit).
pub const MAX_EXTENSIONS: usize = 8;

/// The bits of the flow label.
const FLOW: u32 = 0x000f_ffff;

mod field {
    pub(super) const VERSION_CLASS_FLOW: usize = 0;
    pub(super) const PAYLOAD_LEN: usize = 4;
    pub(super) const NEXT_HEADER: usize = 6;
    pub(super) const HOP_LIMIT: usize = 7;
    pub(super) const SRC: usize = 8;
    pub(super) const DST: usize = 24;
}

view::header! {
    /// A view of the fixed header.
}

impl<T: Borrow<[u8; LEN]>> Header<T> {
    /// IP version.
    #[inline]
    pub fn version(&self) -> u8 {
        self.0.borrow()[field::VERSION_CLASS_FLOW] >> 4
    }

    /// Traffic class: DSCP and ECN.
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        (u16_at(self.0.borrow(), field::VERSION_CLASS_FLOW) >> 4) as u8
    }

    /// Length of all that follows the fixed header, bytes, as the header says.
    #[inline]
    pub fn payload_len(&self) -> usize {
        u16_at(self.0.borrow(), field::PAYLOAD_LEN).into()
    }

    /// IANA number of the header that follows.
    #[inline]
    pub fn next_header(&self) -> u8 {
        self.0.borrow()[field::NEXT_HEADER]
    }

    /// Hops left.
    #[inline]
    pub fn hop_limit(&self) -> u8 {
        self.0.borrow()[field::HOP_LIMIT]
    }

    /// Source address.
    #[inline]
    pub fn src(&self) -> Addr {
        Addr::v6(array_at(self.0.borrow(), field::SRC))
    }

    /// Destination address.
    #[inline]
    pub fn dst(&self) -> Addr {
        Addr::v6(array_at(self.0.borrow(), field::DST))
    }
}

impl<T: BorrowMut<[u8; LEN]>> Header<T> {
    /// Sets both addresses, which must be IPv6.
    #[inline]
    pub fn set_addrs(&mut self, src: Addr, dst: Addr) {
        put(self.0.borrow_mut(), field::SRC, *src.octets());
        put(self.0.borrow_mut(), field::DST, *dst.octets());
    }

    /// Sets the length of what follows the header, bytes.
    pub fn set_payload_len(&mut self, length: u16) {
        put_u16(self.0.borrow_mut(), field::PAYLOAD_LEN, length);
    }

    /// Sets the hops left.
    #[inline]
    pub fn set_hop_limit(&mut self, hops: u8) {
        self.0.borrow_mut()[field::HOP_LIMIT] = hops;
    }
}

/// What a header of our own says.
#[derive(Clone, Copy, Debug)]
pub struct Repr {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// IANA number of the payload's protocol.
    pub next_header: u8,
    /// Hops left.
    pub hop_limit: u8,
    /// Length of the payload, bytes.
    pub payload: u16,
    /// Traffic class.
    pub class: u8,
    /// Flow label, 20 bits.
    pub flow: u32,
}

impl Repr {
    /// Writes the header.
    pub fn write(&self, header: &mut [u8; LEN]) {
        let class_and_flow = u32::from(self.class) << 20 | self.flow & FLOW;
        put_u32(header, field::VERSION_CLASS_FLOW, 6 << 28 | class_and_flow);
        put_u16(header, field::PAYLOAD_LEN, self.payload);
        header[field::NEXT_HEADER] = self.next_header;
        header[field::HOP_LIMIT] = self.hop_limit;
        Header(header).set_addrs(self.src, self.dst);
    }
}

/// Extension headers that are followed (RFC 8200 §4).
mod extension {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const DESTINATION: u8 = 60;
}

/// Where the chain of extension headers ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// IANA number of the upper-layer protocol.
    pub protocol: u8,
    /// Length of all extension headers, bytes.
    pub length: usize,
    /// What a fragment header said, if there is one.
    pub fragment: Piece,
}

/// How much of the datagram a packet holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Piece {
    /// All of it; an atomic fragment (RFC 6946) too.
    #[default]
    Whole,
    /// Its first fragment.
    First,
    /// A fragment further on, which does not hold the upper-layer header.
    Later,
}

/// Follows the extension headers in `bytes`, which begin after the fixed header; `first` is
/// its next header. A later fragment ends the chain: what follows is payload.
///
/// # Errors
/// [`Malformed::BadExtension`], [`Malformed::TooManyExtensions`], and
/// [`Malformed::SourceRouted`] when a routing header still has segments to visit.
#[inline]
pub fn chain(first: u8, bytes: &[u8]) -> Result<Chain, Malformed> {
    let chain = Chain {
        protocol: first,
        length: 0,
        fragment: Piece::Whole,
    };
    match is_extension(first) {
        true => follow_all(chain, bytes),
        false => Ok(chain),
    }
}

fn follow_all(mut chain: Chain, bytes: &[u8]) -> Result<Chain, Malformed> {
    for _ in 0..MAX_EXTENSIONS {
        chain = follow(chain, bytes)?;
        if !is_extension(chain.protocol) || chain.fragment == Piece::Later {
            return Ok(chain);
        }
    }
    Err(Malformed::TooManyExtensions)
}

#[inline]
const fn is_extension(protocol: u8) -> bool {
    use extension::{DESTINATION, FRAGMENT, HOP_BY_HOP, ROUTING};
    matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION)
}

/// One step of the chain: over the extension header at `chain.length`.
fn follow(chain: Chain, bytes: &[u8]) -> Result<Chain, Malformed> {
    let header: &[u8; 8] = bytes
        .get(chain.length..)
        .and_then(<[u8]>::first_chunk)
        .ok_or(Malformed::BadExtension)?;
    let [next, length_or_reserved, _, segments_left, ..] = *header;
    let mut length = 8 + usize::from(length_or_reserved) * 8;
    let mut fragment = chain.fragment;
    match chain.protocol {
        extension::HOP_BY_HOP if chain.length != 0 => return Err(Malformed::BadExtension),
        extension::ROUTING if segments_left != 0 => return Err(Malformed::SourceRouted),
        extension::FRAGMENT => {
            length = 8;
            fragment = fragment.within(piece(u16_at(header, 2)));
        }
        _ => {}
    }
    let length = chain.length + length;
    if length > bytes.len() {
        return Err(Malformed::BadExtension);
    }
    Ok(Chain {
        protocol: next,
        length,
        fragment,
    })
}

/// Reads offset (13 bits), two reserved bits and the M flag of a fragment header.
const fn piece(offset_and_flags: u16) -> Piece {
    match (offset_and_flags >> 3, offset_and_flags & 1) {
        (0, 0) => Piece::Whole,
        (0, _) => Piece::First,
        _ => Piece::Later,
    }
}

/// The fragment header (RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentHeader {
    /// IANA number of the header that follows.
    pub next: u8,
    /// Where what follows begins, counted from the end of the fixed header.
    pub end: usize,
    /// Where it stands in that of the whole packet, bytes.
    pub offset: u16,
    /// Whether fragments follow this one.
    pub more: bool,
    /// What the fragments of one packet share.
    pub ident: u32,
}

/// The fragment header in `bytes`, which begin after the fixed header; `first` is its next
/// header.
///
/// # Errors
/// As [`chain`], and [`Malformed::Fragment`] when there is none.
pub fn fragment_header(first: u8, bytes: &[u8]) -> Result<FragmentHeader, Malformed> {
    let mut chain = Chain {
        protocol: first,
        length: 0,
        fragment: Piece::Whole,
    };
    for _ in 0..MAX_EXTENSIONS {
        if !is_extension(chain.protocol) {
            return Err(Malformed::Fragment);
        }
        let start = chain.length;
        chain = follow(chain, bytes)?;
        if chain.fragment != Piece::Whole {
            let header: &[u8; 8] = bytes
                .get(start..)
                .and_then(<[u8]>::first_chunk)
                .ok_or(Malformed::BadExtension)?;
            let offset_and_flags = u16_at(header, 2);
            return Ok(FragmentHeader {
                next: chain.protocol,
                end: chain.length,
                offset: offset_and_flags & !7,
                more: offset_and_flags & 1 != 0,
                ident: u32_at(header, 4),
            });
        }
    }
    Err(Malformed::TooManyExtensions)
}

impl Piece {
    /// What is left when a part holds a part: for a chain with more than one fragment header.
    const fn within(self, other: Self) -> Self {
        match (self, other) {
            (Self::Later, _) | (_, Self::Later) => Self::Later,
            (Self::First, _) | (_, Self::First) => Self::First,
            _ => Self::Whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: u8 = 6;

    fn options(next: u8, words: u8) -> Vec<u8> {
        let mut header = vec![0; 8 + usize::from(words) * 8];
        header[0] = next;
        header[1] = words;
        header
    }

    fn fragment(next: u8, offset_and_flags: u16) -> Vec<u8> {
        let [high, low] = offset_and_flags.to_be_bytes();
        vec![next, 0xff, high, low, 0, 0, 0, 1]
    }

    fn end(protocol: u8, length: usize, fragment: Piece) -> Result<Chain, Malformed> {
        Ok(Chain {
            protocol,
            length,
            fragment,
        })
    }

    #[test]
    fn chains() {
        use Malformed::{BadExtension, SourceRouted, TooManyExtensions};
        use Piece::{First, Later, Whole};
        let routed = [&[TCP, 0, 0, 1][..], &[0; 4]].concat();
        for (first, bytes, expected) in [
            (TCP, vec![], end(TCP, 0, Whole)),
            (0, options(TCP, 0), end(TCP, 8, Whole)),
            (60, options(TCP, 2), end(TCP, 24, Whole)),
            (
                0,
                [options(60, 1), options(TCP, 0)].concat(),
                end(TCP, 24, Whole),
            ),
            (
                60,
                [options(0, 0), options(TCP, 0)].concat(),
                Err(BadExtension),
            ),
            (43, options(TCP, 0), end(TCP, 8, Whole)),
            (43, routed, Err(SourceRouted)),
            (44, fragment(TCP, 0), end(TCP, 8, Whole)),
            (44, fragment(TCP, 1), end(TCP, 8, First)),
            (44, fragment(60, 8), end(60, 8, Later)),
            (60, options(TCP, 2)[..23].to_vec(), Err(BadExtension)),
            (60, vec![TCP], Err(BadExtension)),
            (
                60,
                [options(60, 0).repeat(7), options(TCP, 0)].concat(),
                end(TCP, 64, Whole),
            ),
            (60, options(60, 0).repeat(9), Err(TooManyExtensions)),
        ] {
            assert_eq!(chain(first, &bytes), expected, "{first} {bytes:?}");
        }
    }
}
