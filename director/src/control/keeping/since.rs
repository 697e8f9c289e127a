//! What has changed since all was written down: few services, and few real servers of them.

use std::sync::Arc;

use adminapi::model;

use super::{drains, spread};
use crate::control::{Director, translate, view};
use crate::keep::{RealName, Since};
use crate::pool::Pool;
use crate::service::{Real, Service};

/// The services as they were when all was written: the last time, and while it is being written again, of which
/// nobody knows how it ends, that time.
#[derive(Debug, Default)]
pub(super) struct Bases {
    all: Vec<Base>,
    /// How many there were.
    count: u64,
}

#[derive(Debug)]
struct Base {
    number: u64,
    services: Pool,
}

impl Bases {
    fn begin(&mut self, services: Pool) -> u64 {
        self.count += 1;
        let number = self.count;
        self.all.push(Base { number, services });
        number
    }

    /// It was written: the one before is no more.
    pub(super) fn keep(&mut self, number: u64) {
        self.all.retain(|base| base.number == number);
    }

    /// It was not written.
    pub(super) fn forget(&mut self, number: u64) {
        self.all.retain(|base| base.number != number);
    }
}

/// A service that is new, or another one, and its real servers that are.
struct Other<'p> {
    now: &'p Service,
    reals: Vec<&'p Arc<Real>>,
    /// Those that it has no more.
    gone: Vec<RealName>,
}

impl Director {
    /// Writes down what has changed since [`Director::keep_running`] has written all. To be called before
    /// a change is answered: it costs as much as has changed, and waits for no other writing.
    pub(in crate::control) fn keep_since(&self) {
        let Some(keep) = &self.keeping.keep else {
            return;
        };
        // First, so that none comes that does not have the change.
        let bases = self.keeping.bases.lock();
        let pool = self.shared.pool.load_full();
        let bases = bases.all.iter().map(|base| Since {
            of: base.number,
            ..self.since(&base.services, &pool)
        });
        self.keeping
            .told(keep.save_since(&bases.collect::<Vec<_>>()));
    }

    /// The number of what is to be written, and the services that will be.
    pub(super) fn begin_writing(&self) -> (u64, Arc<Pool>) {
        let mut bases = self.keeping.bases.lock();
        let pool = self.shared.pool.load_full();
        (bases.begin(Pool::clone(&pool)), pool)
    }

    fn since(&self, old: &Pool, new: &Pool) -> Since {
        let of_services = of_services(old, new);
        let settled = self.settled();
        let mut now = settled.now;
        now.services = of_services.now.services;
        let filters = self.filters.lock();
        let (listed, banned) = filters.revised();
        Since {
            now,
            levels: settled.levels,
            daemons: settled.daemons,
            networks: filters.book.revised().map(translate::prefix).collect(),
            listed,
            banned,
            regions: settled.regions,
            events: settled.events,
            ..of_services
        }
    }
}

/// What has become of the services.
fn of_services(old: &Pool, new: &Pool) -> Since {
    let others = others(old, new);
    let reals = others.iter().flat_map(|other| other.reals.iter().copied());
    let gone = others.iter().flat_map(|other| other.gone.iter().copied());
    let mut since = Since {
        services_gone: services_gone(old, new),
        reals_gone: gone.collect(),
        drains: drains(reals),
        spread: others
            .iter()
            .filter_map(|other| spread(other.now))
            .collect(),
        ..Since::default()
    };
    since.now.services = others.iter().map(Other::configured).collect();
    since
}

impl<'p> Other<'p> {
    fn of(now: &'p Service, before: Option<&Service>) -> Self {
        let (reals, gone) = match before.filter(|before| before.serial == now.serial) {
            None => (now.configured().collect(), Vec::new()),
            Some(before) => match added(now, before) {
                Some(added) => (added, Vec::new()),
                None => (others_of(now, before), gone_of(now, before)),
            },
        };
        Self { now, reals, gone }
    }

    fn configured(&self) -> model::Service {
        view::configured_with(self.now, self.reals.iter().copied())
    }
}

/// The real servers that a service has got, if nothing has become of the others: it may have many.
fn added<'p>(now: &'p Service, before: &Service) -> Option<Vec<&'p Arc<Real>>> {
    let are_same = now.aside.changes() == before.aside.changes();
    let added = now.reals.added_since(&before.reals)?;
    are_same.then(|| added.collect())
}

/// The real servers of a service that are new or others.
fn others_of<'p>(now: &'p Service, before: &Service) -> Vec<&'p Arc<Real>> {
    let is_other = |real: &&Arc<Real>| {
        let before = before.find(real.endpoint);
        !before.is_some_and(|before| Arc::ptr_eq(before, real))
    };
    now.configured().filter(is_other).collect()
}

fn gone_of(now: &Service, before: &Service) -> Vec<RealName> {
    let is_gone = |real: &&Arc<Real>| {
        let now = now.find(real.endpoint);
        now.is_none_or(|now| now.id != real.id)
    };
    let id = translate::id(&now.key);
    let gone = before.configured().filter(is_gone);
    gone.map(|real| (id, real.endpoint.into())).collect()
}

/// The services that are new or others, in their order.
fn others<'p>(old: &'p Pool, new: &'p Pool) -> Vec<Other<'p>> {
    let other = |now: &'p Arc<Service>| {
        let before = old.service(&now.key);
        let is_same = before.is_some_and(|before| Arc::ptr_eq(before, now));
        (!is_same).then(|| Other::of(now, before.map(Arc::as_ref)))
    };
    let mut others: Vec<_> = new.iter().filter_map(other).collect();
    others.sort_by_key(|other| other.now.serial);
    others
}

/// The services that went, also those that have come again.
fn services_gone(old: &Pool, new: &Pool) -> Vec<model::ServiceId> {
    let is_gone = |service: &&Arc<Service>| {
        let now = new.service(&service.key);
        now.is_none_or(|now| now.serial != service.serial)
    };
    let gone = old.iter().filter(is_gone);
    gone.map(|service| translate::id(&service.key)).collect()
}

#[cfg(test)]
mod tests {
    use adminapi::model::Scheduler;
    use proptest::prelude::*;

    use super::*;
    use crate::keep::Running;
    use crate::service::{ServiceKey, Settings};
    use crate::wire::{Addr, Endpoint, Protocol};

    fn at(service: u8) -> ServiceKey {
        let vip = Endpoint::new(Addr::v4([192, 0, 2, 10]), 80 + u16::from(service));
        ServiceKey::at(Protocol::Tcp, vip)
    }

    /// What is refused is as good as what is done.
    fn step(pool: &mut Pool, (kind, service, host, weight): (u8, u8, u8, u32)) {
        let (key, real) = (at(service), Endpoint::new(Addr::v4([10, 0, 2, host]), 8080));
        let _ = match kind {
            0 => pool.add_service(key, Scheduler::Rr),
            1 => pool.remove_service(&key),
            2 => pool.set_scheduler(&key, Scheduler::Wlc, model::SchedulerFlags::NONE),
            3..=6 => pool.add_real(&key, real, Settings::weight(weight)),
            7 => pool.set_real(&key, real, Settings::weight(weight)),
            8 => pool.set_aside(&key, real, None),
            9 => pool.readmit(&key, real),
            _ => pool.remove_real(&key, real),
        };
    }

    /// Who comes again, or is out of service, may stand elsewhere.
    fn sorted(mut services: Vec<model::Service>) -> Vec<model::Service> {
        for service in &mut services {
            service.reals.sort_by_key(|real| real.address);
        }
        services
    }

    fn services(pool: &Pool) -> Vec<model::Service> {
        let services = pool.services();
        services
            .iter()
            .map(|service| view::configured(service))
            .collect()
    }

    proptest! {
        #[test]
        fn what_has_changed_since_makes_what_there_was_what_there_is(
            before in prop::collection::vec((0u8..12, 0u8..3, 0u8..6, 0u32..4), 0..40),
            after in prop::collection::vec((0u8..12, 0u8..3, 0u8..6, 0u32..4), 0..12),
        ) {
            let mut pool = Pool::new(1);
            before.into_iter().for_each(|one| step(&mut pool, one));
            let old = pool.clone();
            after.into_iter().for_each(|one| step(&mut pool, one));
            let mut running = Running::default();
            running.now.services = services(&old);
            let now = running.with_any(vec![of_services(&old, &pool)]).now.services;
            prop_assert_eq!(sorted(now), sorted(services(&pool)));
        }
    }
}
