//! How long packets to the ends of tunnels may be: what routers have said of our outer datagrams
//! (RFC 1191, RFC 8201). Of all other packets the senders hear themselves.

use rustc_hash::FxHashMap;

use crate::time::{Tick, Ticks};
use crate::wire::{Addr, icmp};

/// How long one is believed (`net.ipv4.route.mtu_expires`).
const LIFETIME: Ticks = Ticks::seconds(600);

/// Tunnel ends that are remembered.
const MOST: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    mtu: u32,
    until: Tick,
}

/// A snapshot.
#[derive(Clone, Debug, Default)]
pub struct PathMtus {
    known: FxHashMap<Addr, Known>,
}

impl PathMtus {
    /// The longest packet to `addr` that is not known to be too long, bytes.
    #[inline]
    pub fn to(&self, addr: Addr, now: Tick) -> u32 {
        if self.known.is_empty() {
            return u32::MAX;
        }
        let known = self.known.get(&addr).filter(|known| now < known.until);
        known.map_or(u32::MAX, |known| known.mtu)
    }

    /// The next snapshot, when a router has said that no packet to `addr` may be longer than
    /// `mtu`; none when that is no news. What is said again is, since it holds for longer then.
    pub fn learn(&self, addr: Addr, mtu: u32, now: Tick) -> Option<Self> {
        let mtu = mtu.max(icmp::least_mtu(addr.version()));
        let until = now.after(LIFETIME);
        let before = self.known.get(&addr);
        let is_news = match before.filter(|known| now < known.until) {
            Some(known) => mtu < known.mtu || mtu == known.mtu && known.until < until,
            None => true,
        };
        if !is_news {
            return None;
        }
        let mut next = self.clone();
        next.known.retain(|_, known| now < known.until);
        if next.known.len() >= MOST {
            return None;
        }
        next.known.insert(addr, Known { mtu, until });
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Tick = Tick(100);

    fn v4(last: u8) -> Addr {
        Addr::v4([10, 0, 0, last])
    }

    #[test]
    fn the_least_that_was_said_counts_for_ten_minutes() {
        let none = PathMtus::default();
        assert_eq!(none.to(v4(1), NOW), u32::MAX);
        let one = none.learn(v4(1), 1400, NOW).unwrap();
        assert_eq!((one.to(v4(1), NOW), one.to(v4(2), NOW)), (1400, u32::MAX));
        assert!(
            one.learn(v4(1), 1450, NOW).is_none(),
            "not wider while it lasts"
        );
        assert!(one.learn(v4(1), 1400, NOW).is_none(), "no news");
        let again = one.learn(v4(1), 1400, Tick(NOW.0 + 1)).unwrap();
        assert_eq!(again.to(v4(1), Tick(NOW.0 + 6000)), 1400, "for longer");
        let less = one.learn(v4(1), 1300, NOW).unwrap();
        assert_eq!(less.to(v4(1), Tick(NOW.0 + 5999)), 1300);
        assert_eq!(less.to(v4(1), Tick(NOW.0 + 6000)), u32::MAX);
    }

    #[test]
    fn too_little_is_not_believed() {
        let v6 = Addr::v6([0x20; 16]);
        let known = PathMtus::default().learn(v4(1), 68, NOW).unwrap();
        let known = known.learn(v6, 100, NOW).unwrap();
        assert_eq!((known.to(v4(1), NOW), known.to(v6, NOW)), (552, 1280));
    }

    #[test]
    fn there_are_so_many_at_most_and_the_dead_make_room() {
        let mut known = PathMtus::default();
        for n in 0..2 * MOST as u32 {
            let [_, b, c, d] = n.to_be_bytes();
            known = known
                .learn(Addr::v4([10, b, c, d]), 1400, NOW)
                .unwrap_or(known);
        }
        assert_eq!(known.known.len(), MOST);
        let later = Tick(NOW.0 + 6000);
        let known = known.learn(v4(1), 1400, later).unwrap();
        assert_eq!(known.known.len(), 1);
    }
}
