//! What health does to the pool: weights in force, real servers that are out of service, sorry
//! servers.

use std::sync::Arc;

use adminapi::model::{Check, HealthPolicy};

use super::{Pool, PoolError};
use crate::service::{Bulletin, Fitness, Real, Service, ServiceKey, Settings, Standing};
use crate::wire::Endpoint;

impl Pool {
    /// Says how the health of a service's real servers is watched from now on.
    ///
    /// # Errors
    /// [`PoolError::NoService`].
    pub fn set_health(
        &mut self,
        key: &ServiceKey,
        policy: Option<&HealthPolicy>,
    ) -> Result<(), PoolError> {
        let mut service = self.edit(key)?;
        if service.health.as_deref() != policy {
            self.forget_sorry(&service);
            service.health = policy.cloned().map(Arc::new);
            if let Some(sorry) = service.named_sorry() {
                self.sorries.insert((sorry, service.serial), *key);
            }
            self.services.insert(*key, Arc::new(service));
        }
        Ok(())
    }

    /// The policy of a service goes, and the sorry server with it that it names.
    pub(super) fn forget_sorry(&mut self, service: &Service) {
        if let Some(sorry) = service.named_sorry() {
            self.sorries.remove(&(sorry, service.serial));
        }
    }

    /// Says how the health of a real server is checked, if not as its service says.
    ///
    /// # Errors
    /// [`PoolError::NoService`], [`PoolError::NoReal`].
    pub fn set_check(
        &mut self,
        key: &ServiceKey,
        endpoint: Endpoint,
        check: Option<&Check>,
    ) -> Result<(), PoolError> {
        self.alter(key, endpoint, |real| {
            (real.check.as_deref() != check).then(|| Real {
                check: check.cloned().map(Arc::new),
                ..real.clone()
            })
        })
    }

    /// Says how a real server is, and what that leaves of its weight.
    ///
    /// # Errors
    /// [`PoolError::NoService`], [`PoolError::NoReal`].
    pub fn set_fitness(
        &mut self,
        key: &ServiceKey,
        endpoint: Endpoint,
        fitness: Fitness,
        bulletin: Option<&Arc<Bulletin>>,
    ) -> Result<(), PoolError> {
        self.alter(key, endpoint, |real| {
            let is_so = real.fitness == fitness && real.bulletin.as_ref() == bulletin;
            (!is_so).then(|| real.fit(fitness, bulletin))
        })
    }

    /// Takes a real server out of service: it stays configured, and packets find it removed.
    ///
    /// # Errors
    /// [`PoolError::NoService`], [`PoolError::NoReal`].
    pub fn set_aside(
        &mut self,
        key: &ServiceKey,
        endpoint: Endpoint,
        bulletin: Option<&Arc<Bulletin>>,
    ) -> Result<(), PoolError> {
        let mut service = self.edit(key)?;
        if service.aside.find(endpoint).is_some() {
            return Ok(());
        }
        let real = service.reals.remove(endpoint).ok_or(PoolError::NoReal)?;
        self.retire(&real);
        let out = Real {
            standing: Standing::Removed,
            ..real.fit(Fitness::Failed, bulletin)
        };
        service.aside.add(Arc::new(out));
        self.aside.insert((endpoint, *key));
        self.put_reals(service);
        Ok(())
    }

    /// Brings a real server back that was taken out of service; one that was not stays.
    ///
    /// # Errors
    /// [`PoolError::NoService`].
    pub fn readmit(&mut self, key: &ServiceKey, endpoint: Endpoint) -> Result<(), PoolError> {
        let mut service = self.edit(key)?;
        let Some(out) = service.aside.remove(endpoint) else {
            return Ok(());
        };
        self.aside.remove(&(endpoint, *key));
        let real = self.list(&service, endpoint, out.settings(), out.last_weight);
        let real = self.put(Real::clone(&real).like(&out));
        service.reals.add(real);
        self.put_reals(service);
        Ok(())
    }

    /// Has a sorry server take the new connections of a service, or nobody but its real servers.
    /// Connections to a sorry server that leaves go on.
    ///
    /// # Errors
    /// [`PoolError::NoService`].
    pub fn set_sorry(
        &mut self,
        key: &ServiceKey,
        sorry: Option<(Endpoint, Settings)>,
    ) -> Result<(), PoolError> {
        let mut service = self.edit(key)?;
        let now = service.sorry.as_ref();
        if now.map(|real| (real.endpoint, real.settings())) == sorry {
            return Ok(());
        }
        if let Some(gone) = service.sorry.take() {
            self.unlist(&gone, Standing::Replaced);
        }
        service.sorry = sorry.map(|(endpoint, settings)| {
            let last_weight = settings.weight;
            self.list(&service, endpoint, settings, last_weight)
        });
        self.services.insert(*key, Arc::new(service));
        Ok(())
    }

    /// Whose real servers at one of these endpoints are out of service for their health.
    pub(super) fn aside(
        &self,
        first: Endpoint,
        last: Endpoint,
    ) -> impl Iterator<Item = (Endpoint, ServiceKey)> {
        let aside = self.aside.iter().copied();
        aside.filter(move |(endpoint, _)| (first..=last).contains(endpoint))
    }

    /// Whose policies name a sorry server at one of these endpoints.
    pub(super) fn sorries(
        &self,
        first: Endpoint,
        last: Endpoint,
    ) -> impl Iterator<Item = (Endpoint, ServiceKey)> {
        let sorries = self.sorries.range((first, 0)..=(last, u64::MAX));
        sorries.map(|((endpoint, _), key)| (*endpoint, *key))
    }

    /// Puts what `change` makes of a real server in its place, if that is another one.
    fn alter(
        &mut self,
        key: &ServiceKey,
        endpoint: Endpoint,
        change: impl FnOnce(&Real) -> Option<Real>,
    ) -> Result<(), PoolError> {
        let mut service = self.edit(key)?;
        if let Some(out) = service.aside.find(endpoint) {
            if let Some(changed) = change(out) {
                service.aside.replace(Arc::new(changed));
                self.services.insert(*key, Arc::new(service));
            }
            return Ok(());
        }
        let real = service.reals.find(endpoint).ok_or(PoolError::NoReal)?;
        if let Some(changed) = change(real) {
            let changed = self.put(changed);
            service.reals.replace(changed);
            self.put_reals(service);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use adminapi::model::Scheduler;

    use super::*;
    use crate::service::Part;
    use crate::service::Phase;
    use crate::wire::{Addr, Protocol};

    fn endpoint(host: u8) -> Endpoint {
        Endpoint::new(Addr::v4([10, 0, 2, host]), 80)
    }

    fn key() -> ServiceKey {
        ServiceKey::at(Protocol::Tcp, Endpoint::new(Addr::v4([10, 9, 9, 9]), 80))
    }

    /// A service with two real servers of weight 4.
    fn pool() -> Pool {
        let mut pool = Pool::new(1);
        pool.add_service(key(), Scheduler::Wrr).unwrap();
        for host in [1, 2] {
            pool.add_real(&key(), endpoint(host), Settings::weight(4))
                .unwrap();
        }
        pool
    }

    fn weights(pool: &Pool) -> Vec<(u32, u32)> {
        let service = pool.service(&key()).unwrap();
        let mut weights: Vec<_> = service
            .configured()
            .map(|r| (r.configured, r.weight))
            .collect();
        weights.sort_unstable();
        weights
    }

    #[test]
    fn a_weight_that_is_set_while_its_server_is_down_waits_for_it() {
        let mut pool = pool();
        pool.set_fitness(&key(), endpoint(1), Fitness::Failed, None)
            .unwrap();
        assert_eq!(weights(&pool), [(4, 0), (4, 4)]);
        pool.set_real(&key(), endpoint(1), Settings::weight(6))
            .unwrap();
        assert_eq!(weights(&pool), [(4, 4), (6, 0)]);
        let half = Part {
            thousandths: 500,
            ..Part::WHOLE
        };
        pool.set_fitness(&key(), endpoint(1), Fitness::Fit(half), None)
            .unwrap();
        assert_eq!(weights(&pool), [(4, 4), (6, 3)]);
        let method = crate::service::Method::Dr;
        let anew = Settings {
            method,
            ..Settings::weight(8)
        };
        pool.set_real(&key(), endpoint(1), anew).unwrap();
        assert_eq!(
            weights(&pool),
            [(4, 4), (8, 4)],
            "a new way to it is no better"
        );
    }

    #[test]
    fn one_that_is_out_of_service_is_configured_and_comes_back() {
        let mut pool = pool();
        let load = Arc::clone(
            &pool
                .service(&key())
                .unwrap()
                .find(endpoint(1))
                .unwrap()
                .load,
        );
        load.enter(Phase::Active);
        pool.set_aside(&key(), endpoint(1), None).unwrap();
        let service = pool.service(&key()).unwrap();
        assert_eq!((service.reals.len(), service.configured().count()), (1, 2));
        assert!(service.find(endpoint(1)).unwrap().standing == Standing::Removed);
        assert!(
            pool.has_real_within(Protocol::Tcp, endpoint(1)),
            "it is no place for a service"
        );
        assert_eq!(
            pool.add_real(&key(), endpoint(1), Settings::weight(1)),
            Err(PoolError::RealExists)
        );
        pool.set_real(&key(), endpoint(1), Settings::weight(5))
            .unwrap();
        pool.readmit(&key(), endpoint(1)).unwrap();
        pool.set_fitness(&key(), endpoint(1), Fitness::default(), None)
            .unwrap();
        assert_eq!(weights(&pool), [(4, 4), (5, 5)]);
        let back = pool
            .service(&key())
            .unwrap()
            .reals
            .find(endpoint(1))
            .unwrap();
        assert!(
            Arc::ptr_eq(&back.load, &load),
            "its connections are its own again"
        );
        assert_eq!(back.standing, Standing::Listed);
    }

    #[test]
    fn one_that_is_out_of_service_can_be_removed() {
        let mut pool = pool();
        pool.set_aside(&key(), endpoint(1), None).unwrap();
        pool.remove_real(&key(), endpoint(1)).unwrap();
        assert!(pool.service(&key()).unwrap().find(endpoint(1)).is_none());
        assert!(!pool.has_real_within(Protocol::Tcp, endpoint(1)));
        pool.set_aside(&key(), endpoint(2), None).unwrap();
        pool.remove_service(&key()).unwrap();
        assert!(!pool.has_real_within(Protocol::Tcp, endpoint(2)));
        assert_eq!(pool.reap().len(), 2);
    }

    #[test]
    fn a_sorry_server_comes_and_goes_with_its_connections() {
        let mut pool = pool();
        let sorry = Some((endpoint(9), Settings::weight(1)));
        pool.set_sorry(&key(), sorry).unwrap();
        let real = Arc::clone(pool.service(&key()).unwrap().sorry.as_ref().unwrap());
        real.load.enter(Phase::Active);
        assert!(pool.answers(Protocol::Tcp, endpoint(9)));
        pool.set_sorry(&key(), None).unwrap();
        assert!(pool.service(&key()).unwrap().sorry.is_none());
        assert!(pool.reap().is_empty(), "its connection goes on");
        assert_eq!(pool.real(real.id).unwrap().standing, Standing::Replaced);
        pool.set_sorry(&key(), sorry).unwrap();
        let again = pool.service(&key()).unwrap().sorry.as_ref().unwrap();
        assert_eq!(again.id, real.id);
        pool.remove_service(&key()).unwrap();
        real.load.leave(Phase::Active);
        assert_eq!(pool.reap().len(), 3);
    }
}
