//! Fragments that came before the first one of their datagram: kept for a moment, until that one
//! has shown the way.

use super::arrival::Arrival;
use crate::fragment::Name;
use crate::time::{Tick, Ticks};
use crate::xsk::Umem;

/// Fragments that a worker keeps at once.
const MOST: usize = 512;

/// The part of a worker's frames that they may take.
const SHARE: usize = 16;

/// How long one is kept. Fragments of one datagram are sent together.
const PATIENCE: Ticks = Ticks::seconds(1);

/// The fragments that a worker keeps.
#[derive(Debug, Default)]
pub(super) struct Held {
    kept: Vec<(Name, Arrival)>,
    /// Whose turn it is to be looked at.
    turn: usize,
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether a fragment may wait any longer.
    pub(super) fn is_patient(arrival: &Arrival, now: Tick) -> bool {
        arrival.at.until(now) < PATIENCE
    }

    /// Keeps a fragment; returns the one for which there is no room. A random one gives way: a
    /// flood of fragments cannot settle here, and a fragment of which the first one is near is
    /// likely to stay for so long.
    pub(super) fn keep(&mut self, name: &Name, arrival: Arrival, umem: &Umem) -> Option<Arrival> {
        let room = MOST.min(umem.frames() / SHARE);
        if self.kept.len() < room {
            self.kept.push((*name, arrival));
            return None;
        }
        let unlucky = usize::from(rand::random::<u16>()) % self.kept.len().max(1);
        match self.kept.get_mut(unlucky) {
            Some(place) => Some(std::mem::replace(place, (*name, arrival)).1),
            None => Some(arrival),
        }
    }

    /// Looks at the next one in turn, and takes it out if it `is_due`.
    pub(super) fn next(&mut self, is_due: impl FnOnce(&Name, &Arrival) -> bool) -> Option<Arrival> {
        if self.turn >= self.kept.len() {
            self.turn = 0;
        }
        let (name, arrival) = self.kept.get(self.turn)?;
        match is_due(name, arrival) {
            true => Some(self.kept.swap_remove(self.turn).1),
            false => {
                self.turn += 1;
                None
            }
        }
    }
}
