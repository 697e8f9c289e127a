//! Draining: a real server that is to go gets no new connections, and goes when the last one has
//! gone, or at its deadline with those that are left.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use adminapi::error::Result;

use super::unix::unix_now;
use super::{Director, edit};
use crate::service::{Drain, Real, RealId, Standing};
use crate::time::Ticks;

impl Director {
    /// Says for how long real servers are drained, in seconds, that a reload or a PUT of their
    /// service takes away; without it they are removed at once.
    pub fn set_grace(&self, seconds: Option<u32>) {
        self.grace.store(seconds.unwrap_or(0), Relaxed);
    }

    pub(super) fn grace(&self) -> Option<Drain> {
        self.grace_seconds().map(|seconds| self.drain_for(seconds))
    }

    pub(super) fn grace_seconds(&self) -> Option<u32> {
        Some(self.grace.load(Relaxed)).filter(|seconds| *seconds > 0)
    }

    /// A drain that begins now.
    pub(super) fn drain_for(&self, seconds: u32) -> Drain {
        Drain {
            since: unix_now(),
            seconds,
            until: self.facts.clock.now().after(Ticks::seconds(seconds)),
        }
    }

    /// Removes the real servers whose drain is over, and what connections they have left: a client
    /// is told at its next packet. To be called about once a second.
    ///
    /// # Errors
    /// When the gate's map cannot be changed.
    pub fn end_drains(&self) -> Result<()> {
        let now = self.facts.clock.now();
        if self.shared.pool.load().drained(now).next().is_none() {
            return Ok(());
        }
        let over: HashSet<_> = self.change(|pool, touched| {
            let over: HashSet<_> = pool.drained(now).map(|r| (r.service, r.endpoint)).collect();
            for (service, endpoint) in &over {
                edit::remove_real(pool, touched, service, *endpoint)?;
            }
            Ok(over)
        })?;
        let pool = self.shared.pool.load();
        let is_gone = |real: &&Arc<Real>| {
            real.standing == Standing::Removed && over.contains(&(real.service, real.endpoint))
        };
        let gone: HashSet<RealId> = pool.reals().filter(is_gone).map(|real| real.id).collect();
        self.shared.table.sweep(
            |entry| gone.contains(&entry.real()),
            |entry| crate::path::leave(&pool, &self.shared.pool, &self.shared.templates, entry),
        );
        Ok(())
    }
}
