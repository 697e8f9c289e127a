//! One shard of the table, locked: find, insert, promote and evict.

use parking_lot::MutexGuard;

use super::Direction;
use super::elsewhere::Elsewhere;
use super::entry::{Class, Entry};
use super::gauge::Gauge;
use super::index::{Index, Slot};
use super::place::{Keyed, Place};
use super::refused::{Departed, Refused};
use super::slab::{Pool, Slab};
use super::victim::{Random, victim, worth};
use super::wheel::Wheel;
use crate::time::Tick;

/// An entry of a locked shard: good until the shard is unlocked or the entry leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(pub(super) u32);

/// What the lock of a shard guards.
pub(super) struct State {
    pub(super) slab: Slab,
    pub(super) wheel: Wheel,
    pub(super) random: Random,
}

/// Where a new connection of this class lives.
const fn pool_for(class: Class) -> Pool {
    match class {
        Class::HalfOpen => Pool::HalfOpen,
        _ => Pool::Main,
    }
}

/// A shard of the table for as long as it is locked.
pub struct Shard<'a> {
    pub(super) state: MutexGuard<'a, State>,
    pub(super) index: &'a Index,
    pub(super) keyed: &'a Keyed,
    pub(super) gauges: &'a [Gauge; 2],
    pub(super) elsewhere: Option<&'a dyn Elsewhere>,
}

impl<'a> Shard<'a> {
    /// The connection at `place` for which `is_it` holds: [`Entry::matches_original`] or
    /// [`Entry::matches_reply`], nothing less.
    #[inline]
    pub fn find(&self, place: &Place, mut is_it: impl FnMut(&Entry) -> bool) -> Option<Handle> {
        let slab = &self.state.slab;
        // What has moved or gone since the guess does not match; then the index knows better.
        if slab.get(place.guess).is_some_and(&mut is_it) {
            return Some(Handle(place.guess));
        }
        self.index
            .find(place.buckets, place.hash, place.direction, |at| {
                is_it(&slab[at])
            })
            .map(Handle)
    }

    /// A connection.
    #[inline]
    pub fn entry(&self, handle: Handle) -> &Entry {
        &self.state.slab[handle.0]
    }

    /// A connection, to be changed.
    #[inline]
    pub fn entry_mut(&mut self, handle: Handle) -> &mut Entry {
        &mut self.state.slab[handle.0]
    }

    /// Takes a new connection in. `original` and `reply` are the places of its two tuples; one
    /// whose replies never pass here has no `reply`.
    /// [`Class::HalfOpen`] goes to the half-open pool, anything else to the main one. Who has to
    /// make room is told to `departed`, under the lock.
    ///
    /// # Errors
    /// See [`Refused`]; the table is then as it was, but for what made room in vain.
    pub fn insert(
        &mut self,
        mut entry: Entry,
        original: &Place,
        reply: Option<&Place>,
        departed: &mut impl FnMut(&Entry, Departed),
    ) -> Result<Handle, Refused> {
        debug_assert!(reply.is_none_or(|reply| reply.shard == original.shard));
        self.check_unknown(&entry, original, reply)?;
        entry.set_reply(reply.map(|reply| reply.hash));
        let pool = pool_for(entry.class());
        let at = self.make_place(pool, entry.class(), departed)?;
        self.state.slab.put(at, entry);
        self.file(at, original, reply, departed)?;
        let State { slab, wheel, .. } = &mut *self.state;
        wheel.link(slab.entries_mut(), at);
        Ok(Handle(at))
    }

    /// What [`Shard::insert`] would say if the connection had gone that has the tuple of `entry` now;
    /// nothing is changed. Who is to make room is drawn by lot: here anybody will do who may have to.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn would_take(
        &self,
        entry: &Entry,
        original: &Place,
        reply: Option<&Place>,
    ) -> Result<(), Refused> {
        if self.is_answered_already(entry, reply) {
            return Err(Refused::ReplyTaken);
        }
        let tuple = entry.original();
        let left = self.find(original, |old| old.matches_original(&tuple));
        let pool = pool_for(entry.class());
        let leaves = left.is_some_and(|left| self.state.slab.pool_of(left.0) == pool);
        match leaves || self.has_place(pool, entry.class()) {
            true => Ok(()),
            false => Err(Refused::Full),
        }
    }

    /// Moves a half-open connection to the main pool, as one of `class`. Its handle changes.
    ///
    /// # Errors
    /// [`Refused::Full`] when the main pool has nothing to give up; it then stays half-open.
    pub fn prove(
        &mut self,
        handle: Handle,
        class: Class,
        departed: &mut impl FnMut(&Entry, Departed),
    ) -> Result<Handle, Refused> {
        let from = handle.0;
        if self.state.slab.pool_of(from) == Pool::Main {
            self.set_class(handle, class);
            return Ok(handle);
        }
        let to = self.make_place(Pool::Main, class, departed)?;
        for (hash, direction) in self.keys(from) {
            let moved = self.index.repoint(hash, direction, from, to);
            debug_assert!(moved);
        }
        let State { slab, wheel, .. } = &mut *self.state;
        wheel.unlink(slab.entries_mut(), from);
        let mut moved = slab[from];
        moved.set_class(class);
        slab.put(to, moved);
        wheel.link(slab.entries_mut(), to);
        slab.give(from);
        self.gauges[Pool::HalfOpen as usize].give();
        Ok(Handle(to))
    }

    /// Says what a connection is worth from now on. It stays in its pool.
    #[inline]
    pub fn set_class(&mut self, handle: Handle, class: Class) {
        self.entry_mut(handle).set_class(class);
    }

    /// Gives a connection a new time to die at, sooner or later than before.
    #[inline]
    pub fn touch(&mut self, handle: Handle, expires: Tick) {
        let State { slab, wheel, .. } = &mut *self.state;
        wheel.touch(slab.entries_mut(), handle.0, expires);
    }

    /// Takes a connection out.
    pub fn remove(&mut self, handle: Handle) -> Entry {
        let pool = self.state.slab.pool_of(handle.0);
        self.gauges[pool as usize].give();
        self.detach(handle.0)
    }

    /// Refuses what the table has already.
    fn check_unknown(
        &self,
        new: &Entry,
        original: &Place,
        reply: Option<&Place>,
    ) -> Result<(), Refused> {
        let tuple = new.original();
        if self
            .find(original, |old| old.matches_original(&tuple))
            .is_some()
        {
            return Err(Refused::Exists);
        }
        match self.is_answered_already(new, reply) {
            true => Err(Refused::ReplyTaken),
            false => Ok(()),
        }
    }

    /// Whether a connection of another tuple has the replies of `new`. Two are the same when hash, peer
    /// and real port are: for different RIPs that is a chance of 2^-32, and costs another choice only.
    fn is_answered_already(&self, new: &Entry, reply: Option<&Place>) -> bool {
        let tuple = new.original();
        let same_reply = |old: &Entry| old.is_answered_like(new) && !old.matches_original(&tuple);
        reply.is_some_and(|reply| self.find(reply, same_reply).is_some())
    }

    /// Whether [`Shard::make_place`] can find one.
    fn has_place(&self, pool: Pool, class: Class) -> bool {
        let slab = &self.state.slab;
        let gauge = &self.gauges[pool as usize];
        let may_go = |at: u32| class.may_displace(slab[at].class());
        gauge.has_room()
            || gauge.limit() > 0 && slab.is_empty(pool)
            || (0..slab.used(pool)).any(|n| slab.live(pool, n).is_some_and(may_go))
    }

    /// A free place of `pool`, if need be the one of a connection that is worth less than a
    /// newcomer of `class`.
    fn make_place(
        &mut self,
        pool: Pool,
        class: Class,
        departed: &mut impl FnMut(&Entry, Departed),
    ) -> Result<u32, Refused> {
        let gauges = self.gauges;
        let gauge = &gauges[pool as usize];
        let granted = gauge.take();
        let unused = if granted {
            self.state.slab.take(pool)
        } else {
            None
        };
        if let Some(at) = unused {
            return Ok(at);
        }
        let State { slab, random, .. } = &mut *self.state;
        let victim = victim(slab, random, self.elsewhere, (pool, class));
        // With a victim the newcomer lives on that one's share of the budget.
        if granted {
            gauge.give();
        }
        let Some(victim) = victim else {
            return self.first_place(pool).ok_or(Refused::Full);
        };
        let dead = self.detach(victim);
        gauge.count_displaced();
        departed(&dead, Departed::Evicted);
        self.state.slab.take(pool).ok_or(Refused::Full)
    }

    /// A place for the only connection of this shard in a pool when all the others have filled it:
    /// nobody here could ever make room, and whom the hash leads here would be refused for as long as they
    /// do. So the pool may hold more than its limit, by less than there are shards.
    fn first_place(&mut self, pool: Pool) -> Option<u32> {
        let gauge = &self.gauges[pool as usize];
        let is_due = gauge.limit() > 0 && self.state.slab.is_empty(pool);
        let at = is_due.then(|| self.state.slab.take(pool))??;
        gauge.exceed();
        Some(at)
    }

    /// Files all slots of the new entry `at`; if that fails, takes it back.
    fn file(
        &mut self,
        at: u32,
        original: &Place,
        reply: Option<&Place>,
        departed: &mut impl FnMut(&Entry, Departed),
    ) -> Result<(), Refused> {
        let first = Slot::new(original.hash, Direction::Original, at);
        let second = reply.map(|reply| Slot::new(reply.hash, Direction::Reply, at));
        let filed = self
            .file_slot(first, at, departed)
            .and_then(|()| match second {
                Some(second) => self
                    .file_slot(second, at, departed)
                    .inspect_err(|_| _ = self.index.remove(first)),
                None => Ok(()),
            });
        if filed.is_err() {
            let pool = self.state.slab.pool_of(at);
            self.state.slab.give(at);
            self.gauges[pool as usize].give();
        }
        filed
    }

    /// Files a slot of the new entry `at`; when its buckets are full, one who stands in them and
    /// is worth less has to go.
    fn file_slot(
        &mut self,
        slot: Slot,
        at: u32,
        departed: &mut impl FnMut(&Entry, Departed),
    ) -> Result<(), Refused> {
        if self.index.insert(slot) {
            return Ok(());
        }
        let slab = &self.state.slab;
        let class = slab[at].class();
        let victim = self
            .index
            .occupants(slot.hash())
            .filter(|&other| other != at && class.may_displace(slab[other].class()))
            .min_by_key(|&other| worth(self.elsewhere, &slab[other]))
            .ok_or(Refused::Full)?;
        self.evict(victim, departed);
        if self.index.insert(slot) {
            Ok(())
        } else {
            Err(Refused::Full)
        }
    }

    pub(super) fn evict(&mut self, victim: u32, departed: &mut impl FnMut(&Entry, Departed)) {
        let dead = self.remove(Handle(victim));
        departed(&dead, Departed::Evicted);
    }

    /// Takes an entry out of index, wheel and slab; the gauge still counts it.
    fn detach(&mut self, at: u32) -> Entry {
        for (hash, direction) in self.keys(at) {
            let removed = self.index.remove(Slot::new(hash, direction, at));
            debug_assert!(removed);
        }
        let State { slab, wheel, .. } = &mut *self.state;
        wheel.unlink(slab.entries_mut(), at);
        let entry = slab[at];
        slab.give(at);
        if let Some(elsewhere) = self.elsewhere.filter(|_| entry.is_cached()) {
            elsewhere.leave(&entry);
        }
        entry
    }

    /// Hash and direction of each slot of an entry.
    fn keys(&self, at: u32) -> impl Iterator<Item = (u32, Direction)> + use<> {
        let entry = &self.state.slab[at];
        let original = self.keyed.hashes(Direction::Original, &entry.original());
        let reply = entry.reply().map(|hash| (hash, Direction::Reply));
        std::iter::once((original.tuple, Direction::Original)).chain(reply)
    }
}
