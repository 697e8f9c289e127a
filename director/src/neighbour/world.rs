//! What the places that routes lead to are worked out from: links and neighbours.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::fib::{Link, Neighbour, Neighbours, Silent};
use crate::wire::Addr;

/// What is known of a neighbour.
#[derive(Clone, Copy, Debug)]
pub(super) enum Standing {
    /// Its Ethernet address.
    Usable(Neighbour),
    /// That it does not answer.
    Silent,
    /// Nothing: nobody has asked, or it has not answered yet.
    Unknown,
}

/// Links by index, and neighbours.
#[derive(Default)]
pub(super) struct World {
    pub(super) links: FxHashMap<u32, Link>,
    pub(super) neighbours: Arc<Neighbours>,
    pub(super) silent: Arc<Silent>,
}

impl World {
    /// Takes news of a neighbour in; false when they change nothing. Most do not (reachable, stale,
    /// probed, asked in vain once more), and must not cost a copy of what snapshots share.
    pub(super) fn set_neighbour(&mut self, key: (u32, Addr), standing: Standing) -> bool {
        let (entry, is_silent) = match standing {
            Standing::Usable(entry) => (Some(entry), false),
            Standing::Silent => (None, true),
            Standing::Unknown => (None, false),
        };
        let was_silent = self.silent.contains(&key);
        let entry_differs = self.neighbours.get(&key) != entry.as_ref();
        if entry_differs {
            let neighbours = Arc::make_mut(&mut self.neighbours);
            match entry {
                Some(entry) => neighbours.insert(key, entry),
                None => neighbours.remove(&key),
            };
        }
        match (was_silent, is_silent) {
            (false, true) => Arc::make_mut(&mut self.silent).insert(key),
            (true, false) => Arc::make_mut(&mut self.silent).remove(&key),
            _ => false,
        };
        entry_differs || was_silent != is_silent
    }
}
