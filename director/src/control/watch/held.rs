//! Levels of defence that one daemon leaves to the next.

use std::sync::Arc;

use adminapi::model::ServiceId;

use super::{Director, Watch};
use crate::control::translate;
use crate::defence::{Legacy, Level};
use crate::keep::{Held, LevelTally, Running, Tally};
use crate::service::Service;
use crate::time::{Tick, Ticks};

impl Watch {
    /// The level of the whole director, and those of services that are not at rest.
    pub(in crate::control) fn held(&self, now: Tick) -> Vec<Held> {
        let held = |(service, legacy): (Option<ServiceId>, Legacy)| Held {
            service,
            level: legacy.level.number(),
            since: legacy.since.0,
            cookies: legacy.cookies,
        };
        let mut held: Vec<_> = self
            .legacies(now)
            .map(held)
            .filter(|held| held.service.is_none() || held.level > 0)
            .collect();
        held.sort_by_key(|held| held.service);
        held
    }

    /// How far those have come that are above 0.
    pub(in crate::control) fn level_tallies(&self, now: Tick) -> Vec<LevelTally> {
        let legacies = self.legacies(now);
        let raised = legacies.filter(|(_, legacy)| legacy.level > Level::Calm);
        let tally = |(service, legacy): (Option<ServiceId>, Legacy)| LevelTally {
            service,
            since: legacy.since.0,
            calm: legacy.calm.0,
            dropped: legacy.dropped,
        };
        raised.map(tally).collect()
    }

    fn legacies(&self, now: Tick) -> impl Iterator<Item = (Option<ServiceId>, Legacy)> {
        let all = std::iter::once((None, &self.all));
        let services = self.services.iter();
        let services = services.map(|(key, watched)| (Some(translate::id(key)), watched));
        let each = all.chain(services);
        each.map(move |(service, watched)| (service, watched.controller.legacy(now)))
    }
}

/// What another director's controller has left.
fn legacy(held: &Held, tally: Option<&Tally>, now: Tick) -> Option<Legacy> {
    let tally = tally.and_then(|tally| tally.level(held.service, held.since));
    Some(Legacy {
        level: Level::from_number(held.level)?,
        since: Tick(held.since).min(now),
        cookies: held.cookies,
        calm: Ticks(tally.map_or(0, |tally| tally.calm)),
        dropped: tally.map_or(0.0, |tally| tally.dropped),
    })
}

impl Director {
    /// Goes on at the levels that another daemon has held and that are to go on, as far as they had come.
    pub(in crate::control) fn hold(
        &self,
        running: &Running,
        tally: Option<&Tally>,
        goes_on: impl Fn(&Held) -> bool,
    ) {
        let pool = self.shared.pool.load();
        let now = self.facts.clock.now();
        let mut watch = self.watch.lock();
        for held in running.levels.iter().filter(|held| goes_on(held)) {
            let Some(legacy) = legacy(held, tally, now) else {
                continue;
            };
            let service = held.service.map(|id| pool.service(&translate::key(id)));
            let service: Option<&Service> = match service {
                // The service is no more.
                Some(None) => continue,
                Some(Some(service)) => Some(Arc::as_ref(service)),
                None => None,
            };
            watch.watched(service, now).controller.go_on(&legacy, now);
        }
        drop(watch);
        // From the first packet on.
        self.take_stances(&pool);
    }
}
