//! What the gate has forwarded for each real server, brought to where the director counts.

use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use super::Fast;
use crate::gate::flows::{REALS, Tally};
use crate::service::{Real, RealId};
use crate::stats::Counter;

/// Packets and bytes, each by direction.
type Carried = [u64; 4];

/// What has been brought over already.
#[derive(Debug, Default)]
pub struct Tallies(Mutex<Vec<Carried>>);

impl Tallies {
    /// What was forwarded before is not this director's.
    pub(super) fn since(tallies: &[Tally]) -> Self {
        let all = (0..REALS.min(tallies.len())).map(|slot| carried(tallies, slot));
        Self(Mutex::new(all.collect()))
    }
}

impl Fast {
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
