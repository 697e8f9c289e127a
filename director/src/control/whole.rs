//! All that is configured, as a whole: what `/v1/config` shows and takes, and what is kept over a
//! restart.

use std::sync::Arc;

use adminapi::error::{ControlError, Result};
use adminapi::model::{Configuration, Levels, Real, Service, ServiceId, ServiceView};
use adminapi::sysctl::{Settings, Sysctls};
use adminapi::{Control, Problem};

use super::{Director, api, plan, translate};
use crate::defence::Level;
use crate::marks::Rule;

/// A configuration whose parts have been looked at: nothing of it can fail any more but the
/// services and the gate.
struct Prepared {
    marks: Option<Vec<Rule>>,
    sysctls: Option<Sysctls>,
}

impl Director {
    /// All that is configured.
    ///
    /// # Errors
    /// None of its own.
    pub fn configuration(&self) -> Result<Configuration> {
        Ok(Configuration {
            timeouts: self.timeouts()?,
            services: self.services()?.iter().map(wanted).collect(),
            marks: Some(self.marks()?),
            sysctls: Some(Settings::from(&*self.shared.sysctls.load_full())),
            daemons: Some(self.daemons.all()),
            defense: Some(self.levels()),
        })
    }

    /// Makes everything `wanted`: all of it or nothing.
    ///
    /// # Errors
    /// What is refused of it.
    pub fn configure(&self, wanted: &Configuration) -> Result<()> {
        let Prepared { marks, sysctls } = self.prepare(wanted)?;
        let mut rules = self.rules.lock();
        self.change(|pool, touched| {
            if let Some(compiled) = marks {
                pool.set_marks(compiled.into());
            }
            api::put_services(pool, touched, &wanted.services, self.grace())
        })?;
        if let Some(marks) = &wanted.marks {
            rules.clone_from(marks);
        }
        drop(rules);
        self.change_timeouts(wanted.timeouts.into())?;
        if let Some(sysctls) = sysctls {
            self.set_sysctls(sysctls);
        }
        if let Some(daemons) = &wanted.daemons {
            self.daemons.replace(daemons, &self.links())?;
        }
        match &wanted.defense {
            Some(levels) => self.adopt_levels(levels),
            None => self.watch(),
        }
        Ok(())
    }

    /// Whether [`Director::configure`] would do it, as far as that can be told without the gate.
    pub(super) fn check_configuration(&self, wanted: &Configuration) -> Result<()> {
        self.prepare(wanted)?;
        let put = |pool: &mut crate::pool::Pool, touched: &mut super::roles::Touched| {
            api::put_services(pool, touched, &wanted.services, None)
        };
        plan(&self.master.lock(), &self.shared.pool.load_full(), put).map(drop)
    }

    fn prepare(&self, wanted: &Configuration) -> Result<Prepared> {
        let mut problems = Vec::new();
        let marks = wanted.marks.as_deref().map(|rules| self.compile(rules));
        let marks = marks.transpose().or_else(|error| match error {
            ControlError::Invalid(found) => {
                problems.extend(found.into_iter().map(|problem| problem.below("/mark")));
                Ok(None)
            }
            other => Err(other),
        })?;
        let sysctls = wanted.sysctls.as_ref().map(Sysctls::try_from);
        let sysctls = sysctls.transpose().unwrap_or_else(|found| {
            problems.extend(found.into_iter().map(|problem| problem.below("/sysctl")));
            None
        });
        let links = self.links();
        for (index, daemon) in wanted.daemons.iter().flatten().enumerate() {
            if !links.iter().any(|link| *link.name == *daemon.interface) {
                problems.push(Problem::new(
                    format!("/daemon/{index}/interface"),
                    format!("the director's host has no interface {}", daemon.interface),
                    "name one that it has",
                ));
            }
        }
        ControlError::unless_valid(problems)?;
        Ok(Prepared { marks, sysctls })
    }

    fn levels(&self) -> Levels {
        let watch = self.watch.lock();
        let mut pinned: Vec<_> = watch.pinned().collect();
        pinned.sort_unstable_by_key(|service| service.map(|key| translate::id(&key)));
        let level = Level::Pinned.number();
        Levels {
            level: if pinned.contains(&None) { level } else { 0 },
            services: (pinned.into_iter().flatten())
                .map(|key| (translate::id(&key), level))
                .collect(),
        }
    }

    /// Pins the levels that are to stay, and lets go of those that are pinned and are not.
    fn adopt_levels(&self, wanted: &Levels) {
        let pool = self.shared.pool.load();
        let level = |pinned: bool| if pinned { Level::Pinned } else { Level::Calm };
        let now = self.levels();
        if now.level != wanted.level {
            self.set_level(None, level(wanted.level > 0));
        }
        let is_pinned = |levels: &Levels, id: &ServiceId| {
            levels.services.get(id).is_some_and(|level| *level > 0)
        };
        for service in pool.services() {
            let id = translate::id(&service.key);
            let (before, after) = (is_pinned(&now, &id), is_pinned(wanted, &id));
            if before != after {
                self.set_level(Some(&service), level(after));
            }
        }
        self.watch();
    }

    fn links(&self) -> Arc<[crate::neighbour::Link]> {
        self.neighbourhood
            .links()
            .borrow()
            .iter()
            .cloned()
            .collect()
    }
}

/// How a service is configured. A real server that is being drained is not wanted any more.
fn wanted(view: &ServiceView) -> Service {
    let stays = view.reals.iter().filter(|real| real.draining.is_none());
    Service {
        reals: stays.map(Real::from).collect(),
        ..Service::from(view)
    }
}
