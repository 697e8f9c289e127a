//! The path: from the bytes of a frame to what becomes of it.
//!
//! ```text
//!   read     parse, which way, where in the table          (all of the batch; memory prefetched)
//!    |
//!   pass     known connection -> state machine ----.
//!            new connection   -> scheduler --------+-> next hop -> rewrite, wrap -> forward
//!            ICMP error       -> its connection ---|        |
//!            fragment         -> its first one ----'        |
//!                                                           `-> drop, one reason; answer perhaps
//! ```
//!
//! A packet changes state only when it can go: the next hop, the MTU and the TTL come first.

mod allowance;
mod anew;
mod answer;
mod arrival;
mod believe;
mod bypass;
mod bystander;
mod course;
mod cut_off;
mod errand;
mod exit;
mod expiry;
mod explain;
mod farewell;
mod fragment;
mod fresh;
mod ftp;
mod grown;
mod handover;
mod handshake;
mod held;
mod home;
mod icmp;
mod judge;
mod known;
mod lost;
mod onward;
mod openings;
mod own;
mod plan;
mod policy;
mod reading;
mod refusal;
mod refused;
mod renewal;
mod resurrect;
mod returned;
mod splice;
mod sticky;
mod stray;
#[cfg(test)]
mod testing;
mod view;
mod visitor;
mod voice;
mod waiting;
mod ways;
mod young;

use std::cell::Cell;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::{Arc, OnceLock};

use adminapi::sysctl::Sysctls;
use arc_swap::{ArcSwap, Cache};

use crate::cookie::Resets;
use crate::defence::{Lottery, Orders};
use crate::door::Door;
use crate::drops::{Cause, DropReason};
use crate::fast::Fast;
use crate::flow::Table;
use crate::fragment::Fragments;
use crate::ftp::{Expectations, Shifts};
use crate::neighbour::{Asker, Fib};
use crate::path_mtu::PathMtus;
use crate::pool::Pool;
use crate::returned::Returns;
use crate::sources::Sampler;
use crate::stats::WorkerStats;
use crate::tcp::Timeouts;
use crate::templates::Templates;
use crate::time::Tick;
use crate::worker::{BATCH, Outbox, Walk};
use crate::xsk::{Frame, Umem};

pub use explain::{Explanation, Probe};

use arrival::Arrival;
pub use course::Course;
use course::Sent;
use errand::Errands;
use exit::Departure;
use expiry::Expiry;
use farewell::Farewells;
use openings::Opening;
pub use policy::Policy;
use reading::Reading;
use refused::Refused;
use view::View;
pub(crate) use view::leave;
use waiting::Waiting;
use ways::Ways;
use young::Young;

/// What all workers share: the connection table, and what the control plane publishes.
pub struct Shared {
    /// All connections.
    pub table: Table,
    /// What persistent services remember of their clients.
    pub templates: Templates,
    /// Services and real servers.
    pub pool: Arc<ArcSwap<Pool>>,
    /// Routes and neighbours.
    pub fib: Arc<ArcSwap<Fib>>,
    /// How long connections live.
    pub timeouts: Arc<ArcSwap<Timeouts>>,
    /// The ways of fragmented datagrams.
    pub fragments: Fragments<Course>,
    /// What it does by choice.
    pub policy: Policy,
    /// How long packets to the ends of tunnels may be.
    pub path_mtus: Arc<ArcSwap<PathMtus>>,
    /// Datagrams that have not got through their tunnels.
    pub returns: Returns,
    /// Which new connections are dropped when some are.
    pub lottery: Lottery,
    /// The way to the kernel of this host, once a real server needs it.
    pub door: OnceLock<Door>,
    /// What else the defence does.
    pub orders: Orders,
    /// The sysctls of IPVS.
    pub sysctls: Arc<ArcSwap<Sysctls>>,
    /// Data connections of FTP that are to come.
    pub expectations: Expectations,
    /// Connections that the gate forwards by itself, if it does that.
    pub fast: Option<Arc<Fast>>,
    /// How far the numbers of its control connections are shifted.
    pub shifts: Shifts,
    /// Clients that have shown that they are there.
    pub resets: Arc<Resets>,
    /// Number of workers.
    pub workers: usize,
}

/// One worker's way through the path.
pub struct Path {
    sight: Sight,
    readings: Vec<Reading>,
    refused: Refused,
    expiry: Expiry,
    clients_expiry: Expiry,
    sampler: Sampler,
    /// When half-open connections were last dropped before their time.
    thinned: Tick,
    /// When it was last looked for what has come back from tunnels.
    looked: Tick,
}

/// All that a worker sees packets with.
struct Sight {
    worker: usize,
    shared: Arc<Shared>,
    pool: Cache<Arc<ArcSwap<Pool>>, Arc<Pool>>,
    fib: Cache<Arc<ArcSwap<Fib>>, Arc<Fib>>,
    timeouts: Cache<Arc<ArcSwap<Timeouts>>, Arc<Timeouts>>,
    path_mtus: Cache<Arc<ArcSwap<PathMtus>>, Arc<PathMtus>>,
    stats: Arc<WorkerStats>,
    sysctls: Cache<Arc<ArcSwap<Sysctls>>, Arc<Sysctls>>,
    ways: Ways,
    farewells: Farewells,
    errands: Errands,
    openings: Waiting<Opening>,
    young: Waiting<Young>,
    sent: Cell<Option<Sent>>,
    ident: Cell<u16>,
}

impl Sight {
    /// The view at `now` of packets that came in through `port`.
    #[inline]
    fn view(&mut self, port: u16, now: Tick) -> View<'_> {
        let fast = self.shared.fast.as_deref();
        // Before the snapshots.
        let moment = fast.map(Fast::moment).unwrap_or_default();
        let (pool, fib) = (self.pool.load(), self.fib.load());
        self.ways.renew(pool, fib);
        View {
            worker: self.worker,
            now,
            port,
            fast,
            moment,
            table: &self.shared.table,
            templates: &self.shared.templates,
            pool,
            latest: &self.shared.pool,
            fib,
            ways: &self.ways,
            timeouts: self.timeouts.load(),
            door: self.shared.door.get(),
            fragments: &self.shared.fragments,
            policy: self.shared.policy,
            path_mtus: self.path_mtus.load(),
            returns: &self.shared.returns,
            stats: &self.stats,
            sent: &self.sent,
            sysctls: self.sysctls.load(),
            lottery: &self.shared.lottery,
            orders: &self.shared.orders,
            farewells: &self.farewells,
            errands: &self.errands,
            openings: &self.openings,
            young: &self.young,
            expectations: &self.shared.expectations,
            shifts: &self.shared.shifts,
            resets: &self.shared.resets,
            ident: &self.ident,
        }
    }
}

impl Path {
    /// The path of worker number `worker`.
    pub fn new(worker: usize, shared: Arc<Shared>, stats: Arc<WorkerStats>, asker: Asker) -> Self {
        Self {
            readings: Vec::with_capacity(BATCH),
            refused: Refused::new(Arc::clone(&stats), asker),
            expiry: Expiry::of(worker, shared.workers),
            clients_expiry: Expiry::of(worker, shared.workers),
            sampler: Sampler::default(),
            thinned: Tick::default(),
            looked: Tick::default(),
            sight: Sight {
                worker,
                pool: Cache::new(Arc::clone(&shared.pool)),
                fib: Cache::new(Arc::clone(&shared.fib)),
                timeouts: Cache::new(Arc::clone(&shared.timeouts)),
                path_mtus: Cache::new(Arc::clone(&shared.path_mtus)),
                sysctls: Cache::new(Arc::clone(&shared.sysctls)),
                ways: Ways::new(&shared.pool.load(), &shared.fib.load()),
                farewells: Farewells::default(),
                errands: Errands::default(),
                openings: Waiting::default(),
                young: Waiting::default(),
                sent: Cell::new(None),
                ident: Cell::new(rand::random()),
                shared,
                stats,
            },
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
        let view = self.sight.view(port, now);
        for frame in batch.iter() {
            self.readings.push(view.read(umem.packet(frame)));
        }
        for reading in &mut self.readings {
            view.approach(reading);
        }
        let sight = |n: usize, reading: &Reading| reading.sighting(umem.packet(&batch[n]));
        self.sampler.look(&self.readings, sight);
        for (frame, reading) in batch.drain(..).zip(&self.readings) {
            let arrival = Arrival {
                frame,
                port,
                at: now,
            };
            view.pass(umem, arrival, reading, &mut self.refused, out);
        }
        view.run_errands(umem, out);
        self.readings.clear();
    }

    fn tidy(&mut self, umem: &Umem, out: &mut Outbox, now: Tick) {
        if let Some(fast) = &self.sight.shared.fast {
            fast.tick(now);
        }
        if self.refused.waiting() > 0 {
            self.retry(umem, out, now);
        }
        self.sampler.tick(now, &self.sight.stats.sources);
        if !self.sight.shared.orders.keeps_dead() {
            self.bury(now);
        }
        let view = self.sight.view(0, now);
        view.tend_young();
        view.tend_openings();
        view.run_errands(umem, out);
        view.say_farewells(umem, out);
        if self.looked != now {
            self.looked = now;
            view.hand_back(umem, &mut self.refused, out);
        }
    }

    fn is_behind(&self, now: Tick) -> bool {
        self.sight.young.is_due(now)
    }

    fn held(&self) -> usize {
        self.refused.waiting()
    }

    fn walk_beside(
        &mut self,
        umem: &Umem,
        batch: &mut Vec<Frame>,
        out: &mut Outbox,
        now: Tick,
    ) -> usize {
        self.walk_answers(umem, batch, out, now)
    }

    fn beside(&self) -> Option<BorrowedFd<'_>> {
        self.listened_door().map(Door::as_fd)
    }
}

impl Path {
    /// Walks the packets again that waited: for a neighbour, or for a first fragment.
    #[cold]
    fn retry(&mut self, umem: &Umem, out: &mut Outbox, now: Tick) {
        let mut view = self.sight.view(0, now);
        let mut due = self.refused.due(view.fib, now);
        for arrival in due.drain(..) {
            view.port = arrival.port;
            let reading = view.read(umem.packet(&arrival.frame));
            view.pass(umem, arrival, &reading, &mut self.refused, out);
        }
        self.refused.tried(due);
        view.release(umem, &mut self.refused, out);
    }
}

impl View<'_> {
    /// Takes one packet all the way.
    fn pass(
        &self,
        umem: &Umem,
        mut arrival: Arrival,
        reading: &Reading,
        refused: &mut Refused,
        out: &mut Outbox,
    ) {
        let frame = umem.packet_mut(&mut arrival.frame);
        let departure = match reading {
            Reading::Unreadable(_) if self.is_from_here() => Ok(Departure::Back),
            Reading::Unreadable(malformed) => Err(DropReason::from(*malformed).into()),
            Reading::Packet { packet, way, place } => self.packet(frame, packet, *way, place),
            Reading::Error { way, place } => self.icmp_error(frame, *way, place),
            Reading::Fragment => self.fragment(frame),
        };
        match departure {
            Ok(Departure::Plain(port)) => out.forward(port, arrival.frame),
            Ok(Departure::Home(layout)) if self.hand_home(frame, &layout) => {
                out.discard(umem.reset(arrival.frame));
            }
            Ok(Departure::Back) if self.give_back(frame) => {
                out.discard(umem.reset(arrival.frame));
            }
            Ok(Departure::Home(_) | Departure::Back) => {
                refused.take(
                    umem,
                    self,
                    arrival,
                    reading,
                    &Cause::HostRefused.into(),
                    out,
                );
            }
            Ok(Departure::Saying(port, speech)) => {
                let length = speech.put(umem.room_mut(&mut arrival.frame));
                arrival.frame.set_len(length);
                out.forward(port, arrival.frame);
            }
            Ok(Departure::Instead(word, hop)) => {
                errand::say(umem, &mut arrival.frame, &word, &hop);
                self.speak(umem, arrival.frame, &hop, out);
            }
            Ok(Departure::Held(name)) => refused.hold(umem, self, &name, arrival, out),
            Ok(Departure::Remade(remake)) => {
                match self.remake(umem, &mut arrival.frame, &remake, out) {
                    Ok(port) => out.forward(port, arrival.frame),
                    Err(cause) => refused.take(umem, self, arrival, reading, &cause.into(), out),
                }
            }
            Err(refusal) => refused.take(umem, self, arrival, reading, &refusal, out),
        }
    }
}
