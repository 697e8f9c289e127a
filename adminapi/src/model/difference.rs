//! What one configuration has that another one has not.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Configuration, Levels, Prefix, Real, Service, ServiceId, StandingListing};
use crate::path;
use crate::sysctl::Sysctl;

/// What would change: resource by resource, and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"changes": [
    {"resource": "/v1/services/tcp:192.0.2.10:80/reals/10.0.2.1:8080",
     "before": {"address": "10.0.2.1", "port": 8080, "weight": 2, "method": "nat"},
     "after": {"address": "10.0.2.1", "port": 8080, "weight": 0, "method": "nat"}}]}))]
pub struct Difference {
    /// Each resource that changes.
    pub changes: Vec<ResourceChange>,
}

/// What becomes of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResourceChange {
    /// Its path.
    pub resource: String,
    /// What it is; left out when it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub before: Option<Value>,
    /// What it would be; left out when it would go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub after: Option<Value>,
}

impl Difference {
    /// What would have to change for `now` to be `wanted`.
    pub fn between(now: &Configuration, wanted: &Configuration) -> Self {
        let mut difference = Self::default();
        difference.note(path::TIMEOUTS, Some(&now.timeouts), Some(&wanted.timeouts));
        difference.services(&now.services, &wanted.services);
        if let Some(marks) = &wanted.marks {
            difference.note(path::MARKS, now.marks.as_ref(), Some(marks));
        }
        if let Some(daemons) = &wanted.daemons {
            difference.note(path::DAEMONS, now.daemons.as_ref(), Some(daemons));
        }
        if let Some(filter) = wanted.filter.clone() {
            let before = now.filter.as_ref();
            let filter = before.map_or(filter.clone(), |before| filter.with_files_of(before));
            difference.note(path::FILTER, before, Some(&filter));
        }
        if let Some(listed) = &wanted.listed {
            difference.listed(now.listed.as_deref().unwrap_or_default(), listed);
        }
        difference.sysctls(now, wanted);
        difference.levels(&now.defense, &wanted.defense);
        difference
    }

    /// Notes a resource, if it differs.
    fn note<T: Serialize + PartialEq>(
        &mut self,
        path: &str,
        before: Option<&T>,
        after: Option<&T>,
    ) {
        if before == after {
            return;
        }
        let shown = |state: Option<&T>| state.and_then(|state| serde_json::to_value(state).ok());
        self.changes.push(ResourceChange {
            resource: path.to_owned(),
            before: shown(before),
            after: shown(after),
        });
    }

    fn services(&mut self, now: &[Service], wanted: &[Service]) {
        let by_id = |services: &[Service]| -> BTreeMap<ServiceId, Service> {
            services.iter().map(|s| (s.id, s.clone())).collect()
        };
        let (now, wanted) = (by_id(now), by_id(wanted));
        for (id, service) in &now {
            match wanted.get(id) {
                None => self.note(&path::service(*id), Some(service), None),
                Some(other) => self.service(*id, service, other),
            }
        }
        for (id, service) in wanted.iter().filter(|(id, _)| !now.contains_key(id)) {
            self.note(&path::service(*id), None, Some(service));
        }
    }

    fn service(&mut self, id: ServiceId, now: &Service, wanted: &Service) {
        let bare = |service: &Service| Service {
            reals: Vec::new(),
            ..service.clone()
        };
        self.note(&path::service(id), Some(&bare(now)), Some(&bare(wanted)));
        let by_place = |service: &Service| -> BTreeMap<SocketAddr, Real> {
            let reals = service.reals.iter();
            let placed = reals.map(|real| (real.endpoint(id.port()), settled(id, real)));
            placed.collect()
        };
        let (now, wanted) = (by_place(now), by_place(wanted));
        for (place, real) in &now {
            self.note(&path::real(id, *place), Some(real), wanted.get(place));
        }
        for (place, real) in wanted.iter().filter(|(place, _)| !now.contains_key(place)) {
            self.note(&path::real(id, *place), None, Some(real));
        }
    }

    fn sysctls(&mut self, now: &Configuration, wanted: &Configuration) {
        let present = |sysctl: Sysctl| {
            let set = now.sysctls.iter();
            let mut set = set.filter(|(name, _)| name.parse() == Ok(sysctl));
            set.next()
                .map_or_else(|| sysctl.default_value(), |(_, value)| value.clone())
        };
        for (name, value) in &wanted.sysctls {
            // A name that is none is refused before anybody asks for the difference.
            if let Ok(sysctl) = name.parse::<Sysctl>() {
                let path = path::sysctl(&sysctl.to_string());
                self.note(&path, Some(&present(sysctl)), Some(value));
            }
        }
    }

    fn listed(&mut self, now: &[StandingListing], wanted: &[StandingListing]) {
        let by_network = |listed: &[StandingListing]| -> BTreeMap<Prefix, StandingListing> {
            listed
                .iter()
                .map(|one| (one.network, one.clone()))
                .collect()
        };
        let (now, wanted) = (by_network(now), by_network(wanted));
        for (network, listing) in &now {
            self.note(&path::network(*network), Some(listing), wanted.get(network));
        }
        for (network, listing) in wanted.iter().filter(|(net, _)| !now.contains_key(net)) {
            self.note(&path::network(*network), None, Some(listing));
        }
    }

    fn levels(&mut self, now: &Levels, wanted: &Levels) {
        if let Some(level) = &wanted.level {
            self.note(
                path::DEFENSE,
                Some(&now.level.unwrap_or_default()),
                Some(level),
            );
        }
        for (id, level) in &wanted.services {
            let present = now.services.get(id).copied().unwrap_or_default();
            self.note(&path::defense(Some(*id)), Some(&present), Some(level));
        }
    }
}

/// The real server with what it has when nothing is said.
fn settled(service: ServiceId, real: &Real) -> Real {
    Real {
        port: Some(real.endpoint(service.port()).port()),
        tun: real.tunnel(),
        ..real.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(value: Value) -> Configuration {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn each_resource_that_changes_is_named_once() {
        let service = |scheduler: &str, reals: Value| {
            json!({"protocol": "tcp", "address": "10.0.0.1", "port": 80, "scheduler": scheduler,
                   "real": reals})
        };
        let reals = json!([{"address": "10.0.2.1"}, {"address": "10.0.2.2", "weight": 2}]);
        let now = config(json!({
            "service": [service("rr", reals), {"fwmark": 1}],
            "sysctls": {"secure_tcp": 3}, "marks": [], "filter": {},
            "listed": [{"network": "10.1.0.0/16", "list": "deny"},
                       {"network": "10.2.0.0/16", "list": "deny", "until": 7}],
        }));
        let reals = json!([{"address": "10.0.2.3"}, {"address": "10.0.2.1", "port": 80}]);
        let wanted = config(json!({
            "service": [{"fwmark": 2}, service("wrr", reals)],
            "sysctls": {"drop_entry": 1, "secure_tcp": 3}, "defense": {"level": 2},
            "filter": {"strict": ["eth0"]},
            "listed": [{"network": "10.2.0.0/16", "list": "deny", "until": 9},
                       {"network": "10.3.0.0/16", "list": "allow"}],
        }));
        let difference = Difference::between(&now, &wanted);
        let changes = difference.changes.iter();
        let told: Vec<_> = changes
            .map(|c| (c.resource.as_str(), c.before.is_some(), c.after.is_some()))
            .collect();
        assert_eq!(
            told,
            [
                ("/v1/services/tcp:10.0.0.1:80", true, true),
                (
                    "/v1/services/tcp:10.0.0.1:80/reals/10.0.2.2:80",
                    true,
                    false
                ),
                (
                    "/v1/services/tcp:10.0.0.1:80/reals/10.0.2.3:80",
                    false,
                    true
                ),
                ("/v1/services/fwm:1", true, false),
                ("/v1/services/fwm:2", false, true),
                ("/v1/filter", true, true),
                ("/v1/filter/networks/10.1.0.0%2F16", true, false),
                ("/v1/filter/networks/10.2.0.0%2F16", true, true),
                ("/v1/filter/networks/10.3.0.0%2F16", false, true),
                ("/v1/sysctls/net.ipv4.vs.drop_entry", true, true),
                ("/v1/defense", true, true),
            ]
        );
        assert_eq!(Difference::between(&now, &now), Difference::default());
    }
}
