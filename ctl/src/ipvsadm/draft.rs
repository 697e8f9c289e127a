//! A configuration that lines change before a director hears of it.

use std::cell::RefCell;
use std::net::SocketAddr;

use adminapi::model::{
    Configuration, Real, Service, ServiceId, ServicePatch, Timeouts, TimeoutsPatch,
};
use adminapi::validate::{validate_real, validate_service};
use adminapi::{Problem, ProblemDocument};

use crate::director::{DirectorError, Edit, Result};

/// The configuration as the lines so far have made it.
#[derive(Debug)]
pub(crate) struct Draft(RefCell<Configuration>);

impl Draft {
    /// Without services.
    pub(crate) fn starting(timeouts: Timeouts) -> Self {
        Self(RefCell::new(Configuration {
            timeouts,
            services: Vec::new(),
        }))
    }

    /// What it has become. Lines say nothing of health: what stays is watched as it is at
    /// `present`.
    pub(crate) fn finished(self, present: &Configuration) -> Configuration {
        let mut config = self.0.into_inner();
        for service in &mut config.services {
            let before = present.services.iter().find(|known| known.id == service.id);
            if let Some(before) = before {
                watch_as_before(service, before);
            }
        }
        config
    }

    fn with<T>(&self, id: ServiceId, act: impl FnOnce(&mut Service) -> Result<T>) -> Result<T> {
        let mut config = self.0.borrow_mut();
        let service = config.services.iter_mut().find(|known| known.id == id);
        service.map_or(Err(DirectorError::NoService), act)
    }
}

fn watch_as_before(service: &mut Service, before: &Service) {
    service.health.clone_from(&before.health);
    let port = service.id.port();
    for real in &mut service.reals {
        let at = real.endpoint(port);
        let known = before.reals.iter().find(|known| known.endpoint(port) == at);
        real.check = known.and_then(|known| known.check.clone());
    }
}

/// What the director would say.
fn unless_valid(problems: Vec<Problem>) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(DirectorError::from(&ProblemDocument::invalid(problems)))
}

fn place(service: &Service, at: SocketAddr) -> Option<usize> {
    let port = service.id.port();
    let mut reals = service.reals.iter();
    reals.position(|real| real.endpoint(port) == at)
}

impl Edit for Draft {
    async fn has_service(&self, id: ServiceId) -> Result<bool> {
        Ok(self.with(id, |_| Ok(())).is_ok())
    }

    async fn add_service(&self, service: Service) -> Result<()> {
        if self.has_service(service.id).await? {
            return Err(DirectorError::Exists);
        }
        unless_valid(validate_service(&service))?;
        self.0.borrow_mut().services.push(service);
        Ok(())
    }

    async fn change_service(&self, id: ServiceId, patch: ServicePatch) -> Result<()> {
        self.with(id, |service| {
            let changed = patch.applied(service);
            unless_valid(validate_service(&changed))?;
            *service = changed;
            Ok(())
        })
    }

    async fn remove_service(&self, id: ServiceId) -> Result<()> {
        self.with(id, |_| Ok(()))?;
        self.0.borrow_mut().services.retain(|known| known.id != id);
        Ok(())
    }

    async fn flush(&self) -> Result<()> {
        self.0.borrow_mut().services.clear();
        Ok(())
    }

    async fn add_real(&self, id: ServiceId, real: Real) -> Result<()> {
        self.with(id, |service| {
            if place(service, real.endpoint(service.id.port())).is_some() {
                return Err(DirectorError::Exists);
            }
            unless_valid(validate_real(id, &real))?;
            service.reals.push(real);
            Ok(())
        })
    }

    async fn change_real(&self, id: ServiceId, real: Real) -> Result<()> {
        self.with(id, |service| {
            let place =
                place(service, real.endpoint(service.id.port())).ok_or(DirectorError::NoReal)?;
            unless_valid(validate_real(id, &real))?;
            service.reals[place] = real;
            Ok(())
        })
    }

    async fn remove_real(&self, id: ServiceId, real: SocketAddr) -> Result<()> {
        self.with(id, |service| {
            let place = place(service, real).ok_or(DirectorError::NoReal)?;
            service.reals.remove(place);
            Ok(())
        })
    }

    async fn change_timeouts(&self, patch: TimeoutsPatch) -> Result<()> {
        let mut config = self.0.borrow_mut();
        config.timeouts = config.timeouts.changed(patch);
        Ok(())
    }
}
