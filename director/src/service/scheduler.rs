//! What a service asks of its scheduler: which real server gets a new connection. The schedulers are
//! in [`crate::sched`].

use std::fmt::Debug;
use std::sync::Arc;

use adminapi::model::SchedulerFlags;

use super::real::Real;
use super::reals::Reals;
use crate::time::Tick;
use crate::wire::Tuple;

/// A connection that wants a real server.
#[derive(Clone, Copy, Debug)]
pub struct Newcomer<'a> {
    /// Client -> virtual service.
    pub tuple: &'a Tuple,
    /// This moment.
    pub now: Tick,
    /// The options of the service's scheduler.
    pub flags: SchedulerFlags,
    /// Which real servers it may have.
    pub choice: Choice<'a>,
}

impl Newcomer<'_> {
    /// Whether `real` may have it: it takes connections, and is not left out.
    #[inline]
    pub fn may_have(&self, real: &Real) -> bool {
        real.is_willing() && !self.choice.leaves_out(real)
    }

    /// Those that may have it, in order.
    pub fn willing<'r>(&self, reals: &'r Reals) -> impl Iterator<Item = &'r Arc<Real>> {
        reals.iter().filter(|real| self.may_have(real))
    }
}

/// Which real servers there are to choose from.
#[derive(Clone, Copy, Default)]
pub enum Choice<'a> {
    /// All.
    #[default]
    All,
    /// Those that this holds for, since the one that was chosen cannot be reached: a client that
    /// always has the same one gets another here.
    Of(&'a dyn Fn(&Real) -> bool),
}

impl Choice<'_> {
    #[inline]
    fn leaves_out(&self, real: &Real) -> bool {
        match self {
            Self::All => false,
            Self::Of(may) => !may(real),
        }
    }

    /// Whether it is a second choice.
    pub const fn is_second(&self) -> bool {
        matches!(self, Self::Of(_))
    }
}

impl Debug for Choice<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::All => "All",
            Self::Of(_) => "Of",
        })
    }
}

/// A scheduling algorithm of one virtual service.
///
/// It belongs to one list of real servers, and does for the next ones until it has a successor. What
/// it remembers from one connection to the next it shares with its successors, guarded: any worker
/// calls it, and for a moment some have the list before a change and others the one after it.
pub trait Scheduler: Debug + Send + Sync {
    /// The real server for a connection; `None` when none can take it.
    fn pick<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>>;

    /// Whom [`Scheduler::pick`] would choose now. Who remembers something from one connection to
    /// the next remembers nothing of this.
    fn peek<'r>(&self, reals: &'r Reals, newcomer: &Newcomer<'_>) -> Option<&'r Arc<Real>> {
        self.pick(reals, newcomer)
    }

    /// The scheduler for `reals`, which the list has become, off the packet path; `None` when
    /// this one will do. Who asks for the change waits for it.
    fn changed(&self, reals: &Reals) -> Option<Arc<dyn Scheduler>> {
        let _ = reals;
        None
    }

    /// Whether this one will do for `reals` only until [`Scheduler::caught_up`], which takes longer
    /// than who asks for a change should wait.
    fn is_behind(&self, reals: &Reals) -> bool {
        let _ = reals;
        false
    }

    /// The scheduler for `reals` that is not behind.
    fn caught_up(&self, reals: &Reals) -> Option<Arc<dyn Scheduler>> {
        let _ = reals;
        None
    }

    /// How many slots its table has, when that follows from lists before the present one, too.
    fn slots(&self) -> Option<u32> {
        None
    }

    /// The scheduler for `reals` that has at least so many slots; `None` when it would be no other.
    fn widened(&self, reals: &Reals, slots: u32) -> Option<Arc<dyn Scheduler>> {
        let _ = (reals, slots);
        None
    }
}
