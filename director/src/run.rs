//! Puts a director together: data path, connection table, neighbourhood, control plane.

mod begin;
mod detach;
mod follow;
mod tables;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use adminapi::model;
use anyhow::{Context, Result};
use tracing::info;

use crate::config::{Config, ModeChoice};
use crate::control::{Director, Facts, WorkerFacts};
use crate::datapath::{self, Datapath, Mode, Settings};
use crate::defence::{Lottery, Orders};
use crate::fragment::Fragments;
use crate::ftp::{Expectations, Shifts};
use crate::gate::XdpMode;
use crate::keep::{Former, Keep};
use crate::neighbour::Neighbourhood;
use crate::path::{Path, Policy, Shared};
use crate::time::Clock;
use crate::xsk::CopyMode;

pub use follow::{follow, follow_atlas, follow_queues, hear, look_after};

pub use begin::judge;
use begin::{begin, settle};
pub use detach::{detach, remove};
use tables::{Tables, tables};

/// A director that runs.
pub struct Running {
    /// Its control plane.
    pub director: Director,
    /// Its worker threads, for [`datapath::stop`].
    pub workers: Vec<datapath::Running>,
}

/// Where this daemon keeps what outlives it, if anything is to, and what another one has left there.
pub type Claim = Option<(Keep, Option<Former>)>;

/// Claims the directory of `[datapath] state`: no two daemons have it.
///
/// # Errors
/// What is wrong with it, and what to do.
pub fn claim(config: &Config) -> Result<Claim> {
    let survive = config.datapath.survive.as_ref();
    Ok(survive
        .map(|survive| Keep::claim(&survive.state))
        .transpose()?)
}

/// Starts a director as `config` has it, which goes on where another one ended that has left
/// something to it. `ended` hears of a worker that ends by itself.
///
/// # Errors
/// What could not be opened or started, and what to do; everything is then as it was before.
pub async fn start(
    config: &Config,
    claim: Claim,
    stop: &Arc<AtomicBool>,
    ended: impl Fn(usize, String) + Clone + Send + 'static,
) -> Result<Running> {
    let (keep, former) = match claim {
        Some((keep, former)) => (Some(keep), former),
        None => (None, None),
    };
    let clock = former.as_ref().map_or_else(Clock::start, Former::clock);
    let settings = settings(config);
    let mut datapath = Datapath::open(&settings)?;
    let neighbourhood = Neighbourhood::follow(&settings.interfaces).await;
    let neighbourhood =
        neighbourhood.context("cannot follow the kernel's routes and neighbours")?;
    let tables = tables(config, &datapath, keep.as_ref(), former.as_ref(), clock)?;
    let shared = Arc::new(shared(config, &datapath, &neighbourhood, tables));
    shared.orders.set_keep_dead(former.is_some());
    if former.is_none() {
        // Where none is left, or the kernel does not do that, workers find memory for themselves.
        let _ = shared.table.provide();
    }
    count_on(&datapath, former.as_ref())?;
    let make = |id| {
        let stats = Arc::clone(datapath.stats(id));
        Path::new(id, Arc::clone(&shared), stats, neighbourhood.asker())
    };
    let paths: Vec<_> = (0..datapath.worker_count()).map(make).collect();
    let workers = datapath
        .start(clock, stop, paths, ended)
        .context("cannot start the workers")?;
    let facts = facts(&datapath, &settings, clock, &workers);
    let opened = (datapath.gate, datapath.sockets);
    let director = Director::new(facts, shared, opened, neighbourhood, keep);
    let configured = settle(&director)
        .and_then(|()| begin(&director, config, former.as_ref()))
        .and_then(|()| director.complete().context("nothing can be kept"))
        .and_then(|()| {
            // No SYN gets by before its service answers it.
            director.tend_cookies();
            director.tend_repeats();
            Ok(director.gate().take_over()?)
        })
        .and_then(|()| Ok(director.keep_answers()?));
    if let Err(problem) = configured {
        datapath::stop(stop, workers);
        return Err(problem);
    }
    // What its cookies are made with, too, before anybody is told that it is ready.
    director.keep_running();
    director.adopt_flows();
    director.begin_fast_path();
    Ok(Running { director, workers })
}

fn settings(config: &Config) -> Settings {
    let limits = &config.limits;
    let connections = limits.connections as usize + limits.half_open as usize;
    let config = &config.datapath;
    let survive = config.survive.as_ref();
    Settings {
        interfaces: config.interfaces.iter().map(ToString::to_string).collect(),
        mode: match config.mode {
            ModeChoice::Auto => Mode::Auto,
            ModeChoice::ZeroCopy => Mode::ZeroCopy,
            ModeChoice::Copy => Mode::Copy,
            ModeChoice::Generic => Mode::Generic,
        },
        workers: config.workers.map(|workers| workers as usize),
        frames: config.frames,
        ring: config.ring,
        flows: config.flows,
        connections,
        pin: survive.map(|survive| survive.pin.clone()),
    }
}

/// Counts on where the workers of before ended, if the gate does.
fn count_on(datapath: &Datapath, former: Option<&Former>) -> Result<()> {
    let mut redirected = 0;
    for port in 0..datapath.interfaces.len() {
        redirected += datapath.gate.counters(port)?.redirected;
    }
    if redirected > 0 {
        let tally = former.and_then(|former| former.tally.clone());
        let workers = 0..datapath.worker_count();
        let workers = workers.map(|id| &**datapath.stats(id));
        tally.unwrap_or_default().carry(redirected, workers);
    }
    Ok(())
}

fn shared(
    config: &Config,
    datapath: &Datapath,
    neighbourhood: &Neighbourhood,
    tables: Tables,
) -> Shared {
    Shared {
        table: tables.connections,
        templates: tables.templates,
        pool: tables.pool,
        fib: Arc::clone(neighbourhood.fib()),
        timeouts: tables.timeouts,
        fast: tables.fast,
        door: OnceLock::new(),
        orders: Orders::default(),
        fragments: Fragments::default(),
        policy: Policy {
            clamp_mss: config.datapath.clamp_mss,
            path_mtu_answers: config.datapath.path_mtu_answers,
        },
        path_mtus: Arc::default(),
        returns: Default::default(),
        sysctls: Arc::default(),
        lottery: Lottery::random(),
        expectations: Expectations::default(),
        shifts: Shifts::default(),
        resets: Arc::clone(datapath.gate.resets()),
        workers: datapath.worker_count(),
    }
}

fn facts(
    datapath: &Datapath,
    settings: &Settings,
    clock: Clock,
    workers: &[datapath::Running],
) -> Facts {
    let mode = |port| match (datapath.gate.mode(port), datapath.copy) {
        (XdpMode::Generic, _) => model::XdpMode::Generic,
        (XdpMode::Native, CopyMode::Copy) => model::XdpMode::Copy,
        (XdpMode::Native, CopyMode::ZeroCopy) => model::XdpMode::ZeroCopy,
    };
    let ports = datapath.interfaces.iter().enumerate();
    let interfaces: Vec<_> = ports
        .map(|(port, interface)| (interface.clone(), mode(port)))
        .collect();
    for (interface, mode) in &interfaces {
        let queues = interface.queues;
        info!(
            interface = interface.name, queues = queues.receive, to_send = queues.transmit, %mode,
            "taking packets"
        );
    }
    let worker = |w: &datapath::Running| WorkerFacts {
        cpu: w.cpu,
        stats: Arc::clone(&w.stats),
    };
    Facts {
        clock,
        interfaces,
        workers: workers.iter().map(worker).collect(),
        frames: settings.frames,
    }
}
