//! The checksum of SCTP, CRC32c (RFC 9260 appendix A), by what changed.
//!
//! A CRC is linear: when bits of a message flip, the CRC changes by that of a message which is
//! zero but for these bits, whatever the message is. So a new one needs none of the bytes that
//! stayed, and a wrong one stays wrong.

/// x^32 + x^28 + ... + 1, the highest power of x in the lowest bit.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// `BYTES[n]` is x to the power of 8 * 2^n: what 2^n bytes that follow multiply by.
const BYTES: [u32; 16] = {
    let mut powers = [1 << (31 - 8); 16];
    let mut n = 1;
    while n < powers.len() {
        powers[n] = multiply(powers[n - 1], powers[n - 1]);
        n += 1;
    }
    powers
};

/// The checksum of a message, in full. For what is seldom done: it goes bit by bit.
pub fn of(parts: &[&[u8]]) -> u32 {
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| times_x(crc));
    !parts.iter().copied().flatten().fold(!0, byte)
}

/// The checksum of a message of `length` bytes, after its first four, as a big-endian number,
/// have become `new`.
pub fn after_change_of_head(checksum: u32, length: u16, old: u32, new: u32) -> u32 {
    checksum ^ shift((old ^ new).swap_bytes(), length)
}

/// `value` multiplied by what so many bytes that follow multiply by.
fn shift(value: u32, bytes: u16) -> u32 {
    BYTES
        .iter()
        .enumerate()
        .filter(|(n, _)| bytes >> n & 1 == 1)
        .fold(value, |value, (_, &power)| multiply(value, power))
}

/// The product of a polynomial and x, modulo [`POLYNOMIAL`].
const fn times_x(a: u32) -> u32 {
    (a >> 1) ^ ((a & 1) * POLYNOMIAL)
}

/// The product of two polynomials, modulo [`POLYNOMIAL`].
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 1 << 31;
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = times_x(b);
        bit >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn checksums_of_rfc_3720() {
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(of(&[&[0; 32]]), 0x8a91_36aa);
        assert_eq!(of(&[&[0xff; 20], &[0xff; 12]]), 0x62a8_ab43);
        assert_eq!(of(&[&rising]), 0x46dd_794e);
    }

    proptest! {
        #[test]
        fn a_change_of_the_head_gives_what_the_whole_gives(
            mut bytes in prop::collection::vec(any::<u8>(), 4..2000),
            new: [u8; 4],
        ) {
            let before = of(&[&bytes]);
            let old: [u8; 4] = bytes[..4].try_into().unwrap();
            bytes[..4].copy_from_slice(&new);
            let changed = after_change_of_head(
                before,
                bytes.len() as u16,
                u32::from_be_bytes(old),
                u32::from_be_bytes(new),
            );
            prop_assert_eq!(changed, of(&[&bytes]));
        }
    }
}
