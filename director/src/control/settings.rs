//! The configuration as a whole: services, and the settings that are made beside them while the
//! director runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use adminapi::error::Result;
use adminapi::model::{self, Configuration, Levels, Timeouts};
use adminapi::sysctl::{Sysctl, Sysctls};
use adminapi::{Control, ControlError};

use super::desired::Desired;
use super::filter::Filtering;
use super::{Director, translate, view};
use crate::defence::Level;
use crate::pool::Pool;
use crate::service::{Service, ServiceKey};
use crate::tcp;

impl Director {
    /// What is set now.
    ///
    /// # Errors
    /// None of its own.
    pub fn configuration(&self) -> Result<Configuration> {
        let pool = self.shared.pool.load();
        let marks = self.rules.lock().clone();
        let (filter, listed) = {
            let filters = self.filters.lock();
            (filters.wanted.clone(), filters.listed_by_api())
        };
        Ok(Configuration {
            timeouts: self.timeouts()?,
            sysctls: written(&self.shared.sysctls.load()),
            defense: self.levels(&pool),
            marks: Some(marks),
            daemons: Some(self.daemons.all()),
            filter: Some(filter),
            listed: Some(listed),
            services: pool
                .services()
                .iter()
                .map(|s| wanted(view::configured(s), s))
                .collect(),
        })
    }

    fn levels(&self, pool: &Pool) -> Levels {
        let watch = self.watch.lock();
        let (all, services) = watch.pinned();
        let pinned = Level::Pinned.number();
        Levels {
            level: all.then_some(pinned),
            // The watch forgets a service a moment after it has gone.
            services: (services.filter(|key| pool.service(key).is_some()))
                .map(|key| (translate::id(key), pinned))
                .collect(),
        }
    }

    /// Makes services and timeouts those of `wanted`, and the settings that it names.
    ///
    /// # Errors
    /// What is refused of it; nothing is changed then.
    pub fn put_whole(&self, wanted: &Configuration) -> Result<()> {
        self.bring_about(&self.desired(wanted)?)?;
        self.put_levels(&wanted.defense);
        self.watch();
        Ok(())
    }

    /// Whether [`Director::put_whole`] would do it, as far as that can be told without the gate.
    pub(super) fn check_whole(&self, wanted: &Configuration) -> Result<()> {
        self.check(&self.desired(wanted)?)
    }

    fn desired<'a>(&self, wanted: &'a Configuration) -> Result<Desired<'a>> {
        let mut sysctls = Sysctls::clone(&self.shared.sysctls.load());
        for (name, value) in &wanted.sysctls {
            // Validation has refused names that are none.
            if let Ok(sysctl) = name.parse::<Sysctl>() {
                sysctls.set(sysctl, value)?;
            }
        }
        let filter = Filtering::named(wanted, self);
        Ok(Desired {
            services: &wanted.services,
            speakers: None,
            marks: wanted.marks.as_deref(),
            timeouts: wanted.timeouts,
            sysctls,
            daemons: wanted.daemons.as_deref(),
            filter: filter.map_err(|error| error.below("/filter"))?,
            grace: self.grace_seconds(),
        })
    }

    /// Puts sysctls into force. What the gate has cached by those of before is looked at anew.
    pub(super) fn publish_sysctls(&self, sysctls: Sysctls) {
        let is_other = **self.shared.sysctls.load() != sysctls;
        self.shared.sysctls.store(Arc::new(sysctls));
        if let (true, Some(fast)) = (is_other, &self.shared.fast) {
            fast.renew_hops(|_| true);
        }
    }

    /// Puts timeouts into force, for connections that the gate forwards, too.
    pub(super) fn publish_timeouts(&self, timeouts: tcp::Timeouts) {
        let former = self.shared.timeouts.load_full();
        let is_other = former.shown() != timeouts.shown();
        if is_other {
            self.keep_ends();
        }
        self.shared.timeouts.store(Arc::new(timeouts));
        if is_other {
            self.shorten_cached(former.longest_of_cached());
        }
    }

    /// The timeouts of now with those of `wanted` that are not 0.
    pub(super) fn timeouts_with(&self, wanted: Timeouts) -> Result<tcp::Timeouts> {
        with_timeouts(tcp::Timeouts::clone(&self.shared.timeouts.load()), wanted)
    }

    fn put_levels(&self, wanted: &Levels) {
        let pool = self.shared.pool.load();
        let level = |number: u8| Level::from_number(number).unwrap_or_default();
        if let Some(number) = wanted.level {
            self.set_level(None, level(number));
        }
        for (id, number) in &wanted.services {
            let key: ServiceKey = translate::key(*id);
            if let Some(service) = pool.service(&key) {
                self.set_level(Some(service), level(*number));
            }
        }
    }
}

/// `timeouts` with those of `wanted` that are not 0.
pub(super) fn with_timeouts(
    mut timeouts: tcp::Timeouts,
    wanted: Timeouts,
) -> Result<tcp::Timeouts> {
    let Timeouts { tcp, tcpfin, udp } = wanted;
    let set = timeouts.set(tcp, tcpfin, udp);
    set.map_err(|e| ControlError::Limit(e.to_string()))?;
    Ok(timeouts)
}

/// A service without the real servers that are being drained: they are not wanted any more.
pub(super) fn wanted(mut configured: model::Service, service: &Service) -> model::Service {
    let is_leaving = |real: &model::Real| {
        let found = service.reals.find(real.endpoint(service.key.port()).into());
        found.is_some_and(|real| real.drain.is_some())
    };
    configured.reals.retain(|real| !is_leaving(real));
    configured
}

/// Those that are not at their default.
fn written(sysctls: &Sysctls) -> BTreeMap<String, adminapi::sysctl::Value> {
    let all = Sysctl::ALL.into_iter();
    let other = all.filter(|sysctl| *sysctls.get(*sysctl) != sysctl.default_value());
    other
        .map(|sysctl| (sysctl.to_string(), sysctls.get(sysctl).clone()))
        .collect()
}
