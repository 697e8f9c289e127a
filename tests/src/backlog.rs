//! How many frames may wait for a CPU, in all namespaces together: more while tests have some.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::director::is_test;

/// Of the machine (`Documentation/admin-guide/sysctl/net.rst`).
const BACKLOG: &str = "/proc/sys/net/core/netdev_max_backlog";
/// What a flood brings while its CPU does something else: with the 1,000 that are usual it pushes out the
/// frames of tests that run beside it.
const WIDE: u32 = 10_000;

static HELD: Mutex<Held> = Mutex::new(Held {
    by: 0,
    before: None,
});

struct Held {
    by: usize,
    /// What it was, where it was less.
    before: Option<u32>,
}

/// Holds it wide; as before when the last one of the process is dropped. Benchmarks take the machine as it
/// is, and so does a test on one that does not let itself be told.
#[derive(Debug)]
pub(crate) struct Backlog;

impl Backlog {
    pub(crate) fn widen() -> Self {
        let mut held = held();
        if held.by == 0 && is_test() {
            held.before = read().filter(|frames| *frames < WIDE);
            if held.before.is_some() {
                write(WIDE);
            }
        }
        held.by += 1;
        Self
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        let mut held = held();
        held.by -= 1;
        if held.by == 0 {
            held.before.take().into_iter().for_each(write);
        }
    }
}

fn held() -> MutexGuard<'static, Held> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read() -> Option<u32> {
    fs::read_to_string(BACKLOG).ok()?.trim().parse().ok()
}

fn write(frames: u32) {
    let _ = fs::write(BACKLOG, frames.to_string());
}
