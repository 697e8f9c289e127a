//! Has the gate told of connections that have been young.

use super::handover::is_settled;
use super::view::View;
use super::young::{Young, is_young};
use crate::fast::Fast;
use crate::flow::{Direction, Entry, Place};

/// Connections that are looked at in one round.
const BUDGET: usize = 64;

impl View<'_> {
    /// Has the gate told of a connection later that has just been agreed on, if it has.
    pub(super) fn watch(&self, entry: &Entry) {
        if self.fast.is_some() && is_settled(entry) && is_young(entry) && !self.is_from_here() {
            let young = Young {
                original: entry.original(),
                port: self.port,
            };
            self.young.put(young, self.now);
        }
    }

    /// Tells the gate of those that have been young. They have been silent, and are far from the
    /// cache: all of a round are asked for first.
    pub(super) fn tend_young(&self) {
        let Some(fast) = self.fast.filter(|_| self.young.is_due(self.now)) else {
            return;
        };
        let mut due = std::array::from_fn::<_, BUDGET, _>(|_| {
            let young = self.young.take(self.now)?;
            let place = self.table.locate(Direction::Original, &young.original);
            self.table.prefetch(&place);
            Some((young, place))
        });
        for (_, place) in due.iter_mut().flatten() {
            self.table.prefetch_entry(place);
        }
        for (young, place) in due.iter().flatten() {
            self.tell(fast, young, place);
        }
    }

    /// Tells the gate of one, both ways or none.
    fn tell(&self, fast: &Fast, young: &Young, place: &Place) {
        let mut shard = self.table.lock(place);
        let found = shard.find(place, |entry| entry.matches_original(&young.original));
        let Some(entry) = found.map(|handle| shard.entry_mut(handle)) else {
            return;
        };
        if entry.is_cached() || !is_settled(entry) {
            return;
        }
        let Some(legs) = self.legs(entry, young.port..young.port + 1) else {
            return;
        };
        let told = || legs.iter().flatten();
        let are_all = entry.is_one_way() || told().count() == legs.len();
        if are_all && told().all(|(_, leg)| fast.delivers(leg.hop.port)) {
            told().for_each(|(shape, leg)| fast.enter(entry, shape, leg));
        }
    }
}
