//! Schedulers that have to know the lists of their services: at once, or later when that takes long.

use std::sync::Arc;

use super::Pool;
use crate::service::{Scheduler, Service, ServiceKey};

/// A scheduler that was made for a list in the place of one that was behind.
pub struct CaughtUp {
    service: ServiceKey,
    from: Arc<dyn Scheduler>,
    to: Arc<dyn Scheduler>,
}

impl Pool {
    /// Lets the schedulers see the lists that have changed. To be called before a pool is
    /// published: once for all its changes, since some schedulers build a table each time.
    pub fn settle(&mut self) {
        for key in std::mem::take(&mut self.unsettled) {
            let Ok(mut service) = self.edit(&key) else {
                continue;
            };
            if let Some(scheduler) = service.scheduler.changed(&service.reals) {
                service.scheduler = scheduler;
                self.services.insert(key, Arc::new(service));
            }
            self.note_behind(key);
        }
    }

    /// Whether a scheduler does not know its list yet.
    pub fn has_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// Makes what those schedulers want for that. It takes long, and changes nothing.
    pub fn prepare(&self) -> Vec<CaughtUp> {
        let prepare = |key: &ServiceKey| {
            let service = self.services.get(key)?;
            Some(CaughtUp {
                service: *key,
                from: Arc::clone(&service.scheduler),
                to: service.scheduler.caught_up(&service.reals)?,
            })
        };
        self.behind.iter().filter_map(prepare).collect()
    }

    /// Takes what was prepared of this pool or of an earlier one. A service that has another
    /// scheduler by now keeps that.
    pub fn catch_up(&mut self, prepared: Vec<CaughtUp>) {
        for CaughtUp { service, from, to } in prepared {
            let Ok(mut there) = self.edit(&service) else {
                continue;
            };
            if Arc::ptr_eq(&there.scheduler, &from) {
                there.scheduler = to;
                self.services.insert(service, Arc::new(there));
                self.note_behind(service);
            }
        }
    }

    /// Has the scheduler of a service, if there is one, have at least so many slots.
    pub fn widen(&mut self, key: &ServiceKey, slots: u32) {
        let Ok(mut service) = self.edit(key) else {
            return;
        };
        if let Some(scheduler) = service.scheduler.widened(&service.reals, slots) {
            service.scheduler = scheduler;
            self.services.insert(*key, Arc::new(service));
            self.note_behind(*key);
        }
    }

    /// Notes whether the scheduler of a service is behind.
    pub(super) fn note_behind(&mut self, key: ServiceKey) {
        let service = self.services.get(&key);
        let is_behind = |service: &Arc<Service>| service.scheduler.is_behind(&service.reals);
        match service.is_some_and(is_behind) {
            true => self.behind.insert(key),
            false => self.behind.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests {
    use adminapi::model::{Scheduler as Algorithm, SchedulerFlags};

    use super::*;
    use crate::service::{Choice, Newcomer, Settings};
    use crate::time::Tick;
    use crate::wire::{Addr, Endpoint, Protocol, Tuple};

    fn at(host: u8) -> Endpoint {
        Endpoint::new(Addr::v4([10, 0, 2, host]), 80)
    }

    fn key() -> ServiceKey {
        ServiceKey::at(Protocol::Tcp, at(99))
    }

    fn add(pool: &mut Pool, host: u8) {
        pool.add_real(&key(), at(host), Settings::weight(1))
            .unwrap();
        pool.settle();
    }

    /// A service of 40 that has its table.
    fn pool() -> Pool {
        let mut pool = Pool::new(1);
        pool.add_service(key(), Algorithm::Mh).unwrap();
        for host in 1..=40 {
            pool.add_real(&key(), at(host), Settings::weight(1))
                .unwrap();
        }
        pool.settle();
        assert!(!pool.has_behind());
        pool
    }

    /// Whether any client gets to this one.
    fn has_share(pool: &Pool, host: u8) -> bool {
        let service = pool.service(&key()).unwrap();
        let chosen = |port| {
            let tuple = Tuple {
                protocol: Protocol::Tcp,
                src: Endpoint::new(Addr::v4([172, 16, 0, port as u8]), port),
                dst: at(99),
            };
            let newcomer = Newcomer {
                tuple: &tuple,
                now: Tick(0),
                flags: SchedulerFlags::NONE.with(adminapi::model::SchedulerFlag::Port),
                choice: Choice::All,
            };
            let real = service.scheduler.pick(&service.reals, &newcomer);
            real.map(|real| real.endpoint)
        };
        (1..2_000).any(|port| chosen(port) == Some(at(host)))
    }

    #[test]
    fn what_was_prepared_of_an_earlier_pool_will_do_until_the_next() {
        let mut pool = pool();
        add(&mut pool, 41);
        assert!(pool.has_behind() && !has_share(&pool, 41));
        let prepared = pool.prepare();
        add(&mut pool, 42);
        pool.catch_up(prepared);
        assert!(has_share(&pool, 41) && !has_share(&pool, 42));
        assert!(pool.has_behind(), "there is one more");
        let prepared = pool.prepare();
        pool.catch_up(prepared);
        assert!(has_share(&pool, 42) && !pool.has_behind());
    }

    #[test]
    fn who_has_another_scheduler_or_is_gone_wants_nothing_that_was_prepared() {
        for after in [
            |pool: &mut Pool| pool.remove_service(&key()),
            |pool: &mut Pool| pool.set_scheduler(&key(), Algorithm::Rr, SchedulerFlags::NONE),
        ] {
            let mut pool = pool();
            add(&mut pool, 41);
            let prepared = pool.prepare();
            after(&mut pool).unwrap();
            assert!(!pool.has_behind());
            let scheduler = |pool: &Pool| pool.service(&key()).map(|s| Arc::clone(&s.scheduler));
            let before = scheduler(&pool);
            pool.catch_up(prepared);
            let kept = before.zip(scheduler(&pool));
            assert!(kept.is_none_or(|(before, now)| Arc::ptr_eq(&before, &now)));
            assert!(!pool.has_behind() && pool.prepare().is_empty());
        }
    }
}
