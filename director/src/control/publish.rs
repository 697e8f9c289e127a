//! From one snapshot of the pool to the next.

use std::sync::atomic::{Ordering::Acquire, fence};
use std::sync::{Arc, Weak};

use adminapi::ControlError;
use adminapi::error::Result;
use adminapi::sysctl::Sysctl;
use tracing::warn;

use super::Director;
use super::roles::{self, Touched};
use crate::flow::Entry;
use crate::gate::GateError;
use crate::path;
use crate::pool::Pool;
use crate::service::{Real, Standing};
use crate::wire::Addr;

/// What only one change at a time may touch.
#[derive(Default)]
pub(super) struct Master {
    /// Snapshots that were replaced; somebody may still see them.
    replaced: Vec<Weak<Pool>>,
    pub(super) locals: Vec<Addr>,
    /// Whether real servers have come or gone that the neighbourhood has not heard of.
    pub(super) rips_changed: bool,
}

impl Master {
    /// A snapshot was published in the place of `old`.
    pub(super) fn note(&mut self, touched: &Touched, old: &Arc<Pool>) {
        self.rips_changed |= touched.reals();
        self.replaced.retain(|pool| pool.strong_count() > 0);
        self.replaced.push(Arc::downgrade(old));
    }

    /// Whether a worker, or anybody else, may still see a snapshot that was replaced. When not, all
    /// that was done with one has been done before.
    fn is_seen(&self) -> bool {
        let seen = self.replaced.iter().any(|pool| pool.strong_count() > 0);
        // The counts are read relaxed; whoever gave a snapshot up did it with release.
        fence(Acquire);
        seen
    }
}

impl Director {
    /// Makes one change of the pool: all of it, or, when `change` or the gate refuses, none.
    /// `change` notes in [`Touched`] what the gate has to hear of.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut Pool, &mut Touched) -> Result<T>,
    ) -> Result<T> {
        let mut master = self.master.lock();
        let old = self.shared.pool.load_full();
        let (mut new, touched, done) = plan(&old, change)?;
        let here = touched.locals(&old, &new, &master.locals);
        if here.any {
            self.open_door()?;
        }
        self.hear_answers(&touched, &new, &master.locals)?;
        new.settle();
        let published = self.publish(&old, new, &touched, &master.locals);
        if let Err(error) = published {
            self.hear_answers(&touched, &old, &master.locals)?;
            return Err(refused(error));
        }
        master.note(&touched, &old);
        here.unserved.iter().for_each(|why| warn!("{why}"));
        if touched.reals() {
            self.expire_abandoned();
        }
        self.call_for_tables(&self.shared.pool.load());
        self.ward.wake();
        Ok(done)
    }

    /// What goes is closed at the gate first, what comes is opened there last.
    fn publish(
        &self,
        old: &Arc<Pool>,
        mut new: Pool,
        touched: &Touched,
        locals: &[Addr],
    ) -> std::result::Result<(), GateError> {
        let turned = new.take_turned();
        self.keeping.name(&mut new);
        let new = Arc::new(new);
        let speaks_anew = !old.speaks_like(&new);
        if speaks_anew {
            self.keeping.name_speakers(new.speakers().numbers());
            self.tell_locals(locals, &new)?;
        }
        touched.close(&self.gate, old, &new, locals)?;
        let (scope, former) = (roles::scope(&new), roles::scope(old));
        if scope != former {
            self.gate.set_scope(&scope)?;
        }
        self.take_stances(&new);
        self.shared.pool.store(Arc::clone(&new));
        self.sheets.forget();
        // Before the gate is opened: the first SYN of a service meets its cookies.
        self.follow_cookies();
        if let Some(fast) = &self.shared.fast {
            fast.renew_reals(&turned);
            if scope != former {
                // The gate may take other packets by marks than before.
                fast.renew_hops(|_| true);
            }
        }
        if let Err(error) = touched.open(&self.gate, &new, locals) {
            self.shared.pool.store(Arc::clone(old));
            touched.close(&self.gate, &new, old, locals)?;
            touched.open(&self.gate, old, locals)?;
            if scope != former {
                self.gate.set_scope(&former)?;
            }
            if speaks_anew {
                self.tell_locals(locals, old)?;
            }
            return Err(error);
        }
        Ok(())
    }

    /// Ends the connections of removed real servers, when `expire_nodest_conn` says so.
    pub(super) fn expire_abandoned(&self) {
        let pool = self.shared.pool.load();
        let is_removed = |real: &Arc<Real>| real.standing == Standing::Removed;
        if !self.shared.sysctls.load().is_on(Sysctl::ExpireNodestConn)
            || !pool.reals().any(is_removed)
        {
            return;
        }
        let of = |entry: &Entry| pool.real(entry.real());
        self.shared.table.sweep(
            |entry| of(entry).is_some_and(is_removed),
            |entry| path::leave(&pool, &self.shared.pool, &self.shared.templates, entry),
        );
    }

    /// Forgets real servers that are listed no more and whose last connection has gone, once no
    /// worker can see them as present any more. To be called about once a second.
    ///
    /// # Errors
    /// When the gate's map cannot be changed.
    pub fn reap(&self) -> std::result::Result<(), GateError> {
        let mut master = self.master.lock();
        if master.is_seen() {
            return Ok(());
        }
        let old = self.shared.pool.load_full();
        if !old.has_unlisted() && !old.speakers().has_unlisted() {
            return Ok(());
        }
        let mut new = Pool::clone(&old);
        let mut touched = Touched::default();
        let dead = new.reap();
        for real in &dead {
            touched.real(&real.service, real.endpoint);
        }
        if touched.reals() || !old.speaks_like(&new) {
            if let Err(error) = self.hear_answers(&touched, &new, &master.locals) {
                warn!(%error, "the answers of a real server that is gone are still caught");
            }
            self.publish(&old, new, &touched, &master.locals)?;
            master.note(&touched, &old);
        }
        if let Some(keep) = &self.keeping.keep {
            keep.forget(dead.iter().map(|real| real.id));
        }
        Ok(())
    }
}

/// The pool that `change` makes of `old`, what the gate has to hear of, and what `change` gives.
pub(super) fn plan<T>(
    old: &Pool,
    change: impl FnOnce(&mut Pool, &mut Touched) -> Result<T>,
) -> Result<(Pool, Touched, T)> {
    let mut new = old.clone();
    let mut touched = Touched::default();
    let done = change(&mut new, &mut touched)?;
    Ok((new, touched, done))
}

pub(super) fn refused(error: GateError) -> ControlError {
    ControlError::Limit(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_snapshot_counts_as_long_as_somebody_sees_it() {
        let mut master = Master::default();
        let (first, second) = (Arc::new(Pool::new(1)), Arc::new(Pool::new(1)));
        let worker = Arc::clone(&first);
        for pool in [&first, &second] {
            master.note(&Touched::default(), pool);
        }
        drop((first, second));
        assert!(master.is_seen());
        drop(worker);
        assert!(!master.is_seen());
    }
}
