//! The data path as a whole: the gate on the interfaces, a socket for each queue, a thread for
//! each worker.
//!
//! ```text
//!              worker 0        worker 1
//!   eth0       q0  q2          q1  q3        each worker has a queue of every interface,
//!   eth1       q0              q1            so that it can send wherever a packet must go
//!              `- UMEM -'      `- UMEM -'
//! ```

use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::gate::{Gate, GateError, Interface, MAX_PORTS, Pins, Room, XdpMode};
use crate::stats::WorkerStats;
use crate::time::Clock;
use crate::worker::{Walk, Worker};
use crate::xsk::CopyMode;

mod attempt;
mod plan;
mod sockets;

use attempt::TAKE_OVER_PATIENCE;
use plan::Plan;
pub use sockets::Sockets;

/// How packets are to get from the NIC to the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The best that all interfaces can do.
    #[default]
    Auto,
    /// Zero copy, or nothing.
    ZeroCopy,
    /// The gate in the driver; the kernel copies.
    Copy,
    /// The gate after the driver; the kernel copies.
    Generic,
}

/// What a data path is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Interfaces, by name; their places are the port numbers.
    pub interfaces: Vec<String>,
    /// Wanted mode.
    pub mode: Mode,
    /// Wanted number of workers; never more than an interface has queues
    /// of either kind.
    pub workers: Option<usize>,
    /// Frames of each worker.
    pub frames: u32,
    /// Entries of each ring.
    pub ring: u32,
    /// Connections that the gate may forward by itself; 0 = it does not do that.
    pub flows: u32,
    /// Connections that the gate is to know of.
    pub connections: usize,
    /// Where the gate is pinned, if it is to outlive this process.
    pub pin: Option<PathBuf>,
}

/// Why the data path could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    /// The gate.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// Too many interfaces.
    #[error("{0} interfaces are configured, a director drives up to {MAX_PORTS}")]
    TooManyPorts(usize),
    /// A socket.
    #[error(
        "cannot open the AF_XDP socket of queue {queue} of `{interface}`: {error}{}",
        hint(error)
    )]
    Socket {
        /// Interface.
        interface: String,
        /// Queue of it.
        queue: u32,
        /// What the kernel said.
        error: io::Error,
    },
    /// The worker's memory is in the rings of other queues.
    #[error(
        "worker {worker} has no packet memory left for queue {queue} of `{interface}`: others hold it; restart bulwarkd, which shares it out anew"
    )]
    NoFrames {
        /// Who is to have it.
        worker: usize,
        /// Interface.
        interface: String,
        /// Queue of it.
        queue: u32,
    },
    /// The worker has had no time to take the socket.
    #[error("worker {worker} has not taken the socket of queue {queue} of `{interface}` yet")]
    NotTaken {
        /// Who is to have it.
        worker: usize,
        /// Interface.
        interface: String,
        /// Queue of it.
        queue: u32,
    },
    /// Memory.
    #[error(
        "cannot get {frames} frames of packet memory: {error}; lower `frames` under [datapath]"
    )]
    Memory {
        /// Wanted frames.
        frames: u32,
        /// What the kernel said.
        error: io::Error,
    },
}

impl DatapathError {
    fn socket(interface: &Interface, queue: u32, error: io::Error) -> Self {
        Self::Socket {
            interface: interface.name.clone(),
            queue,
            error,
        }
    }

    fn is_busy(&self) -> bool {
        matches!(self, Self::Socket { error, .. } if error.raw_os_error() == Some(libc::EBUSY))
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EBUSY) => "; another process has it, another bulwarkd perhaps",
        Some(libc::EPERM) => "; CAP_NET_RAW is needed: start bulwarkd as root",
        Some(libc::EAFNOSUPPORT) => "; this kernel is built without AF_XDP (CONFIG_XDP_SOCKETS)",
        Some(libc::EOPNOTSUPP) => {
            "; the driver cannot do this mode, set `mode = \"auto\"` under [datapath]"
        }
        Some(libc::ENOBUFS | libc::ENOMEM) => "; raise the limit on locked memory (LimitMEMLOCK)",
        _ => "",
    }
}

/// A data path whose sockets are open, but whose workers do not run yet.
#[derive(Debug)]
pub struct Datapath {
    /// The gate.
    pub gate: Gate,
    /// The interfaces, by port number.
    pub interfaces: Vec<Interface>,
    /// Zero copy or not, the same for all.
    pub copy: CopyMode,
    /// Which queues have sockets.
    pub sockets: Sockets,
    workers: Vec<Worker>,
    stats: Vec<Arc<WorkerStats>>,
    frames: u32,
}

/// A worker thread that runs.
#[derive(Debug)]
pub struct Running {
    /// CPU that it is pinned to.
    pub cpu: usize,
    /// What it counts.
    pub stats: Arc<WorkerStats>,
    thread: JoinHandle<()>,
}

impl Datapath {
    /// Attaches the gate and opens all sockets.
    ///
    /// # Errors
    /// See [`DatapathError`]; everything is then as it was before.
    pub fn open(settings: &Settings) -> Result<Self, DatapathError> {
        if settings.interfaces.len() > MAX_PORTS {
            return Err(DatapathError::TooManyPorts(settings.interfaces.len()));
        }
        let found: Result<Vec<_>, _> = settings
            .interfaces
            .iter()
            .map(|name| Interface::find(name))
            .collect();
        let interfaces = found?;
        let pins = settings.pin.as_deref().map(Pins::claim).transpose()?;
        let mode = xdp_mode(settings.mode);
        let room = Room {
            flows: settings.flows,
            connections: settings.connections,
        };
        let gate = Gate::attach(&interfaces, mode, room, pins)?;
        let native = (0..interfaces.len()).all(|port| gate.mode(port) == XdpMode::Native);
        let patience = match gate.is_awaited() {
            true => TAKE_OVER_PATIENCE,
            false => Duration::ZERO,
        };
        let plan = Plan::of(&interfaces, settings);
        let open = |copy| plan.workers(copy);
        let (copy, (workers, inlets)) = attempt::best(settings.mode, native, patience, open)?;
        let stats = workers
            .iter()
            .map(|worker| Arc::clone(worker.stats()))
            .collect();
        let sockets = Sockets::new(interfaces.len(), copy, inlets);
        let mut path = Self {
            gate,
            interfaces,
            copy,
            sockets,
            workers,
            stats,
            frames: settings.frames,
        };
        path.connect()?;
        Ok(path)
    }

    fn connect(&mut self) -> Result<(), DatapathError> {
        for (port, queue, socket) in self.workers.iter().flat_map(Worker::sockets) {
            self.gate.connect(port, queue, socket.as_fd())?;
            self.sockets.note(port, queue);
        }
        Ok(())
    }

    /// How many workers there are.
    pub fn worker_count(&self) -> usize {
        self.workers.len().max(self.stats.len())
    }

    /// Frames of each worker.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// What worker number `worker` counts.
    pub fn stats(&self, worker: usize) -> &Arc<WorkerStats> {
        &self.stats[worker]
    }

    /// Starts the workers, each pinned to a CPU of its own as far as there are enough, each with
    /// one of `walks`. One that ends by itself, by an error or a panic, tells
    /// `ended` why.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start<W: Walk + Send + 'static>(
        &mut self,
        clock: Clock,
        stop: &Arc<AtomicBool>,
        walks: Vec<W>,
        ended: impl Fn(usize, String) + Clone + Send + 'static,
    ) -> io::Result<Vec<Running>> {
        let cpus = allowed_cpus();
        let workers = std::mem::take(&mut self.workers);
        let start = |(id, (mut worker, mut walk)): (usize, (Worker, W))| {
            let cpu = cpus[id % cpus.len()];
            let (stop, ended) = (Arc::clone(stop), ended.clone());
            let stats = Arc::clone(worker.stats());
            let thread = thread::Builder::new()
                .name(format!("worker-{id}"))
                .spawn(move || {
                    pin(cpu);
                    let run = || worker.run(&mut walk, clock, &stop);
                    match catch_unwind(AssertUnwindSafe(run)) {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => ended(id, format!("a socket failed: {error}")),
                        Err(_) => ended(id, "a panic, printed above".to_owned()),
                    }
                })?;
            Ok(Running { cpu, stats, thread })
        };
        workers
            .into_iter()
            .zip(walks)
            .enumerate()
            .map(start)
            .collect()
    }
}

impl Running {
    /// Waits for the thread to end; to be called after its `stop` was set.
    pub fn join(self) {
        // A panic was told to `ended` already.
        let _ = self.thread.join();
    }
}

/// Tells all workers to stop and waits for them.
pub fn stop(stop: &AtomicBool, workers: Vec<Running>) {
    stop.store(true, Relaxed);
    workers.into_iter().for_each(Running::join);
}

const fn xdp_mode(mode: Mode) -> Option<XdpMode> {
    match mode {
        Mode::Auto => None,
        Mode::ZeroCopy | Mode::Copy => Some(XdpMode::Native),
        Mode::Generic => Some(XdpMode::Generic),
    }
}

fn allowed_cpus() -> Vec<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    let cpus: Vec<_> = (0..CpuSet::count())
        .filter(|&cpu| set.is_set(cpu).unwrap_or(false))
        .collect();
    if cpus.is_empty() { vec![0] } else { cpus }
}

/// A worker that cannot be pinned works all the same.
fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    if set.set(cpu).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}
