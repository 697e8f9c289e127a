//! Maglev hashing (`ip_vs_mh.c`; Eisenbud et al., "Maglev", NSDI 2016, §3.4).

use std::hash::Hasher;
use std::sync::Arc;

use adminapi::model::SchedulerFlag;
use siphasher::sip::SipHasher13;

use super::hashing::{client, fold};
use super::load::willing;
use super::{Newcomer, Scheduler};
use crate::service::{Real, Reals, common_divisor};

/// Slots of the table: the kernel's, then larger ones of its list, which it only takes when it is
/// built so.
const SIZES: [u32; 3] = [4093, 65_521, 131_071];

/// Slots that each real server shall have at least. With 4093 slots for 100 real servers, 3 % of
/// the others' clients would move when one leaves; with 65,521 it is 0.6 %.
const SHARE: usize = 128;

/// Keys of the two hashes, each used for both halves.
const FIRST: u64 = 2_654_435_761;
const SECOND: u64 = 2_654_446_892;

/// At most so many slots in a row for one real server: 2^6.
const TURN_BITS: u32 = 6;

/// A client's address always has the same slot of a table in which each real server has a share
/// by its weight, and keeps nearly all of it when others come and go. The weight that counts is
/// the last one above 0: who is quiesced keeps its slots.
///
/// When the owner takes no connections, nobody gets them, or, with `mh-fallback`, the owner of
/// another slot of this client.
#[derive(Debug)]
pub(super) struct Maglev {
    /// Places in the list; empty when nobody ever had a weight.
    owners: Box<[u32]>,
    size: u32,
}

/// One real server on its way through its permutation of the slots.
struct Seeker {
    place: u32,
    slot: u32,
    skip: u32,
    turns: u32,
}

impl Maglev {
    pub(super) fn new(reals: &Reals) -> Self {
        Self::at_least(SIZES[0], reals)
    }

    /// A table that is never smaller than the one before, or else all clients would move.
    fn at_least(least: u32, reals: &Reals) -> Self {
        let enough = |size: &u32| *size >= least && *size as usize >= SHARE * reals.len();
        let size = SIZES.into_iter().find(enough).unwrap_or(SIZES[2]);
        Self {
            owners: populate(seekers(reals, size), size),
            size,
        }
    }

    fn owner<'r>(&self, reals: &'r Reals, client: u32, offset: u32) -> Option<&'r Arc<Real>> {
        let slot = hash(client.wrapping_add(offset), FIRST) % self.size;
        let place = *self.owners.get(slot as usize)?;
        reals.get(place as usize)
    }
}

impl Scheduler for Maglev {
    fn pick<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        let client = client(newcomer);
        let owner = self.owner(reals, client, 0)?;
        if owner.is_willing() {
            return Some(owner);
        }
        if !newcomer.flags.has(SchedulerFlag::Fallback) {
            return None;
        }
        willing(reals).next()?;
        let first = hash(client, FIRST) % self.size;
        (0..self.size)
            .filter_map(|offset| self.owner(reals, client, (first + offset) % self.size))
            .find(|real| real.is_willing())
    }

    fn changed(&self, reals: &Reals) -> Option<Arc<dyn Scheduler>> {
        Some(Arc::new(Self::at_least(self.size, reals)))
    }
}

/// SipHash-1-3, the low 32 bits (`hsiphash` on 64-bit machines).
fn hash(value: u32, key: u64) -> u32 {
    let mut hasher = SipHasher13::new_with_keys(key, key);
    hasher.write_u32(value.to_le());
    hasher.finish() as u32
}

/// Everybody who ever had a weight; a table has no room for more than its size.
fn seekers(reals: &Reals, size: u32) -> Vec<Seeker> {
    let weights = reals.iter().map(|real| real.last_weight);
    let (divisor, most) = weights.fold((0, 0), |(divisor, most), weight| {
        (common_divisor(weight, divisor), weight.max(most))
    });
    let bits = u32::BITS - most.checked_div(divisor).unwrap_or(0).leading_zeros();
    let shift = bits.saturating_sub(TURN_BITS);
    let seeker = |(place, real): (u32, &Arc<Real>)| {
        let name = fold(real.endpoint.addr).wrapping_add(real.endpoint.port.into());
        Seeker {
            place,
            slot: hash(name, FIRST) % size,
            skip: hash(name, SECOND) % (size - 1) + 1,
            turns: ((real.last_weight / divisor) >> shift).max(1),
        }
    };
    (0..)
        .zip(reals.iter())
        .filter(|(_, real)| real.last_weight > 0)
        .take(size as usize)
        .map(seeker)
        .collect()
}

impl Seeker {
    /// Its next slot that is free.
    fn next(&mut self, free: &Free, size: u32) -> u32 {
        while !free.has(self.slot) {
            self.slot += self.skip;
            if self.slot >= size {
                self.slot -= size;
            }
        }
        self.slot
    }
}

/// The free slots, a bit each: small enough for the first-level cache, since nearly all the time
/// goes into looking here.
struct Free(Vec<u64>);

impl Free {
    fn all(size: u32) -> Self {
        Self(vec![u64::MAX; size.div_ceil(u64::BITS) as usize])
    }

    fn has(&self, slot: u32) -> bool {
        self.0[(slot / u64::BITS) as usize] & (1 << (slot % u64::BITS)) != 0
    }

    fn take(&mut self, slot: u32) {
        self.0[(slot / u64::BITS) as usize] &= !(1 << (slot % u64::BITS));
    }
}

/// Lets the seekers take free slots in turn until none is left.
fn populate(mut seekers: Vec<Seeker>, size: u32) -> Box<[u32]> {
    if seekers.is_empty() {
        return Box::default();
    }
    let mut owners = vec![0; size as usize].into_boxed_slice();
    let mut free = Free::all(size);
    let mut left = size;
    loop {
        for seeker in &mut seekers {
            for _ in 0..seeker.turns {
                let slot = seeker.next(&free, size);
                free.take(slot);
                owners[slot as usize] = seeker.place;
                left -= 1;
                if left == 0 {
                    return owners;
                }
            }
        }
    }
}
