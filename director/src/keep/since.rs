//! What has changed since `running` was written: little, so that it can be written for each answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use adminapi::model::{Prefix, Real, Service, ServiceId, StandingListing, SyncDaemon};
use serde::{Deserialize, Serialize};

use super::{Drained, Held, Running, Spread, Wishes};

/// The name of a real server.
pub type RealName = (ServiceId, SocketAddr);

/// What the file `since` has one or two of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Since {
    /// The number of the `running` that it goes on from.
    pub of: u64,
    /// What holds. Of services only those that are new or others, with only such real servers.
    pub now: Wishes,
    /// Services that went, some of which may have come again.
    pub services_gone: Vec<ServiceId>,
    /// Real servers that went, of services that stay.
    pub reals_gone: Vec<RealName>,
    /// Drains of the real servers in `now`.
    pub drains: Vec<Drained>,
    /// Tables of the services in `now`.
    pub spread: Vec<Spread>,
    /// All levels of defence.
    pub levels: Vec<Held>,
    /// All synchronisation daemons.
    pub daemons: Vec<SyncDaemon>,
    /// Networks that are listed in another way, or no more.
    pub networks: Vec<Prefix>,
    /// Those of them that the API has listed.
    pub listed: Vec<StandingListing>,
    /// Those of them that are banned by themselves.
    pub banned: Vec<StandingListing>,
    /// The numbers of all regions.
    pub regions: BTreeMap<String, u8>,
    /// The number of the latest event.
    pub events: u64,
}

impl Since {
    /// The real servers that are new, others or gone.
    fn reals(&self) -> BTreeSet<RealName> {
        let named = |service: &Service| {
            let (id, port) = (service.id, service.id.port());
            let reals = service.reals.iter();
            let names = reals.map(move |real| (id, real.endpoint(port)));
            names.collect::<Vec<_>>()
        };
        let new = self.now.services.iter().flat_map(named);
        new.chain(self.reals_gone.iter().copied()).collect()
    }
}

impl Running {
    /// What was in force in the end, if one of `since` goes on from this.
    #[must_use]
    pub fn with_any(self, since: Vec<Since>) -> Self {
        let mut since = since.into_iter();
        match since.find(|since| since.of == self.number) {
            Some(since) => self.with(since),
            None => self,
        }
    }

    fn with(mut self, mut since: Since) -> Self {
        self.forget_old(&since);
        self.drains.append(&mut since.drains);
        self.spread.append(&mut since.spread);
        self.listed.append(&mut since.listed);
        self.banned.append(&mut since.banned);
        let mut now = since.now;
        now.services = merged(self.now.services, now.services, &since.reals_gone);
        Self {
            now,
            levels: since.levels,
            daemons: since.daemons,
            regions: since.regions,
            events: since.events,
            ..self
        }
    }

    /// Forgets what `since` says anew, or says to be gone.
    fn forget_old(&mut self, since: &Since) {
        let gone: BTreeSet<_> = since.services_gone.iter().collect();
        let new: BTreeSet<_> = since
            .now
            .services
            .iter()
            .map(|service| service.id)
            .collect();
        let reals = since.reals();
        let networks: BTreeSet<_> = since.networks.iter().collect();
        self.now
            .services
            .retain(|service| !gone.contains(&service.id));
        self.drains.retain(|drained| {
            !gone.contains(&drained.service) && !reals.contains(&(drained.service, drained.real))
        });
        self.spread
            .retain(|spread| !gone.contains(&spread.service) && !new.contains(&spread.service));
        for listings in [&mut self.listed, &mut self.banned] {
            listings.retain(|listing| !networks.contains(&listing.network));
        }
    }
}

/// The services that there were, with what is new of them; those that are new come last.
fn merged(there: Vec<Service>, new: Vec<Service>, gone: &[RealName]) -> Vec<Service> {
    let gone: BTreeSet<_> = gone.iter().copied().collect();
    let renew = |old: &mut Service, new: Service| {
        let (id, port) = (new.id, new.id.port());
        let mut reals = std::mem::take(&mut old.reals);
        reals.retain(|real| !gone.contains(&(id, real.endpoint(port))));
        let name = |real: &Real| real.endpoint(port);
        *old = Service {
            reals: put(reals, new.reals, name, |old, new| *old = new),
            ..new
        };
    };
    put(there, new, |service| service.id, renew)
}

/// `there`, where `new` renews those of its names; the others come behind them.
fn put<T, N: Ord>(
    mut there: Vec<T>,
    new: Vec<T>,
    name: impl Fn(&T) -> N,
    renew: impl Fn(&mut T, T),
) -> Vec<T> {
    let named = there.iter().enumerate();
    let named = named.map(|(place, one)| (name(one), place));
    let places: BTreeMap<_, _> = named.collect();
    for one in new {
        match places.get(&name(&one)) {
            Some(place) => renew(&mut there[*place], one),
            None => there.push(one),
        }
    }
    there
}

#[cfg(test)]
mod tests {
    use adminapi::model::Naming;

    use super::*;

    const WEB: &str = "tcp:192.0.2.10:80";
    const DNS: &str = "udp:192.0.2.10:53";
    const MAIL: &str = "tcp:192.0.2.10:25";

    fn real(host: u8, weight: u32) -> Real {
        let real = serde_json::json!({"address": format!("10.0.2.{host}"), "weight": weight});
        serde_json::from_value(real).unwrap()
    }

    fn service(id: &str, reals: &[(u8, u32)]) -> Service {
        let reals = reals.iter().map(|(host, weight)| real(*host, *weight));
        let id: ServiceId = id.parse().unwrap();
        let service = serde_json::to_value(Naming::from(id)).unwrap();
        Service {
            reals: reals.collect(),
            ..serde_json::from_value(service).unwrap()
        }
    }

    fn name(id: &str, host: u8) -> RealName {
        let id: ServiceId = id.parse().unwrap();
        (id, real(host, 1).endpoint(id.port()))
    }

    fn drained(id: &str, host: u8, seconds: u32) -> Drained {
        let (service, real) = name(id, host);
        Drained {
            service,
            real,
            since: 0,
            seconds,
            until: 0,
        }
    }

    fn listed(network: &str, until: u64) -> StandingListing {
        let listed = serde_json::json!({"network": network, "list": "deny", "until": until});
        serde_json::from_value(listed).unwrap()
    }

    fn holding(services: Vec<Service>) -> Wishes {
        let mut wishes = Wishes::default();
        wishes.services = services;
        wishes
    }

    fn running() -> Running {
        let services = [
            service(WEB, &[(1, 1), (2, 1), (3, 1)]),
            service(DNS, &[(1, 1)]),
            service(MAIL, &[(1, 1)]),
        ];
        Running {
            number: 7,
            now: holding(services.into()),
            drains: vec![
                drained(WEB, 1, 10),
                drained(WEB, 2, 10),
                drained(DNS, 1, 10),
            ],
            listed: vec![listed("10.1.0.0/16", 1), listed("10.2.0.0/16", 1)],
            banned: vec![listed("10.3.0.0/16", 1), listed("10.4.0.0/16", 1)],
            ..Running::default()
        }
    }

    fn since() -> Since {
        let services = [
            service(WEB, &[(3, 9), (4, 1)]),
            service(DNS, &[(5, 1)]),
            service("fwm:7", &[]),
        ];
        Since {
            of: 7,
            now: holding(services.into()),
            services_gone: vec![DNS.parse().unwrap()],
            reals_gone: vec![name(WEB, 1)],
            drains: vec![drained(WEB, 3, 20)],
            networks: ["10.1.0.0/16", "10.3.0.0/16", "10.5.0.0/16"]
                .map(|network| network.parse().unwrap())
                .into(),
            listed: vec![listed("10.3.0.0/16", 2), listed("10.5.0.0/16", 2)],
            events: 5,
            ..Since::default()
        }
    }

    #[test]
    fn what_has_changed_since_stands_where_it_stood_and_what_is_new_comes_last() {
        let others = [0, 6, 8].map(|of| Since {
            of,
            ..Since::default()
        });
        let all = others.into_iter().chain([since()]);
        let now = running().with_any(all.collect());
        let services = [
            service(WEB, &[(2, 1), (3, 9), (4, 1)]),
            service(MAIL, &[(1, 1)]),
            service(DNS, &[(5, 1)]),
            service("fwm:7", &[]),
        ];
        assert_eq!(now.now, holding(services.into()));
        assert_eq!(now.drains, [drained(WEB, 2, 10), drained(WEB, 3, 20)]);
        let listings = [("10.2.0.0/16", 1), ("10.3.0.0/16", 2), ("10.5.0.0/16", 2)];
        assert_eq!(
            now.listed,
            listings.map(|(network, until)| listed(network, until))
        );
        assert_eq!(now.banned, [listed("10.4.0.0/16", 1)]);
        assert_eq!(now.events, 5);
    }

    #[test]
    fn what_goes_on_from_another_state_is_nothing() {
        let stray = [0, 6, 8].map(|of| Since { of, ..since() });
        assert_eq!(running().with_any(stray.into()), running());
    }
}
