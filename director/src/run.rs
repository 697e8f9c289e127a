//! Puts a director together: data path, connection table, neighbourhood, control plane.

use std::io::IsTerminal;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use adminapi::{Control, model};
use anyhow::{Context, Result, bail, ensure};
use arc_swap::ArcSwap;
use nix::sys::utsname::uname;
use nix::unistd::geteuid;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use crate::config::{self, Config, Log, LogFormat, ModeChoice};
use crate::control::{self, Director, Facts, WATCH_PERIOD, WorkerFacts, listen_for_path_mtus};
use crate::datapath::{self, Datapath, Mode, Settings};
use crate::defence::{Lottery, Orders};
use crate::flow::{Limits, Table};
use crate::fragment::Fragments;
use crate::ftp::Expectations;
use crate::gate::XdpMode;
use crate::neighbour::{Link, Neighbourhood};
use crate::path::{Path, Policy, Shared};
use crate::pool::Pool;
use crate::rate;
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

/// Starts logging to standard error. `RUST_LOG` goes before what is configured.
pub fn log(log: &Log) {
    let level = tracing::Level::from(log.level).to_string();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().init(),
    }
}

/// Says what is missing on this host, before anything is touched.
///
/// # Errors
/// Not root, or a kernel that is too old.
pub fn check_host() -> Result<()> {
    ensure!(
        geteuid().is_root(),
        "not root: AF_XDP and BPF need it; start bulwarkd as root"
    );
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

/// Starts a director as `config` has it. `ended` hears of a worker that ends by itself.
///
/// # Errors
/// What could not be opened or started, and what to do; everything is then as it was before.
pub async fn start(
    config: &Config,
    stop: &Arc<AtomicBool>,
    ended: impl Fn(usize, String) + Clone + Send + 'static,
) -> Result<Running> {
    let clock = Clock::start();
    let settings = settings(&config.datapath);
    let mut datapath = Datapath::open(&settings)?;
    let neighbourhood = Neighbourhood::follow(&settings.interfaces).await;
    let neighbourhood =
        neighbourhood.context("cannot follow the kernel's routes and neighbours")?;
    let shared = Arc::new(shared(config, &datapath, &neighbourhood)?);
    let make = |id| {
        let stats = Arc::clone(datapath.stats(id));
        Path::new(id, Arc::clone(&shared), stats, neighbourhood.asker())
    };
    let paths: Vec<_> = (0..datapath.worker_count()).map(make).collect();
    let workers = datapath
        .start(clock, stop, paths, ended)
        .context("cannot start the workers")?;
    let facts = facts(&datapath, &settings, clock, &workers);
    let director = Director::new(facts, shared, datapath.gate, neighbourhood);
    let configured = settle(&director).and_then(|()| configure(&director, config));
    if let Err(problem) = configured {
        datapath::stop(stop, workers);
        return Err(problem);
    }
    Ok(Running { director, workers })
}

fn settings(config: &config::Datapath) -> Settings {
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
    }
}

fn shared(config: &Config, datapath: &Datapath, neighbourhood: &Neighbourhood) -> Result<Shared> {
    let workers = datapath.worker_count();
    let limits = Limits {
        connections: config.limits.connections as usize,
        half_open: config.limits.half_open as usize,
        workers,
    };
    let pool = Pool::new(workers).speaking_from(config.datapath.local.ports.clone());
    let pool = Arc::new(ArcSwap::from_pointee(pool));
    let templates = config.limits.templates as usize;
    Ok(Shared {
        table: Table::new(&limits)
            .context("cannot get memory for the connection table; lower [limits] connections")?,
        templates: Templates::new(templates, workers, Arc::clone(&pool))
            .context("cannot get memory for templates; lower [limits] templates")?,
        pool,
        fib: Arc::clone(neighbourhood.fib()),
        timeouts: Arc::default(),
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
        workers,
    })
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

/// Makes services, timeouts, sysctls and local addresses those of `config`.
///
/// # Errors
/// What the director refuses; the services are as they were then.
pub fn configure(director: &Director, config: &Config) -> Result<()> {
    let local = &config.datapath.local;
    ensure!(
        director.speaks_from(&local.ports),
        "local_ports under [datapath] cannot be changed while the director runs; restart it"
    );
    let addrs: Vec<_> = local.addresses.iter().map(|addr| (*addr).into()).collect();
    director.set_grace(config.datapath.drain);
    director.apply_speaking_from(&addrs, &config.services)?;
    director.put_marks(config.marks.clone())?;
    director.change_timeouts(config.timeouts.into())?;
    director.set_sysctls(config.sysctls.clone());
    director.set_brief(config.defense.brief);
    director.adopt_defense(&config.defense);
    director.adopt_health(&config.health);
    Ok(())
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
    let thread = std::thread::Builder::new().name("health".to_owned());
    let work = move || runtime.block_on(control::look_after(director, end));
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
            Ok(()) = links.changed() => director.set_links(&links.borrow_and_update().clone()),
            Ok(()) = addresses.changed() => director.set_locals(&addresses.borrow_and_update().clone()),
            _ = estimation.tick() => {
                director.estimate_rates();
                Ok(())
            }
            _ = look.tick() => {
                director.watch();
                Ok(())
            }
            _ = second.tick() => {
                director.keep_neighbours();
                if let Err(error) = director.end_drains() {
                    warn!(%error, "a drained real server is not removed yet");
                }
                director.reap()
            }
        };
        if let Err(error) = told {
            warn!(%error, "the gate is behind the host's network");
        }
    }
}
