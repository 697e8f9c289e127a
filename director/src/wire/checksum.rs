//! The Internet checksum: in full (RFC 1071) and by what changed (RFC 1624).

use super::{Addr, Version};

/// A ones' complement sum of 16-bit words, carries not yet folded in.
///
/// Room for the carries of any datagram: 32 bits of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// Adds bytes; an odd last byte counts as if a zero followed it.
    #[inline]
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        let mut words = bytes.chunks_exact(4);
        for word in &mut words {
            self.0 += u64::from(big_endian(word));
        }
        self.0 += u64::from(big_endian(words.remainder()));
        self
    }

    /// Adds one word.
    #[inline]
    #[must_use]
    pub const fn word(self, word: u16) -> Self {
        Self(self.0 + word as u64)
    }

    /// The pseudo header of either family (RFC 9293 §3.1, RFC 8200 §8.1); `length` is that of
    /// the upper-layer packet, bytes.
    ///
    /// The mapped prefix of an IPv4 address adds 0xffff, which is zero in ones' complement.
    #[inline]
    pub fn pseudo_header(src: Addr, dst: Addr, protocol: u8, length: u16) -> Self {
        Self::default()
            .bytes(src.octets())
            .bytes(dst.octets())
            .word(length)
            .word(protocol.into())
    }

    /// The sum with all carries folded in.
    #[inline]
    pub const fn fold(self) -> u16 {
        let sum = (self.0 >> 32) + (self.0 & 0xffff_ffff);
        let sum = (sum >> 16) + (sum & 0xffff);
        let sum = (sum >> 16) + (sum & 0xffff);
        ((sum >> 16) + (sum & 0xffff)) as u16
    }

    /// The checksum field that makes data of this sum valid.
    #[inline]
    pub const fn checksum(self) -> u16 {
        !self.fold()
    }

    /// Whether data of this sum, its checksum field included, is valid.
    #[inline]
    pub const fn is_valid(self) -> bool {
        self.fold() == 0xffff
    }
}

/// Up to four bytes as a number, zeros after them.
#[inline]
fn big_endian(bytes: &[u8]) -> u32 {
    match *bytes {
        [] => 0,
        [a] => u32::from_be_bytes([a, 0, 0, 0]),
        [a, b] => u32::from_be_bytes([a, b, 0, 0]),
        [a, b, c] => u32::from_be_bytes([a, b, c, 0]),
        [a, b, c, d, ..] => u32::from_be_bytes([a, b, c, d]),
    }
}

/// IANA number of ICMP, the one protocol whose checksum does not cover the addresses.
pub(super) const ICMP: u8 = 1;

/// The sum over a TCP segment, a UDP datagram or an ICMP message at `bytes`, with the pseudo
/// header where the protocol has one (all but ICMPv4).
pub fn transport(version: Version, src: Addr, dst: Addr, protocol: u8, bytes: &[u8]) -> Sum {
    let length = bytes.len().min(u16::MAX.into()) as u16;
    let start = match (version, protocol) {
        (Version::V4, ICMP) => Sum::default(),
        _ => Sum::pseudo_header(src, dst, protocol, length),
    };
    start.bytes(bytes)
}

/// What has changed in data that a checksum covers: ~m + m' of RFC 1624 §3, over all changes.
///
/// One `Change` can be applied to several checksums that cover the same change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change(u64);

impl Change {
    /// Notes that the word `old` has become `new`.
    #[inline]
    #[must_use]
    pub const fn word(self, old: u16, new: u16) -> Self {
        Self(self.0 + !old as u64 + new as u64)
    }

    /// Notes that two words, as one number, have become `new`.
    #[inline]
    #[must_use]
    pub const fn words(self, old: u32, new: u32) -> Self {
        Self(self.0 + !old as u64 + new as u64)
    }

    /// Notes that an address has become `new`, of the same family.
    #[inline]
    #[must_use]
    pub fn addr(mut self, old: Addr, new: Addr) -> Self {
        for (old, new) in old.words().into_iter().zip(new.words()) {
            self = self.words(old, new);
        }
        self
    }

    /// Both changes.
    #[inline]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The checksum after the change: equation 3, HC' = ~(~HC + ~m + m').
    ///
    /// A checksum that a full computation gave (never 0xffff, as no header is all zeros)
    /// becomes exactly what a full computation gives after the change.
    #[inline]
    pub const fn apply(self, checksum: u16) -> u16 {
        Sum(self.0 + !checksum as u64).checksum()
    }

    /// The same for UDP, where zero on the wire means "no checksum" and stays, and a checksum
    /// that comes out as zero is sent as 0xffff (RFC 768).
    ///
    /// Over IPv6 zero stays too: it is for the end to judge, and a middlebox has to let it
    /// through (RFC 6936).
    #[inline]
    pub const fn apply_udp(self, checksum: u16) -> u16 {
        if checksum == 0 {
            return 0;
        }
        match self.apply(checksum) {
            0 => 0xffff,
            sum => sum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071 as it is written, a word at a time.
    fn reference(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn example_of_rfc_1071() {
        let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().bytes(&data).fold(), 0xddf2);
    }

    #[test]
    fn example_of_rfc_1624() {
        // §4: HC = 0xdd2f, m = 0x5555, m' = 0x3285 gives 0x0000, where RFC 1141 gave 0xffff.
        assert_eq!(Change::default().word(0x5555, 0x3285).apply(0xdd2f), 0x0000);
    }

    #[test]
    fn udp_corners() {
        let change = Change::default().word(0x5555, 0x3285);
        assert_eq!(change.apply_udp(0xdd2f), 0xffff);
        assert_eq!(change.apply_udp(0), 0);
        assert_eq!(Change::default().apply_udp(0xffff), 0xffff);
    }

    proptest! {
        #[test]
        fn sum_is_that_of_the_rfc(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Sum::default().bytes(&bytes).checksum(), reference(&bytes));
        }

        #[test]
        fn parts_sum_like_the_whole(
            head in proptest::collection::vec(any::<[u8; 2]>(), 0..50),
            tail in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let head = head.concat();
            let parts = Sum::default().bytes(&head).bytes(&tail);
            let whole = Sum::default().bytes(&[head, tail].concat());
            prop_assert_eq!(parts.fold(), whole.fold());
        }

        #[test]
        fn change_equals_full_computation(
            mut data in proptest::collection::vec(
                prop_oneof![Just(0u8), Just(0xff), any::<u8>()],
                4..60,
            ),
            at in any::<prop::sample::Index>(),
            new in prop_oneof![Just(0u16), Just(0xffff), any::<u16>()],
        ) {
            data.resize(data.len() & !1, 0);
            data[0] = 0x45;
            let before = reference(&data);
            let at = 2 + at.index((data.len() - 2) / 2) * 2;
            let old = u16::from_be_bytes([data[at], data[at + 1]]);
            data[at..at + 2].copy_from_slice(&new.to_be_bytes());
            prop_assert_eq!(Change::default().word(old, new).apply(before), reference(&data));
        }
    }
}
