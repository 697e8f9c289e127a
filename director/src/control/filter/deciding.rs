//! The limits that decide about a packet, for who asks what becomes of it.

use adminapi::error::Result;
use adminapi::model::{DecidingRule, LimitPer, RateLimit};

use crate::control::publish::refused;
use crate::control::{Director, limits, translate};
use crate::filter::{Limit, Of};
use crate::path::Probe;
use crate::wire::Addr;

impl Director {
    /// The limit of connections of this number, and what it takes for the source `addr` if sources have
    /// shares.
    pub(in crate::control) fn crowd_of(&self, number: usize, addr: Addr) -> Option<DecidingRule> {
        let filters = self.filters.lock();
        let limit = filters.wanted.connections.get(number)?;
        let source = || translate::prefix(limits::crowd(limit).scope.source(addr));
        Some(DecidingRule::ConnectionLimit {
            name: limit.name.clone(),
            source: (limit.per == LimitPer::Source).then(source),
            most: limit.most,
        })
    }

    /// The limit of rates of this number, and what it takes for the source `addr` if sources have shares.
    pub(in crate::control) fn pace_of(&self, number: usize, addr: Addr) -> Option<DecidingRule> {
        let filters = self.filters.lock();
        let wanted = filters.wanted.limits.get(number)?;
        let limit = filters.rules.limits.get(number)?;
        Some(rate_limit(wanted, limit, addr))
    }

    /// The first of the gate's limits by which nothing more is let in now of what `probe` asks about, if that
    /// is of no connection.
    pub(in crate::control) fn used_up(&self, probe: &Probe<'_>) -> Result<Option<DecidingRule>> {
        let tuple = &probe.tuple;
        let now = self.nanos_at(self.facts.clock.now());
        let addr = tuple.src.addr;
        let regions = self.shared.pool.load().geography().regions_of(addr);
        let filters = self.filters.lock();
        for (place, (number, limit)) in (0..).zip(filters.rules.limits_of_gate()) {
            let is_counted = limit.of != Of::Syns || !probe.goes_on();
            if !is_counted || !limit.counts(tuple, regions) {
                continue;
            }
            let used_up = self.gate.filters().is_used_up((place, limit), tuple, now);
            if used_up.map_err(refused)? {
                let wanted = &filters.wanted.limits[number];
                return Ok(Some(rate_limit(wanted, limit, addr)));
            }
        }
        Ok(None)
    }
}

/// A limit of rates as what decides about a packet from `addr`.
fn rate_limit(wanted: &RateLimit, limit: &Limit, addr: Addr) -> DecidingRule {
    DecidingRule::RateLimit {
        name: wanted.name.clone(),
        source: (wanted.per == LimitPer::Source).then(|| translate::prefix(limit.source(addr))),
        of: wanted.of,
        rate: wanted.rate,
    }
}
