//! Where the addresses of real servers fall, so that the gate looks few others up (`real_places` of
//! `bpf/filter.h`).

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use parking_lot::Mutex;

use super::GateError;
use crate::wire::Addr;

/// `REAL_WORDS`.
const WORDS: usize = 64;

/// Bits of a word.
const BITS: usize = 64;

/// The map, and how many real servers stand behind each bit.
#[derive(Debug)]
pub(super) struct Reals {
    map: MapHandle,
    counts: Mutex<Box<[u32]>>,
}

impl Reals {
    pub(super) fn of(map: MapHandle) -> Self {
        Self {
            map,
            counts: Mutex::new(vec![0; WORDS * BITS].into()),
        }
    }

    pub(super) const fn map(&self) -> &MapHandle {
        &self.map
    }

    /// A real server has come.
    pub(super) fn enter(&self, addr: Addr) -> Result<(), GateError> {
        self.change(addr, |count| count.saturating_add(1))
    }

    /// One has gone.
    pub(super) fn leave(&self, addr: Addr) -> Result<(), GateError> {
        self.change(addr, |count| count.saturating_sub(1))
    }

    /// Whether there may be one at this address.
    pub(super) fn hold(&self, addr: Addr) -> bool {
        self.counts.lock()[place_of(addr)] > 0
    }

    fn change(&self, addr: Addr, change: impl Fn(u32) -> u32) -> Result<(), GateError> {
        let place = place_of(addr);
        let mut counts = self.counts.lock();
        let before = counts[place];
        counts[place] = change(before);
        let slot = place / BITS;
        let of_word = &counts[slot * BITS..][..BITS];
        let word = of_word
            .iter()
            .rev()
            .fold(0, |word, count| word << 1 | u64::from(*count > 0));
        let key = (slot as u32).to_ne_bytes();
        let written = self.map.update(&key, &word.to_ne_bytes(), MapFlags::ANY);
        written.map_err(|error| {
            counts[place] = before;
            GateError::Map {
                map: "real_places",
                error,
            }
        })
    }
}

/// As `may_be_real` finds it.
fn place_of(addr: Addr) -> usize {
    addr.folded().wrapping_mul(0x9e37_79b1) as usize >> 20
}
