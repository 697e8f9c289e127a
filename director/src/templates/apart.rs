//! Templates that are kept for their connections only, beside the one of the same client that is in force.

use super::Templates;
use super::key::{SET_ASIDE, aside, call_of};
use crate::flow::{Departed, Direction, Entry, Handle, Shard};
use crate::pool::Pool;
use crate::service::RealId;
use crate::wire::Tuple;

impl Templates {
    /// Keeps a template for its connections only, together with those of one that was set aside
    /// before.
    pub(super) fn set_aside(&self, pool: &Pool, mut shard: Shard<'_>, handle: Handle) {
        let old = shard.remove(handle);
        drop(shard);
        let key = aside(&old.original(), old.real());
        let calls = call_of(&old.original()).zip(call_of(&key));
        if let Some((id, is)) = calls.and_then(|(was, is)| Some((self.calls.forget(was)?, is))) {
            self.calls.note(is, &id);
        }
        self.put_aside(pool, &old, SET_ASIDE);
    }

    /// Files `old`, which has been taken out, for its connections only; `port` says why.
    pub(super) fn put_aside(&self, pool: &Pool, old: &Entry, port: u16) {
        let key = aside(&old.original(), old.real());
        let mut entry = Entry::new(&key, old.real(), port, old.class(), old.expires());
        entry.packets = old.packets;
        let place = self.table.locate(Direction::Original, &key);
        let mut shard = self.table.lock(&place);
        if let Some(before) = shard.find(&place, |entry| entry.matches_original(&key)) {
            let before = shard.remove(before);
            entry.packets = entry.packets.saturating_add(before.packets);
            self.gone(pool, &before);
        }
        let evicted = &mut |gone: &Entry, _: Departed| self.gone(pool, gone);
        if shard.insert(entry, &place, None, evicted).is_err() {
            self.gone(pool, &entry);
        }
    }

    /// Gives a client's new template the connections that it has to the same real server from
    /// before.
    pub(super) fn take_back(&self, pool: &Pool, key: &Tuple, real: RealId) {
        let aside = aside(key, real);
        let place = self.table.locate(Direction::Original, &aside);
        let mut shard = self.table.lock(&place);
        let Some(before) = shard.find(&place, |entry| entry.matches_original(&aside)) else {
            return;
        };
        let before = shard.remove(before);
        drop(shard);
        self.gone(pool, &before);
        let place = self.table.locate(Direction::Original, key);
        let mut shard = self.table.lock(&place);
        let is_it = |entry: &Entry| entry.matches_original(key) && entry.real() == real;
        if let Some(handle) = shard.find(&place, is_it).filter(|_| before.packets > 0) {
            let entry = shard.entry_mut(handle);
            entry.packets = entry.packets.saturating_add(before.packets);
            let class = entry.class().max(before.class());
            shard.set_class(handle, class);
        }
    }
}
