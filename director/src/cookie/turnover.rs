//! The keys of a service and how they change: of this director's own making, or from a secret that
//! others have too.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::shared::{Secret, SharedKeys};
use super::{Key, Rotation};
use crate::time::{Tick, Ticks};
use crate::wire::Endpoint;

/// How the keys of a service change.
#[derive(Clone, Debug)]
pub enum Turnover {
    /// When real servers hold the next one.
    Own(Rotation),
    /// With the time.
    Shared(Shared),
}

/// Keys from a secret.
#[derive(Clone, Debug)]
pub struct Shared {
    secret: Secret,
    vip: Endpoint,
    now: SharedKeys,
}

fn unix_now() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
}

impl Turnover {
    /// Keys of the TCP service at `vip`, from `now` on; of a secret, if there is one.
    pub fn new(secret: Option<&Secret>, vip: Endpoint, now: Tick, period: Ticks) -> Self {
        match secret {
            None => Self::Own(Rotation::new(now)),
            Some(secret) => Self::Shared(Shared {
                secret: secret.clone(),
                vip,
                now: secret.keys(vip, unix_now(), period.into()),
            }),
        }
    }

    /// Whether the keys are of this secret, or of none.
    pub fn is_of(&self, secret: Option<&Secret>) -> bool {
        match self {
            Self::Own(_) => secret.is_none(),
            Self::Shared(shared) => secret == Some(&shared.secret),
        }
    }

    /// Goes on; `held` says whether all that can hold a key.
    pub fn step(&mut self, now: Tick, period: Ticks, held: impl Fn(&Key) -> bool) {
        match self {
            Self::Own(rotation) => rotation.step(now, period, held),
            Self::Shared(shared) => {
                shared.now = shared.secret.keys(shared.vip, unix_now(), period.into());
            }
        }
    }

    /// The keys that real servers are to hold, by parity.
    pub const fn installed(&self) -> &[Option<Key>; 2] {
        match self {
            Self::Own(rotation) => rotation.installed(),
            Self::Shared(shared) => &shared.now.keys,
        }
    }

    /// The keys whose cookies are good here.
    pub fn good(&self) -> [Option<Key>; 2] {
        match self {
            Self::Own(rotation) => rotation.good(),
            Self::Shared(shared) => shared.now.keys,
        }
    }

    /// The parity of the key that makes cookies.
    pub const fn parity(&self) -> u8 {
        match self {
            Self::Own(rotation) => rotation.parity(),
            Self::Shared(shared) => shared.now.parity,
        }
    }

    /// The key that makes cookies.
    pub const fn key(&self) -> Option<&Key> {
        self.installed()[self.parity() as usize].as_ref()
    }
}
