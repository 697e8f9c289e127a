//! An error about a datagram that the director has sent on, and that has come back to it.

use super::{Answer, MAX_ERROR_V6, header_len, quoted};
use crate::wire::{Layout, Piece, Version, ethernet, icmp, ipv6};

/// As much as an error quotes of any datagram, bytes.
pub const LONGEST_QUOTE: usize = MAX_ERROR_V6 - ipv6::LEN - icmp::LEN;

/// Writes the error by which the destination of a datagram tells its sender what `repr` says, to the start
/// of `buffer`; the stations are left to the caller. `quote` is the beginning of the datagram. Returns the
/// length of the frame, or nothing when that is too little or the buffer too short.
pub fn hand_back(
    buffer: &mut [u8],
    version: Version,
    repr: &icmp::Repr,
    quote: &[u8],
) -> Option<usize> {
    let [src, dst] = layout(version, 0, 0).addrs(quote)?;
    let quote = quote.get(..quoted(version)).unwrap_or(quote);
    let layout = layout(version, ethernet::LEN, quote.len());
    buffer.get_mut(..ethernet::LEN)?.fill(0);
    ethernet::header_mut(buffer)?.set_ethertype(match version {
        Version::V4 => ethernet::IPV4,
        Version::V6 => ethernet::IPV6,
    });
    let answer = Answer::error(version, dst, src, quote.len());
    let message = answer.message(buffer, &layout)?;
    message.get_mut(icmp::LEN..)?.copy_from_slice(quote);
    answer.report(buffer, &layout, repr)
}

/// Where an error that quotes so many bytes stands.
const fn layout(version: Version, network: usize, quote: usize) -> Layout {
    let transport = network + header_len(version);
    Layout {
        version,
        network: network as u16,
        transport: transport as u16,
        end: (transport + icmp::LEN + quote) as u16,
        piece: Piece::Whole,
    }
}
