//! What the hashing schedulers of the kernel hash, and how: with the same numbers, so that a
//! client finds the same real server behind either.

use crate::service::Newcomer;
use crate::wire::Addr;
use adminapi::model::SchedulerFlag;

/// An address in 32 bits: IPv4 as it is, of IPv6 the four words xored.
pub(super) fn fold(addr: Addr) -> u32 {
    match addr.to_v4() {
        Some(octets) => u32::from_be_bytes(octets),
        None => addr
            .words()
            .into_iter()
            .fold(0, |folded, word| folded ^ word),
    }
}

/// What stands for the client: its folded address, plus its port when the service says so.
pub(super) fn client(newcomer: &Newcomer<'_>) -> u32 {
    let port = match newcomer.flags.has(SchedulerFlag::Port) {
        true => newcomer.tuple.src.port,
        false => 0,
    };
    fold(newcomer.tuple.src.addr).wrapping_add(port.into())
}

/// Multiplicative hashing into 2^`bits` buckets (`hash_32` of `linux/hash.h`).
pub(super) const fn multiplicative(value: u32, bits: u32) -> u32 {
    const GOLDEN_RATIO: u32 = 0x61c8_8647;
    value.wrapping_mul(GOLDEN_RATIO) >> (u32::BITS - bits)
}
