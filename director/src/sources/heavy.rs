//! The heaviest sources in fixed memory: Space-Saving (Metwally, Agrawal, El Abbadi, 2005).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::wire::Addr;

/// Sources that are watched at once. One that sends more than this part of everything is among
/// them, whatever else comes.
pub(super) const PLACES: usize = 128;

/// What was seen of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heavy {
    /// Who.
    pub source: Addr,
    /// Packets.
    pub packets: u64,
    /// How many of them may have been somebody else's, whose place it took.
    pub margin: u64,
    /// Bytes, since it took its place.
    pub bytes: u64,
    /// Packets that would open a TCP connection, since then.
    pub opens: u64,
    /// Packets that the gate kept from the director, since then.
    pub stopped: u64,
    /// How often it was looked at, since then.
    pub(super) samples: u32,
}

impl Heavy {
    /// Packets that were surely its own.
    pub const fn sure(&self) -> u64 {
        self.packets - self.margin
    }
}

/// A packet, and for how many it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) source: Addr,
    pub(super) weight: u64,
    pub(super) bytes: u64,
    pub(super) opens: bool,
    pub(super) stopped: bool,
}

/// The sources that count most. The map has a key of its own: nobody can choose addresses that
/// collide.
#[derive(Debug)]
pub(super) struct HeavyHitters {
    heavy: Vec<Heavy>,
    places: HashMap<Addr, usize>,
}

impl HeavyHitters {
    pub(super) fn new() -> Self {
        Self {
            heavy: Vec::with_capacity(PLACES),
            // Half full at most: it never grows.
            places: HashMap::with_capacity(2 * PLACES),
        }
    }

    /// Takes in a packet.
    pub(super) fn add(&mut self, sample: &Sample) {
        let full = self.heavy.len() == PLACES;
        let place = match self.places.entry(sample.source) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) if !full => {
                self.heavy.push(Heavy {
                    source: sample.source,
                    ..Heavy::default()
                });
                *new.insert(self.heavy.len() - 1)
            }
            Entry::Vacant(_) => self.give_way(sample.source),
        };
        let heavy = &mut self.heavy[place];
        heavy.samples += 1;
        heavy.packets += sample.weight;
        heavy.bytes += sample.bytes * sample.weight;
        heavy.opens += if sample.opens { sample.weight } else { 0 };
        heavy.stopped += if sample.stopped { sample.weight } else { 0 };
    }

    /// The lightest gives its place to `source`, and with it what it has.
    fn give_way(&mut self, source: Addr) -> usize {
        let places = self.heavy.iter().enumerate();
        let lightest = places.min_by_key(|(_, heavy)| heavy.packets);
        let place = lightest.map_or(0, |(place, _)| place);
        let gone = self.heavy[place];
        self.places.remove(&gone.source);
        self.places.insert(source, place);
        self.heavy[place] = Heavy {
            source,
            packets: gone.packets,
            margin: gone.packets,
            ..Heavy::default()
        };
        place
    }

    /// All of them, in no order.
    pub(super) fn all(&self) -> &[Heavy] {
        &self.heavy
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) {
        self.heavy.clear();
        self.places.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn addr(number: u32) -> Addr {
        Addr::v4(number.to_be_bytes())
    }

    fn sample(source: u32, weight: u64) -> Sample {
        Sample {
            source: addr(source),
            weight,
            bytes: 60,
            opens: source % 2 == 1,
            stopped: false,
        }
    }

    proptest! {
        /// The promises of the algorithm: no count is too low, none too high by more than its
        /// margin, and no margin above the part of everything that one place is.
        #[test]
        fn counts_are_within_their_margins(
            stream in proptest::collection::vec((0u32..400, 1u64..50), 0..4000),
        ) {
            let mut hitters = HeavyHitters::new();
            let mut truth: HashMap<u32, u64> = HashMap::new();
            for (source, weight) in &stream {
                hitters.add(&sample(*source, *weight));
                *truth.entry(*source).or_default() += weight;
            }
            let all: u64 = truth.values().sum();
            for heavy in hitters.all() {
                let source = u32::from_be_bytes(heavy.source.to_v4().unwrap());
                let true_count = truth.get(&source).copied().unwrap_or_default();
                prop_assert!(heavy.packets >= true_count);
                prop_assert!(heavy.sure() <= true_count);
                prop_assert!(heavy.margin <= all / PLACES as u64);
            }
            let watched: Vec<_> = hitters.all().iter().map(|heavy| heavy.source).collect();
            for (source, count) in truth {
                prop_assert!(count <= all / PLACES as u64 || watched.contains(&addr(source)));
            }
            prop_assert!(hitters.all().len() <= PLACES);
            prop_assert_eq!(hitters.places.len(), hitters.heavy.len());
        }
    }

    #[test]
    fn a_few_are_counted_exactly() {
        let mut hitters = HeavyHitters::new();
        for _ in 0..3 {
            hitters.add(&sample(7, 2));
        }
        hitters.add(&sample(8, 1));
        let mut all = hitters.all().to_vec();
        all.sort_by_key(|heavy| heavy.packets);
        let heavy = |source, packets, bytes, opens, samples| Heavy {
            source: addr(source),
            packets,
            margin: 0,
            bytes,
            opens,
            stopped: 0,
            samples,
        };
        assert_eq!(all, [heavy(8, 1, 60, 0, 1), heavy(7, 6, 360, 6, 3)]);
        hitters.clear();
        assert!(hitters.all().is_empty());
    }
}
