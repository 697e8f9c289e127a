//! What is known of regions, for who asks.

use std::collections::BTreeMap;

use adminapi::error::Result;
use adminapi::model::{self, FilterList};

use super::Regional;
use crate::control::Director;
use crate::control::publish::refused;
use crate::region::{Atlas, Regions};
use crate::wire::Addr;

impl Director {
    /// Where an address is, if anybody has asked for regions.
    pub(in crate::control) fn place_of(&self, addr: Addr) -> Option<model::Place> {
        let filters = self.filters.lock();
        let regional = &filters.regional;
        if regional.numbers.is_empty() && regional.atlas.sheets().is_empty() {
            return None;
        }
        let found = regional.atlas.place(addr);
        let geography = self.shared.pool.load().geography().clone();
        Some(model::Place {
            country: found.country,
            continent: found.continent,
            asn: found.asn,
            regions: regional.names(geography.regions_of(addr)),
        })
    }

    /// The region because of which nothing for a service is taken from `addr`, of a connection that
    /// is known or new.
    pub(in crate::control) fn refusing_region(
        &self,
        addr: Addr,
        is_known: bool,
    ) -> Option<model::DecidingRule> {
        let filters = self.filters.lock();
        let regions = self.shared.pool.load().geography().regions_of(addr);
        let names = filters.regional.names(regions);
        let of = |list| {
            let on_it =
                |region: &&model::Region| region.list == Some(list) && names.contains(&region.name);
            let region = filters.wanted.regions.iter().find(on_it)?;
            let name = region.name.clone();
            Some(model::DecidingRule::Region { name, list })
        };
        let closed = || of(FilterList::Deny).filter(|_| !is_known);
        of(FilterList::BlackHole).or_else(closed)
    }

    /// What there is of each region.
    pub(in crate::control) fn region_use(
        &self,
        regional: &Regional,
    ) -> Result<BTreeMap<String, model::RegionUse>> {
        let of = |(name, number): (&String, &u8)| {
            let dropped = self.gate.filters().dropped_of_region(*number);
            let networks = regional.chart.count(Regions::one(*number)) as u64;
            let dropped = dropped.map_err(refused)?;
            Ok((name.clone(), model::RegionUse { networks, dropped }))
        };
        regional.numbers.iter().map(of).collect()
    }
}

/// The files as they are shown.
pub(in crate::control) fn sheets(atlas: &Atlas) -> Vec<model::AtlasFile> {
    let shown = atlas.sheets().iter().map(|sheet| model::AtlasFile {
        path: sheet.path().display().to_string(),
        kind: sheet.kind().to_owned(),
        built: sheet.built(),
    });
    shown.collect()
}
