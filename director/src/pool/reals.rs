//! Real servers of a service come, change, are drained and go.

use std::sync::Arc;

use super::{Pool, PoolError};
use crate::service::{Drain, Fitness, Real, Service, ServiceKey, Settings, Standing};
use crate::stats::PerWorker;
use crate::time::Tick;
use crate::wire::Endpoint;

impl Pool {
    /// Adds a real server to a service. One that is being drained stays; one that was removed and still has connections gets
    /// them back, if packets reach it in the same way.
    ///
    /// # Errors
    /// [`PoolError::NoService`], [`PoolError::RealExists`].
    pub fn add_real(
        &mut self,
        key: &ServiceKey,
        endpoint: Endpoint,
        settings: Settings,
    ) -> Result<(), PoolError> {
        let mut service = self.edit(key)?;
        match service.find(endpoint) {
            Some(there) if there.drain.is_some() => return self.set_real(key, endpoint, settings),
            Some(_) => return Err(PoolError::RealExists),
            None => {}
        }
        let real = self.list(&service, endpoint, settings, 0);
        service.reals.add(real);
        self.put_reals(service);
        Ok(())
    }

    /// Changes the settings of a real server. Its connections stay: those that cannot go on in
    /// the new way go on in the old one.
    ///
    /// # Errors
    /// [`PoolError::NoService`], [`PoolError::NoReal`].
    pub fn set_real(
        &mut self,
        key: &ServiceKey,
        endpoint: Endpoint,
        settings: Settings,
    ) -> Result<(), PoolError> {
        let mut service = self.edit(key)?;
        if let Some(out) = service.aside.find(endpoint) {
            let out = out.with(settings);
            service.aside.replace(Arc::new(out));
            self.services.insert(*key, Arc::new(service));
            return Ok(());
        }
        let old = service.reals.find(endpoint).ok_or(PoolError::NoReal)?;
        if old.settings() == settings && old.drain.is_none() {
            return Ok(());
        }
        let old = Arc::clone(old);
        let real = match old.method.carries_on(settings.method) {
            true => self.put(old.with(settings)),
            false => {
                self.unlist(&old, Standing::Replaced);
                let new = self.list(&service, endpoint, settings, old.last_weight);
                self.put(Real::clone(&new).like(&old))
            }
        };
        service.reals.replace(real);
        self.put_reals(service);
        Ok(())
    }

    /// Removes a real server: it gets no new connections, and packets from clients to it are
    /// dropped.
    ///
    /// # Errors
    /// [`PoolError::NoService`], [`PoolError::NoReal`].
    pub fn remove_real(&mut self, key: &ServiceKey, endpoint: Endpoint) -> Result<(), PoolError> {
        let mut service = self.edit(key)?;
        if service.aside.remove(endpoint).is_some() {
            self.aside.remove(&(endpoint, *key));
            self.services.insert(*key, Arc::new(service));
            return Ok(());
        }
        let real = service.reals.remove(endpoint).ok_or(PoolError::NoReal)?;
        self.retire(&real);
        self.put_reals(service);
        Ok(())
    }

    /// Drains a real server: it gets no new connections, and [`Pool::drained`] says when it is to
    /// be removed. To set or to add it again ends that.
    ///
    /// # Errors
    /// [`PoolError::NoService`], [`PoolError::NoReal`].
    pub fn drain_real(
        &mut self,
        key: &ServiceKey,
        endpoint: Endpoint,
        drain: Drain,
    ) -> Result<(), PoolError> {
        self.readmit(key, endpoint)?;
        let mut service = self.edit(key)?;
        let old = service.reals.find(endpoint).ok_or(PoolError::NoReal)?;
        let real = self.put(old.draining(drain));
        service.reals.replace(real);
        self.put_reals(service);
        Ok(())
    }

    /// The real servers whose drain is over at `now`. Connections that go on in the way in which one was
    /// reached before are its own.
    pub fn drained(&self, now: Tick) -> impl Iterator<Item = &Arc<Real>> {
        let over = move |real: &&Arc<Real>| {
            real.standing == Standing::Listed
                && real.is_drained(now)
                && (real.is_overdue(now) || !self.was_reached_otherwise(real))
        };
        self.reals().filter(over)
    }

    /// Whether there are connections to a real server from when it was reached in another way.
    fn was_reached_otherwise(&self, real: &Real) -> bool {
        self.reals().any(|other| {
            other.standing == Standing::Replaced
                && (other.service, other.endpoint) == (real.service, real.endpoint)
                && other.load.connections() > 0
        })
    }

    /// A listed real server with these settings: one that was there before and can go on, or a
    /// new one. It counts on from before only if it has connections from before. What it was in
    /// other ways goes on too.
    pub(super) fn list(
        &mut self,
        service: &Service,
        endpoint: Endpoint,
        settings: Settings,
        last_weight: u32,
    ) -> Arc<Real> {
        let real = match self.unlisted(&service.key, endpoint, settings) {
            Some(old) => {
                let old = self.helped(&old, service.ftp());
                let traffic = match old.load.connections() {
                    0 => Arc::new(PerWorker::new(self.workers)),
                    _ => Arc::clone(&old.traffic),
                };
                Real {
                    last_weight,
                    fitness: Fitness::default(),
                    bulletin: None,
                    check: None,
                    traffic,
                    standing: Standing::Listed,
                    service_traffic: Arc::clone(&service.traffic),
                    stance: Arc::clone(&service.stance),
                    cookies: Arc::clone(&service.cookies),
                    ..Real::clone(&old)
                }
            }
            None => Real {
                last_weight,
                ..self.new_real(service, endpoint, settings.method)
            },
        };
        let listed = self.put(real.with(settings));
        self.revive(service, endpoint);
        listed
    }
}
