//! Reads that take as long as a test wants.

use std::sync::{Condvar, Mutex, MutexGuard};

/// Holds up who goes through while it is shut. It begins open.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<Seen>,
    opened: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    is_shut: bool,
    within: usize,
    most: usize,
}

impl Gate {
    /// Whoever comes from now on is held up.
    pub fn shut(&self) {
        self.seen().is_shut = true;
    }

    /// Lets them all go on.
    pub fn open(&self) {
        self.seen().is_shut = false;
        self.opened.notify_all();
    }

    /// How many are held up.
    pub fn within(&self) -> usize {
        self.seen().within
    }

    /// How many there were at once.
    pub fn most(&self) -> usize {
        self.seen().most
    }

    pub(super) fn pass(&self) {
        let mut seen = self.seen();
        seen.within += 1;
        seen.most = seen.most.max(seen.within);
        let is_shut = |seen: &mut Seen| seen.is_shut;
        let mut seen = self.opened.wait_while(seen, is_shut).unwrap();
        seen.within -= 1;
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.state.lock().unwrap()
    }
}
