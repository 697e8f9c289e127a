//! Counters: each written by one worker only, read by anyone; no atomic read-modify-write.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counter with one writer (the worker that owns it) and any number of readers.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owning thread may call this.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The present value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What a service or a real server counts, as `ipvsadm --stats` shows it.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Traffic {
    /// Connections scheduled.
    pub connections: Counter,
    /// Packets from clients.
    pub in_packets: Counter,
    /// Packets to clients.
    pub out_packets: Counter,
    /// Bytes from clients, network header included.
    pub in_bytes: Counter,
    /// Bytes to clients, network header included.
    pub out_bytes: Counter,
}

/// A sum of [`Traffic`] over the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficSum {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets to clients.
    pub out_packets: u64,
    /// Bytes from clients.
    pub in_bytes: u64,
    /// Bytes to clients.
    pub out_bytes: u64,
}

/// One [`Traffic`] for each worker.
#[derive(Debug)]
pub struct PerWorker(Box<[Traffic]>);

impl PerWorker {
    /// Counters for `workers` workers, all zero.
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Traffic::default()).collect())
    }

    /// The counters that `worker` alone writes.
    ///
    /// # Panics
    /// When `worker` is not below the number given to [`PerWorker::new`].
    #[inline]
    pub fn of(&self, worker: usize) -> &Traffic {
        &self.0[worker]
    }

    /// The sum over all workers.
    pub fn sum(&self) -> TrafficSum {
        self.0
            .iter()
            .fold(TrafficSum::default(), |sum, t| TrafficSum {
                connections: sum.connections + t.connections.get(),
                in_packets: sum.in_packets + t.in_packets.get(),
                out_packets: sum.out_packets + t.out_packets.get(),
                in_bytes: sum.in_bytes + t.in_bytes.get(),
                out_bytes: sum.out_bytes + t.out_bytes.get(),
            })
    }
}
