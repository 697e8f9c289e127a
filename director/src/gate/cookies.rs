//! The recipes of services with cookies, as `bpf/cookie/service.h` lays them out, and what the gate
//! counts of them.

use libbpf_rs::MapHandle;

use super::GateError;
use super::map::sum_percpu;
use crate::cookie::Recipe;

/// What was done for a service's clients, packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CookieCounts {
    /// SYNs that were answered.
    pub sent: u64,
    /// Segments that brought one back.
    pub accepted: u64,
    /// Segments that belong to nothing, and were dropped.
    pub refused: u64,
}

impl CookieCounts {
    /// What has come since `earlier`; nothing when counting has begun anew.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(earlier.sent),
            accepted: self.accepted.saturating_sub(earlier.accepted),
            refused: self.refused.saturating_sub(earlier.refused),
        }
    }
}

/// Services with cookies at most: there are counters for as many.
pub const MAX_COOKIE_SERVICES: u16 = 1024;

/// Size of `struct cookie_service`.
pub(super) const RECIPE_BYTES: usize = 48;

/// `COOKIE_COUNTERS`.
const COUNTERS: u32 = 3;

/// The bits of `flags`.
mod flag {
    pub(super) const MINTS: u8 = 0x01;
    pub(super) const HAS_KEY: u8 = 0x02;
    pub(super) const LENIENT: u8 = 0x08;
    pub(super) const SPLICES: u8 = 0x10;
    pub(super) const RESETS: u8 = 0x20;
    pub(super) const SHARED: u8 = 0x40;
}

/// The bits of `offers`, as a cookie has them.
mod offered {
    pub(super) const TIMESTAMPS: u8 = 1;
    pub(super) const ECN: u8 = 2;
    pub(super) const SACK: u8 = 4;
}

/// `NO_SCALE`.
const NO_SCALE: u8 = 15;

/// That of an address some of whose clients bear a mark that is another service's.
pub(super) const SHARED: u8 = flag::SHARED;

/// The map of what is counted.
#[derive(Debug)]
pub(super) struct CookieCounters(pub(super) MapHandle);

impl CookieCounters {
    pub(super) fn counts(&self, service: u16) -> Result<CookieCounts, GateError> {
        let count = |n: u32| {
            sum_percpu(&self.0, u32::from(service) * COUNTERS + n).map_err(|error| GateError::Map {
                map: "cookie_counts",
                error,
            })
        };
        Ok(CookieCounts {
            sent: count(0)?,
            accepted: count(1)?,
            refused: count(2)?,
        })
    }
}

pub(super) fn bytes_of(recipe: &Recipe) -> [u8; RECIPE_BYTES] {
    let mut bytes = [0; RECIPE_BYTES];
    for (to, key) in bytes.chunks_exact_mut(16).zip(recipe.keys) {
        to.copy_from_slice(&key.map_or([0; 16], |key| key.0));
    }
    bytes[32..36].copy_from_slice(&u32::from(recipe.slot).to_ne_bytes());
    bytes[36..38].copy_from_slice(&recipe.service.to_ne_bytes());
    bytes[38..40].copy_from_slice(&recipe.mss.to_ne_bytes());
    bytes[40] = recipe.parity;
    bytes[41] = bits([
        (recipe.answers(), flag::MINTS),
        (recipe.keys[0].is_some(), flag::HAS_KEY),
        (recipe.keys[1].is_some(), flag::HAS_KEY << 1),
        (recipe.lenient, flag::LENIENT),
        (recipe.splices, flag::SPLICES),
        (recipe.resets, flag::RESETS),
        (recipe.shared, flag::SHARED),
    ]);
    let able = recipe.abilities;
    bytes[42] = bits([
        (able.timestamps, offered::TIMESTAMPS),
        (able.ecn, offered::ECN),
        (able.sack, offered::SACK),
    ]);
    bytes[43] = if able.scale { 0 } else { NO_SCALE };
    bytes
}

/// The bits that are set.
fn bits<const N: usize>(all: [(bool, u8); N]) -> u8 {
    (all.into_iter())
        .filter(|(set, _)| *set)
        .map(|(_, bit)| bit)
        .sum()
}
