//! How large the roll is, and where in it a tuple stands.

use crate::cookie::{Places, Roll};

/// What the roll is to be: the same for all instances.
#[derive(Debug)]
pub(super) struct RollPlan {
    pub(super) lines: usize,
    pub(super) places: Places,
}

impl RollPlan {
    pub(super) fn of(connections: usize) -> Self {
        Self {
            lines: Roll::lines(connections),
            places: Places::random(),
        }
    }

    /// How many words gate and workers share.
    pub(super) const fn words(&self) -> usize {
        Roll::words(self.lines)
    }
}
