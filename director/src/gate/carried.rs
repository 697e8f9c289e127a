//! What a director goes on with of the gate of another one.
//!
//! Most of it are the maps themselves, which both gates have as long as the old one is there. What is by
//! port cannot be shared when the ports are others now: the old gate goes on by its own numbers, and the
//! new one has a map of its own. What says which limits the old gate has is only read.

use libbpf_rs::{MapCore, MapHandle};

use super::flows::HOPS_MAP;
use super::map::name_of;
use super::ports::Origins;

/// What the gate has counted, by port.
pub(super) const COUNTERS: &str = "counters";

/// The maps of another director.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) maps: Vec<MapHandle>,
    /// Where the ports are others.
    pub(super) moved: Option<Origins>,
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
        self.moved.is_none() || ![COUNTERS, HOPS_MAP].contains(&name)
    }

    pub(super) fn map(&self, name: &str) -> Option<&MapHandle> {
        let mut maps = self.maps.iter();
        maps.find(|map| name_of(map.name()) == Some(name))
    }
}
