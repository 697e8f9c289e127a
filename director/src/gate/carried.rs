//! What a director goes on with of the gate of another one.
//!
//! Most of it are the maps themselves, which both gates have as long as the old one is there. What is by
//! port cannot be shared when the ports are others now: the old gate goes on by its own numbers, and the
//! new one has a map of its own, with what was in the old one at the new numbers. What says which limits
//! the old gate has is only read.

use libbpf_rs::{MapCore, MapFlags, MapHandle};

use super::GateError;
use super::flows::HOPS_MAP;
use super::limits::READ_MAPS;
use super::map::name_of;
use super::maps::Maps;
use super::ports::Origins;

/// What the gate has counted, by port.
pub(super) const COUNTERS: &str = "counters";

/// The maps of another director.
#[derive(Debug, Default)]
pub(super) struct Carried {
    maps: Vec<MapHandle>,
    /// Where the ports are others.
    moved: Option<Origins>,
}

/// What another gate counts at other ports, until this one is in its place.
#[derive(Debug)]
pub(super) struct Elsewhere {
    counters: MapHandle,
    origins: Origins,
}

impl Carried {
    /// These `maps`; a gate that does not say which interfaces its ports were had the same ones.
    pub(super) fn new(maps: Vec<MapHandle>, origins: Option<Origins>) -> Self {
        Self {
            maps,
            moved: origins.filter(|origins| !origins.are_the_same()),
        }
    }

    pub(super) fn maps(&self) -> &[MapHandle] {
        &self.maps
    }

    /// Whether a map of this name can be both gates'.
    pub(super) fn shares(&self, name: &str) -> bool {
        let is_one_of = |names: &[&str]| names.contains(&name);
        let is_moved = self.moved.is_some() && is_one_of(&[COUNTERS, HOPS_MAP]);
        !is_moved && !is_one_of(&READ_MAPS)
    }

    pub(super) fn map(&self, name: &str) -> Option<&MapHandle> {
        let mut maps = self.maps.iter();
        maps.find(|map| name_of(map.name()) == Some(name))
    }

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
