//! Who of a shard's connections has to leave, or gets more time: looked at a stretch at a time, so that
//! packets wait for the lock no longer than that.

use super::entry::Entry;
use super::place::reduce;
use super::refused::Departed;
use super::shard::{Handle, Shard, State};
use super::slab::Pool;
use super::victim::expiry;
use crate::service::Phase;
use crate::time::Tick;

/// Most entries that are dropped under one lock before their time.
const MOST_THINNED: u32 = 256;

impl Shard<'_> {
    /// Takes those out of up to `count` places from number `from` on that are `doomed`, and tells
    /// `departed`. Returns the number to go on at; none at the end.
    pub(super) fn sweep(
        &mut self,
        from: u32,
        count: u32,
        doomed: &impl Fn(&Entry) -> bool,
        departed: &mut impl FnMut(&Entry),
    ) -> Option<u32> {
        let (places, end) = self.state.slab.stretch(from, count)?;
        let first = end - places.len() as u32;
        let found: Vec<_> = (first..)
            .zip(places)
            .filter(|(_, entry)| !entry.is_free() && doomed(entry))
            .map(|(at, _)| Handle(at))
            .collect();
        for handle in found {
            departed(&self.remove(handle));
        }
        Some(end)
    }

    /// Takes out what is dead at `now`. At most `budget` entries and seconds are looked at;
    /// returns whether there is more to do.
    pub fn expire(
        &mut self,
        now: Tick,
        budget: u32,
        departed: &mut impl FnMut(&Entry, Departed),
    ) -> bool {
        self.expire_unless(now, budget, &mut |_| None, departed)
    }

    /// The same, but for those to which `stays` gives more time.
    pub fn expire_unless(
        &mut self,
        now: Tick,
        mut budget: u32,
        stays: &mut impl FnMut(&Entry) -> Option<Tick>,
        departed: &mut impl FnMut(&Entry, Departed),
    ) -> bool {
        loop {
            let State { slab, wheel, .. } = &mut *self.state;
            let Some(at) = wheel.next_dead(slab.entries_mut(), now, &mut budget) else {
                return self.state.wheel.is_pending(now);
            };
            let seen = expiry(self.elsewhere, &slab[at]);
            let seen = (seen > now).then_some(seen);
            if let Some(later) = seen.or_else(|| stays(&slab[at])) {
                wheel.touch(slab.entries_mut(), at, later);
                continue;
            }
            let dead = self.remove(Handle(at));
            departed(&dead, Departed::Expired);
        }
    }

    /// Empties one in `one_in` places of the half-open pool, at most 256, picked by
    /// lot. What both ends have agreed on stays.
    pub fn thin(&mut self, one_in: u32, departed: &mut impl FnMut(&Entry, Departed)) {
        let State { slab, random, .. } = &mut *self.state;
        let used = slab.used(Pool::HalfOpen);
        // What is left over of a share is a chance.
        let places = (used + random.next() % one_in) / one_in;
        for _ in 0..places.min(MOST_THINNED) {
            let State { slab, random, .. } = &mut *self.state;
            let place = reduce(random.next(), used);
            let Some(at) = slab.live(Pool::HalfOpen, place) else {
                continue;
            };
            if slab[at].tracked.phase() == Phase::HalfOpen {
                self.evict(at, departed);
            }
        }
    }

    /// Gives connections of `pool` another time to die at: those in `count` places from number
    /// `from` on for which `when` says one. Returns where to go on.
    pub(super) fn retime(
        &mut self,
        pool: Pool,
        from: u32,
        count: u32,
        when: &impl Fn(&Entry) -> Option<Tick>,
    ) -> Option<u32> {
        let used = self.state.slab.used(pool);
        let end = from.saturating_add(count).min(used);
        for place in from..end {
            let slab = &self.state.slab;
            let Some(at) = slab.live(pool, place) else {
                continue;
            };
            if let Some(expires) = when(&slab[at]) {
                self.touch(Handle(at), expires);
            }
        }
        (end < used).then_some(end)
    }
}
