//! Which next hops that were once found hold no more.

use std::sync::Arc;

use super::fib::{Fib, Hop, Mac, NoHop, Slot};

/// What somebody who remembers next hops of an earlier snapshot has to forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outdated {
    /// Those to these stations through these ports; mostly none.
    Stations(Vec<(u16, Mac)>),
    /// All: routes, interfaces or addresses have changed.
    All,
}

impl Outdated {
    /// Whether a next hop is among them.
    pub fn has(&self, hop: &Hop) -> bool {
        match self {
            Self::Stations(stations) => stations.contains(&(hop.port, hop.dst_mac)),
            Self::All => true,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::Stations(Vec::new())
    }
}

impl Fib {
    /// What was found in `earlier` and may be found no more.
    pub fn outdated_since(&self, earlier: &Self) -> Outdated {
        let driven = |fib: &Self| -> Vec<_> {
            let links = fib.links.iter();
            links.filter(|link| link.port.is_some()).cloned().collect()
        };
        let same = self.routes.is_shared(&earlier.routes)
            && driven(self) == driven(earlier)
            && self.addresses == earlier.addresses;
        match same.then(|| self.gateways_gone(earlier)).flatten() {
            Some(mut stations) => {
                stations.extend(self.neighbours_gone(earlier));
                Outdated::Stations(stations)
            }
            None => Outdated::All,
        }
    }

    /// The gateways that have another station or none; nothing when more has changed.
    fn gateways_gone(&self, earlier: &Self) -> Option<Vec<(u16, Mac)>> {
        if Arc::ptr_eq(&self.slots, &earlier.slots) {
            return Some(Vec::new());
        }
        if self.slots.len() != earlier.slots.len() {
            return None;
        }
        let mut gone = Vec::new();
        for (now, before) in self.slots.iter().zip(earlier.slots.iter()) {
            match (before, now) {
                (Slot::Ready(before), Slot::Ready(now)) if before == now => {}
                (Slot::Ready(hop), Slot::Ready(_)) => gone.push((hop.port, hop.dst_mac)),
                (Slot::Ready(hop), Slot::Fail(why)) if lacks_neighbour(why) => {
                    gone.push((hop.port, hop.dst_mac));
                }
                (Slot::Fail(why), Slot::Ready(_)) if lacks_neighbour(why) => {}
                (Slot::Fail(a), Slot::Fail(b)) if lacks_neighbour(a) && lacks_neighbour(b) => {}
                (Slot::OnLink { hop: a, .. }, Slot::OnLink { hop: b, .. }) if a == b => {}
                (Slot::Fail(a), Slot::Fail(b)) if a == b => {}
                (Slot::Multi(a), Slot::Multi(b)) if Arc::ptr_eq(a, b) => {}
                _ => return None,
            }
        }
        Some(gone)
    }

    /// The neighbours that have another station or none.
    fn neighbours_gone(&self, earlier: &Self) -> Vec<(u16, Mac)> {
        if Arc::ptr_eq(&self.neighbours, &earlier.neighbours) {
            return Vec::new();
        }
        let port_of = |ifindex| {
            let mut links = earlier.links.iter();
            links.find(|link| link.ifindex == ifindex)?.port
        };
        let gone = earlier.neighbours.iter().filter(|(key, before)| {
            let now = self.neighbours.get(key);
            now.is_none_or(|now| now.mac != before.mac)
        });
        gone.filter_map(|((ifindex, _), before)| Some((port_of(*ifindex)?, before.mac)))
            .collect()
    }
}

/// Whether a next hop is missing for its neighbour alone.
const fn lacks_neighbour(why: &NoHop) -> bool {
    matches!(why, NoHop::Unresolved { .. } | NoHop::Silent { .. })
}
