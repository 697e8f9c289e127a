//! Where the packets of a connection are looked for: a keyed hash, computed before any lock.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::Direction;
use crate::wire::{Endpoint, Tuple};

/// Where a tuple is kept if it is kept: shard, hash and its two candidate buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub(super) shard: u32,
    pub(super) hash: u32,
    pub(super) buckets: [u32; 2],
    pub(super) direction: Direction,
    /// The entry that a look without the lock has found, or `NIL`: a hint.
    pub(super) guess: u32,
}

/// What a connection draws lots with: who finds the same place draws the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lot {
    /// Keyed hash of the connection's tuple.
    pub seed: u32,
    /// The shard that the connection lives in.
    pub shard: u32,
    /// How many shards there are.
    pub shards: u32,
}

impl Lot {
    /// At most `tries` numbers below `total`: all of them, each once, when there are no more; else
    /// by lot.
    pub fn order(self, total: u32, tries: u32) -> impl Iterator<Item = u32> {
        let all = total <= tries;
        let start = reduce(self.seed, total);
        let draw = move |drawn: u32| step(drawn);
        let drawn = std::iter::successors(Some(self.seed), move |&drawn| Some(draw(drawn)));
        let count = total.min(tries) as usize;
        drawn.zip(0..).take(count).map(move |(drawn, n)| match all {
            true => (start + n) % total,
            false => reduce(drawn, total),
        })
    }
}

/// The next of a sequence of all 32-bit numbers (a linear congruence, Numerical Recipes).
const fn step(number: u32) -> u32 {
    number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)
}

/// SipHash-1-3 under a key that is drawn at every start, so that nobody outside can aim at one
/// shard or bucket.
#[derive(Clone, Copy)]
pub(super) struct Keyed {
    key: [u64; 2],
    start: SipHasher13,
}

/// The hashes of one tuple: of the client alone, which both directions share, and of the whole.
#[derive(Clone, Copy)]
pub(super) struct Hashes {
    pub(super) client: u64,
    pub(super) tuple: u32,
}

impl Keyed {
    pub(super) fn random() -> Self {
        Self::with_key(rand::random())
    }

    pub(super) fn with_key(key @ [k0, k1]: [u64; 2]) -> Self {
        Self {
            key,
            start: SipHasher13::new_with_keys(k0, k1),
        }
    }

    pub(super) const fn key(&self) -> [u64; 2] {
        self.key
    }

    #[inline]
    pub(super) fn hashes(&self, direction: Direction, tuple: &Tuple) -> Hashes {
        let (client, other) = match direction {
            Direction::Original => (&tuple.src, &tuple.dst),
            Direction::Reply => (&tuple.dst, &tuple.src),
        };
        let mut hasher = self.start;
        absorb(&mut hasher, client, tuple.protocol.number());
        let by_client = hasher;
        absorb(&mut hasher, other, direction as u8);
        Hashes {
            client: by_client.finish(),
            tuple: hasher.finish() as u32,
        }
    }
}

/// Says in which shard a connection is, for those who count along with a table.
#[derive(Clone, Copy)]
pub struct Locator {
    keyed: Keyed,
    shards: u32,
}

impl Locator {
    pub(super) const fn new(keyed: Keyed, shards: u32) -> Self {
        Self { keyed, shards }
    }

    /// The shard of the connection whose client sends `original`.
    pub fn shard(&self, original: &Tuple) -> usize {
        let hashes = self.keyed.hashes(Direction::Original, original);
        shard_of(&hashes, self.shards) as usize
    }
}

/// Of a table of one shard.
impl Default for Locator {
    fn default() -> Self {
        Self::new(Keyed::with_key([0, 0]), 1)
    }
}

/// The key is nobody's business.
impl std::fmt::Debug for Locator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Locator({})", self.shards)
    }
}

/// The shard that both directions of a connection have.
#[inline]
pub(super) const fn shard_of(hashes: &Hashes, shards: u32) -> u32 {
    reduce((hashes.client >> 32) as u32, shards)
}

/// An IPv4 endpoint as one word, an IPv6 one as three: the number of words counts in the hash, so
/// that no two are taken for each other.
#[inline(always)]
fn absorb(hasher: &mut SipHasher13, endpoint: &Endpoint, tag: u8) {
    let port = u64::from(endpoint.port) << 8 | u64::from(tag);
    match endpoint.addr.to_v4() {
        Some(v4) => hasher.write_u64(u64::from(u32::from_ne_bytes(v4)) << 32 | port),
        None => {
            let addr = u128::from_ne_bytes(*endpoint.addr.octets());
            hasher.write_u64(addr as u64);
            hasher.write_u64((addr >> 64) as u64);
            hasher.write_u64(port);
        }
    }
}

/// Maps `hash` evenly on `0..n` (multiply and shift; `n` need not be a power of two).
#[inline]
pub(super) const fn reduce(hash: u32, n: u32) -> u32 {
    ((hash as u64 * n as u64) >> 32) as u32
}
