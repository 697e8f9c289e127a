//! Who sends what the gate keeps from the director: its sights taken in, and their number kept even.

use parking_lot::Mutex;
use tracing::warn;

use super::Director;
use crate::gate::{Gate, Sights};
use crate::sources::{Shown, Stopped};

/// What is watched of it.
#[derive(Debug)]
pub(super) struct SightWatch {
    sights: Option<Sights>,
    stopped: Stopped,
    pub(super) shown: Shown,
}

impl SightWatch {
    pub(super) fn new(gate: &Gate) -> Mutex<Self> {
        let sights = gate.sights().map_err(|error| {
            warn!(%error, "the sources of what the gate drops are not known");
        });
        Mutex::new(Self {
            sights: sights.ok(),
            stopped: Stopped::default(),
            shown: Shown::default(),
        })
    }
}

impl Director {
    /// Takes in what the gate has shown. To be called a few times a second.
    pub fn look_at_sights(&self) {
        let mut watch = self.sights.lock();
        let SightWatch {
            sights: Some(sights),
            stopped,
            shown,
        } = &mut *watch
        else {
            return;
        };
        let Some(gap) = stopped.look(&sights.take(), self.facts.clock.now(), shown) else {
            return;
        };
        let filters = self.filters.lock();
        let told = self.gate.filters();
        if let Err(error) = told.set_gap(gap, &filters.rules, filters.known()) {
            warn!(%error, "the gate shows as many packets as before");
        }
    }
}
