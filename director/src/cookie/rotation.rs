//! The keys of a service, two of them alive, and how one takes the place of the other.
//!
//! ```text
//!  mints with A, takes A and B  --period-->  B retired, C offered  --all hold C-->  mints with C,
//!                                                                                   takes C and A
//! ```
//!
//! A key makes cookies only when those who have to believe in them hold it, and is retired here
//! before it is there.

use serde::{Deserialize, Serialize};

use super::Key;
use crate::time::{Tick, Ticks};

/// How long real servers have to take a new key before it is used without those that have not.
const PATIENCE: Ticks = Ticks::seconds(1);

/// The keys of one service.
#[derive(Clone, Debug)]
pub struct Rotation {
    keys: [Option<Key>; 2],
    /// Of the key that makes cookies.
    parity: u8,
    since: Tick,
    /// Since when the other key is offered, before it is used.
    offered: Option<Tick>,
}

/// The keys on paper, for the next daemon; moments as ticks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    keys: [Option<Key>; 2],
    parity: u8,
    since: u32,
    offered: Option<u32>,
}

impl Rotation {
    /// Goes on where another daemon's ended; none when that cannot have been one.
    pub fn of(written: &Written) -> Option<Self> {
        let rotation = Self {
            keys: written.keys,
            parity: written.parity & 1,
            since: Tick(written.since),
            offered: written.offered.map(Tick),
        };
        rotation.key().is_some().then_some(rotation)
    }

    /// What is to be written down.
    pub fn written(&self) -> Written {
        Written {
            keys: self.keys,
            parity: self.parity,
            since: self.since.0,
            offered: self.offered.map(|Tick(tick)| tick),
        }
    }

    /// A first key, from `now` on.
    pub fn new(now: Tick) -> Self {
        Self {
            keys: [Some(Key::random()), None],
            parity: 0,
            since: now,
            offered: None,
        }
    }

    /// Goes on; `held` says whether all that can hold a key.
    pub fn step(&mut self, now: Tick, period: Ticks, held: impl Fn(&Key) -> bool) {
        match self.offered {
            None if self.since.until(now) >= period => {
                self.keys[self.other()] = Some(Key::random());
                self.offered = Some(now);
            }
            None => {}
            Some(since) => {
                let held = self.keys[self.other()].as_ref().is_some_and(held);
                if held || since.until(now) >= PATIENCE {
                    self.parity ^= 1;
                    self.since = now;
                    self.offered = None;
                }
            }
        }
    }

    /// The keys that real servers are to hold, by parity.
    pub const fn installed(&self) -> &[Option<Key>; 2] {
        &self.keys
    }

    /// The keys whose cookies are good here.
    pub fn good(&self) -> [Option<Key>; 2] {
        let mut good = self.keys;
        if self.offered.is_some() {
            good[self.other()] = None;
        }
        good
    }

    /// The parity of the key that makes cookies.
    pub const fn parity(&self) -> u8 {
        self.parity
    }

    /// The key that makes cookies.
    pub const fn key(&self) -> Option<&Key> {
        self.keys[self.parity as usize].as_ref()
    }

    const fn other(&self) -> usize {
        (self.parity ^ 1) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Ticks = Ticks::seconds(30);

    #[test]
    fn a_new_key_is_used_when_it_is_held_and_the_old_one_outlives_it_by_a_period() {
        let mut rotation = Rotation::new(Tick(0));
        let first = *rotation.key().unwrap();
        rotation.step(Tick(299), PERIOD, |_| true);
        assert_eq!(rotation.good(), [Some(first), None]);

        rotation.step(Tick(300), PERIOD, |_| true);
        assert_eq!(
            rotation.good(),
            [Some(first), None],
            "offered, not good yet"
        );
        let second = rotation.installed()[1].unwrap();
        rotation.step(Tick(301), PERIOD, |_| false);
        assert_eq!(rotation.key(), Some(&first), "not held yet");
        rotation.step(Tick(302), PERIOD, |key| *key == second);
        assert_eq!((rotation.key(), rotation.parity()), (Some(&second), 1));
        assert_eq!(rotation.good(), [Some(first), Some(second)]);

        rotation.step(Tick(602), PERIOD, |_| true);
        assert_eq!(
            rotation.good(),
            [None, Some(second)],
            "the first is retired"
        );
        assert_ne!(rotation.installed()[0], Some(first));
    }

    #[test]
    fn the_next_daemon_has_the_same_keys_and_retires_them_when_this_one_would_have() {
        let mut rotation = Rotation::new(Tick(0));
        for now in [299, 300, 310, 609, 610] {
            rotation.step(Tick(now), PERIOD, |_| false);
            let mut next = Rotation::of(&rotation.written()).unwrap();
            assert_eq!(next.installed(), rotation.installed());
            for later in [now + 9, now + 10, now + 300] {
                let mut own = rotation.clone();
                own.step(Tick(later), PERIOD, |_| false);
                next.step(Tick(later), PERIOD, |_| false);
                let living = |rotation: &Rotation| rotation.good().map(|key| key.is_some());
                assert_eq!(living(&next), living(&own), "{now}, {later}");
                next = Rotation::of(&rotation.written()).unwrap();
            }
        }
        let nothing = Written {
            keys: [None, Some(Key([1; 16]))],
            ..Rotation::new(Tick(0)).written()
        };
        assert!(Rotation::of(&nothing).is_none(), "no key makes cookies");
    }

    #[test]
    fn nobody_holds_a_rotation_up() {
        let mut rotation = Rotation::new(Tick(0));
        let first = *rotation.key().unwrap();
        rotation.step(Tick(300), PERIOD, |_| false);
        rotation.step(Tick(309), PERIOD, |_| false);
        assert_eq!(rotation.key(), Some(&first));
        rotation.step(Tick(310), PERIOD, |_| false);
        assert_ne!(rotation.key(), Some(&first));
    }
}
