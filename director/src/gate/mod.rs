//! The gate from user space: loads it, attaches it to the interfaces and owns its maps.
//! The other unsafe floor.
//!
//! The program is held by a BPF link, so the kernel detaches it when the director ends in any
//! way: an orderly stop, a panic, `kill -9`.
#![allow(unsafe_code)]

mod cookies;
mod error;
mod interface;
mod maps;
mod program;
mod roll;
mod trial;

pub use cookies::{CookieCounts, MAX_COOKIE_SERVICES};
pub use error::GateError;
pub use interface::Interface;
pub use maps::{GateCounters, Roles, Scope};
pub use program::XdpMode;
pub use trial::{Trial, Verdict};

use std::ops::RangeInclusive;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::cookie::{Recipe, Roll};
use crate::wire::{Addr, Endpoint, Mac, Protocol};
use maps::Maps;

#[allow(missing_docs, unreachable_pub, unused_imports, clippy::all)]
mod skel {
    include!(concat!(env!("OUT_DIR"), "/gate.skel.rs"));
}

/// Queues of one interface at most (`QUEUES` in `bpf/maps.h`).
pub const MAX_QUEUES: u32 = 64;

/// Interfaces of one director at most (the maps of `bpf/maps.h` have room for as many).
pub const MAX_PORTS: usize = 16;

/// The gate on all interfaces of the director. Dropping it detaches it.
#[derive(Debug)]
pub struct Gate {
    maps: Maps,
    roll: Arc<Roll>,
    links: Vec<(XdpMode, OwnedFd)>,
}

impl Gate {
    /// Loads the gate and attaches it to `interfaces`, whose places in the list are the port
    /// numbers from then on. Until endpoints are set it passes everything. The roll has room for
    /// so many `connections`.
    ///
    /// # Errors
    /// Which interface, why, and what to do about it. Nothing stays attached.
    pub fn attach(
        interfaces: &[Interface],
        wanted: Option<XdpMode>,
        connections: usize,
    ) -> Result<Self, GateError> {
        let plan = program::RollPlan::of(connections);
        let mut loaded = None;
        let mut links = Vec::with_capacity(interfaces.len());
        for (port, interface) in interfaces.iter().enumerate() {
            let (program, maps) = program::load(port as u32, &plan, loaded.as_ref())?;
            links.push(program::attach(&program, interface, wanted)?);
            loaded.get_or_insert(maps);
        }
        let maps = loaded.ok_or(GateError::NoInterface)?;
        let roll = Arc::new(maps.map_roll(&plan)?);
        Ok(Self { maps, roll, links })
    }

    /// Who has a connection, for the gate to see.
    pub fn roll(&self) -> &Arc<Roll> {
        &self.roll
    }

    /// Says how the cookies of the TCP service at `vip` are made; none ends them.
    ///
    /// # Errors
    /// When the map is full.
    pub fn set_cookies(&self, vip: Endpoint, recipe: Option<&Recipe>) -> Result<(), GateError> {
        self.maps.cookies.set(vip, recipe)
    }

    /// What the gate has counted of a service with cookies.
    ///
    /// # Errors
    /// The kernel's.
    pub fn cookie_counts(&self, service: u16) -> Result<CookieCounts, GateError> {
        self.maps.cookies.counts(service)
    }

    /// How the gate is attached to `port`.
    pub fn mode(&self, port: usize) -> XdpMode {
        self.links[port].0
    }

    /// Sends what is the director's on `queue` of `port` to `socket`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn connect(
        &self,
        port: usize,
        queue: u32,
        socket: BorrowedFd<'_>,
    ) -> Result<(), GateError> {
        self.maps.connect(port, queue, socket)
    }

    /// Gives `endpoint` the roles `roles`; none takes it out of the map.
    ///
    /// # Errors
    /// When the map is full.
    pub fn set_endpoint(
        &self,
        protocol: Protocol,
        endpoint: Endpoint,
        roles: Roles,
    ) -> Result<(), GateError> {
        self.maps.set_endpoint(protocol.number(), endpoint, roles)
    }

    /// Gives the address as a whole the roles `roles`: fragments have no ports to go by.
    ///
    /// # Errors
    /// When the map is full.
    pub fn set_address(&self, addr: Addr, roles: Roles) -> Result<(), GateError> {
        self.maps.set_endpoint(0, Endpoint::new(addr, 0), roles)
    }

    /// Says that `addr` is an address of this host, to which a real server may speak without its
    /// packet being taken for a reply, but for the ports `spoken` that the director speaks from.
    ///
    /// # Errors
    /// When the map is full.
    pub fn set_local(
        &self,
        addr: Addr,
        spoken: Option<&RangeInclusive<u16>>,
    ) -> Result<(), GateError> {
        #[allow(clippy::reversed_empty_ranges)]
        const NONE: RangeInclusive<u16> = 1..=0;
        self.maps.set_local(addr, Some(spoken.unwrap_or(&NONE)))
    }

    /// Says that `addr` is an address of this host no more.
    ///
    /// # Errors
    /// The kernel's.
    pub fn forget_local(&self, addr: Addr) -> Result<(), GateError> {
        self.maps.set_local(addr, None)
    }

    /// Says what there is beyond endpoints with a port.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_scope(&self, scope: &Scope) -> Result<(), GateError> {
        self.maps.set_scope(scope)
    }

    /// Says which Ethernet address `port` has; until then all its packets are passed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_station(&self, port: usize, mac: Mac) -> Result<(), GateError> {
        self.maps.set_station(port, mac)
    }

    /// What the gate has counted on `port`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn counters(&self, port: usize) -> Result<GateCounters, GateError> {
        self.maps.counters(port)
    }
}
