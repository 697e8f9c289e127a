//! The networks that sources are in: a flood that comes from a whole one is many sources, of which none
//! is heavy.

use super::heavy::Heavy;
use crate::wire::{Addr, Net};

/// How wide what is counted is: a source, and two kinds of networks that it is in.
pub(super) const LEVELS: usize = 3;

/// Leading bits at each level. Whoever has one address of IPv6 has a network of them, which counts as
/// one source.
const BITS_V4: [u8; LEVELS] = [32, 24, 16];
const BITS_V6: [u8; LEVELS] = [64, 48, 32];

/// A network is shown from this part of all packets on.
const PART: u64 = 10;

/// A network, and what came from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// How many leading bits it has, of 32 or 128.
    pub length: u8,
    /// Its first address, and what was counted.
    pub heavy: Heavy,
}

/// How many leading bits of a source's address make it, of 32 or 128.
pub fn length(source: Addr) -> u8 {
    length_at(source, 0)
}

fn length_at(addr: Addr, level: usize) -> u8 {
    let lengths = if addr.is_v4() { BITS_V4 } else { BITS_V6 };
    lengths[level]
}

/// What an address counts for at a level.
pub(super) fn masked(addr: Addr, level: usize) -> Addr {
    let before = if addr.is_v4() { Net::V4_BITS } else { 0 };
    addr.masked(before + length_at(addr, level))
}

/// The networks that matter of what was counted at each level, the heaviest first: much of all
/// `packets` is theirs, and of none most is that of a single source or a narrower network, which would be shown in its
/// place.
pub(super) fn dominant(levels: &[Vec<Heavy>; LEVELS], packets: u64) -> Vec<Network> {
    let mut found = Vec::new();
    for (level, networks) in levels.iter().enumerate().skip(1) {
        let narrower = || levels[..level].iter().flatten();
        let is_one = |network: &Heavy| {
            narrower().any(|part| {
                masked(part.source, level) == network.source && 2 * part.packets > network.sure()
            })
        };
        let shown = networks.iter().filter(|network| {
            network.sure() > 0 && PART * network.sure() >= packets && !is_one(network)
        });
        found.extend(shown.map(|network| Network {
            length: length_at(network.source, level),
            heavy: *network,
        }));
    }
    found.sort_by_key(|network| (std::cmp::Reverse(network.heavy.sure()), network.length));
    found
}

#[cfg(test)]
mod tests {
    use super::super::{Sampler, Shown, Sighting, together};
    use super::*;
    use crate::time::Tick;

    /// The networks that are seen, with the packets a second that come from each, when `count`
    /// packets a tick come from `source`.
    fn seen(count: u32, source: impl Fn(u32) -> [u8; 16]) -> Vec<(String, u64)> {
        let (mut sampler, shown) = (Sampler::default(), Shown::default());
        for tick in 0..20 {
            sampler.tick(Tick(tick), &shown);
            for n in 0..count {
                sampler.look(&[()], |_, ()| {
                    Some(Sighting {
                        source: Addr::v6(source(tick * count + n)),
                        bytes: 60,
                        opens: true,
                    })
                });
            }
        }
        sampler.tick(Tick(20), &shown);
        let networks = together([&shown].into_iter(), Tick(20)).networks;
        let named = |network: &Network| {
            let address = std::net::IpAddr::from(network.heavy.source);
            (
                format!("{address}/{}", network.length),
                network.heavy.packets,
            )
        };
        networks.iter().map(named).collect()
    }

    fn v4([a, b, c, d]: [u8; 4]) -> [u8; 16] {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
    }

    #[test]
    fn a_flood_from_a_network_is_seen_as_one() {
        let networks = seen(100, |n| v4([203, 0, 113, n as u8]));
        assert_eq!(networks, [("203.0.113.0/24".to_owned(), 1000)]);
        let wide = seen(100, |n| v4([198, 51, n as u8, (n >> 8) as u8]));
        assert_eq!(wide, [("198.51.0.0/16".to_owned(), 1000)]);
        let v6 = seen(100, |n| {
            let mut octets = [0; 16];
            octets[..6].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 7]);
            octets[6..8].copy_from_slice(&(n as u16).to_be_bytes());
            octets
        });
        assert_eq!(v6, [("2001:db8:7::/48".to_owned(), 1000)]);
    }

    #[test]
    fn one_source_is_no_network_nor_is_everybody() {
        assert_eq!(seen(100, |_| v4([203, 0, 113, 7])), []);
        let mostly_one = |n: u32| match n % 3 {
            0 => v4([203, 0, 113, n as u8]),
            _ => v4([203, 0, 113, 7]),
        };
        assert_eq!(seen(99, mostly_one), []);
        let everybody = |n: u32| v4(n.wrapping_mul(0x9e37_79b1).to_be_bytes());
        assert_eq!(seen(100, everybody), []);
    }
}
