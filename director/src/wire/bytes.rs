//! Big-endian fields at fixed places of a header.
//!
//! `at` is always a constant of the protocol's field table, so these bounds are settled when
//! the code is compiled; no byte from the network takes part in them.

#[inline]
pub(super) fn u16_at<const LEN: usize>(bytes: &[u8; LEN], at: usize) -> u16 {
    u16::from_be_bytes(array_at(bytes, at))
}

#[inline]
pub(super) fn u32_at<const LEN: usize>(bytes: &[u8; LEN], at: usize) -> u32 {
    u32::from_be_bytes(array_at(bytes, at))
}

#[inline]
pub(super) fn array_at<const N: usize, const LEN: usize>(bytes: &[u8; LEN], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

#[inline]
pub(super) fn put<const N: usize, const LEN: usize>(
    bytes: &mut [u8; LEN],
    at: usize,
    field: [u8; N],
) {
    bytes[at..at + N].copy_from_slice(&field);
}

#[inline]
pub(super) fn put_u16<const LEN: usize>(bytes: &mut [u8; LEN], at: usize, value: u16) {
    put(bytes, at, value.to_be_bytes());
}

#[inline]
pub(super) fn put_u32<const LEN: usize>(bytes: &mut [u8; LEN], at: usize, value: u32) {
    put(bytes, at, value.to_be_bytes());
}
