//! Time on the packet path: a coarse tick that is read once a batch and passed down.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// How long a tick is.
const TICK: Duration = Duration::from_millis(100);

/// A moment, in ticks of 100 ms since the director started, or since the first of those did whose
/// state it has taken over.
///
/// 32 bits last 13 years; `now` is always a parameter, never read inside a data structure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(pub u32);

/// A span of ticks of 100 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticks(pub u32);

impl Ticks {
    /// Ticks in one second.
    pub const PER_SECOND: u32 = 10;

    /// A span of whole seconds.
    pub const fn seconds(seconds: u32) -> Self {
        Self(seconds * Self::PER_SECOND)
    }

    /// The span in whole seconds, rounded up, as listings show it.
    pub const fn as_seconds_ceil(self) -> u32 {
        self.0.div_ceil(Self::PER_SECOND)
    }
}

impl From<Ticks> for std::time::Duration {
    fn from(Ticks(ticks): Ticks) -> Self {
        Self::from_secs(1) * ticks / Ticks::PER_SECOND
    }
}

impl Tick {
    /// The moment `span` after this one.
    pub const fn after(self, span: Ticks) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The span from this moment to `later`; zero when `later` lies in the past.
    pub const fn until(self, later: Self) -> Ticks {
        Ticks(later.0.saturating_sub(self.0))
    }
}

/// The clock that the worker threads share; everything below them gets a [`Tick`].
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    /// How long after tick zero that was.
    before: Duration,
}

impl Clock {
    /// A clock whose tick zero is now.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
            before: Duration::ZERO,
        }
    }

    /// A clock that goes on where another process's does, whose [`Clock::zero`] is given.
    pub fn go_on(zero: Duration) -> Self {
        Self {
            before: since_boot().saturating_sub(zero),
            ..Self::start()
        }
    }

    /// When tick zero was, on the machine's own clock.
    pub fn zero(&self) -> Duration {
        since_boot().saturating_sub(self.before + self.start.elapsed())
    }

    /// How long it has run.
    pub fn uptime(&self) -> std::time::Duration {
        self.start.elapsed()
    }

    /// The present tick.
    pub fn now(&self) -> Tick {
        self.tick_of(Instant::now())
    }

    /// The tick of a moment.
    pub fn tick_of(&self, moment: Instant) -> Tick {
        let since_zero = match moment.checked_duration_since(self.start) {
            Some(later) => self.before + later,
            None => self.before.saturating_sub(self.start - moment),
        };
        Tick((since_zero.as_millis() / TICK.as_millis()) as u32)
    }

    /// When a tick began, or will begin. What was before the machine's own clock began is never asked for.
    pub fn moment_of(&self, tick: Tick) -> Instant {
        let since_zero = TICK * tick.0;
        match since_zero.checked_sub(self.before) {
            Some(later) => self.start + later,
            None => (self.start.checked_sub(self.before - since_zero)).unwrap_or(self.start),
        }
    }
}

/// What `Instant` counts from, on Linux: the same for all processes.
/// The kernel's clock that never goes back, which the gate has as well and the next daemon goes on with.
pub fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}
