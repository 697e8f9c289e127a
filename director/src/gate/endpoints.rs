//! What endpoints are to the gate, and how the cookies of those that are services are made: one map,
//! as a packet's destination is looked up once (`struct standing` of `bpf/maps.h`).

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use parking_lot::Mutex;

use super::GateError;
use super::cookies::{self, RECIPE_BYTES};
use super::map::{endpoint_key, put};
use crate::cookie::Recipe;
use crate::wire::{Endpoint, Protocol};

/// What an endpoint is to the gate: a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles(u32);

impl Roles {
    /// Nothing to the director.
    pub const NONE: Self = Self(0);
    /// A virtual service.
    pub const SERVICE: Self = Self(1);
    /// A NAT real server.
    pub const REAL: Self = Self(2);
    /// With port 0: a virtual service at the ports that FTP has its data on.
    pub const FTP_DATA: Self = Self(4);

    /// All roles of both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The roles that both have.
    pub const fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of `other` are in it.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Where the recipe begins.
const RECIPE: usize = 8;

/// Size of `struct standing`.
const BYTES: usize = RECIPE + RECIPE_BYTES;

/// The map.
#[derive(Debug)]
pub(super) struct Endpoints {
    map: MapHandle,
    /// Held while an entry is changed: roles and recipes come from different threads.
    changing: Mutex<()>,
}

impl Endpoints {
    pub(super) const fn of(map: MapHandle) -> Self {
        Self {
            map,
            changing: Mutex::new(()),
        }
    }

    pub(super) const fn map(&self) -> &MapHandle {
        &self.map
    }

    /// Gives an endpoint these roles. With protocol 0 it is an address as a whole.
    pub(super) fn set_roles(
        &self,
        protocol: u8,
        endpoint: Endpoint,
        roles: Roles,
    ) -> Result<(), GateError> {
        self.change(protocol, endpoint, |standing| {
            standing[..4].copy_from_slice(&roles.0.to_ne_bytes());
        })
    }

    /// Says how the cookies of the TCP service at `vip` are made, if they are.
    pub(super) fn set_recipe(
        &self,
        vip: Endpoint,
        recipe: Option<&Recipe>,
    ) -> Result<(), GateError> {
        let recipe = recipe.map_or([0; RECIPE_BYTES], cookies::bytes_of);
        self.change(Protocol::Tcp.number(), vip, |standing| {
            standing[RECIPE..].copy_from_slice(&recipe);
        })
    }

    /// Puts an entry in the place of the old one, as a whole; one that says nothing goes.
    fn change(
        &self,
        protocol: u8,
        endpoint: Endpoint,
        change: impl FnOnce(&mut [u8; BYTES]),
    ) -> Result<(), GateError> {
        let failed = |error| GateError::Map {
            map: "endpoints",
            error,
        };
        let key = endpoint_key(protocol, endpoint);
        let _changing = self.changing.lock();
        let old = self.map.lookup(&key, MapFlags::ANY).map_err(failed)?;
        let old = old.and_then(|bytes| bytes.try_into().ok());
        let mut standing = old.unwrap_or([0; BYTES]);
        change(&mut standing);
        let standing = (standing != [0; BYTES]).then_some(standing);
        put(&self.map, &key, standing).map_err(failed)
    }
}
