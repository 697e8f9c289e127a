//! What the control plane writes down for the next daemon: all of it a few times a second, and before
//! each answer what has changed since then.

mod since;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use adminapi::model::{self, FilterRules};
use parking_lot::Mutex;
use tracing::warn;

use super::cookies::bearers;
use super::{Director, translate, view};
use crate::keep::{
    Drained, Keep, KeepError, RealTally, Running, ServiceTally, Spread, Tally, Wishes, WorkerTally,
};
use crate::pool::Pool;
use crate::service::{Real, Service};
use crate::wire::Addr;

use since::Bases;

/// The place where it is kept, if anything is, and what was written there last.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    pub(super) keep: Option<Keep>,
    /// What the file said when it was last read.
    file: Mutex<Wishes>,
    written: Mutex<Written>,
    /// What a change may have to go on from.
    bases: Mutex<Bases>,
    /// Held while counters are summed up and written.
    counting: Mutex<()>,
    /// Who was being drained when changes of the API were kept last, and nothing else.
    pub(super) leaving: Mutex<Running>,
    /// The services then, whose counters are those to go back to.
    pub(super) kept: Mutex<Pool>,
    /// Whether the last attempt to write failed, and that was told.
    troubled: AtomicBool,
}

/// What was written last; of the services and their tables only which snapshot they were of, of the lists how often
/// they had been changed.
#[derive(Debug, Default)]
struct Written {
    pool: Weak<Pool>,
    lists: u64,
    rest: Option<Running>,
}

impl Keeping {
    pub(super) fn new(keep: Option<Keep>) -> Self {
        Self {
            keep,
            ..Self::default()
        }
    }

    /// The slots of real servers that `new` has given out. To be called before a packet can meet
    /// them.
    pub(super) fn name(&self, new: &mut Pool) {
        let named = new.take_named();
        if let Some(keep) = &self.keep {
            keep.name(&named);
        }
    }

    /// The numbers of the addresses that the director speaks from.
    pub(super) fn name_speakers(&self, numbers: impl Iterator<Item = (u16, Addr)>) {
        if let Some(keep) = &self.keep {
            keep.name_speakers(numbers);
        }
    }

    fn told(&self, outcome: Result<(), KeepError>) {
        let failed = outcome.is_err();
        if let (Err(error), false) = (outcome, self.troubled.swap(failed, Relaxed)) {
            warn!(%error, "the next daemon will know less than this one");
        }
    }
}

impl Director {
    /// Says what the configuration file asks for.
    pub fn note_file(&self, wishes: Wishes) {
        *self.keeping.file.lock() = wishes;
    }

    /// What the configuration file says of filters besides the lists.
    pub(super) fn configured_filter(&self) -> Option<FilterRules> {
        self.keeping.file.lock().filter.clone()
    }

    /// Notes who is being drained, and where is counted: what is configured does not say that.
    pub(super) fn note_leaving(&self) {
        let pool = self.shared.pool.load();
        let leaves = |service: &Arc<Service>| service.configured().any(|real| real.drain.is_some());
        let services = pool.services().into_iter().filter(leaves);
        let mut leaving = Running::default();
        leaving.now.services = services.map(|service| view::configured(&service)).collect();
        leaving.drains = drains(pool.reals());
        *self.keeping.leaving.lock() = leaving;
        *self.keeping.kept.lock() = Pool::clone(&pool);
    }

    /// Writes down what is in force, if that has changed; again when it could not be written. To be
    /// called a few times a second.
    pub fn keep_running(&self) {
        let Some(keep) = &self.keeping.keep else {
            // Nobody is told of it.
            let mut filters = self.filters.lock();
            filters.book.begin_writing();
            filters.book.is_written();
            return;
        };
        // First, so that nobody writes over it what was in force before.
        let mut written = self.keeping.written.lock();
        let (number, pool) = self.begin_writing();
        let snapshot = Arc::downgrade(&pool);
        let rest = self.in_force(&pool);
        let lists = self.filters.lock().changes();
        let is_written = written.rest.as_ref() == Some(&rest) && written.lists == lists;
        if is_written && written.pool.ptr_eq(&snapshot) {
            self.keeping.bases.lock().forget(number);
            return;
        }
        let mut running = rest.clone();
        running.number = number;
        let services = pool.services();
        let services = services.iter().map(|service| view::configured(service));
        running.now.services = services.collect();
        running.spread = pool.iter().filter_map(|service| spread(service)).collect();
        {
            let mut filters = self.filters.lock();
            (running.listed, running.banned) = (filters.listed_by_api(), filters.banned());
            running.offenders = self.offenders(&filters);
            filters.book.begin_writing();
        }
        let saved = keep.save_running(&running);
        match saved {
            Ok(()) => {
                *written = Written {
                    pool: snapshot,
                    lists,
                    rest: Some(rest),
                };
                self.filters.lock().book.is_written();
                self.keeping.bases.lock().keep(number);
            }
            Err(_) => self.keeping.bases.lock().forget(number),
        }
        self.keeping.told(saved);
    }

    /// What is in force, without the services, their tables and the lists.
    fn in_force(&self, pool: &Pool) -> Running {
        Running {
            file: self.keeping.file.lock().clone(),
            drains: drains(pool.reals()),
            coined: self.coined(),
            bearers: bearers(pool),
            health: self.charts(),
            ..self.settled()
        }
    }

    /// What is in force that is the same whatever the services are, and the levels.
    fn settled(&self) -> Running {
        let [tcp, tcpfin, udp] = self.shared.timeouts.load().shown();
        let (levels, events) = {
            let watch = self.watch.lock();
            (watch.held(self.facts.clock.now()), watch.events.last())
        };
        let all = levels.iter().find(|held| held.service.is_none());
        let mut now = Wishes::default().with_sysctls(&self.shared.sysctls.load());
        now.marks = self.rules.lock().clone();
        let (filter, regions) = {
            let filters = self.filters.lock();
            (filters.wanted.clone(), filters.regional.numbers.clone())
        };
        now.filter = Some(filter);
        now.timeouts = model::Timeouts { tcp, tcpfin, udp };
        now.level = all.map_or(0, |held| held.level);
        Running {
            now,
            levels,
            daemons: self.daemons.all(),
            regions,
            events,
            ..Running::default()
        }
    }

    /// Writes down what is counted. To be called about once a second, when somebody has zeroed it, and
    /// when the workers have ended.
    pub fn keep_tally(&self) {
        let Some(keep) = &self.keeping.keep else {
            return;
        };
        // First, so that nobody writes over it what was counted before.
        let _one_at_a_time = self.keeping.counting.lock();
        self.collect();
        let forwarded = self.shared.fast.as_ref().map(|fast| fast.brought());
        let pool = self.shared.pool.load();
        let workers = self.facts.workers.iter();
        let workers = workers.map(|worker| WorkerTally::of(&worker.stats));
        let workers = workers.collect();
        // No less than what these have counted.
        let limits = self.limits_spent();
        let tally = Tally {
            services: pool.iter().map(|service| tally_of(service)).collect(),
            workers,
            forwarded: forwarded.unwrap_or_default(),
            levels: self.watch.lock().level_tallies(self.facts.clock.now()),
            limits,
        };
        self.keeping.told(keep.save_tally(&tally));
    }
}

/// The drains among real servers.
fn drains<'r>(reals: impl Iterator<Item = &'r Arc<Real>>) -> Vec<Drained> {
    let drained = |real: &Arc<Real>| {
        let drain = real.drain?;
        Some(Drained {
            service: translate::id(&real.service),
            real: real.endpoint.into(),
            since: drain.since,
            seconds: drain.seconds,
            until: drain.until.0,
        })
    };
    reals.filter_map(drained).collect()
}

/// The table of a service's scheduler, if it is to stay as large.
fn spread(service: &Service) -> Option<Spread> {
    Some(Spread {
        service: translate::id(&service.key),
        slots: service.scheduler.slots()?,
    })
}

/// What a service and all that it has have carried.
fn tally_of(service: &Service) -> ServiceTally {
    let tally = |real: &Arc<Real>| RealTally {
        real: real.endpoint.into(),
        traffic: real.traffic.sum(),
    };
    ServiceTally {
        service: translate::id(&service.key),
        traffic: service.traffic.sum(),
        reals: service.configured().map(tally).collect(),
        sorry: service.sorry.as_ref().map(tally),
    }
}
