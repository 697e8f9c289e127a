//! What the control side orders of all workers.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

/// What becomes of a packet that a real server sends and that belongs to no connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Strays {
    /// It is routed.
    #[default]
    Route = 0,
    /// It is dropped, and a TCP segment answered with a reset.
    Answer = 1,
    /// It is dropped.
    Drop = 2,
    /// It brings its connection back if it can, else it is routed; a client's segment without a
    /// connection is not answered, since that may come back.
    Resurrect = 3,
}

/// Switches that a worker reads when it needs them.
#[derive(Debug, Default)]
pub struct Orders {
    drop_entry: AtomicBool,
    tell_reals: AtomicBool,
    strays: AtomicU8,
}

impl Orders {
    /// Whether half-open connections are dropped at random before their time (`drop_entry`).
    #[inline]
    pub fn drops_entries(&self) -> bool {
        self.drop_entry.load(Relaxed)
    }

    /// Whether a real server is told of a half-open connection that was dropped.
    #[inline]
    pub fn tells_reals(&self) -> bool {
        self.tell_reals.load(Relaxed)
    }

    /// What becomes of strays.
    pub fn strays(&self) -> Strays {
        match self.strays.load(Relaxed) {
            1 => Strays::Answer,
            2 => Strays::Drop,
            3 => Strays::Resurrect,
            _ => Strays::Route,
        }
    }

    /// Turns dropping of entries on or off.
    pub fn set_drop_entry(&self, on: bool) {
        self.drop_entry.store(on, Relaxed);
    }

    /// Turns telling real servers on or off.
    pub fn set_tell_reals(&self, on: bool) {
        self.tell_reals.store(on, Relaxed);
    }

    /// Says what becomes of strays.
    pub fn set_strays(&self, strays: Strays) {
        self.strays.store(strays as u8, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ordered_is_read() {
        let orders = Orders::default();
        assert_eq!(orders.strays(), Strays::Route);
        for strays in [
            Strays::Answer,
            Strays::Drop,
            Strays::Resurrect,
            Strays::Route,
        ] {
            orders.set_strays(strays);
            assert_eq!(orders.strays(), strays);
        }
    }
}
