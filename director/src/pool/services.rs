//! Virtual services come, change and go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use adminapi::model;

use super::census::{enter, leave};
use super::{Pool, PoolError};
use crate::sched;
use crate::service::{Handling, Method, Real, Reals, Service, ServiceKey, Standing};
use crate::stats::PerWorker;
use crate::wire::Endpoint;

impl Pool {
    /// Adds a service without real servers.
    ///
    /// # Errors
    /// [`PoolError::ServiceExists`].
    pub fn add_service(
        &mut self,
        key: ServiceKey,
        algorithm: model::Scheduler,
    ) -> Result<(), PoolError> {
        if self.services.contains_key(&key) {
            return Err(PoolError::ServiceExists);
        }
        self.added += 1;
        let mut service = Service {
            key,
            serial: self.added,
            algorithm,
            scheduler: sched::build(algorithm, &Reals::default()),
            flags: model::SchedulerFlags::NONE,
            handling: Handling::default(),
            health: None,
            reals: Reals::default(),
            aside: Reals::default(),
            sorry: None,
            bypass: None,
            traffic: Arc::new(PerWorker::new(self.workers)),
            stance: Arc::default(),
            cookies: Arc::default(),
        };
        if let ServiceKey::Mark { family, .. } = key {
            service.bypass = Some(self.new_bypass(&service, family));
        }
        self.open_data_ports(&service);
        self.services.insert(key, Arc::new(service));
        if let Some(vip) = key.vip() {
            enter(&mut self.vips, vip.addr);
            self.catch_alls += u32::from(vip.port == 0);
        }
        Ok(())
    }

    /// Gives a service another scheduler, or other options of it; its connections stay, and the
    /// same scheduler goes on where it is.
    ///
    /// # Errors
    /// [`PoolError::NoService`].
    pub fn set_scheduler(
        &mut self,
        key: &ServiceKey,
        algorithm: model::Scheduler,
        flags: model::SchedulerFlags,
    ) -> Result<(), PoolError> {
        let mut service = self.edit(key)?;
        service.flags = flags;
        if service.algorithm != algorithm {
            service.algorithm = algorithm;
            service.scheduler = sched::build(algorithm, &service.reals);
        }
        self.services.insert(*key, Arc::new(service));
        self.note_behind(*key);
        Ok(())
    }

    /// Says how a service treats connections from now on.
    ///
    /// # Errors
    /// [`PoolError::NoService`].
    pub fn set_handling(&mut self, key: &ServiceKey, handling: Handling) -> Result<(), PoolError> {
        let service = self.edit(key)?;
        self.close_data_ports(&service);
        let ftp = service.ftp();
        let mut service = Service {
            handling,
            ..service
        };
        self.open_data_ports(&service);
        if ftp != service.ftp() {
            self.help(&mut service);
        }
        self.services.insert(*key, Arc::new(service));
        Ok(())
    }

    /// Removes a service and all its real servers.
    ///
    /// # Errors
    /// [`PoolError::NoService`].
    pub fn remove_service(&mut self, key: &ServiceKey) -> Result<(), PoolError> {
        let service = self.services.remove(key).ok_or(PoolError::NoService)?;
        self.behind.remove(key);
        self.close_data_ports(&service);
        self.forget_sorry(&service);
        if let Some(vip) = key.vip() {
            leave(&mut self.vips, vip.addr);
            self.catch_alls -= u32::from(vip.port == 0);
        }
        for real in service.reals.iter().chain(&service.sorry) {
            self.retire(real);
        }
        for real in service.aside.iter() {
            self.aside.remove(&(real.endpoint, *key));
        }
        if let Some(bypass) = &service.bypass {
            // Its connections have lost nothing.
            self.unlist(bypass, Standing::Replaced);
        }
        Ok(())
    }

    /// What stands in the place of a real server when `service` has none.
    fn new_bypass(&mut self, service: &Service, family: model::Family) -> Arc<Real> {
        let anywhere = match family {
            model::Family::Ipv4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            model::Family::Ipv6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let real = self.new_real(service, Endpoint::new(anywhere.into(), 0), Method::Bypass);
        self.put(Real { weight: 1, ..real })
    }
}
