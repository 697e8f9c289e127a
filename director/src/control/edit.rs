//! Changes of services and real servers: of the pool that is to be, with a note of what the gate has
//! to hear of.

mod patched;
mod refuse;

use std::collections::HashSet;
use std::sync::Arc;

use adminapi::Control;
use adminapi::error::Result;
use adminapi::model::{Change, HealthPolicy, Real, RealView, Service, ServiceId};

use super::commands::{command_of_policy, commands_of};
use super::roles::Touched;
use super::{Director, translate, view};
use crate::pool::{Pool, PoolError};
use crate::service::{Drain, ServiceKey};
use crate::wire::Endpoint;

use patched::{changed_real, changed_service};
use refuse::{
    refuse_answerless, refuse_circle, refuse_odd_sorry, refuse_served, refuse_speaker,
    refuse_voiceless,
};
pub(super) use refuse::{refuse_sorry, refuse_stand_in};

impl Director {
    /// Makes all of `changes` in one step, those that can be made; what came of each.
    pub(super) fn edit_all(&self, changes: &[Change]) -> Vec<Result<()>> {
        let together = self.change(|pool, touched| {
            let attempt = |change| self.attempt(pool, touched, change);
            Ok(changes.iter().map(attempt).collect())
        });
        // What the gate or the door refuses is told of the change that it is about.
        together.unwrap_or_else(|_| changes.iter().map(|one| self.make(one.clone())).collect())
    }

    /// Makes one change of `pool`, or none.
    fn attempt(&self, pool: &mut Pool, touched: &mut Touched, change: &Change) -> Result<()> {
        let before = pool.clone();
        let made = self.edit(pool, touched, change);
        if made.is_err() {
            *pool = before;
        }
        made
    }

    /// Makes one change of `pool`; when that fails it may be half made.
    pub(super) fn edit(
        &self,
        pool: &mut Pool,
        touched: &mut Touched,
        change: &Change,
    ) -> Result<()> {
        self.refuse_commands(commands_of(change))?;
        match change {
            Change::AddService(service) => add_service(pool, touched, service),
            Change::ChangeService { service, patch } => {
                let wanted = changed_service(pool, *service, patch.clone())?;
                self.refuse_commands(command_of_policy(wanted.health.as_ref()))?;
                change_service(pool, touched, &wanted)
            }
            Change::RemoveService { service } => {
                remove_service(pool, touched, translate::key(*service))
            }
            Change::AddReal { service, real } => {
                add_one(pool, touched, &translate::key(*service), real)
            }
            Change::ChangeReal {
                service,
                real,
                patch,
            } => {
                let drain = patch.drain.map(|seconds| self.drain_for(seconds));
                let wanted = changed_real(pool, *service, *real, patch.clone())?;
                self.refuse_command(wanted.check.as_ref())?;
                change_real(pool, touched, *service, &wanted, drain)
            }
            Change::RemoveReal { service, real } => {
                remove_real(pool, touched, &translate::key(*service), (*real).into())
            }
            Change::RemoveServices {} => put_services(pool, touched, &[], self.grace()),
        }
    }
}

/// The service that must be there.
pub(super) fn known<'a>(
    pool: &'a Pool,
    key: &ServiceKey,
) -> Result<&'a Arc<crate::service::Service>> {
    let missing = || translate::error(PoolError::NoService, key, None);
    pool.service(key).ok_or_else(missing)
}

/// The real server that must be there.
pub(super) fn known_real(pool: &Pool, key: &ServiceKey, endpoint: Endpoint) -> Result<RealView> {
    let found = known(pool, key)?.find(endpoint);
    let missing = || translate::error(PoolError::NoReal, key, Some(endpoint));
    found.map(|real| view::real(pool, real)).ok_or_else(missing)
}

pub(super) fn add_service(pool: &mut Pool, touched: &mut Touched, service: &Service) -> Result<()> {
    let key = translate::key(service.id);
    if let ServiceKey::Address { protocol, vip } = key {
        if pool.has_real_within(protocol, vip) {
            return Err(refuse_circle(vip));
        }
        refuse_speaker(pool, vip)?;
    }
    pool.add_service(key, service.scheduler)
        .map_err(|e| translate::error(e, &key, None))?;
    configure(pool, touched, &key, service)?;
    touched.service(key);
    for (place, real) in service.reals.iter().enumerate() {
        add_real(pool, touched, &key, real).map_err(|error| error.below(&at_real(place)))?;
    }
    Ok(())
}

/// Where a real server stands in its service.
fn at_real(place: usize) -> String {
    format!("/real/{place}")
}

/// Adds a real server by itself; those of a whole service have been judged with its sorry server.
pub(super) fn add_one(
    pool: &mut Pool,
    touched: &mut Touched,
    key: &ServiceKey,
    real: &Real,
) -> Result<()> {
    refuse_stand_in(pool, key, real.endpoint(key.port()).into())?;
    add_real(pool, touched, key, real)
}

fn add_real(pool: &mut Pool, touched: &mut Touched, key: &ServiceKey, real: &Real) -> Result<()> {
    let endpoint = Endpoint::from(real.endpoint(key.port()));
    refuse_served(pool, key, endpoint)?;
    refuse_speaker(pool, endpoint)?;
    refuse_voiceless(pool, endpoint, real.method)?;
    refuse_answerless(pool, key, "/method", real.method)?;
    let added = pool.add_real(key, endpoint, translate::settings(real));
    let checked = added.and_then(|()| pool.set_check(key, endpoint, real.check.as_ref()));
    checked.map_err(|e| translate::error(e, key, Some(endpoint)))?;
    touched.real(key, endpoint);
    Ok(())
}

/// Gives a service the scheduler and the handling of `wanted`; whether its real servers go with that
/// is for the caller to ask, who may change them.
fn configure(
    pool: &mut Pool,
    touched: &mut Touched,
    key: &ServiceKey,
    wanted: &Service,
) -> Result<()> {
    let ftp = known(pool, key)?.ftp();
    let handling = translate::handling(wanted);
    pool.set_scheduler(key, wanted.scheduler, wanted.scheduler_flags)
        .and_then(|()| pool.set_handling(key, handling))
        .and_then(|()| pool.set_health(key, wanted.health.as_ref()))
        .map_err(|e| translate::error(e, key, None))?;
    refuse_odd_sorry(pool, key, wanted.health.as_ref())?;
    let service = known(pool, key)?;
    if service.ftp() != ftp {
        let its = pool.reals().filter(|real| real.service == *key);
        its.for_each(|real| touched.real(key, real.endpoint));
    }
    Ok(())
}

/// Makes a service that is there what a change of it says.
fn change_service(pool: &mut Pool, touched: &mut Touched, wanted: &Service) -> Result<()> {
    let key = translate::key(wanted.id);
    touched.service(key);
    configure(pool, touched, &key, wanted)?;
    let mut reals = wanted.reals.iter();
    reals.try_for_each(|real| refuse_answerless(pool, &key, "/one_packet", real.method))
}

/// Makes a real server by itself what `real` says, as [`add_one`]. True when it is new.
pub(super) fn put_one(
    pool: &mut Pool,
    touched: &mut Touched,
    key: &ServiceKey,
    real: &Real,
) -> Result<bool> {
    refuse_stand_in(pool, key, real.endpoint(key.port()).into())?;
    put_real(pool, touched, key, real)
}

/// True when the real server is new.
fn put_real(pool: &mut Pool, touched: &mut Touched, key: &ServiceKey, real: &Real) -> Result<bool> {
    let endpoint = Endpoint::from(real.endpoint(key.port()));
    refuse_speaker(pool, endpoint)?;
    refuse_voiceless(pool, endpoint, real.method)?;
    refuse_answerless(pool, key, "/method", real.method)?;
    match set_real(pool, touched, key, endpoint, real) {
        Ok(()) => Ok(false),
        Err(PoolError::NoReal) => add_real(pool, touched, key, real).map(|()| true),
        Err(e) => Err(translate::error(e, key, Some(endpoint))),
    }
}

fn set_real(
    pool: &mut Pool,
    touched: &mut Touched,
    key: &ServiceKey,
    endpoint: Endpoint,
    real: &Real,
) -> std::result::Result<(), PoolError> {
    pool.set_real(key, endpoint, translate::settings(real))?;
    pool.set_check(key, endpoint, real.check.as_ref())?;
    touched.real(key, endpoint);
    Ok(())
}

pub(super) fn remove_real(
    pool: &mut Pool,
    touched: &mut Touched,
    key: &ServiceKey,
    endpoint: Endpoint,
) -> Result<()> {
    let removed = pool.remove_real(key, endpoint);
    removed.map_err(|e| translate::error(e, key, Some(endpoint)))?;
    touched.real(key, endpoint);
    Ok(())
}

pub(super) fn remove_service(
    pool: &mut Pool,
    touched: &mut Touched,
    key: ServiceKey,
) -> Result<()> {
    let service = Arc::clone(known(pool, &key)?);
    pool.remove_service(&key)
        .map_err(|e| translate::error(e, &key, None))?;
    touched.service(key);
    let reals = service.configured().chain(&service.sorry);
    reals.for_each(|real| touched.real(&key, real.endpoint));
    Ok(())
}

/// Makes a service look like `wanted`. True when it is new.
pub(super) fn put_service(
    pool: &mut Pool,
    touched: &mut Touched,
    wanted: &Service,
    grace: Option<Drain>,
) -> Result<bool> {
    let key = translate::key(wanted.id);
    if pool.service(&key).is_none() {
        return add_service(pool, touched, wanted).map(|()| true);
    }
    key.vip().map_or(Ok(()), |vip| refuse_speaker(pool, vip))?;
    configure(pool, touched, &key, wanted)?;
    touched.service(key);
    remove_unwanted(pool, touched, wanted, grace)?;
    for (place, real) in wanted.reals.iter().enumerate() {
        put_real(pool, touched, &key, real).map_err(|error| error.below(&at_real(place)))?;
    }
    Ok(false)
}

/// Removes the real servers of a service, if it is there, that `wanted` does not have, or drains
/// them if there is a `grace`. What is being drained already goes on.
fn remove_unwanted(
    pool: &mut Pool,
    touched: &mut Touched,
    wanted: &Service,
    grace: Option<Drain>,
) -> Result<()> {
    let key = translate::key(wanted.id);
    let Some(present) = pool.service(&key).cloned() else {
        return Ok(());
    };
    let keep: HashSet<_> = wanted
        .reals
        .iter()
        .map(|r| Endpoint::from(r.endpoint(key.port())))
        .collect();
    present
        .configured()
        .filter(|real| !keep.contains(&real.endpoint) && real.drain.is_none())
        .try_for_each(|gone| match grace {
            Some(drain) => drain_real(pool, &key, gone.endpoint, drain),
            None => remove_real(pool, touched, &key, gone.endpoint),
        })
}

/// Has the policy of a service, if it is there, name no sorry server that `wanted` does not.
fn unname_sorry(pool: &mut Pool, wanted: &Service) -> Result<()> {
    let key = translate::key(wanted.id);
    let Some(present) = pool.service(&key) else {
        return Ok(());
    };
    let named = |policy: &HealthPolicy| policy.sorry.clone();
    let now = present.health.as_deref().and_then(named);
    if now == wanted.health.as_ref().and_then(named) {
        return Ok(());
    }
    let unnamed = pool.set_health(&key, None);
    unnamed.map_err(|e| translate::error(e, &key, None))
}

fn drain_of(pool: &Pool, key: &ServiceKey, endpoint: Endpoint) -> Option<Drain> {
    pool.service(key)?.find(endpoint)?.drain
}

pub(super) fn drain_real(
    pool: &mut Pool,
    key: &ServiceKey,
    endpoint: Endpoint,
    drain: Drain,
) -> Result<()> {
    let drained = pool.drain_real(key, endpoint, drain);
    drained.map_err(|e| translate::error(e, key, Some(endpoint)))
}

/// Makes the services those of `desired`. What goes is removed first: a real server of before
/// may be a service now, and the other way round.
///
/// # Errors
/// Point at `/service/...`, as in a whole configuration.
pub(super) fn put_services(
    pool: &mut Pool,
    touched: &mut Touched,
    desired: &[Service],
    grace: Option<Drain>,
) -> Result<()> {
    let wanted: HashSet<_> = desired.iter().map(|s| translate::key(s.id)).collect();
    for service in pool.services() {
        if !wanted.contains(&service.key) {
            remove_service(pool, touched, service.key)?;
        }
    }
    for service in desired {
        remove_unwanted(pool, touched, service, grace)?;
        unname_sorry(pool, service)?;
    }
    for (place, service) in desired.iter().enumerate() {
        let put = put_service(pool, touched, service, grace);
        put.map_err(|error| error.below(&format!("/service/{place}")))?;
    }
    Ok(())
}

/// Makes a real server that is there look like `wanted`; `drain` is how it is to be drained, if it
/// is.
fn change_real(
    pool: &mut Pool,
    touched: &mut Touched,
    service: ServiceId,
    wanted: &Real,
    drain: Option<Drain>,
) -> Result<()> {
    let key = translate::key(service);
    let at = Endpoint::from(wanted.endpoint(key.port()));
    refuse_voiceless(pool, at, wanted.method)?;
    refuse_answerless(pool, &key, "/method", wanted.method)?;
    let goes_on = drain_of(pool, &key, at).filter(|_| wanted.weight == 0);
    let changed = set_real(pool, touched, &key, at, wanted);
    changed.map_err(|e| translate::error(e, &key, Some(at)))?;
    match drain.or(goes_on) {
        Some(drain) => drain_real(pool, &key, at, drain),
        // One that was being drained may have become the sorry server meanwhile.
        None => refuse_stand_in(pool, &key, at),
    }
}

#[cfg(test)]
mod sequences;
#[cfg(test)]
mod tests;
