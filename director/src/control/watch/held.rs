//! Levels of defence that one daemon leaves to the next.

use std::sync::Arc;

use super::{Director, Watch};
use crate::control::translate;
use crate::defence::{Legacy, Level};
use crate::keep::Held;
use crate::service::Service;
use crate::time::Tick;

impl Watch {
    /// The level of the whole director, and those of services that are not at rest.
    pub(in crate::control) fn held(&self) -> Vec<Held> {
        let all = std::iter::once((None, &self.all));
        let services = self.services.iter();
        let services = services.map(|(key, watched)| (Some(translate::id(key)), watched));
        let mut held: Vec<_> = all
            .chain(services)
            .map(|(service, watched)| {
                let legacy = watched.controller.legacy();
                Held {
                    service,
                    level: legacy.level.number(),
                    since: legacy.since.0,
                    cookies: legacy.cookies,
                }
            })
            .filter(|held| held.service.is_none() || held.level > 0)
            .collect();
        held.sort_by_key(|held| held.service);
        held
    }
}

impl Director {
    /// Goes on at levels that another daemon has held; `all` is the one that is to be that of the
    /// whole director.
    pub(in crate::control) fn hold(&self, levels: &[Held], all: u8) {
        let pool = self.shared.pool.load();
        let now = self.facts.clock.now();
        let mut watch = self.watch.lock();
        for held in levels {
            let Some(level) = Level::from_number(held.level) else {
                continue;
            };
            let service = held.service.map(|id| pool.service(&translate::key(id)));
            let service: Option<&Service> = match service {
                // The service is no more.
                Some(None) => continue,
                Some(Some(service)) => Some(Arc::as_ref(service)),
                None if held.level != all => continue,
                None => None,
            };
            let legacy = Legacy {
                level,
                since: Tick(held.since).min(now),
                cookies: held.cookies,
            };
            watch.watched(service, now).controller.go_on(&legacy, now);
        }
        drop(watch);
        // From the first packet on.
        self.take_stances(&pool);
    }
}
