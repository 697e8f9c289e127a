//! What a worker looks at again later. All of a kind wait equally long, so that the first of the queue is
//! the next that is due.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::time::{Tick, Ticks};

/// What can wait.
pub(super) trait Patient {
    /// How long it does.
    const PATIENCE: Ticks;
    /// How many a worker keeps in view.
    const ROOM: usize;
}

/// A queue of them.
#[derive(Debug)]
pub(super) struct Waiting<T>(RefCell<VecDeque<(Tick, T)>>);

impl<T: Patient> Default for Waiting<T> {
    fn default() -> Self {
        Self(RefCell::new(VecDeque::with_capacity(T::ROOM)))
    }
}

impl<T: Patient> Waiting<T> {
    /// Has `thing` come back when it has waited. It does not while there is no room.
    pub(super) fn put(&self, thing: T, now: Tick) {
        let mut queue = self.0.borrow_mut();
        if queue.len() < T::ROOM {
            queue.push_back((now.after(T::PATIENCE), thing));
        }
    }

    /// The first one, if it is due.
    pub(super) fn take(&self, now: Tick) -> Option<T> {
        if !self.is_due(now) {
            return None;
        }
        let (_, thing) = self.0.borrow_mut().pop_front()?;
        Some(thing)
    }

    /// Whether one is due.
    pub(super) fn is_due(&self, now: Tick) -> bool {
        let queue = self.0.borrow();
        queue.front().is_some_and(|(due, _)| *due <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Thing(u32);

    impl Patient for Thing {
        const PATIENCE: Ticks = Ticks(3);
        const ROOM: usize = 2;
    }

    #[test]
    fn the_first_comes_back_first_and_not_before_it_is_due() {
        let waiting = Waiting::default();
        waiting.put(Thing(1), Tick(10));
        waiting.put(Thing(2), Tick(11));
        assert_eq!(waiting.take(Tick(12)), None);
        assert!(!waiting.is_due(Tick(12)) && waiting.is_due(Tick(13)));
        assert_eq!(waiting.take(Tick(13)), Some(Thing(1)));
        assert_eq!(waiting.take(Tick(13)), None);
        assert_eq!(waiting.take(Tick(99)), Some(Thing(2)));
        assert_eq!(waiting.take(Tick(99)), None);
    }

    #[test]
    fn what_there_is_no_room_for_does_not_come_back() {
        let waiting = Waiting::default();
        (1..=3).for_each(|n| waiting.put(Thing(n), Tick(0)));
        let back: Vec<_> = std::iter::from_fn(|| waiting.take(Tick(3))).collect();
        assert_eq!(back, [Thing(1), Thing(2)]);
        waiting.put(Thing(4), Tick(3));
        assert_eq!(waiting.take(Tick(6)), Some(Thing(4)));
    }
}
