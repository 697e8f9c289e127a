//! What agents of real servers are asked, and told: who has the keys, who is to have which.

use std::net::IpAddr;

use super::lacks::Lacks;
use super::way::{Stands, candidates, is_heard};
use super::{Dies, Look};
use crate::channel::KeysOf;
use crate::cookie::Abilities;
use crate::service::{Method, Real, Service};
use crate::wire::Endpoint;

/// Asks the agents, and says to the schedulers what they say.
pub(super) fn stand(dies: &mut Dies, service: &Service, vip: Endpoint, look: &Look<'_>) -> Stands {
    let holds = |real: &Real, key: &_| {
        if real.method == Method::FullNat {
            return Err("by FullNAT it does not see the client");
        }
        let (addr, to) = (real.endpoint.addr.into(), real.hears_at(vip).into());
        look.agents.stand(addr, dies.number, to, key, look.now)
    };
    let candidates: Vec<_> = candidates(service, look.sysctls).collect();
    // Who is asked no more is told to forget the keys.
    let others = service.reals.iter();
    let others = others.filter(|real| candidates.iter().all(|one| one.id != real.id));
    others.for_each(|real| real.load.set_takes_cookies(false));
    let able: Vec<_> = candidates
        .iter()
        .filter(|real| real.load.takes_cookies())
        .collect();
    dies.keys.step(look.now, look.period, |key| {
        able.iter().all(|real| holds(real, key).is_ok())
    });
    let mut stands = Stands {
        able: 0,
        reals: 0,
        heard: candidates.iter().all(|real| is_heard(real)),
        abilities: Abilities::ALL,
        lack: None,
    };
    let mut lacks = Lacks::default();
    for real in candidates {
        let stand = dies.keys.key().ok_or("there is no key");
        let stand = stand.and_then(|key| holds(real, key));
        let takes = stand.is_ok() || look.trusted.has(real);
        real.load.set_takes_cookies(takes);
        stands.reals += 1;
        match stand {
            Ok(abilities) => {
                stands.able += 1;
                stands.abilities = stands.abilities.and(abilities);
            }
            Err(why) => lacks.add(real.endpoint, why),
        }
    }
    stands.lack = lacks.told();
    stands
}

/// The keys of a service, for each of its real servers.
pub(super) fn orders_of<'a>(
    dies: &'a Dies,
    service: &'a Service,
    vip: Endpoint,
    look: &Look<'a>,
) -> impl Iterator<Item = (IpAddr, KeysOf)> + use<'a> {
    candidates(service, look.sysctls).map(move |real| {
        let keys = KeysOf {
            service: dies.number,
            endpoint: real.hears_at(vip).into(),
            keys: dies.keys.installed().map(|key| key.map(Into::into)),
        };
        (real.endpoint.addr.into(), keys)
    })
}
