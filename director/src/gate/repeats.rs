//! The UDP services whose clients have to come twice, and how many first datagrams of each were dropped
//! (`bpf/repeat.h`).

use std::os::fd::AsFd;

use libbpf_rs::MapHandle;

use super::GateError;
use super::cookies::{RECIPE_BYTES, SHARED};
use super::map::sum_percpu;
use super::skel::{GateSkel, OpenGateSkel};

/// Services whose clients have to come twice at most (`REPEATING_SERVICES`).
pub const MAX_REPEATING_SERVICES: u16 = 1024;

/// `REPEATS`, a bit of what stands where a TCP service has its recipe.
const REPEATS: u8 = 0x80;

/// A service whose clients have to come twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeating {
    /// Its place among the counters.
    pub slot: u16,
    /// Whether some clients of its address bear a mark that is another service's.
    pub shared: bool,
}

impl Repeating {
    /// `struct cookie_service`: a UDP service has no other use for it.
    pub(super) fn to_bytes(self) -> [u8; RECIPE_BYTES] {
        let mut bytes = [0; RECIPE_BYTES];
        bytes[32..36].copy_from_slice(&u32::from(self.slot).to_ne_bytes());
        bytes[41] = REPEATS | if self.shared { SHARED } else { 0 };
        bytes
    }
}

/// The maps: who was heard, and what was counted.
#[derive(Debug)]
pub(super) struct RepeatMaps {
    heard: MapHandle,
    counts: MapHandle,
}

impl RepeatMaps {
    pub(super) fn of(skel: &GateSkel<'_>) -> libbpf_rs::Result<Self> {
        Ok(Self {
            heard: MapHandle::try_from(&skel.maps.repeats)?,
            counts: MapHandle::try_from(&skel.maps.repeat_counts)?,
        })
    }

    pub(super) fn lend(&self, open: &mut OpenGateSkel<'_>) -> libbpf_rs::Result<()> {
        open.maps.repeats.reuse_fd(self.heard.as_fd())?;
        open.maps.repeat_counts.reuse_fd(self.counts.as_fd())
    }

    pub(super) fn dropped(&self, slot: u16) -> Result<u64, GateError> {
        sum_percpu(&self.counts, slot.into()).map_err(|error| GateError::Map {
            map: "repeat_counts",
            error,
        })
    }
}
