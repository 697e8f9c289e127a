//! The control plane: what the API asks, done to the pool, the gate and the rest.
//!
//! Every change builds the next [`Pool`] from the present one and publishes it in one step; the
//! gate's map follows it, so that no packet is taken for a service that is not there.

mod api;
mod atlases;
mod bans;
mod certificates;
mod commands;
mod connections;
mod cookies;
mod daemons;
mod desired;
mod drain;
mod edit;
mod events;
mod exits;
mod fast;
mod filter;
mod forwarding;
mod health;
mod history;
mod home;
mod judge;
mod keeping;
mod kept;
mod limits;
mod listing;
mod marks;
mod meter;
mod origin;
mod outer;
mod provision;
mod publish;
mod queues;
mod refusals;
mod regions;
mod reload;
mod repeats;
mod roles;
mod settings;
mod sights;
mod strategies;
mod supplies;
mod tables;
mod takeover;
mod templates;
mod translate;
mod unix;
mod view;
mod watch;
mod ways_back;

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use adminapi::model;
use adminapi::sysctl::Sysctl;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::agents::Agents;
use crate::datapath::Sockets;
use crate::exits::Exits;
use crate::gate::{Gate, GateError, Interface};
use crate::keep::Keep;
use crate::neighbour::{Link, Neighbourhood};
use crate::path::Shared;
use crate::persist::Store;
use crate::pool::Pool;
use crate::stats::WorkerStats;
use crate::tcp::{Brief, Timeouts};
use crate::time::Clock;
use crate::wire::{Addr, Mac};

pub use certificates::Certificate;
use daemons::Daemons;
use fast::FastWatch;
use health::Ward;
pub use health::look_after;
use history::History;
pub use judge::judge;
use keeping::Keeping;
pub use outer::listen as listen_for_errors;
pub use provision::provide_memory;
use publish::Master;
use queues::Served;
use reload::Source;
use sights::SightWatch;
pub use tables::fill_tables;
use watch::Watch;

pub use watch::PERIOD as WATCH_PERIOD;

/// A worker as the API shows it.
#[derive(Debug)]
pub struct WorkerFacts {
    /// CPU that it is pinned to.
    pub cpu: usize,
    /// What it counts.
    pub stats: Arc<WorkerStats>,
}

/// What does not change while a director runs.
#[derive(Debug)]
pub struct Facts {
    /// Since when it runs.
    pub clock: Clock,
    /// Interfaces, by port number, with the way packets come in.
    pub interfaces: Vec<(Interface, model::XdpMode)>,
    /// Workers, by number.
    pub workers: Vec<WorkerFacts>,
    /// Frames of each worker.
    pub frames: u32,
}

/// A running director.
pub struct Director {
    facts: Facts,
    shared: Arc<Shared>,
    gate: Gate,
    neighbourhood: Neighbourhood,
    master: Mutex<Master>,
    /// [`adminapi::Control::turn`].
    turn: Arc<tokio::sync::Mutex<()>>,
    /// For how long what a reload or a PUT takes away is drained, in seconds; 0 = it is removed.
    grace: AtomicU32,
    /// The rules that mark packets, as they were given.
    rules: Mutex<Vec<model::MarkRule>>,
    daemons: Daemons,
    watch: Mutex<Watch>,
    fast: Mutex<FastWatch>,
    exits: Mutex<Exits>,
    sockets: Mutex<Sockets>,
    /// By port; kept apart from `sockets`, so that nobody waits for those that are being opened.
    served: Mutex<Vec<Served>>,
    mint: cookies::Minting,
    asking: repeats::Askings,
    agents: Arc<Agents>,
    source: OnceLock<Source>,
    certificates: OnceLock<Vec<Certificate>>,
    /// Grows as long as the control makes progress.
    beats: AtomicU64,
    history: History,
    /// Where what is configured outlives the director, if anywhere.
    store: OnceLock<Store>,
    filters: Mutex<filter::Filters>,
    inspection: Mutex<refusals::Inspection>,
    ward: Ward,
    keeping: Keeping,
    sights: Mutex<SightWatch>,
    hearing: Mutex<home::Hearing>,
    sheets: listing::Sheets,
    /// Told when a scheduler does not know its list yet.
    behind: Notify,
}

impl Director {
    /// Puts the control plane over a data path. What it knows is left to the next one in `keep`.
    pub fn new(
        facts: Facts,
        shared: Arc<Shared>,
        (gate, sockets): (Gate, Sockets),
        neighbourhood: Neighbourhood,
        keep: Option<Keep>,
    ) -> Self {
        let watch = Mutex::new(Watch::new(facts.clock.now()));
        let sights = SightWatch::new(&gate);
        let ports = facts.interfaces.iter().enumerate();
        let ports = ports.map(|(port, (interface, _))| (interface.index, gate.mode(port)));
        let served = facts.interfaces.iter();
        let served = served.map(|(interface, _)| Served::of(interface));
        let served = Mutex::new(served.collect());
        let exits = Mutex::new(Exits::open(&gate, ports));
        let fast = Mutex::new(FastWatch::new(&neighbourhood));
        Self {
            facts,
            shared,
            gate,
            neighbourhood,
            master: Mutex::default(),
            turn: Arc::default(),
            grace: AtomicU32::new(0),
            rules: Mutex::default(),
            daemons: Daemons::default(),
            watch,
            fast,
            exits,
            sockets: Mutex::new(sockets),
            served,
            mint: Mutex::default(),
            asking: Mutex::default(),
            agents: Arc::default(),
            source: OnceLock::new(),
            certificates: OnceLock::new(),
            beats: AtomicU64::new(0),
            history: History::new(unix::unix_now()),
            store: OnceLock::new(),
            filters: Mutex::default(),
            inspection: Mutex::default(),
            ward: Ward::default(),
            keeping: Keeping::new(keep),
            sights,
            hearing: Mutex::default(),
            sheets: listing::Sheets::default(),
            behind: Notify::new(),
        }
    }

    /// Says that the control makes progress. To be called several times a second.
    pub fn beat(&self) {
        // Whoever holds the lock for good stops the beat.
        drop(self.master.lock());
        self.beats.fetch_add(1, Relaxed);
    }

    /// Numbers that all grow as long as everything moves: of the control first, then of each
    /// worker.
    pub fn pulse(&self) -> Vec<u64> {
        let workers = self.facts.workers.iter();
        let workers = workers.map(|worker| worker.stats.beats.get());
        std::iter::once(self.beats.load(Relaxed))
            .chain(workers)
            .collect()
    }

    /// The names of the interfaces, by port.
    fn interface_names(&self) -> Vec<&str> {
        let interfaces = self.facts.interfaces.iter();
        interfaces.map(|(own, _)| own.name.as_str()).collect()
    }

    /// How many services there are.
    pub fn service_count(&self) -> usize {
        self.shared.pool.load().service_count()
    }

    /// Tells the gate which ports of the host's addresses are the director's.
    fn tell_locals(&self, locals: &[Addr], pool: &Pool) -> std::result::Result<(), GateError> {
        let speakers = pool.speakers();
        for addr in locals {
            let spoken = speakers.has(*addr).then(|| speakers.ports());
            self.gate.set_local(*addr, spoken)?;
        }
        Ok(())
    }

    /// Tells the gate which addresses are the host's own.
    ///
    /// # Errors
    /// When the gate's map is full.
    pub fn set_locals(&self, addrs: &[Addr]) -> std::result::Result<(), GateError> {
        let mut master = self.master.lock();
        for gone in master.locals.iter().filter(|old| !addrs.contains(old)) {
            self.gate.forget_local(*gone)?;
        }
        self.tell_locals(addrs, &self.shared.pool.load())?;
        let old = std::mem::replace(&mut master.locals, addrs.to_vec());
        self.meet_locals(&old, addrs)
    }

    /// Tells the gate the Ethernet addresses of the interfaces.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_links(&self, links: &[Link]) -> std::result::Result<(), GateError> {
        for link in links {
            if let (Some(port), Some(mac)) = (link.port, link.mac) {
                self.gate.set_station(usize::from(port), Mac(mac))?;
            }
        }
        Ok(())
    }

    /// The gate.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The host's network, followed live.
    pub fn neighbourhood(&self) -> &Neighbourhood {
        &self.neighbourhood
    }

    /// Tells the neighbourhood which real servers to keep an eye on, if they have changed. To be
    /// called about once a second, since it goes through all of them; until then a packet that
    /// finds its neighbour missing asks for it.
    pub fn keep_neighbours(&self) {
        if std::mem::take(&mut self.master.lock().rips_changed) {
            self.neighbourhood.keep(self.shared.pool.load().rips());
        }
    }

    /// Sets the timeouts under attack of what is not proved.
    pub fn set_brief(&self, brief: Brief) {
        let _one_at_a_time = self.master.lock();
        let mut timeouts = Timeouts::clone(&self.shared.timeouts.load());
        timeouts.set_brief(brief);
        self.shared.timeouts.store(Arc::new(timeouts));
    }

    /// Whether the director speaks to the real servers of FullNAT from these ports.
    pub fn speaks_from(&self, ports: &RangeInclusive<u16>) -> bool {
        self.shared.pool.load().speakers().ports() == ports
    }

    /// Estimates all rates anew. To be called every [`crate::stats::rate::INTERVAL`].
    pub fn estimate_rates(&self) {
        if !self.shared.sysctls.load().is_on(Sysctl::RunEstimation) {
            return;
        }
        self.collect();
        for service in self.shared.pool.load().services() {
            service.traffic.estimate();
            service
                .reals
                .iter()
                .for_each(|real| real.traffic.estimate());
        }
    }
}
