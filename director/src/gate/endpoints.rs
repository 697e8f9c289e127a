//! What endpoints are to the gate, and how the cookies of those that are services are made: one table,
//! as a packet's destination is looked up once (`struct standing` of `bpf/endpoints.h`).

use std::os::fd::AsFd;

use libbpf_rs::MapHandle;
use parking_lot::Mutex;

use super::GateError;
use super::cookies::{self, RECIPE_BYTES};
use super::map::endpoint_key;
use super::memory::Array;
use super::reals::Reals;
use super::repeats::Repeating;
use super::skel::{GateSkel, OpenGateSkel};
use super::standings::{Full, Name, Says, Standings};
use crate::cookie::Recipe;
use crate::wire::{Addr, Endpoint, Protocol};

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

/// `struct standing`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Standing {
    roles: Roles,
    recipe: [u8; RECIPE_BYTES],
}

/// Where its recipe begins, after its endpoint.
const RECIPE: usize = 4;

impl Standing {
    /// Of an endpoint that is nothing to the director.
    const NONE: Self = Self {
        roles: Roles::NONE,
        recipe: [0; RECIPE_BYTES],
    };

    fn read(bytes: &Says) -> Self {
        let ([a, b, c, d], recipe) = bytes.split_first_chunk().map_or(
            ([0; RECIPE], Self::NONE.recipe.as_slice()),
            |(roles, recipe)| (*roles, recipe),
        );
        let roles = Roles(u32::from_ne_bytes([a, b, c, d]));
        let recipe = recipe.try_into().unwrap_or(Self::NONE.recipe);
        Self { roles, recipe }
    }

    fn to_bytes(self) -> Says {
        let mut bytes = [0; RECIPE + RECIPE_BYTES];
        bytes[..4].copy_from_slice(&self.roles.0.to_ne_bytes());
        bytes[RECIPE..].copy_from_slice(&self.recipe);
        bytes
    }
}

/// The table, and what says where in it real servers may be.
#[derive(Debug)]
pub struct Endpoints {
    places: MapHandle,
    standings: MapHandle,
    reals: Reals,
    /// Held while an entry is changed: roles and recipes come from different threads.
    table: Mutex<Standings>,
}

impl Endpoints {
    pub(super) fn of(skel: &GateSkel<'_>) -> libbpf_rs::Result<Self> {
        let places = MapHandle::try_from(&skel.maps.bss_places)?;
        let standings = MapHandle::try_from(&skel.maps.standings)?;
        let table = Standings::new(
            Box::new(Array::map(&places)?),
            Box::new(Array::map(&standings)?),
        );
        Ok(Self {
            places,
            standings,
            reals: Reals::of(MapHandle::try_from(&skel.maps.bss_real_bits)?)?,
            table: Mutex::new(table),
        })
    }

    pub(super) fn lend(&self, open: &mut OpenGateSkel<'_>) -> libbpf_rs::Result<()> {
        open.maps.bss_places.reuse_fd(self.places.as_fd())?;
        open.maps.standings.reuse_fd(self.standings.as_fd())?;
        open.maps.bss_real_bits.reuse_fd(self.reals.map().as_fd())
    }

    /// Gives an endpoint these roles; none takes it out.
    ///
    /// # Errors
    /// When the map is full.
    pub fn set_roles(
        &self,
        protocol: Protocol,
        endpoint: Endpoint,
        roles: Roles,
    ) -> Result<(), GateError> {
        let had = self.write_roles(protocol.number(), endpoint, roles);
        had.map(drop)
    }

    /// Gives an address as a whole these roles: fragments have no ports to go by.
    ///
    /// # Errors
    /// When the map is full.
    pub fn set_address(&self, addr: Addr, roles: Roles) -> Result<(), GateError> {
        // Beforehand: it is asked there whether an address is worth a look into the map.
        if roles.has(Roles::REAL) {
            self.reals.enter(addr);
        }
        let had = self.write_roles(0, Endpoint::new(addr, 0), roles);
        // Who was one before has been counted twice, and who could not be written was counted for nothing.
        let counted = had.as_ref().map_or(roles, |had| *had);
        if counted.has(Roles::REAL) {
            self.reals.leave(addr);
        }
        had.map(drop)
    }

    /// Whether the gate would look an address up to see whether it is a real server's.
    pub fn may_be_real(&self, addr: Addr) -> bool {
        self.reals.hold(addr)
    }

    /// Returns the roles that it had.
    fn write_roles(
        &self,
        protocol: u8,
        endpoint: Endpoint,
        roles: Roles,
    ) -> Result<Roles, GateError> {
        let key = endpoint_key(protocol, endpoint);
        let had = self.change(&key, |had| Standing { roles, ..had })?;
        Ok(had.roles)
    }

    /// Says how the cookies of the TCP service at `vip` are made; none ends them.
    ///
    /// # Errors
    /// When the map is full.
    pub fn set_recipe(&self, vip: Endpoint, recipe: Option<&Recipe>) -> Result<(), GateError> {
        let key = endpoint_key(Protocol::Tcp.number(), vip);
        let recipe = recipe.map_or(Standing::NONE.recipe, cookies::bytes_of);
        let had = self.change(&key, |had| Standing { recipe, ..had });
        had.map(drop)
    }

    /// Says how the clients of the UDP service at `vip` have to come twice; none: they need not.
    ///
    /// # Errors
    /// When the map is full.
    pub fn set_repeating(
        &self,
        vip: Endpoint,
        repeating: Option<Repeating>,
    ) -> Result<(), GateError> {
        let key = endpoint_key(Protocol::Udp.number(), vip);
        let recipe = repeating.map_or(Standing::NONE.recipe, Repeating::to_bytes);
        let had = self.change(&key, |had| Standing { recipe, ..had });
        had.map(drop)
    }

    /// Puts an entry in the place of the old one, which it returns, as a whole; one that says nothing
    /// is taken out.
    fn change(
        &self,
        name: &Name,
        change: impl FnOnce(Standing) -> Standing,
    ) -> Result<Standing, GateError> {
        let mut table = self.table.lock();
        let old = table.get(name);
        let old = old.as_ref().map_or(Standing::NONE, Standing::read);
        let new = change(old);
        if new == Standing::NONE {
            table.remove(name);
        } else {
            let put = table.put(name, &new.to_bytes());
            put.map_err(|Full| GateError::TooManyEndpoints)?;
        }
        Ok(old)
    }
}
