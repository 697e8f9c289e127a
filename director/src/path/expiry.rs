//! Whose turn it is to be looked at for dead connections: each worker goes through its own shards
//! once a tick, a bounded piece a round, and stays with a shard that has more to do.

use crate::time::Tick;

/// Looks at shards in one round.
const LOOKS_A_ROUND: usize = 8;

/// How far a worker is in its turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry {
    worker: usize,
    workers: usize,
    /// The shard to look at next; one beyond the last ends the turn.
    shard: usize,
    /// When the last turn ended.
    ended: Option<Tick>,
}

impl Expiry {
    /// The shards of `worker` are every `workers`-th.
    pub(super) const fn of(worker: usize, workers: usize) -> Self {
        Self {
            worker,
            workers,
            shard: worker,
            ended: None,
        }
    }

    /// The numbers of the worker's own shards, of so many.
    pub(super) fn shards(&self, shards: usize) -> impl Iterator<Item = usize> + use<> {
        (self.worker..shards).step_by(self.workers)
    }

    /// A round. `expire` does a bounded piece of work in a shard and says whether there is more.
    pub(super) fn round(
        &mut self,
        shards: usize,
        now: Tick,
        mut expire: impl FnMut(usize) -> bool,
    ) {
        if self.ended == Some(now) {
            return;
        }
        for _ in 0..LOOKS_A_ROUND {
            if self.shard >= shards {
                self.shard = self.worker;
                self.ended = Some(now);
                return;
            }
            if !expire(self.shard) {
                self.shard += self.workers;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shards that are looked at in one round, by a worker whose shards have so much to do.
    fn look(expiry: &mut Expiry, work: &mut [u32], now: u32) -> Vec<usize> {
        let mut seen = Vec::new();
        expiry.round(work.len(), Tick(now), |shard| {
            seen.push(shard);
            work[shard] = work[shard].saturating_sub(1);
            work[shard] > 0
        });
        seen
    }

    #[test]
    fn each_shard_of_a_worker_has_one_turn_a_tick() {
        let mut expiry = Expiry::of(1, 2);
        let mut work = [0; 6];
        assert_eq!(look(&mut expiry, &mut work, 7), [1, 3, 5]);
        assert!(look(&mut expiry, &mut work, 7).is_empty());
        assert_eq!(look(&mut expiry, &mut work, 8), [1, 3, 5]);
    }

    #[test]
    fn a_shard_with_more_to_do_is_looked_at_again_but_a_round_is_bounded() {
        let mut expiry = Expiry::of(0, 1);
        let mut work = [1, 20, 1];
        let first = look(&mut expiry, &mut work, 0);
        assert_eq!(first.len(), LOOKS_A_ROUND);
        assert!(first[1..].iter().all(|&shard| shard == 1));
        let mut later = Vec::new();
        for _ in 0..3 {
            later.extend(look(&mut expiry, &mut work, 0));
        }
        assert_eq!(work, [0, 0, 0], "the work of a tick is done within it");
        assert_eq!(later.last(), Some(&2));
    }
}
