//! How full the pools are.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// How many connections live in one pool of all shards, and how many may.
#[repr(align(128))]
pub(super) struct Gauge {
    live: AtomicUsize,
    limit: usize,
    /// How many have had to go for others, ever.
    displaced: AtomicU64,
}

impl Gauge {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            live: AtomicUsize::new(0),
            limit,
            displaced: AtomicU64::new(0),
        }
    }

    pub(super) fn displaced(&self) -> u64 {
        self.displaced.load(Relaxed)
    }

    pub(super) fn count_displaced(&self) {
        self.displaced.fetch_add(1, Relaxed);
    }

    pub(super) fn live(&self) -> usize {
        self.live.load(Relaxed).min(self.limit)
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// Whether one more may live.
    pub(super) fn has_room(&self) -> bool {
        self.live.load(Relaxed) < self.limit
    }

    pub(super) fn take(&self) -> bool {
        let granted = self.live.fetch_add(1, Relaxed) < self.limit;
        if !granted {
            self.give();
        }
        granted
    }

    /// Counts one in whether or not there is room.
    pub(super) fn exceed(&self) {
        self.live.fetch_add(1, Relaxed);
    }

    pub(super) fn give(&self) {
        self.live.fetch_sub(1, Relaxed);
    }
}
