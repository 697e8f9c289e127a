//! The table of Maglev hashing: real servers take slots in turn, each in an order of its own.

use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip::SipHasher13;

use crate::sched::hashing::fold;
use crate::service::{Real, Reals, common_divisor};
use crate::wire::Endpoint;

/// Keys of the two hashes, each used for both halves.
const FIRST: u64 = 2_654_435_761;
const SECOND: u64 = 2_654_446_892;

/// At most so many slots in a row for one real server: 2^6.
const TURN_BITS: u32 = 6;

/// Who has which slot. It names real servers and not their places, so that it can be asked about a
/// list that has changed since.
#[derive(Debug)]
pub(super) struct Table {
    /// Whose each slot is, a place among the members; empty when there are none.
    owners: Box<[u32]>,
    /// Everybody who ever had a weight.
    members: Box<[Endpoint]>,
    size: u32,
}

impl Table {
    /// A table of so many slots for `reals`.
    pub(super) fn of(reals: &Reals, size: u32) -> Self {
        let members = members(reals, size);
        Self {
            owners: populate(seekers(&members, size), size),
            members: members.iter().map(|real| real.endpoint).collect(),
            size,
        }
    }

    /// How many slots it has.
    pub(super) const fn size(&self) -> u32 {
        self.size
    }

    /// How many real servers have a share.
    pub(super) const fn members(&self) -> usize {
        self.members.len()
    }

    /// Whose the slot of this client is, and those of the numbers after it.
    pub(super) fn owner(&self, client: u32, offset: u32) -> Option<Endpoint> {
        let slot = self.slot(client.wrapping_add(offset));
        let member = *self.owners.get(slot as usize)?;
        self.members.get(member as usize).copied()
    }

    /// The slot of a client.
    pub(super) fn slot(&self, client: u32) -> u32 {
        hash(client, FIRST) % self.size
    }
}

/// SipHash-1-3, the low 32 bits (`hsiphash` on 64-bit machines).
fn hash(value: u32, key: u64) -> u32 {
    let mut hasher = SipHasher13::new_with_keys(key, key);
    hasher.write_u32(value.to_le());
    hasher.finish() as u32
}

/// Everybody who ever had a weight, in order; a table has no room for more than its size.
fn members(reals: &Reals, size: u32) -> Vec<&Arc<Real>> {
    let weighed = reals.iter().filter(|real| real.last_weight > 0);
    weighed.take(size as usize).collect()
}

/// One real server on its way through its permutation of the slots.
struct Seeker {
    slot: u32,
    skip: u32,
    turns: u32,
}

fn seekers(members: &[&Arc<Real>], size: u32) -> Vec<Seeker> {
    let weights = members.iter().map(|real| real.last_weight);
    let (divisor, most) = weights.fold((0, 0), |(divisor, most), weight| {
        (common_divisor(weight, divisor), weight.max(most))
    });
    let bits = u32::BITS - most.checked_div(divisor).unwrap_or(0).leading_zeros();
    let shift = bits.saturating_sub(TURN_BITS);
    let seeker = |real: &&Arc<Real>| {
        let name = fold(real.endpoint.addr).wrapping_add(real.endpoint.port.into());
        Seeker {
            slot: hash(name, FIRST) % size,
            skip: hash(name, SECOND) % (size - 1) + 1,
            turns: ((real.last_weight / divisor) >> shift).max(1),
        }
    };
    members.iter().map(seeker).collect()
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
        for (place, seeker) in (0..).zip(&mut seekers) {
            for _ in 0..seeker.turns {
                let slot = seeker.next(&free, size);
                free.take(slot);
                owners[slot as usize] = place;
                left -= 1;
                if left == 0 {
                    return owners;
                }
            }
        }
    }
}
