//! Where the addresses of real servers fall, so that the gate looks few others up (`real_bits` of
//! `bpf/filter.h`).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use libbpf_rs::MapHandle;
use parking_lot::Mutex;

use super::memory::Array;
use crate::wire::Addr;

/// Bits of a word.
const BITS: usize = 64;

/// How many real servers stand behind each bit.
#[derive(Debug)]
pub(super) struct Reals {
    map: MapHandle,
    words: Array<AtomicU64>,
    counts: Mutex<Box<[u32]>>,
}

impl Reals {
    pub(super) fn of(map: MapHandle) -> libbpf_rs::Result<Self> {
        let words = Array::map(&map)?;
        let counts = vec![0; words.len() * BITS];
        Ok(Self {
            map,
            words,
            counts: Mutex::new(counts.into()),
        })
    }

    pub(super) const fn map(&self) -> &MapHandle {
        &self.map
    }

    /// A real server has come.
    pub(super) fn enter(&self, addr: Addr) {
        self.change(addr, |count| count.saturating_add(1));
    }

    /// One has gone.
    pub(super) fn leave(&self, addr: Addr) {
        self.change(addr, |count| count.saturating_sub(1));
    }

    /// Whether there may be one at this address.
    pub(super) fn hold(&self, addr: Addr) -> bool {
        self.counts.lock()[place_of(addr)] > 0
    }

    fn change(&self, addr: Addr, change: impl Fn(u32) -> u32) {
        let place = place_of(addr);
        let (word, bit) = (&self.words[place / BITS], 1 << (place % BITS));
        let mut counts = self.counts.lock();
        counts[place] = change(counts[place]);
        match counts[place] {
            0 => word.fetch_and(!bit, Relaxed),
            _ => word.fetch_or(bit, Relaxed),
        };
    }
}

/// As `may_be_real` finds it.
fn place_of(addr: Addr) -> usize {
    addr.folded().wrapping_mul(0x9e37_79b1) as usize >> 20
}
