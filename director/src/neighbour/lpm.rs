//! Longest-prefix match: one hash map per prefix length that is in use, the longest first.
//!
//! The maps are flat and shared with the snapshots that were taken of them; the first change
//! after a snapshot copies the map of its length. Measured with `examples/fib.rs` on a million
//! routes: that copy takes 0.1 to 0.2 ms, and a look-up 0.4 to 0.6 us, where persistent tries
//! (`imbl`) make the copy free and take 1.1 to 1.5 us. Packets outnumber changes.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::wire::Addr;

/// An address as the bits that a prefix masks: `u32` for IPv4, `u128` for IPv6.
pub(super) trait Bits: Copy + Eq + std::hash::Hash {
    /// The first `len` bits, the others cleared.
    fn masked(self, len: u8) -> Self;
}

impl Bits for u32 {
    #[inline]
    fn masked(self, len: u8) -> Self {
        self & Self::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0)
    }
}

impl Bits for u128 {
    #[inline]
    fn masked(self, len: u8) -> Self {
        self & Self::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0)
    }
}

/// A network: an address and the number of its leading bits that count (at most 32 for IPv4,
/// 128 for IPv6); the other bits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    addr: Addr,
    len: u8,
}

impl Prefix {
    /// The network of `addr` with `len` bits; a length beyond the family's is cut to it.
    pub fn new(addr: Addr, len: u8) -> Self {
        match addr.to_v4() {
            Some(v4) => {
                let len = len.min(32);
                let bits = u32::from_be_bytes(v4).masked(len);
                Self {
                    addr: Addr::v4(bits.to_be_bytes()),
                    len,
                }
            }
            None => {
                let len = len.min(128);
                let bits = u128::from_be_bytes(*addr.octets()).masked(len);
                Self {
                    addr: Addr::v6(bits.to_be_bytes()),
                    len,
                }
            }
        }
    }

    /// The network's first address.
    pub fn addr(&self) -> Addr {
        self.addr
    }

    /// Number of leading bits that count.
    pub fn bits(&self) -> u8 {
        self.len
    }
}

/// One prefix length and the networks that have it.
#[derive(Clone)]
struct Level<K, V> {
    len: u8,
    networks: Arc<FxHashMap<K, V>>,
}

/// Networks of one address family and what each maps to.
#[derive(Clone)]
pub(super) struct Lpm<K, V> {
    /// Longest prefix first; no level is empty.
    levels: Vec<Level<K, V>>,
}

impl<K, V> Default for Lpm<K, V> {
    fn default() -> Self {
        Self { levels: Vec::new() }
    }
}

impl<K: Bits, V: Copy + PartialEq> Lpm<K, V> {
    /// What the longest network that holds `addr` maps to.
    #[inline]
    pub(super) fn find(&self, addr: K) -> Option<V> {
        self.levels
            .iter()
            .find_map(|level| level.networks.get(&addr.masked(level.len)).copied())
    }

    /// Maps the network of `addr` with `len` bits to `value`.
    pub(super) fn insert(&mut self, addr: K, len: u8, value: V) {
        let at = match self.level(len) {
            Ok(at) => at,
            Err(at) => {
                let networks = Default::default();
                self.levels.insert(at, Level { len, networks });
                at
            }
        };
        let (networks, network) = (&mut self.levels[at].networks, addr.masked(len));
        if networks.get(&network) != Some(&value) {
            Arc::make_mut(networks).insert(network, value);
        }
    }

    /// Takes the network of `addr` with `len` bits away.
    pub(super) fn remove(&mut self, addr: K, len: u8) {
        if let Ok(at) = self.level(len) {
            let networks = Arc::make_mut(&mut self.levels[at].networks);
            networks.remove(&addr.masked(len));
            if networks.is_empty() {
                self.levels.remove(at);
            }
        }
    }

    /// Whether both are copies of one that neither has changed since.
    fn is_shared(&self, other: &Self) -> bool {
        let pairs = self.levels.iter().zip(&other.levels);
        self.levels.len() == other.levels.len()
            && pairs
                .into_iter()
                .all(|(a, b)| a.len == b.len && Arc::ptr_eq(&a.networks, &b.networks))
    }

    fn level(&self, len: u8) -> Result<usize, usize> {
        self.levels.binary_search_by(|level| len.cmp(&level.len))
    }
}

/// Networks of both families.
#[derive(Clone)]
pub(super) struct DualLpm<V> {
    v4: Lpm<u32, V>,
    v6: Lpm<u128, V>,
}

impl<V> Default for DualLpm<V> {
    fn default() -> Self {
        Self {
            v4: Lpm::default(),
            v6: Lpm::default(),
        }
    }
}

impl<V: Copy + PartialEq> DualLpm<V> {
    /// What the longest network that holds `addr` maps to.
    #[inline]
    pub(super) fn find(&self, addr: Addr) -> Option<V> {
        match addr.to_v4() {
            Some(v4) => self.v4.find(u32::from_be_bytes(v4)),
            None => self.v6.find(u128::from_be_bytes(*addr.octets())),
        }
    }

    /// Maps `prefix` to `value`.
    pub(super) fn insert(&mut self, prefix: Prefix, value: V) {
        match prefix.addr.to_v4() {
            Some(v4) => self.v4.insert(u32::from_be_bytes(v4), prefix.len, value),
            None => {
                let bits = u128::from_be_bytes(*prefix.addr.octets());
                self.v6.insert(bits, prefix.len, value);
            }
        }
    }

    /// Whether both are copies of one that neither has changed since.
    pub(super) fn is_shared(&self, other: &Self) -> bool {
        self.v4.is_shared(&other.v4) && self.v6.is_shared(&other.v6)
    }

    /// Takes `prefix` away.
    pub(super) fn remove(&mut self, prefix: Prefix) {
        match prefix.addr.to_v4() {
            Some(v4) => self.v4.remove(u32::from_be_bytes(v4), prefix.len),
            None => {
                let bits = u128::from_be_bytes(*prefix.addr.octets());
                self.v6.remove(bits, prefix.len);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prefix_clears_host_bits_and_cuts_the_length() {
        let p = Prefix::new(Addr::v4([10, 1, 2, 255]), 23);
        assert_eq!((p.addr(), p.bits()), (Addr::v4([10, 1, 2, 0]), 23));
        assert_eq!(Prefix::new(Addr::v4([10, 1, 3, 9]), 99).bits(), 32);
        let zero = Prefix::new(Addr::v6([0xff; 16]), 0);
        assert_eq!((zero.addr(), zero.bits()), (Addr::v6([0; 16]), 0));
    }

    /// Few distinct bits, so that networks nest and collide often.
    fn crowded() -> impl Strategy<Value = u128> {
        proptest::collection::vec(0u8..4, 16)
            .prop_map(|v| u128::from_be_bytes(v.try_into().unwrap()))
    }

    proptest! {
        #[test]
        fn finds_what_a_scan_of_all_networks_finds(
            ops in proptest::collection::vec((crowded(), 0u8..=128, any::<u32>(), prop::bool::weighted(0.8)), 0..60),
            probes in proptest::collection::vec(crowded(), 1..40),
        ) {
            let mut lpm = Lpm::<u128, u32>::default();
            let mut model = std::collections::BTreeMap::<(u8, u128), u32>::new();
            for (addr, len, value, insert) in ops {
                if insert {
                    lpm.insert(addr, len, value);
                    model.insert((len, addr.masked(len)), value);
                } else if let Some(&(len, addr)) = model.keys().next() {
                    lpm.remove(addr, len);
                    model.remove(&(len, addr));
                }
            }
            for probe in probes {
                let expected = model
                    .iter()
                    .rev()
                    .find(|((len, net), _)| probe.masked(*len) == *net)
                    .map(|(_, value)| *value);
                prop_assert_eq!(lpm.find(probe), expected);
            }
        }

        #[test]
        fn v4_agrees_with_a_scan(
            nets in proptest::collection::vec((any::<u32>(), 0u8..=32, any::<u32>()), 0..60),
            probes in proptest::collection::vec(any::<u32>(), 1..40),
        ) {
            let mut lpm = DualLpm::<u32>::default();
            let mut model = std::collections::BTreeMap::<(u8, u32), u32>::new();
            for (addr, len, value) in nets {
                // Half the address space is folded onto 256 hosts so that probes hit.
                let addr = if addr & 1 == 0 { addr & 0xff } else { addr };
                lpm.insert(Prefix::new(Addr::v4(addr.to_be_bytes()), len), value);
                model.insert((len, addr.masked(len)), value);
            }
            for probe in probes {
                let probe = if probe & 1 == 0 { probe & 0xff } else { probe };
                let expected = model
                    .iter()
                    .rev()
                    .find(|((len, net), _)| probe.masked(*len) == *net)
                    .map(|(_, value)| *value);
                prop_assert_eq!(lpm.find(Addr::v4(probe.to_be_bytes())), expected);
            }
        }
    }
}
