//! The flood itself, at a rate. A call that sends frames sleeps some 40 ms when it is done, so that
//! several callers in turn make a steadier stream than one: each sends what it owes since its last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::floor;
use crate::generator::Generator;
use crate::namespace::Namespace;

const CALLERS: u32 = 8;
/// What a caller takes for one turn, if the machine lets it.
const TURN: Duration = Duration::from_millis(64);
/// Frames a turn where there is no rate.
const UNBOUNDED: u64 = 1 << 16;
/// The most that is caught up at once: a stalled machine must not be followed by a wave.
const MOST_TURNS: u64 = 4;

/// Frames from nobody, until it is ended or dropped.
pub(crate) struct Storm {
    callers: Vec<JoinHandle<Result<()>>>,
    shared: Arc<Shared>,
    began: Instant,
}

struct Shared {
    generators: Vec<Generator>,
    sent: AtomicU64,
    over: AtomicBool,
}

impl Storm {
    /// Begins to send from the last CPU, from the only interface of `host`: as much of each of at most
    /// `CALLERS` generators, whose number divides that.
    ///
    /// # Errors
    /// When the namespace of `host` is gone.
    pub(crate) fn start(
        generators: Vec<Generator>,
        host: &Namespace,
        rate: Option<u64>,
    ) -> Result<Self> {
        let mut storm = Self {
            callers: Vec::new(),
            shared: Arc::new(Shared {
                generators,
                sent: AtomicU64::new(0),
                over: AtomicBool::new(false),
            }),
            began: Instant::now(),
        };
        let cpu = floor::last_cpu();
        for number in 0..CALLERS {
            let shared = storm.shared.clone();
            let began = storm.began + TURN * number / CALLERS;
            storm.callers.push(host.spawn(move || {
                floor::pin_to_cpu(cpu)?;
                let generator = &shared.generators[number as usize % shared.generators.len()];
                match rate {
                    Some(rate) => shared.send_at(generator, rate / u64::from(CALLERS), began),
                    None => shared.send_all(generator),
                }
            })?);
        }
        Ok(storm)
    }

    /// Ends it; gives the frames sent, and how long it took.
    ///
    /// # Errors
    /// When the kernel did not send them.
    pub(crate) fn end(mut self) -> Result<(u64, Duration)> {
        self.shared.over.store(true, Relaxed);
        for caller in self.callers.drain(..) {
            caller.join().ok().context("a caller panicked")??;
        }
        Ok((self.shared.sent.load(Relaxed), self.began.elapsed()))
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.shared.over.store(true, Relaxed);
    }
}

impl Shared {
    fn send_at(&self, generator: &Generator, rate: u64, began: Instant) -> Result<()> {
        let a_turn = (rate * TURN.as_millis() as u64 / 1000).max(1);
        let (mut done, mut turn) = (0, began);
        while !self.over.load(Relaxed) {
            turn += TURN;
            sleep(turn.saturating_duration_since(Instant::now()));
            let due = rate * began.elapsed().as_millis() as u64 / 1000;
            let owed = due.saturating_sub(done).min(MOST_TURNS * a_turn);
            self.send(generator, owed)?;
            done = due;
        }
        Ok(())
    }

    fn send_all(&self, generator: &Generator) -> Result<()> {
        while !self.over.load(Relaxed) {
            self.send(generator, UNBOUNDED)?;
        }
        Ok(())
    }

    /// A single frame is not enough for the kernel to send it.
    fn send(&self, generator: &Generator, count: u64) -> Result<()> {
        if count > 1 {
            generator.send_here(count as u32)?;
            self.sent.fetch_add(count, Relaxed);
        }
        Ok(())
    }
}
