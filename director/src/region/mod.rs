//! Regions: where in the world a source is, as far as rules ask for it.
//!
//! * `atlas`: the files that say where networks are (MaxMind DB), which the user brings.
//! * `chart`: the networks of the regions that are configured, for the gate and for marks.
//! * `tree`: whether such a file holds a tree.

mod atlas;
mod chart;
mod tree;

pub use atlas::{Atlas, AtlasError, Files, Place, Sheet};
pub use chart::Chart;

use std::sync::Arc;

use crate::wire::Addr;

/// Regions at most (`REGIONS` in `bpf/region.h`).
pub const MAX_REGIONS: u8 = 32;

/// Networks of one family that regions may have at most (`REGION_NETWORKS`).
pub const MAX_NETWORKS: usize = 1 << 20;

/// A set of regions, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Regions(pub u32);

impl Regions {
    /// The region of this number alone.
    pub const fn one(number: u8) -> Self {
        Self(1 << number)
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is one that both have.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether it is none.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// What a region consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Territory {
    /// Its number.
    pub number: u8,
    /// Countries, by ISO 3166-1 in capitals.
    pub countries: Vec<String>,
    /// Continents, by the two letters of the files.
    pub continents: Vec<String>,
    /// Autonomous systems.
    pub asns: Vec<u32>,
}

impl Territory {
    fn has(&self, place: &Place) -> bool {
        let among = |names: &[String], name: &Option<String>| {
            name.as_ref().is_some_and(|name| names.contains(name))
        };
        among(&self.countries, &place.country)
            || among(&self.continents, &place.continent)
            || place.asn.is_some_and(|asn| self.asns.contains(&asn))
    }
}

/// Where sources are, as rules see it.
#[derive(Clone, Debug, Default)]
pub struct Geography {
    /// The networks of the regions.
    pub chart: Arc<Chart>,
    /// Regions that are all but what they name.
    pub outside: Regions,
}

impl Geography {
    /// The regions that an address is in.
    pub fn regions_of(&self, addr: Addr) -> Regions {
        Regions(self.chart.regions_of(addr).0 ^ self.outside.0)
    }
}
