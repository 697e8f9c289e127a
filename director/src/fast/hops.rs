//! Next hops as the gate has them: by number, each with an era.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use parking_lot::RwLock;
use rustc_hash::FxHashMap;

use crate::gate::flows::{HOP_ERA_BITS, SharedHop};
use crate::neighbour::Hop;

/// The largest era.
const LAST_ERA: u32 = (1 << HOP_ERA_BITS) - 1;

#[derive(Debug)]
pub(super) struct Hops(RwLock<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    /// MTUs are left out: a flow has its own.
    by_hop: FxHashMap<Hop, u32>,
    /// Numbers of those that are outdated.
    free: Vec<u32>,
    /// The last that was given out; 0 is none.
    last: u32,
}

impl Hops {
    pub(super) fn new() -> Self {
        Self(RwLock::default())
    }

    /// Number and present era of a next hop, as a flow names it; none when there are too many.
    pub(super) fn number(&self, shared: &[SharedHop], hop: &Hop) -> Option<u32> {
        let hop = Hop { mtu: 0, ..*hop };
        let known = self.0.read().by_hop.get(&hop).copied();
        let number = known.or_else(|| self.0.write().add(shared, hop))?;
        let era = shared[number as usize].era.load(Acquire);
        Some(number << HOP_ERA_BITS | era)
    }

    /// Whether what a flow names is there still, in its era.
    pub(super) fn holds(shared: &[SharedHop], named: u32) -> bool {
        let hop = shared.get((named >> HOP_ERA_BITS) as usize);
        hop.is_some_and(|hop| hop.era.load(Acquire) == named & LAST_ERA)
    }

    /// Begins another era of all, whoever has named them.
    pub(super) fn renew_all(&self, shared: &[SharedHop]) {
        let mut numbers = self.0.write();
        *numbers = Numbers::default();
        for hop in shared {
            let era = next_era(hop.era.load(Relaxed));
            hop.era.store(era, Release);
        }
    }

    /// Begins another era of those that are `outdated`, and forgets them.
    pub(super) fn renew(&self, shared: &[SharedHop], outdated: impl Fn(&Hop) -> bool) {
        let mut numbers = self.0.write();
        let Numbers { by_hop, free, .. } = &mut *numbers;
        by_hop.retain(|hop, number| {
            let stays = !outdated(hop);
            if !stays {
                let era = &shared[*number as usize].era;
                era.store(next_era(era.load(Relaxed)), Release);
                free.push(*number);
            }
            stays
        });
    }
}

impl Numbers {
    fn add(&mut self, shared: &[SharedHop], hop: Hop) -> Option<u32> {
        if let Some(number) = self.by_hop.get(&hop) {
            return Some(*number);
        }
        let number = self.free.pop().or_else(|| {
            let number = self.last + 1;
            (number < shared.len() as u32).then(|| {
                self.last = number;
                number
            })
        })?;
        let cell = &shared[number as usize];
        for (cells, mac) in [(&cell.dst, hop.dst_mac), (&cell.src, hop.src_mac)] {
            for (cell, bytes) in cells.iter().zip(mac.chunks_exact(2)) {
                cell.store(u16::from_ne_bytes([bytes[0], bytes[1]]), Relaxed);
            }
        }
        cell.port.store(hop.port.into(), Relaxed);
        // Whoever names it has it from here on, and in this era.
        self.by_hop.insert(hop, number);
        Some(number)
    }
}

/// Eras are never 0, which a way has that leads nowhere.
const fn next_era(era: u32) -> u32 {
    match era {
        LAST_ERA => 1,
        era => era + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(station: u8) -> Hop {
        Hop {
            mtu: 1500,
            port: 1,
            src_mac: [2; 6],
            dst_mac: [station; 6],
        }
    }

    #[test]
    fn an_outdated_hop_is_known_by_its_old_name_no_more() {
        let shared: Vec<_> = (0..3).map(|_| SharedHop::default()).collect();
        let hops = Hops::new();
        let (first, second) = (hops.number(&shared, &hop(1)), hops.number(&shared, &hop(2)));
        assert_ne!(first, second);
        assert_eq!(hops.number(&shared, &hop(3)), None, "they are two");
        assert_eq!(hops.number(&shared, &Hop { mtu: 9, ..hop(1) }), first);
        let holds = |named: Option<u32>| Hops::holds(&shared, named.unwrap());
        assert!(holds(first) && holds(second));
        hops.renew(&shared, |hop| hop.dst_mac == [1; 6]);
        assert!(!holds(first) && holds(second));
        assert_eq!(hops.number(&shared, &hop(2)), second);
        let third = hops.number(&shared, &hop(3));
        assert!(third.is_some() && third != first);
        assert_eq!(next_era(LAST_ERA), 1);
    }
}
