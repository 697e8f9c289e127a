//! Maglev hashing (`ip_vs_mh.c`; Eisenbud et al., "Maglev", NSDI 2016, §3.4).

use std::sync::Arc;

use adminapi::model::SchedulerFlag;

use super::hashing::client;
use crate::service::{Newcomer, Real, Reals, Scheduler};

mod table;

use table::Table;

/// Slots of the table: the kernel's, then larger ones of its list, which it only takes when it is
/// built so.
const SIZES: [u32; 3] = [4093, 65_521, 131_071];

/// Slots that each real server shall have at least. With 4093 slots for 100 real servers, 3 % of
/// the others' clients would move when one leaves; with 65,521 it is 0.6 %.
const SHARE: usize = 128;

/// A change waits for a new table when it, with those before it that did not, is of one in so many
/// real servers: so at least seven in eight of a table's owners are listed, and who makes changes one
/// by one pays for few tables.
const PATIENCE: u64 = 8;

/// How many slots of a client are looked at: as many as the kernel's table has.
const TRIES: u32 = SIZES[0];

/// A client's address always has the same slot of a table in which each real server has a share
/// by its weight, and keeps nearly all of it when others come and go. The weight that counts is
/// the last one above 0: who is quiesced keeps its slots.
///
/// When the owner takes no connections, nobody gets them, or, with `mh-fallback`, the owner of
/// another slot of this client; so when the owner cannot be reached.
///
/// A table of many real servers takes milliseconds to fill, so it is made beside the change that calls
/// for it. Until then the one before stands: slots of who is listed no more are passed over, and who
/// has come has none yet.
#[derive(Debug)]
pub(super) struct Maglev {
    table: Table,
    /// Which list the table was made for, by [`Reals::changes`].
    list: u64,
}

impl Maglev {
    pub(super) fn new(reals: &Reals) -> Self {
        Self::of(reals, size(SIZES[0], reals))
    }

    fn of(reals: &Reals, size: u32) -> Self {
        Self {
            table: Table::of(reals, size),
            list: reals.changes(),
        }
    }

    /// Whether the table will do for `reals` until a new one is made beside: that takes long, and few
    /// of them are others than before.
    fn will_do(&self, reals: &Reals) -> bool {
        let others = reals.changes().abs_diff(self.list);
        size(self.table.size(), reals) > SIZES[0]
            && others.saturating_mul(PATIENCE) < self.table.members() as u64
    }

    fn owner<'r>(&self, reals: &'r Reals, client: u32, offset: u32) -> Option<&'r Arc<Real>> {
        reals.find(self.table.owner(client, offset)?)
    }

    /// The owners of other slots of this client.
    fn others<'r>(&self, reals: &'r Reals, client: u32) -> impl Iterator<Item = &'r Arc<Real>> {
        let (first, size) = (self.table.slot(client), self.table.size());
        let offsets = (0..TRIES).map(move |n| (first + n) % size);
        offsets.filter_map(move |offset| self.owner(reals, client, offset))
    }
}

/// The size of a table for `reals` that is never smaller than the one before, or else all clients
/// would move.
fn size(least: u32, reals: &Reals) -> u32 {
    let enough = |size: &u32| *size >= least && *size as usize >= SHARE * reals.len();
    SIZES.into_iter().find(enough).unwrap_or(SIZES[2])
}

impl Scheduler for Maglev {
    fn pick<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        if self.table.members() == 0 {
            return None;
        }
        let client = client(newcomer);
        let owner = self.owner(reals, client, 0);
        let owner = owner.or_else(|| self.others(reals, client).next())?;
        if newcomer.may_have(owner) {
            return Some(owner);
        }
        if !newcomer.flags.has(SchedulerFlag::Fallback) && !newcomer.choice.is_second() {
            return None;
        }
        let first_willing = newcomer.willing(reals).next()?;
        let mut others = self.others(reals, client);
        let other = others.find(|real| newcomer.may_have(real));
        // Of very many hardly one is willing, or only those that have no slot yet.
        other.or(Some(first_willing))
    }

    fn changed(&self, reals: &Reals) -> Option<Arc<dyn Scheduler>> {
        match self.will_do(reals) {
            true => None,
            false => self.caught_up(reals),
        }
    }

    fn is_behind(&self, reals: &Reals) -> bool {
        self.list != reals.changes()
    }

    fn caught_up(&self, reals: &Reals) -> Option<Arc<dyn Scheduler>> {
        let size = size(self.table.size(), reals);
        Some(Arc::new(Self::of(reals, size)))
    }

    fn slots(&self) -> Option<u32> {
        Some(self.table.size())
    }

    fn widened(&self, reals: &Reals, slots: u32) -> Option<Arc<dyn Scheduler>> {
        let size = size(slots, reals);
        (size > self.table.size()).then(|| Arc::new(Self::of(reals, size)) as Arc<dyn Scheduler>)
    }
}
