//! What cannot be of services and real servers, told by all others of the pool and by what the
//! director speaks from.

use adminapi::error::Result;
use adminapi::model::{ForwardingMethod, HealthPolicy};
use adminapi::validate::bad_answerless;
use adminapi::{ControlError, Problem};

use super::known;
use crate::config;
use crate::pool::Pool;
use crate::service::ServiceKey;
use crate::wire::Endpoint;

/// A service that is another's real server would send its packets round in a circle.
pub(super) fn refuse_circle(endpoint: Endpoint) -> ControlError {
    let message = format!("{endpoint} is a virtual service and a real server of another");
    let mend = "name the real servers' own addresses";
    ControlError::Invalid(vec![Problem::new("/address", message, mend)])
}

/// Nobody else can have an address that the director speaks from.
pub(super) fn refuse_speaker(pool: &Pool, endpoint: Endpoint) -> Result<()> {
    let problem = || config::speaks(endpoint.addr.into()).below("/address");
    let speaker = pool.speakers().has(endpoint.addr);
    ControlError::unless_valid(speaker.then(problem).into_iter().collect())
}

/// FullNAT needs an address to speak from.
pub(super) fn refuse_voiceless(
    pool: &Pool,
    endpoint: Endpoint,
    method: ForwardingMethod,
) -> Result<()> {
    let has_voice = pool.speakers().capacity(endpoint.addr.is_v4()) > 0;
    let voiceless = method == ForwardingMethod::FullNat && !has_voice;
    let problem = || config::voiceless(endpoint.addr.into());
    ControlError::unless_valid(voiceless.then(problem).into_iter().collect())
}

/// What leaves no connection behind cannot come from an address of the director's. `pointer` is to what
/// makes it so.
pub(super) fn refuse_answerless(
    pool: &Pool,
    key: &ServiceKey,
    pointer: &str,
    method: ForwardingMethod,
) -> Result<()> {
    let once = known(pool, key)?.handling.one_packet;
    let problem = bad_answerless(once, method).map(|problem| Problem {
        pointer: pointer.to_owned(),
        ..problem
    });
    ControlError::unless_valid(problem.into_iter().collect())
}

/// What a service sends its packets to is no service, but for itself: `Touched::locals` sees to it that
/// this host serves that.
pub(super) fn refuse_served(pool: &Pool, key: &ServiceKey, endpoint: Endpoint) -> Result<()> {
    let mut protocols = key.protocols();
    let itself = key.vip() == Some(endpoint);
    match !itself && protocols.any(|protocol| pool.serves_within(protocol, endpoint)) {
        true => Err(refuse_circle(endpoint)),
        false => Ok(()),
    }
}

/// A service has its sorry server when it has no real servers: it cannot be one of them.
pub(in crate::control) fn refuse_stand_in(
    pool: &Pool,
    key: &ServiceKey,
    endpoint: Endpoint,
) -> Result<()> {
    let is_sorry = known(pool, key)?.named_sorry() == Some(endpoint);
    let problem = || {
        let message = format!("{endpoint} is the sorry server of this service");
        Problem::new("/address", message, "name another one")
    };
    ControlError::unless_valid(is_sorry.then(problem).into_iter().collect())
}

/// A sorry server that is a service would send its packets round in a circle, too.
pub(in crate::control) fn refuse_sorry(
    pool: &Pool,
    key: &ServiceKey,
    endpoint: Endpoint,
) -> Result<()> {
    refuse_served(pool, key, endpoint)?;
    refuse_speaker(pool, endpoint)
}

/// A sorry server is spoken to as a real server is, as soon as it takes over.
pub(super) fn refuse_odd_sorry(
    pool: &Pool,
    key: &ServiceKey,
    policy: Option<&HealthPolicy>,
) -> Result<()> {
    let Some(sorry) = policy.and_then(|policy| policy.sorry.as_ref()) else {
        return Ok(());
    };
    let endpoint = Endpoint::from(sorry.endpoint(key.port()));
    refuse_sorry(pool, key, endpoint)
        .and_then(|()| refuse_voiceless(pool, endpoint, sorry.method))
        .and_then(|()| refuse_answerless(pool, key, "/method", sorry.method))
        .map_err(|error| error.below("/health/sorry"))
}
