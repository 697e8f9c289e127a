//! The forwarding information base as the workers read it: one immutable snapshot.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::lpm::DualLpm;
use crate::wire::Addr;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// How a packet leaves: everything its Ethernet header needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hop {
    /// Largest IP packet that may go this way, bytes.
    pub mtu: u32,
    /// Index of the outgoing interface in the datapath's interface list.
    pub port: u16,
    /// Address of that interface.
    pub src_mac: Mac,
    /// Address of the neighbour that gets the frame.
    pub dst_mac: Mac,
}

impl Hop {
    /// To the kernel of this host itself.
    pub const HOME: Self = Self {
        mtu: u32::MAX,
        port: u16::MAX,
        src_mac: [0; 6],
        dst_mac: [0; 6],
    };
}

/// Why there is no next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoHop {
    /// No route leads to the destination.
    NoRoute,
    /// A route says that the destination must not be reached (blackhole, unreachable,
    /// prohibit), or one that cannot be followed from here (broadcast, multicast, tunnels).
    Unreachable,
    /// The destination is an address of this host.
    Local,
    /// The route leads through an interface that the director does not drive.
    OtherInterface,
    /// The interface is administratively down or has no carrier.
    Down,
    /// The Ethernet address of the neighbour is not known (yet): ask for it.
    Unresolved {
        /// Interface that the neighbour is on.
        ifindex: u32,
        /// The neighbour: the gateway, or the destination itself when it is on link.
        addr: Addr,
    },
    /// The kernel has asked the neighbour for its Ethernet address, and nobody has answered.
    Silent {
        /// Interface that the neighbour should be on.
        ifindex: u32,
        /// The neighbour, as for [`NoHop::Unresolved`].
        addr: Addr,
    },
}

/// A neighbour whose Ethernet address is usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its Ethernet address.
    pub mac: Mac,
    /// Never validated by the kernel (`NUD_PERMANENT`, `NUD_NOARP`).
    pub pinned: bool,
}

/// An interface of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Kernel's index.
    pub ifindex: u32,
    /// Name.
    pub name: Arc<str>,
    /// Ethernet address; none for interfaces that are not Ethernet.
    pub mac: Option<Mac>,
    /// Largest IP packet, bytes.
    pub mtu: u32,
    /// Administratively up and with carrier.
    pub up: bool,
    /// Index in the datapath's interface list, if the director drives it.
    pub port: Option<u16>,
}

/// Index of a [`Slot`].
pub(super) type SlotId = u32;

/// Where one or many routes lead, worked out as far as it can be without the destination.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    /// To a gateway that is resolved.
    Ready(Hop),
    /// To destinations on the interface's own link; `dst_mac` is filled in per destination.
    OnLink { ifindex: u32, hop: Hop },
    /// Nowhere.
    Fail(NoHop),
    /// One of several, by weight.
    Multi(Arc<[Member]>),
}

/// One of the next hops of a multipath route.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// The member takes shares below this bound, and not below the bound before it.
    pub(super) bound: u32,
    /// Where it leads.
    pub(super) slot: SlotId,
}

/// Usable entries by interface and address.
pub(super) type Neighbours = FxHashMap<(u32, Addr), Neighbour>;

/// Neighbours that the kernel has asked in vain, by interface and address.
pub(super) type Silent = FxHashSet<(u32, Addr)>;

/// A neighbour to resolve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ask {
    /// Interface that it is on.
    pub ifindex: u32,
    /// Its address.
    pub addr: Addr,
}

impl Ask {
    /// The question that would mend `failure`, if one would.
    pub fn to_mend(failure: NoHop) -> Option<Self> {
        match failure {
            NoHop::Unresolved { ifindex, addr } | NoHop::Silent { ifindex, addr } => {
                Some(Self { ifindex, addr })
            }
            _ => None,
        }
    }
}

/// Routes, neighbours, links and addresses of the host at one moment. Never changes; a
/// clone shares everything.
///
/// Routes are those of the tables `main` and `local`, matched together, longest prefix first,
/// then `local` before `main`, then by metric: what the kernel does as long as nobody adds
/// policy rules. `ip rule` is not followed, nor are routes for a TOS or a source prefix.
#[derive(Clone, Default)]
pub struct Fib {
    pub(super) routes: DualLpm<SlotId>,
    pub(super) slots: Arc<Vec<Slot>>,
    pub(super) neighbours: Arc<Neighbours>,
    pub(super) silent: Arc<Silent>,
    pub(super) links: Arc<[Link]>,
    pub(super) addresses: Arc<[Addr]>,
    /// By port.
    pub(super) sources: Arc<[Vec<Addr>]>,
    pub(super) gateways: Arc<[Ask]>,
    /// Ports, a bit each.
    pub(super) alternatives: u32,
}

impl Fib {
    /// How a packet to `dst` leaves. `flow_hash` picks among the next hops of a multipath
    /// route: the same hash, the same next hop, as long as that one's link is up.
    #[inline]
    pub fn next_hop(&self, dst: Addr, flow_hash: u64) -> Result<Hop, NoHop> {
        self.way(dst, flow_hash).0
    }

    /// The same, and whether that holds for all flows to `dst`.
    #[inline]
    pub fn way(&self, dst: Addr, flow_hash: u64) -> (Result<Hop, NoHop>, bool) {
        let slot = self.routes.find(dst);
        match slot.and_then(|slot| self.slots.get(slot as usize)) {
            Some(Slot::Multi(members)) => (self.pick(members, dst, flow_hash), false),
            Some(slot) => (self.single(slot, dst), true),
            None => (Err(NoHop::NoRoute), true),
        }
    }

    /// The usable entry of a neighbour.
    #[inline]
    pub fn neighbour(&self, ifindex: u32, addr: Addr) -> Option<Neighbour> {
        self.neighbours.get(&(ifindex, addr)).copied()
    }

    /// All interfaces, by index.
    pub fn links(&self) -> &Arc<[Link]> {
        &self.links
    }

    /// The host's own addresses, sorted, each once.
    pub fn local_addresses(&self) -> &Arc<[Addr]> {
        &self.addresses
    }

    /// Whether `addr` is one of them.
    #[inline]
    pub fn is_own(&self, addr: Addr) -> bool {
        self.addresses.binary_search(&addr).is_ok()
    }

    /// The address of the host to speak from to `dst` through `port`: of those with a subnet the
    /// one that shares the longest prefix with it. None that is link-local or `taken`.
    pub fn source(&self, port: u16, dst: Addr, taken: impl Fn(Addr) -> bool) -> Option<Addr> {
        let usable =
            |addr: &Addr| addr.is_v4() == dst.is_v4() && !addr.is_link_local() && !taken(*addr);
        let here = self.sources.get(usize::from(port))?.iter().copied();
        // The first of equals is wanted, and `max_by_key` gives the last.
        here.rev()
            .filter(usable)
            .max_by_key(|addr| addr.common_prefix(dst))
    }

    /// Gateways of the routes that leave through interfaces that the director drives.
    pub fn gateways(&self) -> impl Iterator<Item = Ask> + '_ {
        self.gateways.iter().copied()
    }

    /// Ports, a bit each, that some route leads through beside other interfaces: what goes by it
    /// leaves through one of them, whichever the hash falls to.
    pub fn alternatives(&self) -> u32 {
        self.alternatives
    }

    /// `dst` as a neighbour on each link that it is on by the route to it; nothing when
    /// it lies behind gateways.
    pub fn on_link(&self, dst: Addr) -> impl Iterator<Item = Ask> + '_ {
        let slot = |id: SlotId| self.slots.get(id as usize);
        let place = self.routes.find(dst).and_then(slot);
        let members = match place {
            Some(Slot::Multi(members)) => &members[..],
            _ => &[],
        };
        let each = members.iter().filter_map(move |member| slot(member.slot));
        each.chain(place).filter_map(move |slot| match slot {
            Slot::OnLink { ifindex, .. } => Some(Ask {
                ifindex: *ifindex,
                addr: dst,
            }),
            _ => None,
        })
    }

    #[inline]
    fn single(&self, slot: &Slot, dst: Addr) -> Result<Hop, NoHop> {
        match slot {
            Slot::Ready(hop) => Ok(*hop),
            Slot::OnLink { ifindex, hop } => match self.neighbours.get(&(*ifindex, dst)) {
                Some(neighbour) => Ok(Hop {
                    dst_mac: neighbour.mac,
                    ..*hop
                }),
                None => Err(without_neighbour(&self.silent, *ifindex, dst)),
            },
            Slot::Fail(why) => Err(*why),
            Slot::Multi(_) => Err(NoHop::Unreachable),
        }
    }

    /// The member that the hash falls to; when its link is down, another, found from other
    /// bits of the hash, so that the flows of a dead link spread and no other flow moves.
    fn pick(&self, members: &[Member], dst: Addr, flow_hash: u64) -> Result<Hop, NoHop> {
        let total = members.last().map_or(0, |last| last.bound);
        let share = ((flow_hash & 0xffff_ffff) * u64::from(total)) >> 32;
        let first = members.partition_point(|member| u64::from(member.bound) <= share);
        let hop = self.member(members, first, dst);
        if !matches!(hop, Err(NoHop::Down)) {
            return hop;
        }
        let start = (flow_hash >> 32) as usize % members.len().max(1);
        (0..members.len())
            .map(|step| self.member(members, (start + step) % members.len(), dst))
            .find(|hop| !matches!(hop, Err(NoHop::Down)))
            .unwrap_or(Err(NoHop::Down))
    }

    fn member(&self, members: &[Member], at: usize, dst: Addr) -> Result<Hop, NoHop> {
        members
            .get(at)
            .and_then(|member| self.slots.get(member.slot as usize))
            .map_or(Err(NoHop::NoRoute), |slot| self.single(slot, dst))
    }
}

/// Why nothing goes to a neighbour without a usable entry.
pub(super) fn without_neighbour(silent: &Silent, ifindex: u32, addr: Addr) -> NoHop {
    match silent.contains(&(ifindex, addr)) {
        true => NoHop::Silent { ifindex, addr },
        false => NoHop::Unresolved { ifindex, addr },
    }
}
