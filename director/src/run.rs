//! Puts a director together: data path, connection table, neighbourhood, control plane.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use adminapi::model;
use anyhow::{Context, Result, bail};
use arc_swap::ArcSwap;
use nix::sys::utsname::uname;
use tracing::{info, warn};

use crate::agents::Door;
use crate::config::{Config, ModeChoice};
use crate::control::{self, Director, Facts, WATCH_PERIOD, WorkerFacts, listen_for_path_mtus};
use crate::datapath::{self, Datapath, Mode, Settings};
use crate::defence::{Lottery, Orders};
use crate::fast::Fast;
use crate::filter::Crowds;
use crate::flow::{Elsewhere, Limits, Table};
use crate::fragment::Fragments;
use crate::ftp::{Expectations, Shifts};
use crate::gate::{self, XdpMode};
use crate::health::Switchboard;
use crate::keep::{self, Former, Keep, Wishes};
use crate::logging;
use crate::neighbour::{Link, Neighbourhood};
use crate::path::{Path, Policy, Shared};
use crate::persist::Store;
use crate::pool::Pool;
use crate::privilege::{self, Capability};
use crate::rate;
use crate::tcp::Timeouts;
use crate::templates::Templates;
use crate::time::Clock;
use crate::wire::Version;
use crate::wire::ethernet::LEN as ETHERNET_LEN;
use crate::xsk::{CopyMode, MAX_PACKET};

/// Oldest kernel with all that is needed: one UMEM for sockets of several interfaces.
const OLDEST_KERNEL: (u32, u32) = (5, 10);

/// Bytes before the IP header.
const ETHERNET_HEADER: u32 = ETHERNET_LEN as u32;

/// A director that runs.
pub struct Running {
    /// Its control plane.
    pub director: Director,
    /// Its worker threads, for [`datapath::stop`].
    pub workers: Vec<datapath::Running>,
}

/// Says what is missing on this host, before anything is touched; `needed` are the capabilities.
///
/// # Errors
/// A capability that is missing, or a kernel that is too old.
pub fn check_host<'a>(needed: impl IntoIterator<Item = &'a Capability>) -> Result<()> {
    privilege::check(needed)?;
    let uname = uname().context("cannot ask for the kernel's version")?;
    let release = uname.release().to_string_lossy().into_owned();
    let numbers: Vec<u32> = release
        .split(['.', '-'])
        .map_while(|n| n.parse().ok())
        .collect();
    let [major, minor, ..] = numbers[..] else {
        return Ok(());
    };
    let (old_major, old_minor) = OLDEST_KERNEL;
    if (major, minor) < OLDEST_KERNEL {
        bail!("this kernel is {release}; bulwarkd needs Linux {old_major}.{old_minor} or newer");
    }
    Ok(())
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

/// Removes the gate and all that was kept of a director that does not run. Says what there was.
///
/// # Errors
/// A director runs, or the file system's.
pub fn detach(config: &Config) -> Result<String> {
    let Some(survive) = &config.datapath.survive else {
        return Ok("nothing outlives this director: no `pin` is set under [datapath]".to_owned());
    };
    let kept = keep::remove(&survive.state)?;
    let gate = gate::remove_pins(&survive.pin)?;
    Ok(match (gate, kept) {
        (false, false) => "there was nothing".to_owned(),
        (true, false) => "the gate is removed".to_owned(),
        (false, true) => "what was kept is removed".to_owned(),
        (true, true) => "the gate and what was kept are removed".to_owned(),
    })
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
    let director = Director::new(facts, shared, datapath.gate, neighbourhood, keep);
    let configured = settle(&director)
        .and_then(|()| begin(&director, config, former.as_ref()))
        .and_then(|()| {
            director.adopt_flows();
            director.complete().context("nothing can be kept")
        })
        .and_then(|()| {
            // No SYN gets by before its service answers it.
            director.tend_cookies();
            Ok(director.gate().take_over()?)
        })
        .and_then(|()| Ok(director.keep_answers()?));
    if let Err(problem) = configured {
        datapath::stop(stop, workers);
        return Err(problem);
    }
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

/// The pool and the tables that know it.
struct Tables {
    pool: Arc<ArcSwap<Pool>>,
    connections: Table,
    templates: Templates,
    timeouts: Arc<ArcSwap<Timeouts>>,
    fast: Option<Arc<Fast>>,
}

fn tables(
    config: &Config,
    datapath: &Datapath,
    keep: Option<&Keep>,
    former: Option<&Former>,
    clock: Clock,
) -> Result<Tables> {
    let workers = datapath.worker_count();
    let pool = Pool::new(workers).speaking_from(config.datapath.local.ports.clone());
    let mut pool = pool.enrolling(Arc::clone(datapath.gate.roll()));
    if let Some(former) = former {
        pool.remember(former.names.iter().copied());
        pool.remember_speakers(former.speakers.iter().copied());
    }
    let limits = Limits {
        connections: config.limits.connections as usize,
        half_open: config.limits.half_open as usize,
        workers,
    };
    let clients = Templates::limits(config.limits.templates as usize, workers);
    let now = clock.now();
    let about = former.map(|former| &former.about);
    let connections = match keep {
        Some(keep) => {
            let shape = about.map(|about| &about.connections);
            Table::kept(&limits, &keep.connections()?, shape, now)
        }
        None => Table::new(&limits),
    };
    let connections = connections
        .context("cannot get memory for the connection table; lower [limits] connections")?;
    let templates = match keep {
        Some(keep) => {
            let shape = about.map(|about| &about.templates);
            Table::kept(&clients, &keep.templates()?, shape, now)
        }
        None => Table::new(&clients),
    };
    let templates =
        templates.context("cannot get memory for templates; lower [limits] templates")?;
    if let Some(keep) = keep {
        keep.check_room((connections.kept_bytes() + templates.kept_bytes()) as u64)?;
    }
    let crowds = Crowds::of(connections.locator());
    let pool = pool.counting(Arc::new(crowds));
    let pool = Arc::new(ArcSwap::from_pointee(pool));
    let timeouts = Arc::<ArcSwap<Timeouts>>::default();
    let fast = fast(config, datapath, &timeouts)?;
    if let Some(fast) = &fast {
        fast.wake(now);
    }
    let elsewhere = fast.clone().map(|fast| fast as Arc<dyn Elsewhere>);
    Ok(Tables {
        templates: Templates::of(templates, Arc::clone(&pool)),
        connections: connections.seen_by(elsewhere),
        timeouts,
        fast,
        pool,
    })
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
        sysctls: Arc::default(),
        lottery: Lottery::random(),
        expectations: Expectations::default(),
        shifts: Shifts::default(),
        resets: Arc::clone(datapath.gate.resets()),
        workers: datapath.worker_count(),
    }
}

/// The fast path, if it is wanted.
fn fast(
    config: &Config,
    datapath: &Datapath,
    timeouts: &Arc<ArcSwap<Timeouts>>,
) -> Result<Option<Arc<Fast>>> {
    if config.datapath.flows == 0 {
        return Ok(None);
    }
    let flows = datapath.gate.flows()?;
    Ok(Some(Arc::new(Fast::new(flows, Arc::clone(timeouts)))))
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
        info!(interface = interface.name, queues = interface.queues, %mode, "taking packets");
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

/// Tells the gate of the host as it is now.
fn settle(director: &Director) -> Result<()> {
    let neighbourhood = director.neighbourhood();
    let links = neighbourhood.links().borrow().clone();
    for link in links.iter().filter(|link| link.port.is_some()) {
        warn_of_long_packets(link);
    }
    director.set_links(&links)?;
    director.set_locals(&neighbourhood.addresses().borrow())?;
    director.look_at_lanes();
    Ok(())
}

/// A packet that does not fit a frame is dropped by the kernel, as `no_frame`.
fn warn_of_long_packets(link: &Link) {
    let longest = MAX_PACKET - ETHERNET_HEADER;
    if link.mtu > longest {
        let Link { name, mtu, .. } = link;
        warn!(
            "{name} has an MTU of {mtu}, but packets above {longest} are dropped; lower it with `ip link set {name} mtu {longest}`"
        );
    }
}

/// Configures a director that has just started. Where the API's changes are kept, as it was left;
/// else as a former one, or the file, has it.
fn begin(director: &Director, config: &Config, former: Option<&Former>) -> Result<()> {
    let stored = match &config.api.persist {
        Some(path) => director.open_store(Store::at(path))?,
        None => None,
    };
    match &stored {
        Some(state) => restore(director, config, state, former)?,
        None => resume(director, config, former)?,
    }
    if let Some(former) = former {
        director.list_on(former);
    }
    director.assume()?;
    Ok(())
}

/// Configures a director that has just started as the API has left it.
fn restore(
    director: &Director,
    config: &Config,
    state: &model::Configuration,
    former: Option<&Former>,
) -> Result<()> {
    let wishes = Wishes::stored(state);
    let refused = || "what was kept cannot be done any more ([api] persist)";
    director.adopt(config, &wishes).with_context(refused)?;
    director.adopt_defense(&config.defense);
    if let Some(former) = former {
        director.take_over(former, wishes.level);
    }
    director.put_whole(state).with_context(refused)?;
    director.note_file(Wishes::of(config));
    Ok(())
}

/// Configures a director that has just started. What has not changed in the file since the `former`
/// one read it is as that one had it in the end.
fn resume(director: &Director, config: &Config, former: Option<&Former>) -> Result<()> {
    let Some(former) = former else {
        return Ok(director.configure(config)?);
    };
    let file = Wishes::of(config);
    let running = former.running.as_ref();
    let wishes = running.map_or_else(|| file.clone(), |running| running.resume(&file));
    let adopted = director.adopt(config, &wishes).or_else(|error| {
        warn!(%error, "what was in force does not hold any more: the file is");
        director.adopt(config, &file)
    });
    adopted?;
    director.adopt_defense(&config.defense);
    director.take_over(former, wishes.level);
    director.note_file(file);
    Ok(())
}

/// Opens the door for agents of real servers, if there is to be one.
///
/// # Errors
/// Why it cannot be opened.
pub async fn door_for_agents(config: &Config) -> Result<Option<Door>> {
    let Some(wanted) = &config.agents else {
        return Ok(None);
    };
    let door = Door::open(wanted.listen, &wanted.identity).await;
    let door = door.with_context(|| format!("cannot take agents in at {}", wanted.listen))?;
    Ok(Some(door))
}

/// Looks after the real servers until `end`, on a thread of its own: what checks cost is kept from
/// the API.
///
/// # Errors
/// That there is no thread to be had.
pub fn look_after(
    director: Arc<Director>,
    end: impl Future<Output = ()> + Send + 'static,
) -> Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let lines = {
        let _within = runtime.enter();
        Switchboard::open()?
    };
    let thread = std::thread::Builder::new().name("health".to_owned());
    let work = move || runtime.block_on(control::look_after(director, lines, end));
    thread
        .spawn(work)
        .context("cannot start a thread for health checks")
}

/// Hears of the path MTUs of tunnels. Never ends.
pub async fn hear(director: Arc<Director>) {
    let listen = async |version| {
        if let Err(error) = listen_for_path_mtus(&director, version).await {
            warn!(%error, ?version, "path MTUs of tunnels are not heard of");
        }
    };
    tokio::join!(listen(Version::V4), listen(Version::V6));
}

/// How often it is looked whether a file that says where networks are has changed.
const ATLAS_PERIOD: Duration = Duration::from_secs(2);

/// Reads the files anew that say where networks are, when they have changed. Never ends.
pub async fn follow_atlas(director: Arc<Director>) {
    let mut look = tokio::time::interval(ATLAS_PERIOD);
    loop {
        look.tick().await;
        let director = Arc::clone(&director);
        let renew = move || {
            if director.has_old_atlas() {
                director.renew_atlas();
            }
        };
        if let Err(fault) = tokio::task::spawn_blocking(renew).await {
            warn!(%fault, "the files of countries are not followed");
        }
    }
}

/// Keeps the gate true to the host's network and the neighbourhood to the real servers, and
/// forgets what is gone. Never ends.
pub async fn follow(director: Arc<Director>) {
    let neighbourhood = director.neighbourhood();
    let (mut links, mut addresses) = (neighbourhood.links(), neighbourhood.addresses());
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut estimation = tokio::time::interval(rate::INTERVAL);
    let mut look = tokio::time::interval(WATCH_PERIOD.into());
    loop {
        let told = tokio::select! {
            Ok(()) = links.changed() => {
                director.look_at_lanes();
                director.set_links(&links.borrow_and_update().clone())
            }
            Ok(()) = addresses.changed() => director.set_locals(&addresses.borrow_and_update().clone()),
            _ = estimation.tick() => {
                director.estimate_rates();
                Ok(())
            }
            _ = look.tick() => {
                director.watch();
                director.follow_ways();
                director.tend_cookies();
                director.tend_bans();
                director.look_at_sights();
                director.keep_running();
                director.beat();
                Ok(())
            }
            _ = second.tick() => {
                logging::tell_held_back();
                director.sample();
                director.keep_tally();
                director.keep_neighbours();
                director.look_at_lanes();
                director.keep_shortening();
                if let Err(error) = director.end_listings() {
                    warn!(%error, "a network is not taken off its list yet");
                }
                if let Err(error) = director.end_drains() {
                    warn!(%error, "a drained real server is not removed yet");
                }
                director.reap().and_then(|()| director.keep_answers())
            }
        };
        if let Err(error) = told {
            warn!(%error, "the gate is behind the host's network");
        }
    }
}
