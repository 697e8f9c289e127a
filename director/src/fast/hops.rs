//! Next hops as the gate has them: by number, each with an era. A number rests before another next hop
//! gets it, as places for flows do; the same one has it back at once.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use parking_lot::RwLock;
use rustc_hash::FxHashMap;

use super::room::REST;
use crate::gate::flows::{HOP_ERA_BITS, SharedHop};
use crate::neighbour::Hop;
use crate::time::Tick;

/// The largest era.
const LAST_ERA: u32 = (1 << HOP_ERA_BITS) - 1;

#[derive(Debug)]
pub(super) struct Hops(RwLock<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    /// MTUs are left out: a flow has its own.
    by_hop: FxHashMap<Hop, u32>,
    /// Numbers of those that are outdated, and since when.
    resting: FxHashMap<Hop, (u32, Tick)>,
    /// The last that was given out; 0 is none.
    last: u32,
    /// When none had rested.
    searched: Option<Tick>,
}

impl Hops {
    pub(super) fn new() -> Self {
        Self(RwLock::default())
    }

    /// Number and era of a next hop at `now`, as a flow names it; none when there are too many.
    pub(super) fn number(&self, shared: &[SharedHop], hop: &Hop, now: Tick) -> Option<u32> {
        let hop = Hop { mtu: 0, ..*hop };
        let known = self.0.read().by_hop.get(&hop).copied();
        let number = known.or_else(|| self.0.write().add(shared, hop, now))?;
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

    /// Begins another era of those that are `outdated` at `now`, and forgets them.
    pub(super) fn renew(&self, shared: &[SharedHop], outdated: impl Fn(&Hop) -> bool, now: Tick) {
        let mut numbers = self.0.write();
        let Numbers {
            by_hop, resting, ..
        } = &mut *numbers;
        by_hop.retain(|hop, number| {
            let stays = !outdated(hop);
            if !stays {
                let era = &shared[*number as usize].era;
                era.store(next_era(era.load(Relaxed)), Release);
                resting.insert(*hop, (*number, now));
            }
            stays
        });
    }
}

impl Numbers {
    fn add(&mut self, shared: &[SharedHop], hop: Hop, now: Tick) -> Option<u32> {
        if let Some(number) = self.by_hop.get(&hop) {
            return Some(*number);
        }
        if let Some((number, _)) = self.resting.remove(&hop) {
            self.by_hop.insert(hop, number);
            return Some(number);
        }
        let number = self.free(shared.len() as u32, now)?;
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

    /// A number that was never given out, or else one that has rested.
    fn free(&mut self, len: u32, now: Tick) -> Option<u32> {
        if self.last + 1 < len {
            self.last += 1;
            return Some(self.last);
        }
        if self.searched == Some(now) {
            return None;
        }
        let mut resting = self.resting.iter();
        let rested = resting.find(|(_, (_, since))| since.until(now) > REST);
        let Some(hop) = rested.map(|(hop, _)| *hop) else {
            self.searched = Some(now);
            return None;
        };
        self.resting.remove(&hop).map(|(number, _)| number)
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
    use crate::time::Ticks;

    fn hop(station: u8) -> Hop {
        Hop {
            mtu: 1500,
            port: 1,
            src_mac: [2; 6],
            dst_mac: [station; 6],
        }
    }

    const NOW: Tick = Tick(100);

    #[test]
    fn an_outdated_hop_is_known_by_its_old_name_no_more() {
        let shared: Vec<_> = (0..3).map(|_| SharedHop::default()).collect();
        let hops = Hops::new();
        let number = |station| hops.number(&shared, &hop(station), NOW);
        let (first, second) = (number(1), number(2));
        assert_ne!(first, second);
        assert_eq!(number(3), None, "they are two");
        let narrow = Hop { mtu: 9, ..hop(1) };
        assert_eq!(hops.number(&shared, &narrow, NOW), first);
        let holds = |named: Option<u32>| Hops::holds(&shared, named.unwrap());
        assert!(holds(first) && holds(second));
        hops.renew(&shared, |hop| hop.dst_mac == [1; 6], NOW);
        assert!(!holds(first) && holds(second));
        assert_eq!(number(2), second);
        assert_eq!(next_era(LAST_ERA), 1);
    }

    #[test]
    fn a_number_rests_before_another_hop_gets_it() {
        let shared: Vec<_> = (0..3).map(|_| SharedHop::default()).collect();
        let hops = Hops::new();
        let number = |station, now| hops.number(&shared, &hop(station), now);
        let (first, _) = (number(1, NOW), number(2, NOW));
        hops.renew(&shared, |hop| hop.dst_mac == [1; 6], NOW);
        assert_eq!(number(3, NOW.after(REST)), None);
        let third = number(3, NOW.after(REST).after(Ticks(1)));
        let of = |named: Option<u32>| named.unwrap() >> HOP_ERA_BITS;
        assert_eq!(of(third), of(first));
        assert_ne!(third, first, "another era");
    }

    #[test]
    fn a_hop_that_comes_back_has_its_number_back_in_another_era() {
        let shared: Vec<_> = (0..3).map(|_| SharedHop::default()).collect();
        let hops = Hops::new();
        let number = |station| hops.number(&shared, &hop(station), NOW).unwrap();
        let before = [number(1), number(2)];
        for _ in 0..3 {
            hops.renew(&shared, |_| true, NOW);
            let after = [number(1), number(2)];
            for (before, after) in before.iter().zip(after) {
                assert_eq!(before >> HOP_ERA_BITS, after >> HOP_ERA_BITS);
                assert_ne!(*before, after);
                assert!(!Hops::holds(&shared, *before) && Hops::holds(&shared, after));
            }
        }
    }
}
