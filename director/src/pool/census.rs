//! How many real servers stand where.

use super::Map;
use crate::service::{Real, RealId};
use crate::wire::{Addr, Endpoint, Protocol};

/// How many real servers stand behind each endpoint and each address, unlisted ones with
/// connections included. One without a port stands behind all ports of its address.
#[derive(Clone, Debug, Default)]
pub(super) struct Census {
    /// How many, and their numbers, one XORed with the other: of a single one it is its number.
    endpoints: Map<(Protocol, Endpoint), (u32, u32)>,
    pub(super) addrs: Map<Addr, u32>,
    /// How many have no port.
    pub(super) wide: u32,
}

impl Census {
    pub(super) fn enter(&mut self, real: &Real) {
        for key in places(real) {
            let (count, ids) = self.endpoints.entry(key).or_default();
            (*count, *ids) = (*count + 1, *ids ^ real.id.0);
            self.wide += u32::from(key.1.port == 0);
        }
        enter(&mut self.addrs, real.endpoint.addr);
    }

    pub(super) fn leave(&mut self, real: &Real) {
        for key in places(real) {
            match self.endpoints.get_mut(&key) {
                Some((count, ids)) if *count > 1 => (*count, *ids) = (*count - 1, *ids ^ real.id.0),
                _ => drop(self.endpoints.remove(&key)),
            }
            self.wide -= u32::from(key.1.port == 0);
        }
        leave(&mut self.addrs, real.endpoint.addr);
    }

    /// The only one at `endpoint`, if there is just one.
    pub(super) fn sole(&self, protocol: Protocol, endpoint: Endpoint) -> Option<RealId> {
        match self.endpoints.get(&(protocol, endpoint)) {
            Some((1, id)) => Some(RealId(*id)),
            _ => None,
        }
    }

    /// Whether one gets packets at `endpoint`.
    #[inline]
    pub(super) fn has(&self, protocol: Protocol, endpoint: Endpoint) -> bool {
        self.exactly(protocol, endpoint) || self.wide > 0 && self.widely(protocol, endpoint.addr)
    }

    #[inline]
    fn exactly(&self, protocol: Protocol, endpoint: Endpoint) -> bool {
        self.endpoints.contains_key(&(protocol, endpoint))
    }

    #[inline(never)]
    fn widely(&self, protocol: Protocol, addr: Addr) -> bool {
        self.exactly(protocol, Endpoint::new(addr, 0))
    }
}

/// Where a real server counts: at its endpoint, and on all ports of its address if
/// data connections of FTP may have any.
fn places(real: &Real) -> impl Iterator<Item = (Protocol, Endpoint)> {
    let endpoint = real.endpoint;
    let own = real
        .service
        .protocols()
        .map(move |protocol| (protocol, endpoint));
    let anywhere = (Protocol::Tcp, Endpoint::new(endpoint.addr, 0));
    own.chain(real.answers_anywhere().then_some(anywhere))
}

pub(super) fn enter<K: std::hash::Hash + Eq + Clone>(counts: &mut Map<K, u32>, key: K) {
    *counts.entry(key).or_insert(0) += 1;
}

pub(super) fn leave<K: std::hash::Hash + Eq + Clone>(counts: &mut Map<K, u32>, key: K) {
    match counts.get_mut(&key) {
        Some(count) if *count > 1 => *count -= 1,
        _ => drop(counts.remove(&key)),
    }
}
