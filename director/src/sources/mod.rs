//! Who sends most: the heaviest sources of the last seconds, for people and for those who decide
//! whom to limit.
//!
//! Each worker looks at a few of its packets, and the gate shows a few of those that it keeps from them. How far apart they are goes by the load, so that it
//! is every packet of a calm director and no more than a budget of a flooded one: the cost has a
//! ceiling, whatever comes. A sample stands for all packets up to the next.

mod heavy;
mod network;
mod stopped;
mod window;

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::time::{Tick, Ticks};
use crate::wire::Addr;

pub use heavy::Heavy;
pub use network::{Network, length};
pub use stopped::{Sight, Stopped};

use heavy::Sample;
use network::{LEVELS, masked};
use window::Window;

/// How long sources are counted before they are shown and counted anew.
const WINDOW: Ticks = Ticks::seconds(2);

/// Samples that a worker takes in a tick at most, but for those that come before it notices.
const BUDGET: u32 = 400;

/// Of so many packets one is looked at, at the least.
const WIDEST: u32 = 4096;

/// A source that was looked at less often than this is not shown, unless every packet was looked at.
const FEWEST: u32 = 3;

/// What one worker has seen in a window.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// How long it was.
    length: Ticks,
    /// When it ended.
    ended: Tick,
    /// Packets from clients, as the samples stand for them.
    packets: u64,
    /// Sources, and the networks that they are in.
    heavy: [Vec<Heavy>; LEVELS],
}

/// Where a worker shows what it has seen last.
#[derive(Debug, Default)]
pub struct Shown(Mutex<Seen>);

/// What a worker samples.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// Who sent it.
    pub source: Addr,
    /// Its length, IP header included.
    pub bytes: u16,
    /// Whether it would open a TCP connection.
    pub opens: bool,
}

/// A worker's sampler.
#[derive(Debug)]
pub struct Sampler {
    window: Window,
    /// Packets to let by until the next sample.
    ahead: u32,
    /// One of so many packets is looked at.
    gap: u32,
    /// Samples of this tick.
    taken: u32,
    tick: Tick,
}

impl Default for Sampler {
    fn default() -> Self {
        Self {
            window: Window::default(),
            ahead: 0,
            gap: 1,
            taken: 0,
            tick: Tick::default(),
        }
    }
}

impl Sampler {
    /// Looks at a few of `packets`; `sight` says what one is, if it is a client's.
    #[inline]
    pub fn look<P>(&mut self, packets: &[P], sight: impl Fn(usize, &P) -> Option<Sighting>) {
        let count = packets.len() as u32;
        if self.ahead < count {
            self.sample(packets, sight);
        }
        self.ahead -= count;
    }

    fn sample<P>(&mut self, packets: &[P], sight: impl Fn(usize, &P) -> Option<Sighting>) {
        while let Some(packet) = packets.get(self.ahead as usize) {
            if let Some(sighting) = sight(self.ahead as usize, packet) {
                self.take(sighting);
            }
            self.ahead += self.stride();
        }
    }

    /// As far as the gap on average, and never in step with anything.
    fn stride(&self) -> u32 {
        match self.gap {
            1 => 1,
            gap => rand::random_range(1..2 * gap),
        }
    }

    fn take(&mut self, sighting: Sighting) {
        let Sighting {
            source,
            bytes,
            opens,
        } = sighting;
        self.window.add(Sample {
            source,
            weight: self.gap.into(),
            bytes: bytes.into(),
            opens,
            stopped: false,
        });
        self.taken += 1;
        if self.taken % BUDGET == 0 {
            self.gap = (self.gap * 2).min(WIDEST);
        }
    }

    /// Lets time pass; shows what there is at the end of a window.
    #[inline]
    pub fn tick(&mut self, now: Tick, shown: &Shown) {
        if now != self.tick {
            self.turn(now, shown);
        }
    }

    fn turn(&mut self, now: Tick, shown: &Shown) {
        if self.taken < BUDGET / 2 {
            self.gap = (self.gap / 2).max(1);
        }
        (self.tick, self.taken) = (now, 0);
        self.window.turn(now, self.gap == 1, shown);
    }
}

/// What all workers have seen, a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sources {
    /// Packets of clients a second.
    pub packets: u64,
    /// Sources by what is surely theirs, the heaviest first; those of which nothing is are left
    /// out. Counts are a second.
    pub heavy: Vec<Heavy>,
    /// The networks from which a large part of all comes, without one source in it that sends most
    /// of that.
    pub networks: Vec<Network>,
}

/// What `shown` shows at `now`, put together. One whose last window is long over sleeps.
pub fn together<'s>(shown: impl Iterator<Item = &'s Shown>, now: Tick) -> Sources {
    let mut packets = 0;
    let mut sums: [HashMap<Addr, Heavy>; LEVELS] = Default::default();
    for shown in shown {
        let seen = shown.0.lock().clone();
        if seen.length.0 == 0 || seen.ended.until(now) > Ticks(2 * WINDOW.0) {
            continue;
        }
        packets += seen.rate(seen.packets);
        for (sum, heavy) in sums.iter_mut().zip(&seen.heavy) {
            heavy.iter().for_each(|heavy| seen.add(heavy, sum));
        }
    }
    let levels = sums.map(in_order);
    let networks = network::dominant(&levels, packets);
    let [heavy, ..] = levels;
    Sources {
        packets,
        heavy,
        networks,
    }
}

impl Seen {
    /// A count of the window, a second.
    fn rate(&self, count: u64) -> u64 {
        count * u64::from(Ticks::PER_SECOND) / u64::from(self.length.0)
    }

    fn add(&self, heavy: &Heavy, sum: &mut HashMap<Addr, Heavy>) {
        let known = sum.entry(heavy.source).or_default();
        known.source = heavy.source;
        known.packets += self.rate(heavy.packets);
        known.margin += self.rate(heavy.margin);
        known.bytes += self.rate(heavy.bytes);
        known.opens += self.rate(heavy.opens);
        known.stopped += self.rate(heavy.stopped);
    }
}

fn in_order(by_source: HashMap<Addr, Heavy>) -> Vec<Heavy> {
    let mut heavy: Vec<_> = by_source.into_values().collect();
    heavy.retain(|heavy| heavy.sure() > 0);
    heavy.sort_by_key(|heavy| (std::cmp::Reverse(heavy.sure()), heavy.source));
    heavy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(source: u32) -> Sighting {
        Sighting {
            source: Addr::v4(source.to_be_bytes()),
            bytes: 60,
            opens: true,
        }
    }

    /// Has a sampler see `batches` of `sources` in the tick `now`.
    fn see(sampler: &mut Sampler, now: u32, batches: u32, sources: &[u32], shown: &Shown) {
        sampler.tick(Tick(now), shown);
        for _ in 0..batches {
            sampler.look(sources, |_, source| Some(sighting(*source)));
        }
    }

    #[test]
    fn a_calm_director_counts_every_packet() {
        let (mut sampler, shown) = (Sampler::default(), Shown::default());
        for now in 0..20 {
            see(&mut sampler, now, 3, &[1, 1, 2], &shown);
        }
        sampler.tick(Tick(20), &shown);
        let sources = together([&shown].into_iter(), Tick(21));
        assert_eq!(sources.packets, 90);
        let rates: Vec<_> = sources
            .heavy
            .iter()
            .map(|h| (h.packets, h.margin, h.opens))
            .collect();
        assert_eq!(rates, [(60, 0, 60), (30, 0, 30)]);
        assert_eq!(together([&shown].into_iter(), Tick(61)), Sources::default());
    }

    #[test]
    fn a_flood_is_looked_at_within_the_budget_and_weighed_right() {
        let (mut sampler, shown) = (Sampler::default(), Shown::default());
        // One in four packets is that of one source, the others are nobody's twice.
        let mut other = 1 << 20;
        let mut taken = 0;
        for now in 0..40 {
            sampler.tick(Tick(now), &shown);
            for _ in 0..2000 {
                let batch: Vec<u32> = (0..64)
                    .map(|n| {
                        other += 1;
                        if n % 4 == 0 { 7 } else { other }
                    })
                    .collect();
                sampler.look(&batch, |_, source| Some(sighting(*source)));
            }
            taken = taken.max(sampler.taken);
        }
        // The first tick has to find out how much comes.
        assert!(taken < 12 * BUDGET, "{taken} samples of 128,000 packets");
        sampler.tick(Tick(40), &shown);
        let sources = together([&shown].into_iter(), Tick(41));
        let is_near = |rate: u64, truth: u64| rate.abs_diff(truth) < truth / 5;
        assert!(is_near(sources.packets, 1_280_000), "{}", sources.packets);
        let heaviest = sources.heavy[0];
        assert_eq!(heaviest.source, sighting(7).source);
        assert!(is_near(heaviest.packets, 320_000), "{heaviest:?}");
        let next = sources.heavy.get(1).map_or(0, Heavy::sure);
        assert!(next < heaviest.sure() / 10, "{next}");
    }

    #[test]
    fn the_networks_of_ipv6_count_as_one_and_workers_add_up() {
        let all = [Shown::default(), Shown::default()];
        for (host, shown) in (0..).zip(&all) {
            let mut sampler = Sampler::default();
            let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host);
            sampler.look(&[(); 20], |_, ()| {
                Some(Sighting {
                    source: Addr::v6(address.octets()),
                    ..sighting(0)
                })
            });
            sampler.tick(Tick(1), shown);
            sampler.tick(Tick(20), shown);
        }
        let sources = together(all.iter(), Tick(20));
        assert_eq!(sources.heavy.len(), 1);
        assert_eq!((sources.heavy[0].packets, sources.packets), (20, 20));
    }
}
