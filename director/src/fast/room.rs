//! Places for flows. One that is given up rests before somebody else gets it: the gate may be in
//! the midst of a packet of it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::time::{Tick, Ticks};

/// Longer than any packet is under way in the gate.
pub(super) const REST: Ticks = Ticks(3);

#[derive(Debug)]
pub(super) struct Room {
    len: u32,
    used: AtomicU32,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    /// Those from here on were never given.
    fresh: u32,
    resting: VecDeque<(u32, Tick)>,
}

impl Room {
    /// `len` places, of which these are given.
    pub(super) fn with(len: u32, mut given: Vec<u32>) -> Self {
        given.sort_unstable();
        given.dedup();
        given.retain(|at| *at < len);
        let fresh = given.last().map_or(0, |last| last + 1);
        let free = (0..fresh).filter(|at| given.binary_search(at).is_err());
        Self {
            len,
            used: AtomicU32::new(given.len() as u32),
            places: Mutex::new(Places {
                fresh,
                resting: free.map(|at| (at, Tick::default())).collect(),
            }),
        }
    }

    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn used(&self) -> u32 {
        self.used.load(Relaxed)
    }

    /// A place at `now`, if one is free.
    pub(super) fn take(&self, now: Tick) -> Option<u32> {
        if self.used() >= self.len {
            return None;
        }
        let mut places = self.places.lock();
        let at = places.take(self.len, now)?;
        self.used.fetch_add(1, Relaxed);
        Some(at)
    }

    /// Gives a place back at `now`.
    pub(super) fn give(&self, at: u32, now: Tick) {
        let mut places = self.places.lock();
        places.resting.push_back((at, now));
        self.used.fetch_sub(1, Relaxed);
    }
}

impl Places {
    /// One that has rested, else one that was never given.
    fn take(&mut self, len: u32, now: Tick) -> Option<u32> {
        let rested = |(_, since): &(u32, Tick)| since.until(now) > REST;
        if self.resting.front().is_some_and(rested) {
            return self.resting.pop_front().map(|(at, _)| at);
        }
        let at = self.fresh;
        (at < len).then(|| {
            self.fresh += 1;
            at
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_before_is_not_given_again() {
        let room = Room::with(4, vec![2, 0]);
        assert_eq!(room.used(), 2);
        let taken = [(); 3].map(|()| room.take(Tick(100)));
        assert_eq!(taken, [Some(1), Some(3), None]);
    }

    #[test]
    fn a_place_rests_before_it_is_given_again() {
        let room = Room::with(2, Vec::new());
        let now = Tick(100);
        assert_eq!(room.take(now), Some(0));
        assert_eq!(room.take(now), Some(1));
        assert_eq!(room.take(now), None);
        room.give(0, now);
        assert_eq!(room.used(), 1);
        assert_eq!(room.take(now.after(REST)), None);
        assert_eq!(room.take(now.after(Ticks(REST.0 + 1))), Some(0));
        assert_eq!(room.take(now.after(Ticks(99))), None);
    }
}
