//! The maps of the filters, as `bpf/filter.h` lays them out; those of limits are in `limits`.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use libbpf_rs::{MapCore, MapFlags, MapHandle};

use super::GateError;
use super::carried::Carried;
use super::limits::{Limits, limits_of};
use super::map::{put, sum_percpu, zero_percpu};
use super::skel::{GateSkel, OpenGateSkel};
use crate::filter::{Accused, Limit, List, Rules};
use crate::region::Regions;
use crate::wire::{Net, Tuple};

/// Size of `struct listing`.
const LISTING_BYTES: usize = 24;

/// What the gate filters.
#[derive(Debug)]
pub struct Filters {
    listed_v4: MapHandle,
    listed_v6: MapHandle,
    bogons: MapHandle,
    filters: MapHandle,
    limits: Limits,
    regions_v4: MapHandle,
    regions_v6: MapHandle,
    region_drops: MapHandle,
    /// Between packets that are shown.
    gap: AtomicU32,
}

/// Of which families, IPv4 and IPv6, there is something to look up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Listed networks.
    pub listed: [bool; 2],
    /// Networks of regions.
    pub regions: [bool; 2],
}

const fn bits(families: [bool; 2]) -> u32 {
    families[0] as u32 | (families[1] as u32) << 1
}

fn map(map: &'static str) -> impl Fn(libbpf_rs::Error) -> GateError {
    move |error| GateError::Map { map, error }
}

fn v4_key(net: Net) -> Option<Vec<u8>> {
    let v4 = net.addr.to_v4().filter(|_| net.is_v4())?;
    let bits = u32::from(net.bits - Net::V4_BITS).to_ne_bytes();
    Some([bits, v4].concat())
}

fn v6_key(net: Net) -> Vec<u8> {
    let bits = u32::from(net.bits).to_ne_bytes();
    [&bits[..], net.addr.octets()].concat()
}

impl Filters {
    pub(super) fn of(skel: &GateSkel<'_>) -> libbpf_rs::Result<Self> {
        Ok(Self {
            listed_v4: MapHandle::try_from(&skel.maps.listed_v4)?,
            listed_v6: MapHandle::try_from(&skel.maps.listed_v6)?,
            bogons: MapHandle::try_from(&skel.maps.bogons)?,
            filters: MapHandle::try_from(&skel.maps.bss_filters)?,
            limits: Limits::of(skel)?,
            regions_v4: MapHandle::try_from(&skel.maps.regions_v4)?,
            regions_v6: MapHandle::try_from(&skel.maps.regions_v6)?,
            region_drops: MapHandle::try_from(&skel.maps.region_drops)?,
            gap: AtomicU32::new(1),
        })
    }

    pub(super) fn lend(&self, open: &mut OpenGateSkel<'_>) -> libbpf_rs::Result<()> {
        open.maps.listed_v4.reuse_fd(self.listed_v4.as_fd())?;
        open.maps.listed_v6.reuse_fd(self.listed_v6.as_fd())?;
        open.maps.bogons.reuse_fd(self.bogons.as_fd())?;
        open.maps.bss_filters.reuse_fd(self.filters.as_fd())?;
        open.maps.regions_v4.reuse_fd(self.regions_v4.as_fd())?;
        open.maps.regions_v6.reuse_fd(self.regions_v6.as_fd())?;
        open.maps.region_drops.reuse_fd(self.region_drops.as_fd())?;
        self.limits.lend(open)
    }

    /// Has limits that are those of another director go on with their buckets.
    pub(super) fn remember_limits(&self, carried: &Carried) {
        self.limits.remember(carried);
    }

    /// The map that has a network on a list, and its key there.
    fn listed(&self, net: Net) -> (&'static str, &MapHandle, Vec<u8>) {
        match v4_key(net) {
            Some(key) => ("listed_v4", &self.listed_v4, key),
            None => ("listed_v6", &self.listed_v6, v6_key(net)),
        }
    }

    /// Says in which regions a network is; none takes it out of the map.
    ///
    /// # Errors
    /// When the map is full.
    pub fn set_regions(&self, net: Net, regions: Option<Regions>) -> Result<(), GateError> {
        let value = regions.map(|Regions(bits)| bits.to_ne_bytes());
        match v4_key(net) {
            Some(key) => put(&self.regions_v4, &key, value).map_err(map("regions_v4")),
            None => put(&self.regions_v6, &v6_key(net), value).map_err(map("regions_v6")),
        }
    }

    /// Packets that were not taken because of a region, by its number.
    ///
    /// # Errors
    /// The kernel's.
    pub fn dropped_of_region(&self, number: u8) -> Result<u64, GateError> {
        sum_percpu(&self.region_drops, number.into()).map_err(map("region_drops"))
    }

    /// Counts the packets of a region from 0 again.
    ///
    /// # Errors
    /// The kernel's.
    pub fn zero_region(&self, number: u8) -> Result<(), GateError> {
        zero_percpu(&self.region_drops, number.into()).map_err(map("region_drops"))
    }

    /// Lists a network until a time of the monotonic clock, in nanoseconds; 0 = for ever. What it has
    /// decided about is counted anew.
    ///
    /// # Errors
    /// When the map is full.
    pub fn list(&self, net: Net, list: List, until: u64) -> Result<(), GateError> {
        let (name, listed, key) = self.listed(net);
        let mut value = [0; LISTING_BYTES];
        value[..8].copy_from_slice(&until.to_ne_bytes());
        value[16..20].copy_from_slice(&(list as u32).to_ne_bytes());
        listed
            .update(&key, &value, MapFlags::ANY)
            .map_err(map(name))
    }

    /// Takes a network off its list.
    ///
    /// # Errors
    /// The kernel's.
    pub fn unlist(&self, net: Net) -> Result<(), GateError> {
        let (name, listed, key) = self.listed(net);
        put::<0>(listed, &key, None).map_err(map(name))
    }

    /// Packets that a listed network has decided about.
    ///
    /// # Errors
    /// The kernel's.
    pub fn decided(&self, net: Net) -> Result<u64, GateError> {
        // The longest network that holds another one is that itself, when it is listed.
        let (name, listed, key) = self.listed(net);
        let value = listed.lookup(&key, MapFlags::ANY).map_err(map(name))?;
        let packets = value.as_deref().and_then(|value| value.get(8..16));
        let packets = packets.and_then(|packets| packets.try_into().ok());
        Ok(packets.map_or(0, u64::from_ne_bytes))
    }

    /// Makes the bogons these instead of `old`.
    ///
    /// # Errors
    /// When the map is full.
    pub fn set_bogons(&self, old: &[Net], new: &[Net]) -> Result<(), GateError> {
        let set = |net: &Net, value| put(&self.bogons, &v6_key(*net), value);
        for net in new {
            set(net, Some([1, 0, 0, 0])).map_err(map("bogons"))?;
        }
        for net in old.iter().filter(|net| !new.contains(net)) {
            set(net, None::<[u8; 4]>).map_err(map("bogons"))?;
        }
        Ok(())
    }

    /// Sets all but the networks: limits begin with nothing counted, and full buckets unless they are those
    /// of the director before this one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_rules(&self, rules: &Rules, known: Known) -> Result<(), GateError> {
        self.enforce(rules, known, 0)?;
        self.limits.write(rules)?;
        self.set_known(rules, known)
    }

    /// Shows one packet in `gap`, of those that the gate keeps from the director; with 0 none.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_gap(&self, gap: u32, rules: &Rules, known: Known) -> Result<(), GateError> {
        self.gap.store(gap, Relaxed);
        self.set_known(rules, known)
    }

    /// Says of which families there are networks, with the rules that hold.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_known(&self, rules: &Rules, known: Known) -> Result<(), GateError> {
        let limits = limits_of(rules).count();
        self.enforce(rules, known, limits as u32)
    }

    fn enforce(&self, rules: &Rules, known: Known, limits: u32) -> Result<(), GateError> {
        let words = [
            bits(known.listed),
            rules.bogons,
            rules.strict,
            rules.loose,
            limits,
            bits(known.regions),
            rules.regions.outside.0,
            rules.regions.closed.0,
            rules.regions.sealed.0,
            self.gap.load(Relaxed),
        ];
        let words: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        self.filters
            .update(&0u32.to_ne_bytes(), &words, MapFlags::ANY)
            .map_err(map("filters"))
    }

    /// Sources that were over a limit of the gate too often since this was asked last.
    ///
    /// # Errors
    /// The kernel's.
    pub fn accused(&self) -> Result<Vec<Accused>, GateError> {
        self.limits.accused()
    }

    /// Whether nothing is left, when the clock of the gate says `now`, of what `tuple` may have by one of its
    /// limits.
    ///
    /// # Errors
    /// The kernel's.
    pub fn is_used_up(
        &self,
        limit: (u8, &Limit),
        tuple: &Tuple,
        now: u64,
    ) -> Result<bool, GateError> {
        self.limits.is_used_up(limit, tuple, now)
    }

    /// Packets over a limit of the gate.
    ///
    /// # Errors
    /// The kernel's.
    pub fn over(&self, limit: usize) -> Result<u64, GateError> {
        self.limits.over(limit)
    }
}
