//! The view of somebody who has no packets to take anywhere: he asks what would become of them.

use std::cell::Cell;
use std::sync::Arc;

use adminapi::sysctl::Sysctls;

use super::Shared;
use super::course::Sent;
use super::errand::Errands;
use super::farewell::Farewells;
use super::openings::Opening;
use super::view::View;
use super::waiting::Waiting;
use super::ways::Ways;
use super::young::Young;
use crate::fast::{Fast, Moment};
use crate::neighbour::Fib;
use crate::path_mtu::PathMtus;
use crate::pool::Pool;
use crate::stats::WorkerStats;
use crate::tcp::Timeouts;
use crate::time::Tick;

/// The snapshots of one moment, and what a packet leaves behind on its way, which nobody reads here.
pub(super) struct Bystander<'s> {
    shared: &'s Shared,
    moment: Moment,
    pool: Arc<Pool>,
    fib: Arc<Fib>,
    ways: Ways,
    timeouts: Arc<Timeouts>,
    path_mtus: Arc<PathMtus>,
    sysctls: Arc<Sysctls>,
    farewells: Farewells,
    errands: Errands,
    openings: Waiting<Opening>,
    young: Waiting<Young>,
    sent: Cell<Option<Sent>>,
    stats: WorkerStats,
    ident: Cell<u16>,
}

impl<'s> Bystander<'s> {
    pub(super) fn of(shared: &'s Shared) -> Self {
        // Before the snapshots.
        let moment = shared.fast.as_deref().map(Fast::moment);
        let (pool, fib) = (shared.pool.load_full(), shared.fib.load_full());
        Self {
            shared,
            moment: moment.unwrap_or_default(),
            ways: Ways::new(&pool, &fib),
            pool,
            fib,
            timeouts: shared.timeouts.load_full(),
            path_mtus: shared.path_mtus.load_full(),
            sysctls: shared.sysctls.load_full(),
            farewells: Farewells::default(),
            errands: Errands::default(),
            openings: Waiting::default(),
            young: Waiting::default(),
            sent: Cell::new(None),
            stats: WorkerStats::default(),
            ident: Cell::new(0),
        }
    }

    /// The services and real servers.
    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// How a packet would be seen that came in through `port` at `now`. Nothing is told to the gate.
    pub(super) fn view(&self, port: u16, now: Tick) -> View<'_> {
        let shared = self.shared;
        View {
            worker: 0,
            now,
            port,
            fast: None,
            moment: self.moment,
            table: &shared.table,
            templates: &shared.templates,
            pool: &self.pool,
            latest: &shared.pool,
            fib: &self.fib,
            ways: &self.ways,
            timeouts: &self.timeouts,
            lottery: &shared.lottery,
            expectations: &shared.expectations,
            shifts: &shared.shifts,
            resets: &shared.resets,
            door: shared.door.get(),
            orders: &shared.orders,
            farewells: &self.farewells,
            errands: &self.errands,
            openings: &self.openings,
            young: &self.young,
            policy: shared.policy,
            path_mtus: &self.path_mtus,
            returns: &shared.returns,
            fragments: &shared.fragments,
            sent: &self.sent,
            stats: &self.stats,
            sysctls: &self.sysctls,
            ident: &self.ident,
        }
    }
}
