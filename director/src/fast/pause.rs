//! When nobody has told the gate the time: the process was stopped, or got no CPU. What the gate sees
//! then seems to be as old as the last tick before.

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};

use crate::time::{Tick, Ticks};

/// Less than that a worker may well be late.
const NOTABLE: Ticks = Ticks::seconds(1);

/// The last time that it was so.
#[derive(Debug, Default)]
pub(super) struct Pause(AtomicU64);

impl Pause {
    /// After `before` the next tick that is told is `now`. To be called before it is told: whoever
    /// knows of it then knows of the pause, too.
    pub(super) fn note(&self, before: Tick, now: Tick) {
        if before.until(now) > NOTABLE {
            let both = u64::from(before.0) << 32 | u64::from(now.0);
            self.0.store(both, Release);
        }
    }

    /// When a packet may have been seen that the gate has seen at the tick `seen`, at the latest.
    pub(super) fn latest(&self, seen: Tick) -> Tick {
        let both = self.0.load(Acquire);
        match (both >> 32) as u32 == seen.0 {
            true => Tick(seen.0.max(both as u32)),
            false => seen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_in_a_pause_is_as_new_as_its_end() {
        let pause = Pause::default();
        let seen = |tick| pause.latest(Tick(tick)).0;
        pause.note(Tick(100), Tick(101));
        pause.note(Tick(101), Tick(105));
        assert_eq!([100, 101, 105].map(seen), [100, 101, 105]);
        pause.note(Tick(105), Tick(300));
        // Another worker, which has looked at the clock earlier or later.
        pause.note(Tick(300), Tick(105));
        assert_eq!([104, 105, 106, 300].map(seen), [104, 300, 106, 300]);
        pause.note(Tick(105), Tick(301));
        assert_eq!(seen(105), 301);
    }
}
