//! Round robin (`ip_vs_rr.c`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::service::{Newcomer, Real, RealId, Reals, Scheduler};

/// One after the other, whatever their weights; weight 0 excludes.
#[derive(Debug)]
pub(super) struct RoundRobin {
    /// The real server chosen last, as [`Cursor`] writes it.
    last: Arc<AtomicU64>,
    /// The list as it stands, to step back in when the one chosen last is removed.
    list: Reals,
}

/// A place in the list that outlives changes of the list: behind a real server, or at the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cursor {
    Head,
    /// Behind the real server `id`, which was last seen at `place`.
    Behind {
        id: RealId,
        place: u32,
    },
}

impl From<u64> for Cursor {
    fn from(word: u64) -> Self {
        match (word as u32).checked_sub(1) {
            Some(id) => Self::Behind {
                id: RealId(id),
                place: (word >> 32) as u32,
            },
            None => Self::Head,
        }
    }
}

impl From<Cursor> for u64 {
    fn from(cursor: Cursor) -> Self {
        match cursor {
            Cursor::Head => 0,
            Cursor::Behind { id, place } => Self::from(place) << 32 | (Self::from(id.0) + 1),
        }
    }
}

impl Cursor {
    fn behind(place: usize, real: &Real) -> Self {
        Self::Behind {
            id: real.id,
            place: place as u32,
        }
    }

    /// Where its real server stands now: where it was, or next to it, or else somewhere.
    fn place(self, reals: &Reals) -> Option<usize> {
        let Self::Behind { id, place } = self else {
            return None;
        };
        let place = place as usize;
        let is_at = |place: &usize| reals.get(*place).is_some_and(|real| real.id == id);
        let near = [place, place + 1].into_iter().find(is_at);
        near.or_else(|| reals.iter().position(|real| real.id == id))
    }

    /// The cursor after `old` has become `new`: when its real server has gone, behind the nearest
    /// one that stood before it and is still there.
    fn moved(self, old: &Reals, new: &Reals) -> Self {
        if let (Self::Behind { id, .. }, Some(place)) = (self, self.place(new)) {
            return Self::Behind {
                id,
                place: place as u32,
            };
        }
        let upto = self.place(old).map_or(0, |place| place + 1);
        let mut stayed = old.iter().take(upto).rev();
        let stayed = stayed.find_map(|real| new.find(real.endpoint));
        let place = stayed.and_then(|real| new.iter().position(|known| known.id == real.id));
        match (stayed, place) {
            (Some(real), Some(place)) => Self::behind(place, real),
            _ => Self::Head,
        }
    }
}

impl RoundRobin {
    pub(super) fn new(reals: &Reals) -> Self {
        Self {
            last: Arc::default(),
            list: reals.clone(),
        }
    }
}

/// The next who may have `newcomer`, behind `cursor`.
fn next<'r>(
    reals: &'r Reals,
    cursor: Cursor,
    newcomer: &Newcomer<'_>,
) -> Option<(usize, &'r Arc<Real>)> {
    let start = cursor.place(reals).map_or(0, |place| place + 1);
    let rest = (start..).zip(reals.from_place(start));
    let all = (0..start).zip(reals.iter());
    rest.chain(all).find(|(_, real)| newcomer.may_have(real))
}

impl Scheduler for RoundRobin {
    fn pick<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        let mut chosen = None;
        let _ = self.last.fetch_update(Relaxed, Relaxed, |last| {
            chosen = next(reals, last.into(), newcomer);
            chosen.map(|(place, real)| Cursor::behind(place, real).into())
        });
        chosen.map(|(_, real)| real)
    }

    fn peek<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        next(reals, self.last.load(Relaxed).into(), newcomer).map(|(_, real)| real)
    }

    fn changed(&self, reals: &Reals) -> Option<Arc<dyn Scheduler>> {
        let moved = |last| Some(Cursor::from(last).moved(&self.list, reals).into());
        let _ = self.last.fetch_update(Relaxed, Relaxed, moved);
        Some(Arc::new(Self {
            last: Arc::clone(&self.last),
            list: reals.clone(),
        }))
    }
}
