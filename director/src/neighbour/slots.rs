//! The places that routes lead to, each kept once and worked out before any packet asks.
//!
//! Thousands of routes share a handful of gateways. A route holds only the number of a slot,
//! and a neighbour or link that changes updates the few slots that depend on it.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::fib::{Hop, Link, Member, NoHop, Slot, SlotId, without_neighbour};
use super::world::World;
use crate::wire::Addr;

/// One next hop of a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Via {
    /// Outgoing interface.
    pub ifindex: u32,
    /// Gateway, of either family; none when the destination is on link.
    pub gateway: Option<Addr>,
    /// Share among the next hops of the route, 1 to 256.
    pub weight: u32,
    /// Path MTU that the route sets, bytes; 0 = the link's.
    pub mtu: u32,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// To the next hops that are alive.
    Forward(Vec<Via>),
    /// Nowhere.
    Reject(NoHop),
}

/// What a slot stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Spec {
    Reject(NoHop),
    Via {
        ifindex: u32,
        gateway: Option<Addr>,
        mtu: u32,
    },
    Multi(Vec<(u32, SlotId)>),
}

/// A slot's meaning and how many routes and groups use it.
#[derive(Clone, Debug)]
struct Entry {
    spec: Spec,
    users: u32,
}

/// All slots.
#[derive(Default)]
pub(super) struct Slots {
    entries: Vec<Entry>,
    free: Vec<SlotId>,
    by_spec: FxHashMap<Spec, SlotId>,
    by_gateway: FxHashMap<(u32, Addr), Vec<SlotId>>,
    by_link: FxHashMap<u32, Vec<SlotId>>,
    resolved: Arc<Vec<Slot>>,
    /// Grows with each change of the set of gateways.
    gateway_changes: u64,
}

impl Slots {
    /// The slots as a snapshot holds them.
    pub(super) fn resolved(&self) -> Arc<Vec<Slot>> {
        Arc::clone(&self.resolved)
    }

    /// The slot for `target`, one user more.
    pub(super) fn acquire(&mut self, target: &Target, world: &World) -> SlotId {
        match target {
            Target::Reject(why) => self.intern(Spec::Reject(*why), world),
            Target::Forward(vias) => match vias.as_slice() {
                [] => self.intern(Spec::Reject(NoHop::Down), world),
                [via] => self.intern(via_spec(via), world),
                many => {
                    let members = many
                        .iter()
                        .map(|via| (via.weight.max(1), self.intern(via_spec(via), world)))
                        .collect();
                    self.group(members, world)
                }
            },
        }
    }

    /// One user of `slot` less; the last one frees it.
    pub(super) fn release(&mut self, slot: SlotId) {
        let entry = &mut self.entries[slot as usize];
        entry.users -= 1;
        if entry.users > 0 {
            return;
        }
        let spec = std::mem::replace(&mut entry.spec, Spec::Reject(NoHop::NoRoute));
        self.by_spec.remove(&spec);
        self.free.push(slot);
        match spec {
            Spec::Reject(_) => {}
            Spec::Via {
                ifindex, gateway, ..
            } => {
                forget(&mut self.by_link, ifindex, slot);
                if let Some(gateway) = gateway {
                    self.gateway_changes += 1;
                    forget(&mut self.by_gateway, (ifindex, gateway), slot);
                }
            }
            Spec::Multi(members) => members.iter().for_each(|&(_, member)| self.release(member)),
        }
    }

    /// The slot that is left of `slot` without the next hops of `gone`, one user more; none
    /// when nothing is left. The user of `slot` itself stays.
    pub(super) fn without(&mut self, slot: SlotId, gone: SlotId, world: &World) -> Option<SlotId> {
        let dropped: Vec<SlotId> = self.members(gone).iter().map(|m| m.1).collect();
        let mut left = self.members(slot);
        left.retain(|(_, member)| !dropped.contains(member));
        for (_, member) in &left {
            self.entries[*member as usize].users += 1;
        }
        match left.as_slice() {
            [] => None,
            [(_, only)] => Some(*only),
            _ => Some(self.group(left, world)),
        }
    }

    /// Whether all next hops of `part` are among those of `slot`.
    pub(super) fn contains(&self, slot: SlotId, part: SlotId) -> bool {
        let members = self.members(slot);
        let among = |one: SlotId| members.iter().any(|&(_, member)| member == one);
        self.members(part).iter().all(|&(_, one)| among(one))
    }

    /// Whether `slot` leads to gateways only (an IPv6 route that can have siblings).
    pub(super) fn gateways_only(&self, slot: SlotId) -> bool {
        self.members(slot).iter().all(|&(_, member)| {
            matches!(
                self.entries[member as usize].spec,
                Spec::Via {
                    gateway: Some(_),
                    ..
                }
            )
        })
    }

    /// Works out again what depends on the neighbour `addr`.
    pub(super) fn neighbour_changed(&mut self, ifindex: u32, addr: Addr, world: &World) {
        if let Some(slots) = self.by_gateway.get(&(ifindex, addr)) {
            let resolved = Arc::make_mut(&mut self.resolved);
            for &slot in slots {
                resolved[slot as usize] = resolve(&self.entries[slot as usize].spec, world);
            }
        }
    }

    /// Works out again what depends on the interface `ifindex`.
    pub(super) fn link_changed(&mut self, ifindex: u32, world: &World) {
        if let Some(slots) = self.by_link.get(&ifindex) {
            let resolved = Arc::make_mut(&mut self.resolved);
            for &slot in slots {
                resolved[slot as usize] = resolve(&self.entries[slot as usize].spec, world);
            }
        }
    }

    /// Links that are up and that a route leads through beside others.
    pub(super) fn alternatives<'a>(&'a self, world: &'a World) -> impl Iterator<Item = &'a Link> {
        let groups = self.entries.iter().filter_map(|entry| match &entry.spec {
            Spec::Multi(members) => Some(members),
            Spec::Reject(_) | Spec::Via { .. } => None,
        });
        groups.flat_map(move |members| {
            let links = members
                .iter()
                .filter_map(|(_, slot)| self.link(*slot, world));
            let mut links: Vec<&Link> = links.filter(|link| link.up).collect();
            links.sort_unstable_by_key(|link| link.ifindex);
            links.dedup_by_key(|link| link.ifindex);
            if links.len() == 1 {
                links.clear();
            }
            links
        })
    }

    fn link<'a>(&self, slot: SlotId, world: &'a World) -> Option<&'a Link> {
        match self.entries[slot as usize].spec {
            Spec::Via { ifindex, .. } => world.links.get(&ifindex),
            Spec::Reject(_) | Spec::Multi(_) => None,
        }
    }

    /// Gateways that slots lead to, with their interfaces.
    pub(super) fn gateways(&self) -> impl Iterator<Item = (u32, Addr)> + '_ {
        self.by_gateway.keys().copied()
    }

    /// A number that differs whenever [`Self::gateways`] may differ.
    pub(super) fn gateway_changes(&self) -> u64 {
        self.gateway_changes
    }

    /// Slots in use.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Panics if a slot differs from what its meaning gives now.
    #[cfg(test)]
    pub(super) fn check(&self, world: &World) {
        for (at, entry) in self.entries.iter().enumerate().filter(|(_, e)| e.users > 0) {
            let fresh = format!("{:?}", resolve(&entry.spec, world));
            assert_eq!(
                format!("{:?}", self.resolved[at]),
                fresh,
                "{:?}",
                entry.spec
            );
        }
    }

    fn members(&self, slot: SlotId) -> Vec<(u32, SlotId)> {
        match &self.entries[slot as usize].spec {
            Spec::Multi(members) => members.clone(),
            _ => vec![(1, slot)],
        }
    }

    /// Interns a group; the users that `members` hold pass to the group, or are given back
    /// when it existed.
    fn group(&mut self, members: Vec<(u32, SlotId)>, world: &World) -> SlotId {
        let spec = Spec::Multi(members);
        let known = self.by_spec.contains_key(&spec);
        let slot = self.intern(spec, world);
        if known {
            for (_, member) in self.members(slot) {
                self.release(member);
            }
        }
        slot
    }

    fn intern(&mut self, spec: Spec, world: &World) -> SlotId {
        if let Some(&slot) = self.by_spec.get(&spec) {
            self.entries[slot as usize].users += 1;
            return slot;
        }
        let slot = self.store(spec.clone(), resolve(&spec, world));
        if let Spec::Via {
            ifindex, gateway, ..
        } = spec
        {
            self.by_link.entry(ifindex).or_default().push(slot);
            if let Some(gateway) = gateway {
                self.gateway_changes += 1;
                let key = (ifindex, gateway);
                self.by_gateway.entry(key).or_default().push(slot);
            }
        }
        self.by_spec.insert(spec, slot);
        slot
    }

    fn store(&mut self, spec: Spec, place: Slot) -> SlotId {
        let resolved = Arc::make_mut(&mut self.resolved);
        let entry = Entry { spec, users: 1 };
        match self.free.pop() {
            Some(slot) => {
                self.entries[slot as usize] = entry;
                resolved[slot as usize] = place;
                slot
            }
            None => {
                self.entries.push(entry);
                resolved.push(place);
                (resolved.len() - 1) as SlotId
            }
        }
    }
}

fn via_spec(via: &Via) -> Spec {
    Spec::Via {
        ifindex: via.ifindex,
        gateway: via.gateway,
        mtu: via.mtu,
    }
}

fn forget<K: Eq + std::hash::Hash>(index: &mut FxHashMap<K, Vec<SlotId>>, key: K, slot: SlotId) {
    if let Some(slots) = index.get_mut(&key) {
        slots.retain(|other| *other != slot);
        if slots.is_empty() {
            index.remove(&key);
        }
    }
}

fn resolve(spec: &Spec, world: &World) -> Slot {
    match spec {
        Spec::Reject(why) => Slot::Fail(*why),
        Spec::Via {
            ifindex,
            gateway,
            mtu,
        } => resolve_via(*ifindex, *gateway, *mtu, world).unwrap_or_else(Slot::Fail),
        Spec::Multi(members) => {
            let mut bound = 0;
            let members = members.iter().map(|&(weight, slot)| {
                bound += weight;
                Member { bound, slot }
            });
            Slot::Multi(members.collect())
        }
    }
}

fn resolve_via(
    ifindex: u32,
    gateway: Option<Addr>,
    route_mtu: u32,
    world: &World,
) -> Result<Slot, NoHop> {
    let link = world.links.get(&ifindex).ok_or(NoHop::Down)?;
    let port = link.port.ok_or(NoHop::OtherInterface)?;
    let src_mac = link.mac.ok_or(NoHop::OtherInterface)?;
    if !link.up {
        return Err(NoHop::Down);
    }
    let mtu = match route_mtu {
        0 => link.mtu,
        mtu => mtu.min(link.mtu),
    };
    let hop = Hop {
        mtu,
        port,
        src_mac,
        dst_mac: [0; 6],
    };
    let Some(addr) = gateway else {
        return Ok(Slot::OnLink { ifindex, hop });
    };
    let neighbour = world.neighbours.get(&(ifindex, addr));
    let neighbour = neighbour.ok_or_else(|| without_neighbour(&world.silent, ifindex, addr))?;
    Ok(Slot::Ready(Hop {
        dst_mac: neighbour.mac,
        ..hop
    }))
}
