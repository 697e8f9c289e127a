//! What was removed and is there again counts on.

use std::sync::Arc;

use super::Pool;
use crate::service::{Real, Service};

impl Pool {
    /// Has services and real servers count where they did in `before`, an earlier snapshot.
    pub fn count_on(&mut self, before: &Self) {
        for was in before.services.values() {
            let Some(is) = self.services.get(&was.key) else {
                continue;
            };
            // Nothing is to be done for those that have stayed.
            if !Arc::ptr_eq(is, was) {
                let service = Service::clone(is);
                self.count_service_on(service, was);
            }
        }
    }

    fn count_service_on(&mut self, mut service: Service, was: &Service) {
        service.traffic = Arc::clone(&was.traffic);
        let here: Vec<_> = service.reals.iter().cloned().collect();
        for real in here {
            if let Some(counted) = counting_on(&real, was) {
                let counted = self.put(counted);
                service.reals.replace(counted);
            }
        }
        let out: Vec<_> = service.aside.iter().cloned().collect();
        for real in out {
            if let Some(counted) = counting_on(&real, was) {
                service.aside.replace(Arc::new(counted));
            }
        }
        self.put_reals(service);
    }
}

/// A real server that counts where it did in the service `was`, if that is elsewhere.
fn counting_on(real: &Real, was: &Service) -> Option<Real> {
    let traffic = &was.find(real.endpoint)?.traffic;
    (!Arc::ptr_eq(&real.traffic, traffic)).then(|| Real {
        traffic: Arc::clone(traffic),
        ..real.clone()
    })
}

#[cfg(test)]
mod tests {
    use adminapi::model::Scheduler;

    use super::*;
    use crate::service::{ServiceKey, Settings};
    use crate::stats::TrafficSum;
    use crate::wire::{Addr, Endpoint, Protocol};

    #[test]
    fn what_is_there_again_has_its_counters() {
        let at = |host| Endpoint::new(Addr::v4([10, 0, 0, host]), 80);
        let key = ServiceKey::at(Protocol::Tcp, at(9));
        let add = |pool: &mut Pool| {
            pool.add_service(key, Scheduler::Rr).unwrap();
            for host in [1, 2] {
                pool.add_real(&key, at(host), Settings::weight(1)).unwrap();
            }
            pool.set_aside(&key, at(2), None).unwrap();
        };
        let carried = TrafficSum {
            connections: 4,
            ..TrafficSum::default()
        };
        let mut before = Pool::new(1);
        add(&mut before);
        let service = before.service(&key).unwrap();
        service.traffic.go_on(&carried);
        service
            .configured()
            .for_each(|real| real.traffic.go_on(&carried));

        let mut pool = before.clone();
        pool.remove_service(&key).unwrap();
        add(&mut pool);
        let counts = |pool: &Pool| {
            let service = pool.service(&key).unwrap();
            let reals = service
                .configured()
                .map(|real| real.traffic.sum().connections);
            let all = reals.chain([service.traffic.sum().connections]);
            all.collect::<Vec<_>>()
        };
        assert_eq!(counts(&pool), [0; 3]);
        pool.count_on(&before);
        assert_eq!(counts(&pool), [4; 3]);
    }
}
