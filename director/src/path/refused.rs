//! What becomes of a packet that the path has no way for: it waits for its neighbour, or it is
//! dropped, counted and perhaps answered.

use std::sync::Arc;

use super::allowance::Allowance;
use super::arrival::Arrival;
use super::held::Held;
use super::home::HERE;
use super::reading::Reading;
use super::refusal::{Owner, Refusal};
use super::view::View;
use crate::drops::Cause;
use crate::fragment::Name;
use crate::neighbour::{Ask, Asker, Fib};
use crate::stats::WorkerStats;
use crate::time::{Tick, Ticks};
use crate::worker::Outbox;
use crate::xsk::Umem;

/// Packets that wait for neighbours at once; further ones are dropped.
const WAITING: usize = 64;

/// How long a packet waits: as long as the kernel asks (`mcast_solicit` times `retrans_time`).
pub(super) const PATIENCE: Ticks = Ticks::seconds(3);

/// How much longer it waits for the word of the kernel that nobody has answered, by which its sender
/// is told.
const GRACE: Ticks = Ticks(Ticks::PER_SECOND / 2);

/// What a worker keeps for packets that go no further.
#[derive(Debug)]
pub(super) struct Refused {
    stats: Arc<WorkerStats>,
    asker: Asker,
    allowance: Allowance,
    held: Held,
    waiting: Vec<Arrival>,
    /// Those of `waiting` that are being tried again; empty between two turns.
    retried: Vec<Arrival>,
    /// The snapshot that the waiting ones were last tried with (its address, to compare), and
    /// when.
    tried: (usize, Tick),
}

impl Refused {
    pub(super) fn new(stats: Arc<WorkerStats>, asker: Asker) -> Self {
        Self {
            stats,
            asker,
            allowance: Allowance::default(),
            held: Held::default(),
            waiting: Vec::with_capacity(WAITING),
            retried: Vec::with_capacity(WAITING),
            tried: (0, Tick::default()),
        }
    }

    /// Whether the director may say one thing more of its own accord.
    pub(super) fn may_say(&mut self, now: Tick) -> bool {
        self.allowance.take(now)
    }

    /// Has a neighbour asked for its address, since somebody waits for it.
    pub(super) fn ask(&mut self, ask: Ask, now: Tick) {
        self.asker.ask(ask, now);
    }

    /// How many packets wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len() + self.held.len()
    }

    /// Keeps a fragment until its first one has come.
    pub(super) fn hold(
        &mut self,
        umem: &Umem,
        view: &View<'_>,
        name: &Name,
        arrival: Arrival,
        out: &mut Outbox,
    ) {
        let (gone, cause) = match Held::is_patient(&arrival, view.now) {
            true => (self.held.keep(name, arrival, umem), Cause::FragmentNoRoom),
            false => (Some(arrival), Cause::FragmentOrphan),
        };
        if let Some(gone) = gone {
            self.take(umem, view, gone, &Reading::Fragment, &cause.into(), out);
        }
    }

    /// The fragments that are kept.
    pub(super) fn held(&mut self) -> &mut Held {
        &mut self.held
    }

    /// The packets that are to be tried again: all, when the neighbours have changed or a second
    /// has gone by. To be given back empty, with [`Refused::tried`].
    pub(super) fn due(&mut self, fib: &Fib, now: Tick) -> Vec<Arrival> {
        let (seen, when) = self.tried;
        let fib = std::ptr::from_ref(fib).addr();
        if !self.waiting.is_empty() && (seen != fib || when.until(now) >= Ticks::seconds(1)) {
            self.tried = (fib, now);
            std::mem::swap(&mut self.waiting, &mut self.retried);
        }
        std::mem::take(&mut self.retried)
    }

    /// Keeps the room of [`Refused::due`] for the next time.
    pub(super) fn tried(&mut self, retried: Vec<Arrival>) {
        self.retried = retried;
    }

    /// Takes a packet that was refused.
    #[inline(never)]
    pub(super) fn take(
        &mut self,
        umem: &Umem,
        view: &View<'_>,
        mut arrival: Arrival,
        reading: &Reading,
        refusal: &Refusal<'_>,
        out: &mut Outbox,
    ) {
        if let Some(ask) = refusal.ask {
            self.asker.ask(ask, view.now);
            let waited = arrival.at.until(view.now);
            if waited < patience(refusal) && self.waiting.len() < WAITING {
                return self.waiting.push(arrival);
            }
        }
        self.count(view, refusal);
        let frame = &mut arrival.frame;
        let is_told = refusal.reason != Cause::TooBig.into() || view.policy.path_mtu_answers;
        // This host knows its own routes and their MTUs.
        let is_told = is_told && arrival.port != HERE;
        match is_told
            && self
                .allowance
                .answer(umem, frame, reading, refusal, view.now)
        {
            true => out.answer(arrival.port, arrival.frame),
            false => out.discard(umem.reset(arrival.frame)),
        }
    }

    fn count(&self, view: &View<'_>, refusal: &Refusal<'_>) {
        self.stats.drops.of(refusal.reason).add(1);
        let traffics = match refusal.owner {
            Owner::Nobody => return,
            Owner::Service(service) => [Some(&service.traffic), None],
            Owner::Real(real) => [Some(&real.service_traffic), Some(&real.traffic)],
        };
        for traffic in traffics.into_iter().flatten() {
            traffic.of(view.worker).drops.of(refusal.reason).add(1);
        }
    }
}

/// How long a packet waits that a neighbour's missing address has refused.
fn patience(refusal: &Refusal<'_>) -> Ticks {
    match refusal.reason == Cause::NeighbourUnresolved.into() {
        true => Ticks(PATIENCE.0 + GRACE.0),
        false => PATIENCE,
    }
}
