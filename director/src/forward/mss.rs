//! The maximum segment size option of a SYN (RFC 9293 §3.7.1), lowered to what a tunnel takes.

use crate::wire::checksum::Change;
use crate::wire::tcp::{self, Flags};

/// Option kinds.
mod option {
    pub(super) const END: u8 = 0;
    pub(super) const NOP: u8 = 1;
    pub(super) const MSS: u8 = 2;
}

/// Lowers the MSS that a SYN offers to `most`, and brings the checksum after it. Any other
/// segment, and a SYN that offers none or less, stays as it is.
pub fn clamp_mss(segment: &mut [u8], most: u16) {
    let Some(header) = tcp::header(segment) else {
        return;
    };
    let (is_syn, end, checksum) = (
        header.flags().has(Flags::SYN),
        header.data_offset(),
        header.checksum(),
    );
    if !is_syn {
        return;
    }
    let Some(at) = mss_at(segment.get(..end).unwrap_or_default()) else {
        return;
    };
    let Some(field) = segment.get_mut(at..).and_then(<[u8]>::first_chunk_mut) else {
        return;
    };
    let old = u16::from_be_bytes(*field);
    if old <= most {
        return;
    }
    *field = most.to_be_bytes();
    // At an odd place each byte stands in the other half of its word.
    let change = match at % 2 {
        0 => Change::default().word(old, most),
        _ => Change::default().word(old.swap_bytes(), most.swap_bytes()),
    };
    if let Some(mut header) = tcp::header_mut(segment) {
        header.set_checksum(change.apply(checksum));
    }
}

/// Where the value of the MSS option stands in a header.
fn mss_at(header: &[u8]) -> Option<usize> {
    let mut at = tcp::LEN;
    loop {
        at = match *header.get(at..)? {
            [] | [option::END, ..] => return None,
            [option::NOP, ..] => at + 1,
            [option::MSS, 4, _, _, ..] => return Some(at + 2),
            [_, length @ 2..=255, ..] => at + usize::from(length),
            _ => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pnet_packet::util;
    use proptest::prelude::*;

    /// A segment with these options and a right checksum (without pseudo header).
    fn segment(flags: u8, options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 20];
        bytes.extend(options);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes[12] = (bytes.len() as u8 / 4) << 4;
        bytes[13] = flags;
        bytes.extend(b"data");
        seal(&mut bytes);
        bytes
    }

    fn seal(bytes: &mut [u8]) {
        let sum = util::checksum(bytes, 8);
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    }

    #[test]
    fn only_a_larger_offer_of_a_syn_is_lowered() {
        const SYN: u8 = Flags::SYN;
        for (flags, options, clamped) in [
            (SYN, &[2, 4, 5, 180][..], true),
            (SYN, &[1, 2, 4, 5, 180], true),
            (SYN, &[3, 3, 7, 2, 4, 5, 180], true),
            (SYN | Flags::ACK, &[2, 4, 5, 180], true),
            (SYN, &[2, 4, 5, 100], false),
            (Flags::ACK, &[2, 4, 5, 180], false),
            (SYN, &[0, 2, 4, 5, 180], false),
            (SYN, &[2, 3, 5, 180], false),
            (SYN, &[8, 0, 2, 4, 5, 180], false),
            (SYN, &[], false),
        ] {
            let before = segment(flags, options);
            let mut after = before.clone();
            clamp_mss(&mut after, 1440);
            assert_eq!(after != before, clamped, "{options:?}");
            let mut sealed = after.clone();
            seal(&mut sealed);
            assert_eq!(after, sealed, "{options:?}");
            if clamped {
                assert!(after.windows(4).any(|w| w == [2, 4, 5, 160]));
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let length = bytes.len();
            clamp_mss(&mut bytes, 1000);
            prop_assert_eq!(bytes.len(), length);
        }
    }
}
