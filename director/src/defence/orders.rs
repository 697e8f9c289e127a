//! What the control side orders of all workers.

use std::sync::atomic::{
    AtomicBool, AtomicU8,
    Ordering::{Acquire, Relaxed, Release},
};

/// How a real server is told of a half-open connection that was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Tell {
    /// It is not.
    #[default]
    No = 0,
    /// By a reset that the client might send.
    Reset = 1,
    /// By an ICMP error about its SYN+ACK.
    Unreachable = 2,
}

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
    keep_dead: AtomicBool,
    tell_reals: AtomicU8,
    strays: AtomicU8,
}

impl Orders {
    /// Whether half-open connections are dropped at random before their time (`drop_entry`).
    #[inline]
    pub fn drops_entries(&self) -> bool {
        self.drop_entry.load(Relaxed)
    }

    /// Whether connections and templates stay whose time is up. So it is while those of a former
    /// daemon are taken over: until all are, nobody knows what has a connection.
    #[inline]
    pub fn keeps_dead(&self) -> bool {
        self.keep_dead.load(Acquire)
    }

    /// How a real server is told of a half-open connection that was dropped.
    #[inline]
    pub fn tell_reals(&self) -> Tell {
        match self.tell_reals.load(Relaxed) {
            1 => Tell::Reset,
            2 => Tell::Unreachable,
            _ => Tell::No,
        }
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

    /// Lets the dead stay, or go.
    pub fn set_keep_dead(&self, on: bool) {
        self.keep_dead.store(on, Release);
    }

    /// Says how real servers are told.
    pub fn set_tell_reals(&self, how: Tell) {
        self.tell_reals.store(how as u8, Relaxed);
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
        assert_eq!(orders.tell_reals(), Tell::No);
        for how in [Tell::Reset, Tell::Unreachable, Tell::No] {
            orders.set_tell_reals(how);
            assert_eq!(orders.tell_reals(), how);
        }
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
