//! What the gate has forwarded for each real server, brought to where the director counts.

use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use super::Fast;
use crate::gate::flows::{REALS, Tally};
use crate::service::{Real, RealId};
use crate::stats::Counter;

/// Packets and bytes, each by direction.
pub type Carried = [u64; 4];

/// What has been brought over already.
#[derive(Debug, Default)]
pub struct Tallies(Mutex<Vec<Carried>>);

impl Tallies {
    /// What was forwarded before is not this director's, unless it is told otherwise.
    pub(super) fn since(tallies: &[Tally]) -> Self {
        let all = (0..REALS.min(tallies.len())).map(|slot| carried(tallies, slot));
        Self(Mutex::new(all.collect()))
    }
}

impl Fast {
    /// What has been brought over of each real server, by slot.
    pub fn brought(&self) -> Vec<(u32, Carried)> {
        let brought = self.tallies.0.lock();
        let numbered = (0..).zip(brought.iter().copied());
        let moved = numbered.filter(|(_, carried)| *carried != Carried::default());
        moved.collect()
    }

    /// Goes on where another director has brought it to: what the gate has forwarded since then is
    /// this one's.
    pub fn bring_on(&self, former: &[(u32, Carried)]) {
        let mut brought = self.tallies.0.lock();
        *brought = continued(&brought, former);
    }

    /// Adds what the gate has forwarded since the last time to what these real servers, and their
    /// services, have carried.
    pub fn collect<'a>(&self, reals: impl Iterator<Item = &'a Real>) {
        let mut brought = self.tallies.0.lock();
        for real in reals {
            let RealId(slot) = real.id;
            let slot = slot as usize;
            if slot >= REALS {
                continue;
            }
            if brought.len() <= slot {
                brought.resize(slot + 1, Carried::default());
            }
            let now = carried(&self.shared.tallies, slot);
            let before = std::mem::replace(&mut brought[slot], now);
            if now != before {
                add(real, before, now);
            }
        }
    }
}

/// What the gate has forwarded for the real server in `slot`, on all CPUs.
fn carried(tallies: &[Tally], slot: usize) -> Carried {
    let rows = tallies.iter().skip(slot).step_by(REALS);
    rows.map(|tally| {
        let [there, back] = &tally.packets;
        let [bytes_there, bytes_back] = &tally.bytes;
        [there, back, bytes_there, bytes_back].map(|cell| cell.load(Relaxed))
    })
    .fold(Carried::default(), |sum, row| {
        std::array::from_fn(|n| sum[n] + row[n])
    })
}

fn add(real: &Real, before: Carried, now: Carried) {
    for traffic in [&real.traffic, &real.service_traffic] {
        let traffic = traffic.gate();
        let counters: [&Counter; 4] = [
            &traffic.in_packets,
            &traffic.out_packets,
            &traffic.in_bytes,
            &traffic.out_bytes,
        ];
        for (n, counter) in counters.into_iter().enumerate() {
            counter.add(now[n].wrapping_sub(before[n]));
        }
    }
}

/// How far the counts of a gate that stands at `gate` have been brought, when a `former` director has
/// brought them so far. A gate that has counted less than that has begun anew.
fn continued(gate: &[Carried], former: &[(u32, Carried)]) -> Vec<Carried> {
    let mut brought = vec![Carried::default(); gate.len()];
    for (slot, carried) in former {
        if let Some(known) = brought.get_mut(*slot as usize) {
            *known = *carried;
        }
    }
    for (known, gate) in brought.iter_mut().zip(gate) {
        if known.iter().zip(gate).any(|(known, gate)| known > gate) {
            *known = *gate;
        }
    }
    brought
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_forwarded_since_a_director_ended_is_the_next_ones() {
        let gate = [[9, 9, 90, 90], [5, 0, 50, 0], [1, 1, 10, 10]];
        let former = [(0, [7, 8, 70, 80]), (2, [2, 2, 20, 20]), (7, [1; 4])];
        let expected = [[7, 8, 70, 80], [0; 4], gate[2]];
        assert_eq!(continued(&gate, &former), expected);
    }
}
