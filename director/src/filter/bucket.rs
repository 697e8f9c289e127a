//! Token buckets in fixed memory, which all workers share.
//!
//! Each bucket has the form with one number that the gate's have (GCRA, ITU-T I.371; `bpf/limit.h`):
//! the moment when it will be full again. Times are nanoseconds of a clock that never goes back.
//!
//! A bucket has a place in one of many small sets, by a hash with a key of its own, so that nobody can
//! choose sources that collide. Who finds its set full takes the place of a bucket that is full again,
//! since a new one is no other, or else of the one that was silent for longest.

use std::array;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use parking_lot::Mutex;

use super::{Pace, Sharer};

/// Buckets of one set.
const WAYS: usize = 16;

/// Sets: with as many buckets as the gate has (`BUCKETS` in `bpf/limit.h`).
const SETS: usize = (1 << 17) / WAYS;

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    /// The number of the limit.
    pub(super) limit: u8,
    pub(super) sharer: Sharer,
}

/// What is in a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// When it will be full.
    pub full: u64,
    /// When `over` began to be counted.
    pub since: u64,
    /// Packets over the limit since then.
    pub over: u32,
}

impl Tokens {
    const fn is_empty(&self, pace: &Pace, now: u64) -> bool {
        self.full.saturating_sub(now) > pace.ahead
    }

    /// How many there are; none of a bucket whose `full` no taking could have made.
    pub(super) const fn left(&self, pace: &Pace, now: u64) -> u64 {
        let all = pace.ahead + pace.share;
        all.saturating_sub(self.full.saturating_sub(now)) / pace.share
    }

    fn take(&mut self, pace: &Pace, now: u64) -> bool {
        let taken = !self.is_empty(pace, now);
        if taken {
            self.full = self.full.max(now) + pace.share;
        }
        taken
    }

    /// Counts a packet over the limit; whether that was one too many.
    fn accuse(&mut self, pace: &Pace, now: u64) -> bool {
        if pace.over == 0 {
            return false;
        }
        if now.saturating_sub(self.since) > pace.within {
            (self.since, self.over) = (now, 0);
        }
        self.over += 1;
        let is_guilty = self.over >= pace.over;
        if is_guilty {
            // It is counted anew, whatever comes of it.
            self.over = 0;
        }
        is_guilty
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    name: Option<Name>,
    /// When it was asked for last.
    heard: u64,
    tokens: Tokens,
}

type Set = [Place; WAYS];

/// The buckets.
#[derive(Debug)]
pub(super) struct Buckets {
    sets: Box<[Mutex<Set>]>,
    hasher: RandomState,
}

impl Buckets {
    /// All of them full.
    pub(super) fn new() -> Self {
        Self {
            sets: (0..SETS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Whether there is no token in a bucket. To ask takes no place.
    pub(super) fn is_empty(&self, name: &Name, pace: &Pace, now: u64) -> bool {
        let set = self.set_of(name).lock();
        let place = set.iter().find(|place| place.name == Some(*name));
        place.is_some_and(|place| place.tokens.is_empty(pace, now))
    }

    /// Takes a token; false if there is none.
    pub(super) fn take(&self, name: &Name, pace: &Pace, now: u64) -> bool {
        self.with(name, now, |tokens| tokens.take(pace, now))
    }

    /// Counts a packet for which there was none; whether that was one too many.
    pub(super) fn accuse(&self, name: &Name, pace: &Pace, now: u64) -> bool {
        self.with(name, now, |tokens| tokens.accuse(pace, now))
    }

    /// Those that are not full.
    pub(super) fn taken_from(&self, now: u64) -> Vec<(Name, Tokens)> {
        let in_set = |set: &Mutex<Set>| {
            let places = set.lock().into_iter();
            let taken = places.filter(|place| place.tokens.full > now);
            let named = taken.filter_map(|place| Some((place.name?, place.tokens)));
            named.collect::<Vec<_>>()
        };
        self.sets.iter().flat_map(in_set).collect()
    }

    /// Puts into a bucket what there was in another daemon's.
    pub(super) fn go_on(&self, name: &Name, tokens: Tokens, now: u64) {
        self.with(name, now, |here| *here = tokens);
    }

    fn set_of(&self, name: &Name) -> &Mutex<Set> {
        let number = self.hasher.hash_one(name) as usize % self.sets.len();
        &self.sets[number]
    }

    fn with<T>(&self, name: &Name, now: u64, ask: impl FnOnce(&mut Tokens) -> T) -> T {
        let mut set = self.set_of(name).lock();
        let place = place_of(&mut set, name, now);
        place.heard = now;
        ask(&mut place.tokens)
    }
}

/// The place of a bucket, which gets one if it has none.
fn place_of<'s>(set: &'s mut Set, name: &Name, now: u64) -> &'s mut Place {
    let found = set.iter().position(|place| place.name == Some(*name));
    let number = found.unwrap_or_else(|| {
        let number = least_missed(set, now);
        set[number] = Place {
            name: Some(*name),
            ..Place::default()
        };
        number
    });
    &mut set[number]
}

fn least_missed(set: &Set, now: u64) -> usize {
    let order: [_; WAYS] = array::from_fn(|number| {
        let Place {
            name,
            heard,
            tokens,
        } = &set[number];
        (name.is_some(), tokens.full > now, *heard, number)
    });
    order.into_iter().min().map_or(0, |(.., number)| number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Addr;

    const SECOND: u64 = 1_000_000_000;

    fn name(source: u32) -> Name {
        Name {
            limit: 0,
            sharer: Sharer::Source(Addr::v4(source.to_be_bytes())),
        }
    }

    const fn pace(rate: u64, burst: u64) -> Pace {
        let share = SECOND / rate;
        Pace {
            share,
            ahead: share * (burst - 1),
            within: 0,
            over: 0,
        }
    }

    proptest! {
        /// In any window no more than the burst and what the rate makes of it; and who keeps to the
        /// rate is never refused.
        #[test]
        fn a_bucket_gives_what_it_may(
            rate in 1u64..2000,
            burst in 1u64..50,
            start in 0..SECOND,
            gaps in proptest::collection::vec((0u64..3, 0u64..2 * SECOND), 1..300),
        ) {
            let pace = pace(rate, burst);
            let (mut tokens, mut now) = (Tokens::default(), start);
            let (mut given, mut refused) = (Vec::new(), Vec::new());
            for (kind, gap) in gaps {
                now += match kind {
                    0 => 0,
                    1 => gap % (2 * pace.share),
                    _ => gap,
                };
                match tokens.take(&pace, now) {
                    true => given.push(now),
                    false => refused.push(now),
                }
            }
            for (first, from) in given.iter().enumerate() {
                for (last, to) in given.iter().enumerate().skip(first) {
                    let count = (last - first + 1) as u64;
                    prop_assert!(count <= burst + (to - from) / pace.share);
                }
            }
            // It gives all that it may: another one there would have been too many of some window.
            for now in refused {
                let before: Vec<_> = given.iter().filter(|time| **time <= now).collect();
                let is_full = before.iter().enumerate().any(|(first, from)| {
                    (before.len() - first) as u64 >= burst + (now - **from) / pace.share
                });
                prop_assert!(is_full, "refused at {now}");
            }
        }
    }

    #[test]
    fn workers_share_a_bucket() {
        let buckets = Buckets::new();
        let pace = pace(10, 100);
        let taken = std::thread::scope(|scope| {
            let worker = || {
                let takes = (0..1000).filter(|_| buckets.take(&name(1), &pace, SECOND));
                takes.count()
            };
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
            let all = workers.into_iter().map(|worker| worker.join().unwrap());
            all.sum::<usize>()
        });
        assert_eq!(taken, 100);
    }

    #[test]
    fn who_is_heard_all_the_time_keeps_its_bucket() {
        let buckets = Buckets::new();
        let pace = pace(1, 2);
        let others = 10 * (SETS * WAYS) as u32;
        let mut taken = 0;
        for other in 1..others {
            let now = u64::from(other);
            buckets.take(&name(other), &pace, now);
            if other % 64 == 0 {
                taken += u32::from(buckets.take(&name(0), &pace, now));
            }
        }
        assert_eq!(taken, 2);
    }

    #[test]
    fn who_is_over_a_limit_too_often_is_told_of_and_counted_anew() {
        let buckets = Buckets::new();
        let pace = Pace {
            within: 10 * SECOND,
            over: 3,
            ..pace(1, 1)
        };
        let accused = |seconds: &[u64]| {
            let all = seconds.iter();
            let told = all.map(|second| buckets.accuse(&name(1), &pace, second * SECOND));
            told.collect::<Vec<_>>()
        };
        assert_eq!(accused(&[100, 105, 109]), [false, false, true]);
        assert_eq!(accused(&[109, 110, 120]), [false, false, false]);
        assert_eq!(accused(&[121, 122]), [false, true]);
    }
}
