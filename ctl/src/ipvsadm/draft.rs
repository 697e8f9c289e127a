//! A configuration that lines change before a director hears of it.

use std::cell::RefCell;
use std::net::SocketAddr;

use adminapi::model::{Change, Configuration, Service, ServiceId};
use adminapi::sysctl::Sysctl;
use adminapi::validate::{validate_real, validate_service};
use adminapi::{Problem, ProblemDocument};

use crate::director::{DirectorError, Edit, Result, Setting};

/// The configuration as the lines so far have made it.
#[derive(Debug)]
pub(crate) struct Draft<'c> {
    config: RefCell<Configuration>,
    /// Where it began.
    present: &'c Configuration,
}

impl<'c> Draft<'c> {
    /// As `present` is, without services: settings stay unless a line sets them.
    pub(crate) fn starting(present: &'c Configuration) -> Self {
        let empty = Configuration {
            timeouts: present.timeouts,
            ..Configuration::default()
        };
        Self {
            config: RefCell::new(empty),
            present,
        }
    }

    /// What it has become. Lines say nothing of health: what stays is watched as it is now.
    pub(crate) fn finished(self) -> Configuration {
        let mut config = self.config.into_inner();
        for service in &mut config.services {
            if let Some(before) = known(self.present, service.id) {
                watch_as_before(service, before);
            }
        }
        config
    }

    fn with<T>(&self, id: ServiceId, act: impl FnOnce(&mut Service) -> Result<T>) -> Result<T> {
        let mut config = self.config.borrow_mut();
        let service = config.services.iter_mut().find(|known| known.id == id);
        service.map_or(Err(DirectorError::NoService), act)
    }
}

fn known(config: &Configuration, id: ServiceId) -> Option<&Service> {
    config.services.iter().find(|known| known.id == id)
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
    match problems.is_empty() {
        true => Ok(()),
        false => becomes(Err(problems)),
    }
}

fn becomes<T>(changed: std::result::Result<T, Vec<Problem>>) -> Result<T> {
    changed.map_err(|problems| DirectorError::from(&ProblemDocument::invalid(problems)))
}

fn place(service: &Service, at: SocketAddr) -> Option<usize> {
    let port = service.id.port();
    let mut reals = service.reals.iter();
    reals.position(|real| real.endpoint(port) == at)
}

impl Draft<'_> {
    fn change(&self, change: Change) -> Result<()> {
        match change {
            Change::AddService(service) => self.add_service(service),
            Change::ChangeService { service, patch } => self.with(service, |known| {
                let changed = becomes(patch.applied(known))?;
                unless_valid(validate_service(&changed))?;
                *known = changed;
                Ok(())
            }),
            Change::RemoveService { service } => {
                self.with(service, |_| Ok(()))?;
                let services = &mut self.config.borrow_mut().services;
                services.retain(|known| known.id != service);
                Ok(())
            }
            Change::AddReal { service, real } => self.with(service, |known| {
                if place(known, real.endpoint(service.port())).is_some() {
                    return Err(DirectorError::Exists);
                }
                unless_valid(validate_real(service, &real))?;
                known.reals.push(real);
                Ok(())
            }),
            Change::ChangeReal {
                service,
                real,
                patch,
            } => self.with(service, |known| {
                let place = place(known, real).ok_or(DirectorError::NoReal)?;
                let changed = becomes(patch.applied(&known.reals[place]))?;
                unless_valid(validate_real(service, &changed))?;
                known.reals[place] = changed;
                Ok(())
            }),
            Change::RemoveReal { service, real } => self.with(service, |known| {
                let place = place(known, real).ok_or(DirectorError::NoReal)?;
                known.reals.remove(place);
                Ok(())
            }),
            Change::RemoveServices {} => {
                self.config.borrow_mut().services.clear();
                Ok(())
            }
        }
    }

    /// No line that adds a service says when it has cookies, or its clients come twice: one that is
    /// there keeps that, until a line of its own sets it.
    fn add_service(&self, mut service: Service) -> Result<()> {
        if self.with(service.id, |_| Ok(())).is_ok() {
            return Err(DirectorError::Exists);
        }
        unless_valid(validate_service(&service))?;
        if let Some(before) = known(self.present, service.id) {
            service.cookies = before.cookies;
            service.udp_repeats = before.udp_repeats;
        }
        self.config.borrow_mut().services.push(service);
        Ok(())
    }
}

impl Edit for Draft<'_> {
    async fn has_service(&self, id: ServiceId) -> Result<bool> {
        Ok(self.with(id, |_| Ok(())).is_ok())
    }

    async fn make(&self, changes: Vec<Change>) -> Result<Vec<Result<()>>> {
        Ok(changes.into_iter().map(|one| self.change(one)).collect())
    }

    async fn set(&self, setting: Setting) -> Result<()> {
        let mut config = self.config.borrow_mut();
        match setting {
            Setting::Timeouts(patch) => config.timeouts = config.timeouts.changed(patch),
            Setting::Sysctl(name, value) => {
                // It has several names. One that has none is for the director to refuse.
                let name = name.parse().map_or(name, |known: Sysctl| known.to_string());
                config.sysctls.insert(name, value);
            }
            Setting::Level(None, level) => config.defense.level = Some(level.level),
            Setting::Level(Some(id), level) => {
                config.defense.services.insert(id, level.level);
            }
            Setting::Cookies(id, policy) => {
                drop(config);
                return self.with(id, |service| {
                    service.cookies = policy;
                    Ok(())
                });
            }
            Setting::Repeats(id, policy) => {
                drop(config);
                return self.with(id, |service| {
                    service.udp_repeats = policy;
                    Ok(())
                });
            }
            Setting::NoMarks => config.marks = Some(Vec::new()),
            Setting::Mark(rule) => {
                let before = || self.present.marks.clone().unwrap_or_default();
                let mut marks = config.marks.take().unwrap_or_else(before);
                marks.push(rule);
                config.marks = Some(marks);
            }
        }
        Ok(())
    }
}
