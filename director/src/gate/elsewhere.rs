//! What another gate has by port, written to where the ports are now.

use libbpf_rs::{MapCore, MapFlags, MapHandle};

use super::GateError;
use super::carried::{COUNTERS, Carried};
use super::flows::HOPS_MAP;
use super::maps::Maps;
use super::ports::Origins;

/// What another gate counts at other ports, until this one is in its place.
#[derive(Debug)]
pub(super) struct Elsewhere {
    counters: MapHandle,
    origins: Origins,
}

impl Carried {
    /// Writes what is by port into `maps`, at the ports of now. To be called before a packet meets them.
    /// What is counted is to be written once more.
    pub(super) fn move_into(mut self, maps: &Maps) -> Result<Option<Elsewhere>, GateError> {
        let Some(origins) = self.moved.take() else {
            return Ok(None);
        };
        if let Some(hops) = self.map(HOPS_MAP) {
            maps.flows.move_hops(hops, &origins)?;
        }
        let at = self.maps.iter().position(|map| map.name() == COUNTERS);
        let elsewhere = at.map(|at| Elsewhere {
            counters: self.maps.swap_remove(at),
            origins,
        });
        if let Some(elsewhere) = &elsewhere {
            let mut ports = elsewhere.origins.known();
            ports.try_for_each(|(port, _)| elsewhere.copy(port as usize, maps))?;
        }
        Ok(elsewhere)
    }
}

impl Elsewhere {
    /// Has `port` count on from where the other gate is, if that had the interface. To be called before
    /// the program of `maps` runs there.
    pub(super) fn copy(&self, port: usize, maps: &Maps) -> Result<(), GateError> {
        let Some(origin) = self.origins.origin(port) else {
            return Ok(());
        };
        let copied = || {
            let counts = self
                .counters
                .lookup_percpu(&origin.to_ne_bytes(), MapFlags::ANY)?;
            let port = (port as u32).to_ne_bytes();
            match counts {
                Some(counts) => maps.counters.update_percpu(&port, &counts, MapFlags::ANY),
                None => Ok(()),
            }
        };
        copied().map_err(|error| GateError::Map {
            map: COUNTERS,
            error,
        })
    }
}
