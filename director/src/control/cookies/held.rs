//! Keys that one daemon leaves to the next: cookies that are under way meanwhile stay good.

use std::collections::HashSet;
use std::sync::Arc;

use adminapi::model::CookieStatus;

use super::{Dies, Mint};
use crate::control::{Director, translate};
use crate::cookie::{Rotation, Turnover};
use crate::gate::MAX_COOKIE_SERVICES;
use crate::keep::{Bearer, Coined};
use crate::pool::Pool;
use crate::service::{Real, ServiceKey};
use crate::time::{Tick, Ticks};
use crate::wire::Endpoint;

/// How long a real server takes cookies on a former daemon's word: its kernel has the keys for longer,
/// and its agent comes back a second after it has lost that daemon.
const TRUST: Ticks = Ticks::seconds(3);

/// Real servers that took cookies when a former daemon ended.
#[derive(Debug, Default)]
pub(super) struct Trusted(HashSet<(ServiceKey, Endpoint)>);

impl Trusted {
    pub(super) fn has(&self, real: &Real) -> bool {
        !self.0.is_empty() && self.0.contains(&(real.service, real.endpoint))
    }
}

impl Mint {
    /// The keys of all services, but for those that follow from a secret.
    fn coined(&self) -> Vec<Coined> {
        let coined = self.dies.iter().filter_map(|(key, dies)| match &dies.keys {
            Turnover::Own(rotation) => Some(Coined {
                service: translate::id(key),
                number: dies.number,
                keys: rotation.written(),
            }),
            Turnover::Shared(_) => None,
        });
        let mut coined: Vec<_> = coined.collect();
        coined.sort_by_key(|coined| coined.number);
        coined
    }

    /// Whose agents are awaited still.
    pub(super) fn trusted(&mut self, now: Tick) -> Arc<Trusted> {
        if self.begun.is_none_or(|begun| begun.until(now) >= TRUST) {
            self.trusted = Arc::default();
        }
        Arc::clone(&self.trusted)
    }

    fn is_free(&self, slot: u16) -> bool {
        slot < MAX_COOKIE_SERVICES && self.dies.values().all(|dies| dies.slot != slot)
    }
}

impl Director {
    /// What the next daemon is to make cookies with.
    pub(in crate::control) fn coined(&self) -> Vec<Coined> {
        self.mint.lock().coined()
    }

    /// Has real servers take cookies as they did before, until their agents are back. To be called before
    /// anybody looks.
    pub(in crate::control) fn trust(&self, bearers: &[Bearer]) {
        let one = |bearer: &Bearer| (translate::key(bearer.service), Endpoint::from(bearer.real));
        self.mint.lock().trusted = Arc::new(Trusted(bearers.iter().map(one).collect()));
    }

    /// Goes on with what another daemon has made cookies with; the services are already there.
    pub(in crate::control) fn mint_on(&self, coined: &[Coined]) {
        let pool = self.shared.pool.load();
        let mut mint = self.mint.lock();
        for old in coined {
            let service = pool.service(&translate::key(old.service));
            let keys = Rotation::of(&old.keys).filter(|_| mint.is_free(old.number));
            if let (Some(service), Some(keys)) = (service, keys) {
                let dies = Dies {
                    slot: old.number,
                    number: old.number,
                    keys: Turnover::Own(keys),
                    unwanted: None,
                    before: self.counted(old.number, service),
                    status: CookieStatus::default(),
                };
                mint.dies.insert(service.key, dies);
            }
        }
    }
}

/// The real servers of a pool that take cookies.
pub(in crate::control) fn bearers(pool: &Pool) -> Vec<Bearer> {
    let able = pool.reals().filter(|real| real.load.takes_cookies());
    let bearer = |real: &Arc<Real>| Bearer {
        service: translate::id(&real.service),
        real: real.endpoint.into(),
    };
    able.map(bearer).collect()
}
