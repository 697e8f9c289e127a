//! The timing wheel of a shard: hierarchical (G. Varghese and T. Lauck, SOSP 1987, scheme 7),
//! one second a slot, lists threaded through the entries themselves.
//!
//! It is lazy. A packet that prolongs a connection changes `expires` and nothing else; when the
//! slot comes up that the entry was filed in, the entry is filed again if it still lives.
//!
//! ```text
//!  level 0   64 slots of 1 s        up to 64 s ahead
//!  level 1   64 slots of 64 s       68 min
//!  level 2   64 slots of 68 min     3 days
//!  level 3   64 slots of 3 days     194 days
//! ```

use super::entry::Entry;
use super::slab::NIL;
use crate::time::{Tick, Ticks};

const LEVELS: usize = 4;
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const HORIZON: u32 = 1 << (BITS * LEVELS as u32);
/// In `prev`: the entry is the first of the list with this number.
const HEAD: u32 = 1 << 31;

/// Lists of entries by the second in which they have to be looked at.
#[derive(Debug)]
pub(super) struct Wheel {
    /// The second being emptied; all before it are.
    second: u32,
    heads: [u32; LEVELS * SLOTS],
    /// One bit for each list of level 0 that is not empty.
    near: u64,
}

/// The first second at whose start a connection with this expiry is dead.
const fn second_of(expires: Tick) -> u32 {
    expires.0.div_ceil(Ticks::PER_SECOND)
}

impl Wheel {
    /// An empty wheel that begins at `now`.
    pub(super) const fn new(now: Tick) -> Self {
        Self {
            second: now.0 / Ticks::PER_SECOND,
            heads: [NIL; LEVELS * SLOTS],
            near: 0,
        }
    }

    /// Files the entry `at` by its expiry.
    pub(super) fn link(&mut self, entries: &mut [Entry], at: u32) {
        let list = self.list_for(second_of(entries[at as usize].expires()));
        let next = std::mem::replace(&mut self.heads[list], at);
        if next != NIL {
            entries[next as usize].prev = at;
        }
        let entry = &mut entries[at as usize];
        entry.next = next;
        entry.prev = HEAD | list as u32;
        if list < SLOTS {
            self.near |= 1 << list;
        }
    }

    /// Takes the entry `at` out of its list.
    pub(super) fn unlink(&mut self, entries: &mut [Entry], at: u32) {
        let Entry { next, prev, .. } = entries[at as usize];
        if next != NIL {
            entries[next as usize].prev = prev;
        }
        if prev & HEAD == 0 {
            entries[prev as usize].next = next;
            return;
        }
        let list = (prev & !HEAD) as usize;
        self.heads[list] = next;
        if next == NIL && list < SLOTS {
            self.near &= !(1 << list);
        }
    }

    /// Changes the expiry of the entry `at`. Only a shorter life costs more than one store.
    #[inline]
    pub(super) fn touch(&mut self, entries: &mut [Entry], at: u32, expires: Tick) {
        let entry = &mut entries[at as usize];
        let before = entry.expires();
        entry.set_expires(expires);
        if expires < before {
            self.unlink(entries, at);
            self.link(entries, at);
        }
    }

    /// An entry that is dead at `now`, left in the wheel for the caller to take out. Each entry looked
    /// at and each step of time takes one off `budget`; `None` when it is used up or nothing is
    /// due.
    pub(super) fn next_dead(
        &mut self,
        entries: &mut [Entry],
        now: Tick,
        budget: &mut u32,
    ) -> Option<u32> {
        let present = now.0 / Ticks::PER_SECOND;
        while *budget > 0 {
            *budget -= 1;
            let Some(at) = self.due() else {
                if self.second >= present {
                    return None;
                }
                self.advance(present);
                continue;
            };
            let deadline = now.max(Tick(self.second.saturating_mul(Ticks::PER_SECOND)));
            if entries[at as usize].expires() <= deadline {
                return Some(at);
            }
            self.unlink(entries, at);
            self.link(entries, at);
        }
        None
    }

    /// Whether [`Wheel::next_dead`] has work at `now`.
    pub(super) fn is_pending(&self, now: Tick) -> bool {
        self.second < now.0 / Ticks::PER_SECOND || self.due().is_some()
    }

    /// An entry of the lists that the present second has to empty, coarse levels first.
    fn due(&self) -> Option<u32> {
        (0..LEVELS)
            .rev()
            .filter(|&level| self.second.trailing_zeros() >= BITS * level as u32)
            .map(|level| self.heads[list_of(level, self.second)])
            .find(|&head| head != NIL)
    }

    /// Goes on to the next second with something near, but never past a turn of level 0, at
    /// which coarser lists come up, nor past `present`.
    fn advance(&mut self, present: u32) {
        let place = self.second % SLOTS as u32;
        let ahead = self.near >> place >> 1;
        let turn = SLOTS as u32 - place;
        let step = (ahead.trailing_zeros() + 1).min(turn);
        self.second = self.second.saturating_add(step).min(present);
    }

    /// The list for an entry that is to be looked at in `second`.
    fn list_for(&self, second: u32) -> usize {
        let distance = second.saturating_sub(self.second).min(HORIZON - 1);
        let level = (distance.max(1).ilog2() / BITS) as usize;
        list_of(level, self.second + distance)
    }
}

const fn list_of(level: usize, second: u32) -> usize {
    level * SLOTS + (second >> (BITS * level as u32)) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A wheel with its entries, beside what should be in it.
    struct Bench {
        wheel: Wheel,
        entries: Vec<Entry>,
        model: Vec<Option<Tick>>,
        now: Tick,
    }

    #[derive(Clone, Debug)]
    enum Op {
        /// Files an entry, or gives it another time to die at.
        Set(u32, u32),
        Unlink(u32),
        Pass(u32, u32),
    }

    const ENTRIES: u32 = 24;

    /// Up to 64 s, 68 min, 31 days, and beyond the wheel's horizon.
    fn any_span() -> impl Strategy<Value = u32> {
        prop_oneof![
            0..640_u32,
            0..40_960_u32,
            0..=26_784_000_u32,
            0..300_000_000_u32
        ]
    }

    fn any_op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (0..ENTRIES, any_span()).prop_map(|(at, span)| Op::Set(at, span)),
            1 => (0..ENTRIES).prop_map(Op::Unlink),
            2 => (any_span(), 1..9_u32).prop_map(|(span, budget)| Op::Pass(span, budget)),
        ]
    }

    impl Bench {
        fn new() -> Self {
            Self {
                wheel: Wheel::new(Tick(0)),
                entries: vec![Entry::default(); ENTRIES as usize],
                model: vec![None; ENTRIES as usize],
                now: Tick(0),
            }
        }

        fn apply(&mut self, op: Op) {
            match op {
                Op::Set(at, span) => self.set(at, self.now.after(Ticks(span))),
                Op::Unlink(at) => {
                    if self.model[at as usize].take().is_some() {
                        self.wheel.unlink(&mut self.entries, at);
                    }
                }
                Op::Pass(span, budget) => self.pass(span, budget),
            }
        }

        fn set(&mut self, at: u32, expires: Tick) {
            if self.model[at as usize].replace(expires).is_some() {
                self.wheel.touch(&mut self.entries, at, expires);
            } else {
                self.entries[at as usize].set_expires(expires);
                self.wheel.link(&mut self.entries, at);
            }
        }

        fn pass(&mut self, span: u32, budget: u32) {
            self.now = self.now.after(Ticks(span));
            while self.wheel.is_pending(self.now) {
                let mut left = budget;
                while let Some(at) = self.wheel.next_dead(&mut self.entries, self.now, &mut left) {
                    let expires = self.model[at as usize].take();
                    assert!(expires.is_some_and(|expires| expires <= self.now));
                    self.wheel.unlink(&mut self.entries, at);
                }
            }
            let overdue = |expires: &Tick| expires.until(self.now) >= Ticks::seconds(1);
            assert!(!self.model.iter().flatten().any(overdue));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn a_wheel_agrees_with_a_list_of_deadlines(
            ops in prop::collection::vec(any_op(), 1..60)
        ) {
            let mut bench = Bench::new();
            for op in ops {
                bench.apply(op);
            }
        }
    }

    #[test]
    fn each_deadline_is_met_to_the_second() {
        let last = 26_784_000;
        for deadline in [1, 9, 10, 11, 630, 640, 641, 40_950, 40_960, 2_621_440, last] {
            let mut bench = Bench::new();
            bench.set(0, Tick(deadline));
            let due = second_of(Tick(deadline)) * Ticks::PER_SECOND;
            let dead_at = |bench: &mut Bench, tick| {
                let mut budget = u32::MAX;
                bench
                    .wheel
                    .next_dead(&mut bench.entries, Tick(tick), &mut budget)
            };
            assert_eq!(dead_at(&mut bench, deadline - 1), None, "{deadline}");
            assert_eq!(dead_at(&mut bench, due), Some(0), "{deadline}");
        }
    }

    #[test]
    fn a_life_that_is_prolonged_is_looked_at_once_a_filing() {
        let mut bench = Bench::new();
        bench.set(0, Tick(100));
        bench.set(0, Tick(500));
        let mut budget = 100;
        let dead = bench
            .wheel
            .next_dead(&mut bench.entries, Tick(110), &mut budget);
        assert_eq!(dead, None);
        let filed = list_of(0, 50) as u32;
        assert_eq!(bench.entries[0].prev, HEAD | filed);
    }
}
