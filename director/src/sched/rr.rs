//! Round robin (`ip_vs_rr.c`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::Scheduler;
use crate::service::{Real, RealId};
use crate::wire::Tuple;

/// One after the other, whatever their weights; weight 0 excludes.
#[derive(Debug, Default)]
pub(super) struct RoundRobin {
    /// The real server chosen last, as [`Cursor`] writes it.
    last: AtomicU64,
    /// The list as it stands; only changes of the list touch it.
    order: Mutex<Vec<RealId>>,
}

/// A place in the list that outlives changes of the list: behind a real server, or at the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cursor {
    Head,
    Behind(RealId),
}

impl From<u64> for Cursor {
    fn from(word: u64) -> Self {
        match word.checked_sub(1) {
            Some(id) => Self::Behind(RealId(id as u32)),
            None => Self::Head,
        }
    }
}

impl From<Cursor> for u64 {
    fn from(cursor: Cursor) -> Self {
        match cursor {
            Cursor::Head => 0,
            Cursor::Behind(RealId(id)) => Self::from(id) + 1,
        }
    }
}

impl Cursor {
    /// The index of the first real server to ask.
    fn start(self, reals: &[Arc<Real>]) -> usize {
        match self {
            Self::Head => 0,
            Self::Behind(id) => reals
                .iter()
                .position(|real| real.id == id)
                .map_or(0, |place| place + 1),
        }
    }

    /// The cursor after the list has changed: when its real server has gone, behind the nearest
    /// one that stood before it and is still there.
    fn moved(self, order: &[RealId], reals: &[Arc<Real>]) -> Self {
        let Self::Behind(id) = self else {
            return self;
        };
        let before = order.iter().position(|&known| known == id).unwrap_or(0);
        let stays = |id: &&RealId| reals.iter().any(|real| real.id == **id);
        std::iter::once(&id)
            .chain(order[..before].iter().rev())
            .find(stays)
            .map_or(Self::Head, |&id| Self::Behind(id))
    }
}

impl Scheduler for RoundRobin {
    fn pick(&self, reals: &[Arc<Real>], _: &Tuple) -> Option<usize> {
        let mut chosen = None;
        let _ = self.last.fetch_update(Relaxed, Relaxed, |last| {
            let start = Cursor::from(last).start(reals);
            chosen = (start..reals.len())
                .chain(0..start)
                .find(|&place| reals[place].weight > 0);
            chosen.map(|place| Cursor::Behind(reals[place].id).into())
        });
        chosen
    }

    fn update(&self, reals: &[Arc<Real>]) {
        let mut order = self.order.lock();
        let _ = self.last.fetch_update(Relaxed, Relaxed, |last| {
            Some(Cursor::from(last).moved(&order, reals).into())
        });
        *order = reals.iter().map(|real| real.id).collect();
    }
}
