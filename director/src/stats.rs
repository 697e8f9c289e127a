//! Counters: each written by one worker only, read by anyone; no atomic read-modify-write.

pub mod rate;
mod sum;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::drops::DropReason;
use crate::sources::Shown;

use rate::{Estimate, Windows};
pub use sum::TrafficSum;

/// A counter with one writer (the worker that owns it) and any number of readers.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owning thread may call this.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Sets the value, for what is a level and not a count. Only the owning thread may call this.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// The present value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// One counter for each reason to drop a packet.
#[derive(Debug)]
pub struct Drops([Counter; DropReason::COUNT]);

impl Default for Drops {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl Drops {
    /// The counter of `reason`.
    #[inline]
    pub fn of(&self, reason: DropReason) -> &Counter {
        &self.0[reason.index()]
    }

    /// All reasons that have dropped something, with how much.
    pub fn seen(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::all()
            .map(|reason| (reason, self.of(reason).get()))
            .filter(|(_, n)| *n > 0)
    }

    /// The sum over all reasons.
    pub fn sum(&self) -> u64 {
        self.0.iter().map(Counter::get).sum()
    }
}

/// What a service or a real server counts, as `ipvsadm --stats` shows it.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Traffic {
    /// Connections scheduled.
    pub connections: Counter,
    /// Packets from clients, forwarded.
    pub in_packets: Counter,
    /// Packets to clients, forwarded.
    pub out_packets: Counter,
    /// Bytes from clients, network header included.
    pub in_bytes: Counter,
    /// Bytes to clients, network header included.
    pub out_bytes: Counter,
    /// Packets that were known to be its own when they were dropped.
    pub drops: Drops,
    /// Clients that have shown, by a cookie or by a RST, that they are there.
    pub shown: Counter,
    /// New TCP connections that the real server has agreed to.
    pub answered: Counter,
    /// Those that it has reset at once.
    pub refused: Counter,
    /// Those that a client has asked for again, as nobody has answered.
    pub silent: Counter,
}

/// How real servers meet new TCP connections, as far as their answers are seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshakes {
    /// They agree.
    pub answered: u64,
    /// They reset them.
    pub refused: u64,
    /// They say nothing.
    pub silent: u64,
}

impl Handshakes {
    /// What has come since `earlier`; nothing when counting has begun anew.
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            answered: self.answered.saturating_sub(earlier.answered),
            refused: self.refused.saturating_sub(earlier.refused),
            silent: self.silent.saturating_sub(earlier.silent),
        }
    }
}

/// One [`Traffic`] for each worker, and one for what the gate forwards by itself.
#[derive(Debug)]
pub struct PerWorker {
    workers: Box<[Traffic]>,
    gate: Box<Traffic>,
    /// What is taken off every sum: what was counted when the counters were zeroed.
    zero: Mutex<TrafficSum>,
    rates: Mutex<Estimate>,
    windows: Mutex<Windows>,
}

impl PerWorker {
    /// Counters for `workers` workers, all zero.
    pub fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| Traffic::default()).collect(),
            gate: Box::default(),
            zero: Mutex::default(),
            rates: Mutex::default(),
            windows: Mutex::default(),
        }
    }

    /// The counters that `worker` alone writes.
    ///
    /// # Panics
    /// When `worker` is not below the number given to [`PerWorker::new`].
    #[inline]
    pub fn of(&self, worker: usize) -> &Traffic {
        &self.workers[worker]
    }

    /// The counters of what the gate forwards, which one at a time writes.
    pub fn gate(&self) -> &Traffic {
        &self.gate
    }

    /// Starts counting from zero (`ipvsadm -Z`), rates too. Drops go on.
    pub fn zero(&self) {
        let total = self.total();
        *self.zero.lock() = total;
        *self.rates.lock() = Estimate::starting(total);
    }

    /// Goes on from `carried`, which others have counted.
    pub fn go_on(&self, carried: &TrafficSum) {
        let mut zero = self.zero.lock();
        *zero = zero.since(carried);
    }

    /// Estimates rates anew. To be called every [`rate::INTERVAL`].
    pub fn estimate(&self) {
        self.rates.lock().take_in(self.total());
    }

    /// What comes in a second.
    pub fn rates(&self) -> TrafficSum {
        self.rates.lock().per_second()
    }

    /// Notes what has been counted by this second. To be called once a second.
    pub fn note_second(&self) {
        self.windows.lock().take_in(self.total());
    }

    /// What came in a second, over the last one, ten and sixty.
    pub fn windows(&self) -> [TrafficSum; 3] {
        self.windows.lock().per_second()
    }

    /// The sum over all workers, since the start or the last [`PerWorker::zero`].
    pub fn sum(&self) -> TrafficSum {
        self.total().since(&self.zero.lock())
    }

    fn total(&self) -> TrafficSum {
        let all = self.workers.iter().chain([&*self.gate]);
        all.fold(TrafficSum::default(), |sum, t| TrafficSum {
            connections: sum.connections + t.connections.get(),
            in_packets: sum.in_packets + t.in_packets.get(),
            out_packets: sum.out_packets + t.out_packets.get(),
            in_bytes: sum.in_bytes + t.in_bytes.get(),
            out_bytes: sum.out_bytes + t.out_bytes.get(),
        })
    }

    /// Looks at all that [`PerWorker::sum`] will, and takes no lock: so the memory of many comes at
    /// once, where a lock waits for what was asked for before it. What is returned means nothing.
    pub fn fetch_sum(&self) -> u64 {
        let all = self.workers.iter().chain([&*self.gate]);
        all.fold(self.zero.is_locked().into(), |seen, t| {
            seen ^ t.connections.get() ^ t.out_bytes.get()
        })
    }

    /// As [`PerWorker::fetch_sum`], for [`PerWorker::rates`].
    pub fn fetch_rates(&self) -> u64 {
        self.rates.is_locked().into()
    }

    /// How new TCP connections were met, over all workers.
    pub fn handshakes(&self) -> Handshakes {
        let sum = |of: fn(&Traffic) -> &Counter| self.workers.iter().map(|t| of(t).get()).sum();
        Handshakes {
            answered: sum(|t| &t.answered),
            refused: sum(|t| &t.refused),
            silent: sum(|t| &t.silent),
        }
    }

    /// Connections that were opened, over all workers, since the start.
    pub fn opened(&self) -> u64 {
        self.workers.iter().map(|t| t.connections.get()).sum()
    }

    /// Clients that have shown, by a cookie or by a RST, that they are there, over all workers.
    pub fn shown(&self) -> u64 {
        self.workers.iter().map(|t| t.shown.get()).sum()
    }

    /// What was dropped for `reason`, over all workers.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.workers.iter().map(|t| t.drops.of(reason).get()).sum()
    }
}

/// What one worker counts. Of the packets it received each was sent or dropped, so
/// `received = sent + drops.sum()` whenever it rests; answers come on top.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct WorkerStats {
    /// Packets taken from rx rings, and from this host.
    pub received: Counter,
    /// Those of them that programs of this host have sent.
    pub from_host: Counter,
    /// Packets forwarded into tx rings.
    pub sent: Counter,
    /// Those of real servers that belong to no connection, `sent` or about to be.
    pub routed: Counter,
    /// Packets of the director's own: RST, ICMP errors, and fragments beside the first.
    pub answered: Counter,
    /// Packets dropped.
    pub drops: Drops,
    /// Sockets that the worker has.
    pub sockets: Counter,
    /// Frames at rest with the worker.
    pub free: Counter,
    /// Frames with the kernel to receive into.
    pub filling: Counter,
    /// Frames with the kernel to send.
    pub sending: Counter,
    /// Packets that the kernel dropped since an rx ring was full.
    pub ring_full: Counter,
    /// Packets that the kernel dropped since it had no frame to receive into.
    pub no_frame: Counter,
    /// Grows several times a second, as long as the worker makes progress.
    pub beats: Counter,
    /// Nanoseconds that the worker has slept because nothing came.
    pub asleep: Counter,
    /// Who sends it most.
    pub sources: Shown,
}
