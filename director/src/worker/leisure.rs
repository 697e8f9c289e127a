//! What a worker does that finds no packets. To go to sleep and be woken costs it its place: on a CPU that
//! others use, it waits for its turn while packets wait for it. So before it sleeps it looks on for as long
//! as it has just worked, but leaves the CPU to whoever needs it meanwhile: at most half of what it takes
//! is spent so, and nothing by one that has a packet now and then.

use std::time::{Duration, Instant};

/// Rounds without a packet before it is idle.
const IDLE_ROUNDS: u32 = 16;

/// The longest that it looks on.
const LONGEST: Duration = Duration::from_micros(100);

/// What it does after a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another one.
    Work,
    /// Another one, once nobody else needs the CPU.
    Linger,
    /// Nothing until it is woken.
    Sleep,
}

/// Since when it has worked, and since when it has not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leisure {
    woke: Instant,
    worked: Instant,
    idle: u32,
}

impl Leisure {
    /// It has just woken.
    pub(super) const fn since(woke: Instant) -> Self {
        Self {
            woke,
            worked: woke,
            idle: 0,
        }
    }

    /// After a round with something to do, which has ended at `moment`.
    pub(super) fn work(&mut self, moment: Instant) -> Next {
        self.worked = moment;
        self.idle = 0;
        Next::Work
    }

    /// After a round without, which began at `moment`.
    pub(super) fn idle(&mut self, moment: Instant) -> Next {
        self.idle += 1;
        let patience = LONGEST.min(self.worked.duration_since(self.woke));
        match moment.saturating_duration_since(self.worked) < patience {
            _ if self.idle <= IDLE_ROUNDS => Next::Work,
            true => Next::Linger,
            false => Next::Sleep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it does after so many microseconds without a packet, when it has worked for `worked`.
    fn after(idle: u64, worked: u64) -> Next {
        let woke = Instant::now();
        let mut leisure = Leisure::since(woke);
        let end = woke + Duration::from_micros(worked);
        assert_eq!(leisure.work(end), Next::Work);
        for _ in 0..IDLE_ROUNDS {
            assert_eq!(leisure.idle(end), Next::Work);
        }
        leisure.idle(end + Duration::from_micros(idle))
    }

    #[test]
    fn it_looks_on_for_as_long_as_it_has_worked_but_not_for_long() {
        for (worked, idle, next) in [
            (0, 0, Next::Sleep),
            (5, 4, Next::Linger),
            (5, 5, Next::Sleep),
            (99, 98, Next::Linger),
            (100, 100, Next::Sleep),
            (60_000_000, 99, Next::Linger),
            (60_000_000, 100, Next::Sleep),
        ] {
            assert_eq!(after(idle, worked), next, "{worked} {idle}");
        }
    }

    #[test]
    fn a_packet_ends_it() {
        let woke = Instant::now();
        let mut leisure = Leisure::since(woke);
        (0..=IDLE_ROUNDS).for_each(|_| _ = leisure.idle(woke));
        assert_eq!(leisure.idle(woke), Next::Sleep);
        assert_eq!(leisure.work(woke), Next::Work);
        assert_eq!(leisure.idle(woke), Next::Work);
    }
}
