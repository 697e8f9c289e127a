//! What a patch makes of a service, or of a real server: judged by itself.

use std::net::SocketAddr;

use adminapi::ControlError;
use adminapi::error::Result;
use adminapi::model::{Real, RealPatch, Service, ServiceId, ServicePatch};
use adminapi::validate::{
    bad_cookies, bad_handling, bad_health, bad_helper, bad_repeats, twofold_engine,
    validate_changed_real,
};

use super::{known, known_real};
use crate::control::{translate, view};
use crate::pool::Pool;

/// A service as `patch` makes it.
pub(super) fn changed_service(pool: &Pool, id: ServiceId, patch: ServicePatch) -> Result<Service> {
    let now = Service::from(&view::service(pool, known(pool, &translate::key(id))?));
    let wanted = patch.applied(&now).map_err(ControlError::Invalid)?;
    let mut problems = bad_handling(id, wanted.persistence, wanted.one_packet);
    problems.extend(bad_cookies(id, wanted.cookies));
    problems.extend(bad_repeats(id, wanted.udp_repeats));
    problems.extend(bad_helper(id, wanted.helper));
    problems.extend(twofold_engine(&wanted));
    let reals = now.reals.iter().map(|real| real.endpoint(id.port()));
    problems.extend(bad_health(id, wanted.health.as_ref(), reals));
    ControlError::unless_valid(problems)?;
    Ok(wanted)
}

/// A real server as `patch` makes it.
pub(super) fn changed_real(
    pool: &Pool,
    service: ServiceId,
    at: SocketAddr,
    patch: RealPatch,
) -> Result<Real> {
    let now = known_real(pool, &translate::key(service), at.into())?;
    let wanted = patch.applied(&Real::from(&now));
    let wanted = wanted.map_err(ControlError::Invalid)?;
    ControlError::unless_valid(validate_changed_real(service, &now, &wanted))?;
    Ok(wanted)
}
