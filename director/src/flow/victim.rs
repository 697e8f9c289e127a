//! Who has to go when there is no room.

use super::elsewhere::Elsewhere;
use super::entry::{Class, Entry};
use super::place::reduce;
use super::slab::{Pool, Slab};
use crate::time::Tick;

/// How many entries are looked at for the one to evict.
const SAMPLES: usize = 16;
/// Places tried to find them; some may be free.
const TRIES: u32 = 64;

/// Xorshift64 (G. Marsaglia, 2003) from a random seed: picks victims.
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(super) fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }
}

/// Who has to go from `pool`: any of the half-open ones, else the worst of a sample.
pub(super) fn victim(
    slab: &Slab,
    random: &mut Random,
    elsewhere: Option<&dyn Elsewhere>,
    (pool, class): (Pool, Class),
) -> Option<u32> {
    let samples = match pool {
        Pool::HalfOpen => 1,
        Pool::Main => SAMPLES,
    };
    let used = slab.used(pool);
    let start = random.next();
    // In a small pool a walk, which meets nobody twice; else by lot.
    let place = |n: u32| match used {
        0 => None,
        1..=TRIES => (n < used).then(|| (start % used + n) % used),
        _ => Some(reduce(random.next(), used)),
    };
    (0..TRIES)
        .filter_map(place)
        .filter_map(|n| slab.live(pool, n))
        .take(samples)
        .filter(|&at| class.may_displace(slab[at].class()))
        .min_by_key(|&at| worth(elsewhere, &slab[at]))
}

/// When a connection dies unless touched, whoever sees its packets.
pub(super) fn expiry(elsewhere: Option<&dyn Elsewhere>, entry: &Entry) -> Tick {
    match elsewhere.filter(|_| entry.is_cached()) {
        Some(elsewhere) => elsewhere.expires(entry),
        None => entry.expires(),
    }
}

/// What is evicted first: lower class, then the one that would expire sooner.
pub(super) fn worth(elsewhere: Option<&dyn Elsewhere>, entry: &Entry) -> (Class, Tick) {
    (entry.class(), expiry(elsewhere, entry))
}
