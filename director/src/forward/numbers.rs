//! The numbers of a TCP segment, changed on its way.

use crate::wire::checksum::{Change, Sum};
use crate::wire::tcp;

/// Sets the sequence number, and brings the checksum after it.
pub fn set_seq(segment: &mut [u8], seq: u32) {
    if let Some(mut header) = tcp::header_mut(segment) {
        let change = Change::default().words(header.seq(), seq);
        header.set_seq(seq);
        let checksum = change.apply(header.checksum());
        header.set_checksum(checksum);
    }
}

/// Has a segment acknowledge what its numbers `mean`, in its SACK blocks too (RFC 2018), and brings
/// the checksum after them.
pub fn change_acks(segment: &mut [u8], mean: impl Fn(u32) -> u32) {
    amend(segment, |header| shift_acks(header, mean));
}

/// The same, and the checksum is left behind.
pub(super) fn shift_acks(header: &mut [u8], mean: impl Fn(u32) -> u32) {
    if let Some(mut header) = tcp::header_mut(header) {
        let ack = mean(header.ack());
        header.set_ack(ack);
    }
    let options = header.get_mut(tcp::LEN..).unwrap_or_default();
    for edge in tcp::sack_edges(options) {
        *edge = mean(u32::from_be_bytes(*edge)).to_be_bytes();
    }
}

/// Changes the header of a segment, options included, and brings its checksum after that.
pub(super) fn amend(segment: &mut [u8], change: impl FnOnce(&mut [u8])) {
    let Ok(header) = tcp::checked(segment) else {
        return;
    };
    let (checksum, end) = (header.checksum(), header.data_offset());
    let Some(header) = segment.get_mut(..end) else {
        return;
    };
    let sum = |header: &[u8]| Sum::default().bytes(header).fold();
    let before = sum(header);
    change(header);
    let change = Change::default().word(before, sum(header));
    if let Some(mut header) = tcp::header_mut(header) {
        header.set_checksum(change.apply(checksum));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pnet_packet::util;
    use proptest::prelude::*;

    /// A segment with these numbers and options, and a right checksum (without pseudo header).
    fn segment(seq: u32, ack: u32, options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 20];
        bytes[4..8].copy_from_slice(&seq.to_be_bytes());
        bytes[8..12].copy_from_slice(&ack.to_be_bytes());
        bytes.extend(options);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes[12] = (bytes.len() as u8 / 4) << 4;
        bytes[13] = 0x10;
        bytes.extend(b"data");
        let sum = util::checksum(&bytes, 8);
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn blocks(edges: &[u32]) -> Vec<u8> {
        edges.iter().flat_map(|edge| edge.to_be_bytes()).collect()
    }

    #[test]
    fn all_numbers_are_changed_and_nothing_else() {
        let timestamp = [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
        for before in [&[][..], &[1, 1], &[1], &timestamp] {
            let with = |by: u32| {
                let edges = blocks(&[2000 + by, 3000 + by, 5000 + by, 6000 + by]);
                let options = [before, &[5, 18], &edges].concat();
                segment(7, 1000 + by, &options)
            };
            let mut changed = with(0);
            change_acks(&mut changed, |number| number + 9);
            assert_eq!(changed, with(9), "{before:?}");
            set_seq(&mut changed, 4);
            assert_eq!(changed[4..8], [0, 0, 0, 4]);
            set_seq(&mut changed, 7);
            assert_eq!(changed, with(9));
        }
        let end = [0, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2];
        let mut cut = segment(7, 1, &end);
        change_acks(&mut cut, |number| number + 1);
        assert_eq!(
            cut,
            segment(7, 2, &end),
            "what is behind the end is nothing"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let length = bytes.len();
            change_acks(&mut bytes, |number| number.wrapping_add(1));
            prop_assert_eq!(bytes.len(), length);
        }
    }
}
