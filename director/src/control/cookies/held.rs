//! Keys that one daemon leaves to the next: cookies that are under way meanwhile stay good.

use adminapi::model::CookieStatus;

use super::{Dies, Mint};
use crate::control::{Director, translate};
use crate::cookie::{Rotation, Turnover};
use crate::gate::MAX_COOKIE_SERVICES;
use crate::keep::Coined;

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

    fn is_free(&self, slot: u16) -> bool {
        slot < MAX_COOKIE_SERVICES && self.dies.values().all(|dies| dies.slot != slot)
    }
}

impl Director {
    /// What the next daemon is to make cookies with.
    pub(in crate::control) fn coined(&self) -> Vec<Coined> {
        self.mint.lock().coined()
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
