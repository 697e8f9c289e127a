//! The path: from the bytes of a frame to what becomes of it.
//!
//! ```text
//!   read     parse, which way, where in the table          (all of the batch; memory prefetched)
//!    |
//!   step     known connection -> state machine ----.
//!            new connection   -> scheduler --------+-> next hop -> rewrite -> forward
//!            ICMP error       -> its connection ---'        |
//!                                                           `-> drop, one reason; answer perhaps
//! ```
//!
//! A packet changes state only when it can go: the next hop, the MTU and the TTL come first.

mod answer;
mod fresh;
mod icmp;
mod known;
mod reading;
mod view;

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};

use crate::drops::DropReason;
use crate::flow::Table;
use crate::neighbour::{Asker, Fib};
use crate::pool::Pool;
use crate::stats::WorkerStats;
use crate::tcp::Timeouts;
use crate::time::Tick;
use crate::worker::{BATCH, Outbox, Walk};
use crate::xsk::{Frame, Umem};

use answer::Allowance;
use reading::Reading;
use view::{Owner, Refusal, View};

/// What all workers share: the connection table, and what the control plane publishes.
pub struct Shared {
    /// All connections.
    pub table: Table,
    /// Services and real servers.
    pub pool: Arc<ArcSwap<Pool>>,
    /// Routes and neighbours.
    pub fib: Arc<ArcSwap<Fib>>,
    /// How long connections live.
    pub timeouts: Arc<ArcSwap<Timeouts>>,
    /// Number of workers.
    pub workers: usize,
}

/// One worker's way through the path.
pub struct Path {
    worker: usize,
    shared: Arc<Shared>,
    pool: Cache<Arc<ArcSwap<Pool>>, Arc<Pool>>,
    fib: Cache<Arc<ArcSwap<Fib>>, Arc<Fib>>,
    timeouts: Cache<Arc<ArcSwap<Timeouts>>, Arc<Timeouts>>,
    stats: Arc<WorkerStats>,
    asker: Asker,
    allowance: Allowance,
    readings: Vec<Reading>,
    /// Shard to look for dead connections in next, and when the present turn began.
    expiry: (usize, Tick),
}

/// Shards that one call of [`Walk::tidy`] looks at.
const SHARDS_A_ROUND: usize = 8;

/// Entries and seconds that expiry looks at in one shard at once.
const EXPIRY_BUDGET: u32 = 32;

impl Path {
    /// The path of worker number `worker`.
    pub fn new(worker: usize, shared: Arc<Shared>, stats: Arc<WorkerStats>, asker: Asker) -> Self {
        Self {
            worker,
            pool: Cache::new(Arc::clone(&shared.pool)),
            fib: Cache::new(Arc::clone(&shared.fib)),
            timeouts: Cache::new(Arc::clone(&shared.timeouts)),
            shared,
            stats,
            asker,
            allowance: Allowance::default(),
            readings: Vec::with_capacity(BATCH),
            expiry: (worker, Tick::default()),
        }
    }
}

impl Walk for Path {
    fn walk(
        &mut self,
        umem: &Umem,
        port: u16,
        batch: &mut Vec<Frame>,
        out: &mut Outbox,
        now: Tick,
    ) {
        let view = View {
            worker: self.worker,
            now,
            table: &self.shared.table,
            pool: self.pool.load(),
            fib: self.fib.load(),
            timeouts: self.timeouts.load(),
        };
        self.readings
            .extend(batch.iter().map(|frame| view.read(umem.packet(frame))));
        self.readings
            .iter_mut()
            .for_each(|reading| view.approach(reading));

        for (mut frame, reading) in batch.drain(..).zip(self.readings.drain(..)) {
            match view.step(umem.packet_mut(&mut frame), &reading) {
                Ok(exit) => out.forward(exit, frame),
                Err(refusal) => {
                    count(&self.stats, &view, &refusal);
                    if let Some(ask) = refusal.ask {
                        self.asker.ask(ask, now);
                    }
                    match self
                        .allowance
                        .answer(umem, &mut frame, &reading, &refusal, now)
                    {
                        true => out.answer(port, frame),
                        false => out.discard(umem.reset(frame)),
                    }
                }
            }
        }
    }

    fn tidy(&mut self, now: Tick) {
        let (mut shard, since) = self.expiry;
        let shards = self.shared.table.shards();
        if shard >= shards && since == now {
            return;
        }
        let pool = self.pool.load();
        for _ in 0..SHARDS_A_ROUND {
            if shard >= shards {
                shard = self.worker;
                self.expiry.1 = now;
                if since == now {
                    break;
                }
            }
            let gone = &mut |entry: &_, _| view::leave(pool, entry);
            self.shared.table.expire(shard, now, EXPIRY_BUDGET, gone);
            shard += self.shared.workers;
        }
        self.expiry.0 = shard;
    }
}

fn count(stats: &WorkerStats, view: &View<'_>, refusal: &Refusal<'_>) {
    stats.drops.of(refusal.reason).add(1);
    let traffics = match refusal.owner {
        Owner::Nobody => return,
        Owner::Service(service) => [Some(&service.traffic), None],
        Owner::Real(real) => [Some(&real.service_traffic), Some(&real.traffic)],
    };
    for traffic in traffics.into_iter().flatten() {
        traffic.of(view.worker).drops.of(refusal.reason).add(1);
    }
}

impl View<'_> {
    /// Takes one packet all the way. Returns the port that it leaves through.
    fn step<'a>(&'a self, frame: &mut [u8], reading: &Reading) -> Result<u16, Refusal<'a>> {
        match reading {
            Reading::Unreadable(malformed) => Err(DropReason::from(*malformed).into()),
            Reading::Packet { packet, way, place } => self.packet(frame, packet, *way, place),
            Reading::Error { error, way, place } => self.icmp_error(frame, error, *way, place),
        }
    }
}
