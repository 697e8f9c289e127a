//! Levels before a change of the API that is not kept yet: one that cannot be written is taken back.

use rustc_hash::FxHashMap;

use super::{Director, Watch};
use crate::defence::{Change, Controller, Level};
use crate::pool::Pool;
use crate::service::ServiceKey;
use crate::time::Tick;

/// What there was.
#[derive(Debug, Default)]
pub(super) struct Former {
    /// How those stood that the change has set, or whose service it may have removed.
    controllers: FxHashMap<Option<ServiceKey>, Controller>,
}

impl Watch {
    /// Does what a user says of a service, or of all.
    pub(super) fn set(
        &mut self,
        service: Option<ServiceKey>,
        level: Level,
        now: Tick,
    ) -> Option<Change> {
        let Self {
            all,
            services,
            former,
            ..
        } = self;
        let watched = match service {
            None => all,
            Some(key) => Self::service_of(services, key, now),
        };
        let before = former.controllers.entry(service);
        before.or_insert_with(|| watched.controller.clone());
        watched.controller.set(level, now)
    }

    /// Forgets services that are not in `pool`.
    pub(super) fn forget_gone(&mut self, pool: &Pool) {
        let former = &mut self.former.controllers;
        self.services.retain(|key, watched| {
            let stays = pool.service(key).is_some();
            if !stays {
                let before = former.entry(Some(*key));
                before.or_insert_with(|| watched.controller.clone());
            }
            stays
        });
    }

    /// Says that nothing is taken back of what was changed so far.
    pub(in crate::control) fn confirm(&mut self) {
        self.former = Former::default();
    }

    /// Has all controllers as they were before the change.
    fn take_back(&mut self, now: Tick) {
        for (service, former) in std::mem::take(&mut self.former).controllers {
            let controller = match &service {
                None => &mut self.all.controller,
                Some(key) => &mut Self::service_of(&mut self.services, *key, now).controller,
            };
            let change = Change {
                from: controller.level(),
                to: former.level(),
                cause: former.cause(),
            };
            *controller = former;
            if change.from != change.to {
                self.tell(service.as_ref(), &change);
            }
        }
    }
}

impl Director {
    /// Has all levels as they were before the change that could not be kept.
    pub(in crate::control) fn take_levels_back(&self) {
        self.watch.lock().take_back(self.facts.clock.now());
        self.watch();
    }
}
