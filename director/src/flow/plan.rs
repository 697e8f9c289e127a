//! How a table is cut into shards.

use super::index::Index;
use super::kept::MOST_SHARDS;

/// How much a table may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are not half-open.
    pub connections: usize,
    /// Half-open TCP connections, beside those.
    pub half_open: usize,
    /// Threads that use the table at once; more of them, more shards.
    pub workers: usize,
}

/// How a table is cut into shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) shards: usize,
    pub(super) main: usize,
    pub(super) half_open: usize,
    pub(super) buckets: usize,
}

/// A shard is worth its overhead from this size on, in connections.
const LEAST_SHARE: usize = 16 << 10;
/// Half-open connections that fall to a shard at the least. Who finds the pool full takes the place
/// of another one of the same shard: there has to be one.
const LEAST_HALF_OPEN: usize = 128;
/// With this many shards to choose from a worker seldom meets another one.
const SHARDS_PER_WORKER: usize = 8;

impl Plan {
    pub(super) fn new(limits: &Limits) -> Self {
        let by_workers = (limits.workers.max(1) * SHARDS_PER_WORKER).next_power_of_two();
        let shares = match (limits.connections / LEAST_SHARE, limits.half_open) {
            (by_size, 0) => by_size,
            (by_size, half_open) => by_size.min(half_open / LEAST_HALF_OPEN),
        };
        let by_size = (shares + 1).next_power_of_two();
        Self::of_shards(limits, by_workers.min(by_size).min(MOST_SHARDS))
    }

    pub(super) fn of_shards(limits: &Limits, shards: usize) -> Self {
        let main = share(limits.connections, shards);
        let half_open = share(limits.half_open, shards);
        Self {
            shards,
            main,
            half_open,
            buckets: Index::buckets_for(main + half_open),
        }
    }
}

/// Places in one of `shards` shards for `total` connections that a hash spreads: the mean and
/// six standard deviations.
fn share(total: usize, shards: usize) -> usize {
    let mean = total.div_ceil(shards);
    if shards == 1 {
        mean
    } else {
        mean + 6 * mean.isqrt() + 8
    }
}
