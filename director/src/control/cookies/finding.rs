//! What a look finds of one service: how its SYNs are answered, and whether they are.

use adminapi::model::{CookiePolicy, CookieStatus, CookieWay};
use adminapi::sysctl::Sysctl;

use super::bearers::stand;
use super::segment::mss;
use super::way::{Stands, abilities, decide, overlaid, turned, way_of, with_note};
use super::{Dies, Look};
use crate::cookie::Recipe;
use crate::service::Service;
use crate::wire::Endpoint;

/// Of one service, at one look.
pub(super) struct Finding {
    policy: CookiePolicy,
    stands: Stands,
    way: Result<CookieWay, String>,
    /// Why they are answered, or why not.
    reason: Result<String, String>,
    note: Option<String>,
}

impl Finding {
    pub(super) fn of(dies: &mut Dies, service: &Service, vip: Endpoint, look: &Look<'_>) -> Self {
        let policy = service.handling.cookies;
        let stands = stand(dies, service, vip, look);
        let way = way_of(service, &stands);
        Self {
            policy,
            reason: decide(policy, &way, &stands, look),
            note: overlaid(service, look.pool),
            stands,
            way,
        }
    }

    /// What cookies are made by, and judged.
    pub(super) fn recipe(
        &self,
        dies: &Dies,
        service: &Service,
        vip: Endpoint,
        look: &Look<'_>,
    ) -> Recipe {
        let is_active = self.reason.is_ok();
        let resets = self.way == Ok(CookieWay::Reset);
        let before = service.cookies.recipe().is_some_and(|old| old.splices);
        Recipe {
            slot: dies.slot,
            service: dies.number,
            keys: dies.keys.good(),
            parity: dies.keys.parity(),
            mints: is_active && !resets,
            resets: is_active && resets,
            mss: mss(service, vip, look),
            abilities: abilities(&self.way, &self.stands),
            lenient: look.sysctls.is_on(Sysctl::SloppyTcp),
            // Those that are under way are good in the old way.
            splices: match self.way {
                Ok(CookieWay::Splice) => true,
                Ok(CookieWay::Agents) => false,
                Ok(CookieWay::Reset) | Err(_) => before,
            },
            shared: self.note.is_some(),
        }
    }

    /// What is said of it when it was otherwise before.
    pub(super) fn turned(&self, before: &CookieStatus) -> Option<String> {
        turned(before, &self.reason, &self.way)
    }

    /// As the API shows it, without what is counted.
    pub(super) fn into_status(self) -> CookieStatus {
        CookieStatus {
            policy: self.policy,
            active: self.reason.is_ok(),
            reason: with_note(self.reason.unwrap_or_else(|why| why), self.note),
            way: self.way.ok(),
            able: self.stands.able,
            reals: self.stands.reals,
            ..CookieStatus::default()
        }
    }
}
