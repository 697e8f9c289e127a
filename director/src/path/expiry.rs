//! Whose turn it is to be looked at for dead connections: each worker goes through its own shards
//! once a tick, a bounded piece a round, and stays with a shard that has more to do.

use super::Path;
use super::view::View;
use crate::time::{Tick, Ticks};

/// Looks at shards in one round.
const LOOKS_A_ROUND: usize = 8;

/// Entries and seconds that expiry looks at in one shard at once.
const BUDGET: u32 = 32;

/// Of so many places of the half-open pool one is emptied in a tick, when entries are dropped before
/// their time: a 32nd in a second, as in IPVS.
const THINNING: u32 = 32 * Ticks::PER_SECOND;

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

impl Path {
    /// A round of taking out who is dead, and by lot some who are half-open when that is ordered.
    pub(super) fn bury(&mut self, now: Tick) {
        let view = self.sight.view(0, now);
        let expire = |shard| {
            let gone = &mut |entry: &_, _| view.departed(entry);
            view.table.expire(shard, now, BUDGET, gone)
        };
        self.expiry.round(view.table.shards(), now, expire);
        let expire = |shard| (view.templates).expire(view.pool, shard, now, BUDGET);
        self.clients_expiry
            .round(view.templates.shards(), now, expire);
        if view.orders.drops_entries() && self.thinned != now {
            self.thinned = now;
            view.thin(self.expiry.shards(view.table.shards()));
        }
    }
}

impl View<'_> {
    /// Drops a few of the half-open connections in some shards, by lot.
    #[cold]
    fn thin(&self, shards: impl Iterator<Item = usize>) {
        let gone = &mut |entry: &_, _| self.departed(entry);
        shards.for_each(|shard| self.table.thin(shard, THINNING, gone));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use adminapi::model::Scheduler;

    use super::*;
    use crate::flow::{Class, Direction, Entry};
    use crate::neighbour::{Asker, Fib};
    use crate::path::{Shared, testing};
    use crate::pool::Pool;
    use crate::service::{Persistence, ServiceKey, Settings};
    use crate::wire::{Addr, Endpoint, Protocol, Tuple};
    use crate::worker::{Outbox, Walk as _};
    use crate::xsk::Umem;

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

    const THEN: Tick = Tick(1000);
    const LATER: Tick = Tick(2000);

    /// Memory, tables and a persistent service whose only client has a template.
    fn scene() -> (Path, Arc<Shared>, Entry) {
        let key = ServiceKey::at(Protocol::Udp, Endpoint::new(Addr::v4([10, 9, 9, 9]), 53));
        let persistence = Persistence {
            timeout: Ticks::seconds(2),
            prefix: 128,
            engine: None,
        };
        let mut pool = Pool::new(1);
        pool.add_service(key, Scheduler::Rr).unwrap();
        let rip = Endpoint::new(Addr::v4([10, 0, 2, 11]), 53);
        pool.add_real(&key, rip, Settings::weight(1)).unwrap();
        let shared = Arc::new(testing::shared(pool, Fib::default()));
        let tuple = Tuple {
            protocol: Protocol::Udp,
            src: Endpoint::new(Addr::v4([172, 16, 0, 1]), 4000),
            dst: Endpoint::new(Addr::v4([10, 9, 9, 9]), 53),
        };
        let snapshot = shared.pool.load();
        let client = shared.templates.client(&key, &persistence, &tuple, || None);
        let first = || snapshot.reals().next().map(|real| &**real);
        let held = (shared.templates).hold(&snapshot, &client.unwrap(), THEN, |_| true, first);
        let mut connection = Entry::new(&tuple, held.unwrap().id, 53, Class::Answered, THEN);
        connection.control(persistence.prefix);
        drop(snapshot);
        let path = Path::new(0, Arc::clone(&shared), Arc::default(), Asker::deaf());
        (path, shared, connection)
    }

    /// As many rounds as a second of that needs.
    fn tidy(path: &mut Path, now: Tick) {
        let (umem, _) = Umem::new(1).unwrap();
        let mut out = Outbox::new(0, Vec::new());
        for _ in 0..64 {
            path.tidy(&umem, &mut out, now);
        }
    }

    /// Takes a connection in as far as the table has it, but counts it nowhere yet.
    fn take_in(shared: &Shared, connection: Entry) {
        let place = (shared.table).locate(Direction::Original, &connection.original());
        let taken = (shared.table).take_in(connection, &place, None, &mut |_, _| ());
        taken.unwrap();
    }

    #[test]
    fn a_template_stays_until_its_connections_are_taken_over() {
        let (mut path, shared, mut connection) = scene();
        shared.templates.release(&shared.pool.load(), &connection);
        shared.orders.set_keep_dead(true);
        tidy(&mut path, LATER);
        connection.outlive(LATER.after(Ticks::seconds(1)));
        take_in(&shared, connection);
        shared.templates.readopt(&connection);
        shared.orders.set_keep_dead(false);
        tidy(&mut path, LATER);
        assert_eq!((shared.table.len(), shared.templates.len()), (1, 1));
    }

    #[test]
    fn who_dies_while_it_is_taken_over_is_counted_first() {
        let (mut path, shared, connection) = scene();
        shared.templates.release(&shared.pool.load(), &connection);
        shared.orders.set_keep_dead(true);
        take_in(&shared, connection);
        tidy(&mut path, THEN.after(Ticks::seconds(1)));
        shared.templates.readopt(&connection);
        shared.orders.set_keep_dead(false);
        tidy(&mut path, LATER);
        assert_eq!((shared.table.len(), shared.templates.len()), (0, 0));
    }
}
