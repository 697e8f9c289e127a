//! The host's routes, neighbours, links and addresses, kept up to date one change at a time;
//! snapshots of them are cheap.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::candidate::{Candidate, Form, Placement, Table};
use super::fib::{Ask, Fib, Link, Neighbour, SlotId};
use super::lpm::{DualLpm, Prefix};
use super::ports::Ports;
use super::siblings;
use super::slots::{Slots, Target};
use super::world::{Standing, World};
use crate::wire::Addr;

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destinations that it is for.
    pub prefix: Prefix,
    /// Its table.
    pub table: Table,
    /// Preference among routes of one prefix; the lowest wins.
    pub metric: u32,
    /// Where it leads.
    pub target: Target,
    /// How it is told of; IPv6 keeps routes together by that.
    pub form: Form,
}

/// One thing that has changed in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A link has come or changed. Its `port` is not looked at.
    Link(Link),
    /// A link has gone.
    LinkGone(u32),
    /// An address of the host has come, with the length of its prefix.
    Address(u32, Addr, u8),
    /// An address of the host has gone.
    AddressGone(u32, Addr),
    /// A neighbour has this usable entry.
    Neighbour(u32, Addr, Neighbour),
    /// A neighbour has been asked for its address in vain.
    NeighbourSilent(u32, Addr),
    /// A neighbour has no usable entry, as far as is known.
    NeighbourGone(u32, Addr),
    /// A route has come.
    Route(Route, Placement),
    /// A route has gone.
    RouteGone(Route),
    /// A nexthop object has come, changed or gone, and with it perhaps where routes lead.
    Nexthops,
}

/// The mutable side of [`Fib`].
pub struct Tables {
    ports: Ports,
    world: World,
    /// Prefix length by address and interface.
    addresses: BTreeMap<(Addr, u32), u8>,
    candidates: FxHashMap<Prefix, Vec<Candidate>>,
    routes: DualLpm<SlotId>,
    slots: Slots,
    listed: Listed,
}

/// The parts of a snapshot that change seldom, kept between snapshots.
#[derive(Default)]
struct Listed {
    links: Option<Arc<[Link]>>,
    addresses: Option<Arc<[Addr]>>,
    sources: Option<Arc<[Vec<Addr>]>>,
    /// With the number of gateway changes that it holds.
    gateways: Option<(u64, Arc<[Ask]>)>,
}

impl Tables {
    /// Empty tables of a director that drives the interfaces `ports`, in this order.
    pub fn new<S: AsRef<str>>(ports: &[S]) -> Self {
        Self::of(Ports::new(ports))
    }

    /// Empty tables.
    pub(super) fn of(ports: Ports) -> Self {
        Self {
            ports,
            world: World::default(),
            addresses: BTreeMap::new(),
            candidates: FxHashMap::default(),
            routes: DualLpm::default(),
            slots: Slots::default(),
            listed: Listed::default(),
        }
    }

    /// Takes one change in.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Link(link) => self.set_link(link),
            Change::LinkGone(ifindex) => self.drop_link(ifindex),
            Change::Address(ifindex, addr, prefix) => {
                if self.addresses.insert((addr, ifindex), prefix) != Some(prefix) {
                    self.listed.addresses = None;
                    self.listed.sources = None;
                }
            }
            Change::AddressGone(ifindex, addr) => {
                if self.addresses.remove(&(addr, ifindex)).is_some() {
                    self.listed.addresses = None;
                    self.listed.sources = None;
                }
            }
            Change::Neighbour(ifindex, addr, entry) => {
                self.set_neighbour(ifindex, addr, Standing::Usable(entry));
            }
            Change::NeighbourSilent(ifindex, addr) => {
                self.set_neighbour(ifindex, addr, Standing::Silent);
            }
            Change::NeighbourGone(ifindex, addr) => {
                self.set_neighbour(ifindex, addr, Standing::Unknown);
            }
            Change::Route(route, placement) => self.add_route(&route, placement),
            Change::RouteGone(route) => self.drop_route(&route),
            Change::Nexthops => {}
        }
    }

    /// Forgets all routes, before a new dump of them.
    pub fn clear_routes(&mut self) {
        self.candidates = FxHashMap::default();
        self.routes = DualLpm::default();
        self.slots = Slots::default();
        self.listed.gateways = None;
    }

    /// Forgets everything, before a new dump.
    pub fn clear(&mut self) {
        *self = Self::of(self.ports.clone());
    }

    /// Whether `link` differs from what is known in whether it is up: the kernel then drops or
    /// revives IPv4 routes without saying so (`fib_sync_down_dev`, net/ipv4/fib_semantics.c).
    pub fn flips(&self, link: &Link) -> bool {
        self.world
            .links
            .get(&link.ifindex)
            .is_some_and(|old| old.up != link.up)
    }

    /// Whether there are several routes that `route` may have replaced: the kernel does not say which
    /// of them can have siblings.
    pub fn may_replace_others(&self, route: &Route) -> bool {
        let rank = (route.table, route.metric);
        let list = self.candidates.get(&route.prefix);
        let here = list.map_or(0, |list| {
            list.iter().filter(|one| one.rank() == rank).count()
        });
        !route.prefix.addr().is_v4() && here > 1
    }

    /// Which links are driven.
    pub(super) fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The present state.
    pub fn snapshot(&mut self) -> Fib {
        Fib {
            routes: self.routes.clone(),
            slots: self.slots.resolved(),
            neighbours: Arc::clone(&self.world.neighbours),
            silent: Arc::clone(&self.world.silent),
            links: self.list_links(),
            addresses: self.list_addresses(),
            sources: self.list_sources(),
            gateways: self.list_gateways(),
            alternatives: self.alternatives(),
        }
    }

    fn set_link(&mut self, mut link: Link) {
        link.port = self.ports.number(&link);
        let ifindex = link.ifindex;
        let old = self.world.links.get(&ifindex);
        if old == Some(&link) {
            return;
        }
        self.ports.tell_renamed(old, &link);
        self.world.links.insert(ifindex, link);
        self.listed.links = None;
        self.listed.gateways = None;
        self.listed.sources = None;
        self.slots.link_changed(ifindex, &self.world);
    }

    fn drop_link(&mut self, ifindex: u32) {
        self.ports.forget(ifindex);
        if self.world.links.remove(&ifindex).is_some() {
            self.listed.links = None;
            self.listed.gateways = None;
            self.listed.sources = None;
            self.slots.link_changed(ifindex, &self.world);
        }
    }

    fn set_neighbour(&mut self, ifindex: u32, addr: Addr, standing: Standing) {
        if self.world.set_neighbour((ifindex, addr), standing) {
            self.slots.neighbour_changed(ifindex, addr, &self.world);
        }
    }

    fn add_route(&mut self, route: &Route, placement: Placement) {
        let new = self.candidate(route);
        let mut list = self.candidates.remove(&route.prefix).unwrap_or_default();
        if list.contains(&new) && placement != Placement::Replace {
            self.slots.release(new.slot);
        } else if route.prefix.addr().is_v4() {
            self.place_v4(&mut list, new, placement);
        } else {
            siblings::place(&mut list, &mut self.slots, new, placement);
        }
        self.settle(route.prefix, list);
    }

    fn place_v4(&mut self, list: &mut Vec<Candidate>, new: Candidate, placement: Placement) {
        let at = list.partition_point(|other| other.rank() < new.rank());
        let behind = list.partition_point(|other| other.rank() <= new.rank());
        match placement {
            Placement::Last => list.insert(behind, new),
            Placement::First => list.insert(at, new),
            Placement::Replace if at == behind => list.insert(at, new),
            Placement::Replace => {
                let old = std::mem::replace(&mut list[at], new);
                self.slots.release(old.slot);
            }
        }
    }

    fn drop_route(&mut self, route: &Route) {
        let gone = self.candidate(route);
        let mut list = self.candidates.remove(&route.prefix).unwrap_or_default();
        match route.prefix.addr().is_v4() {
            true => self.drop_v4(&mut list, &gone),
            false => siblings::drop(&mut list, &mut self.slots, &gone, &self.world),
        }
        self.slots.release(gone.slot);
        self.settle(route.prefix, list);
    }

    fn drop_v4(&mut self, list: &mut Vec<Candidate>, gone: &Candidate) {
        let same = |other: &Candidate| other.rank() == gone.rank();
        let exact = |other: &Candidate| same(other) && other.slot == gone.slot;
        let at = list.iter().position(exact);
        if let Some(at) = at.or_else(|| list.iter().position(same)) {
            self.slots.release(list.remove(at).slot);
        }
    }

    /// A route as a candidate, which uses its slot.
    fn candidate(&mut self, route: &Route) -> Candidate {
        Candidate {
            table: route.table,
            metric: route.metric,
            form: route.form,
            slot: self.slots.acquire(&route.target, &self.world),
        }
    }

    /// Puts the candidates of a prefix back and lets the first of them count.
    fn settle(&mut self, prefix: Prefix, list: Vec<Candidate>) {
        match list.first() {
            Some(best) => {
                self.routes.insert(prefix, best.slot);
                self.candidates.insert(prefix, list);
            }
            None => self.routes.remove(prefix),
        }
    }

    fn list_links(&mut self) -> Arc<[Link]> {
        let links = &self.world.links;
        let list = self.listed.links.get_or_insert_with(|| {
            let mut list: Vec<Link> = links.values().cloned().collect();
            list.sort_by_key(|link| link.ifindex);
            list.into()
        });
        Arc::clone(list)
    }

    fn list_addresses(&mut self) -> Arc<[Addr]> {
        let addresses = &self.addresses;
        let list = self.listed.addresses.get_or_insert_with(|| {
            let mut list: Vec<Addr> = addresses.keys().map(|(addr, _)| *addr).collect();
            list.dedup();
            list.into()
        });
        Arc::clone(list)
    }

    /// For each port the addresses to speak from: those with a subnet, since an address that
    /// stands alone is somebody's VIP; a few of the others where a family has no such.
    fn list_sources(&mut self) -> Arc<[Vec<Addr>]> {
        const MOST: usize = 16;
        let (links, addresses) = (&self.world.links, &self.addresses);
        let of_port = |port: usize| {
            let here = |ifindex: &u32| {
                let link = links.get(ifindex);
                link.is_some_and(|link| link.port.map(usize::from) == Some(port))
            };
            let mut list: Vec<_> = addresses
                .iter()
                .filter(|((_, ifindex), _)| here(ifindex))
                .map(|((addr, _), prefix)| (is_alone(*addr, *prefix), *addr))
                .collect();
            list.sort();
            let subnets = [true, false].map(|v4| {
                list.iter()
                    .any(|&(alone, addr)| !alone && addr.is_v4() == v4 && !addr.is_link_local())
            });
            let [v4, v6] = subnets;
            list.retain(|&(alone, addr)| !(alone && if addr.is_v4() { v4 } else { v6 }));
            list.into_iter().map(|(_, addr)| addr).take(MOST).collect()
        };
        let ports = self.ports.len();
        let list = self
            .listed
            .sources
            .get_or_insert_with(|| (0..ports).map(of_port).collect());
        Arc::clone(list)
    }

    fn alternatives(&self) -> u32 {
        let ports = self.slots.alternatives(&self.world);
        let ports = ports.filter_map(|link| link.port);
        ports.fold(0, |sum, port| {
            sum | 1u32.checked_shl(port.into()).unwrap_or(0)
        })
    }

    /// Gateways behind interfaces that the director drives.
    fn list_gateways(&mut self) -> Arc<[Ask]> {
        let changes = self.slots.gateway_changes();
        let listed = self.listed.gateways.as_ref();
        if let Some((_, list)) = listed.filter(|(at, _)| *at == changes) {
            return Arc::clone(list);
        }
        let links = &self.world.links;
        let driven = |ifindex: u32| links.get(&ifindex).is_some_and(|link| link.port.is_some());
        let gateways = self
            .slots
            .gateways()
            .filter(|(ifindex, _)| driven(*ifindex));
        let list: Arc<[Ask]> = gateways
            .map(|(ifindex, addr)| Ask { ifindex, addr })
            .collect();
        self.listed.gateways = Some((changes, Arc::clone(&list)));
        list
    }
}

/// Whether the prefix of an address is that address.
const fn is_alone(addr: Addr, prefix: u8) -> bool {
    prefix == if addr.is_v4() { 32 } else { 128 }
}

#[cfg(test)]
impl Tables {
    /// Panics if a slot differs from what its meaning gives now.
    pub(super) fn check_slots(&self) {
        self.slots.check(&self.world);
    }

    /// Takes all routes away, one by one.
    pub(super) fn drain_routes(&mut self) {
        for (prefix, list) in std::mem::take(&mut self.candidates) {
            list.iter().for_each(|one| self.slots.release(one.slot));
            self.routes.remove(prefix);
        }
    }

    /// Number of slots that a route still uses.
    pub(super) fn slots_in_use(&self) -> usize {
        self.slots.len()
    }
}
