//! What real servers were called by a former process: a connection that was taken over from it knows
//! its real server by its slot, and so does the gate. The same real server has the same slot again.

use std::collections::HashSet;
use std::mem::{Discriminant, discriminant};

use super::Pool;
use crate::service::{Method, Real, RealId, ServiceKey, Standing};
use crate::wire::Endpoint;

/// Which real server has a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The slot.
    pub id: RealId,
    /// The service.
    pub service: ServiceKey,
    /// RIP and port.
    pub endpoint: Endpoint,
    /// How packets reach it; of those that are not one-way, what else belongs to it may change.
    pub method: Method,
}

/// What a real server is found again by.
pub(super) type Remembered = (ServiceKey, Endpoint, Discriminant<Method>);

impl Name {
    fn key(&self) -> Remembered {
        (self.service, self.endpoint, discriminant(&self.method))
    }
}

impl From<&Real> for Name {
    fn from(real: &Real) -> Self {
        Self {
            id: real.id,
            service: real.service,
            endpoint: real.endpoint,
            method: real.method,
        }
    }
}

impl Pool {
    /// Keeps the slots of a former process for the real servers that had them. To be called before
    /// the first service is added.
    pub fn remember(&mut self, names: impl IntoIterator<Item = Name>) {
        let mut taken = HashSet::new();
        for name in names {
            taken.insert(name.id);
            let other = self.remembered.insert(name.key(), name);
            self.doubles.extend(other);
        }
        let slots = taken.iter().map(|id| id.0 + 1).max().unwrap_or(0);
        self.slots = (0..slots).map(|_| None).collect();
        let free = (0..slots).map(RealId).filter(|id| !taken.contains(id));
        self.free = free.collect();
    }

    /// Makes the real servers that were not added again ones that are listed no more, for as long as
    /// they have connections. Returns which.
    pub fn admit_remembered(&mut self) -> Vec<(ServiceKey, Endpoint)> {
        let (doubles, names) = (
            std::mem::take(&mut self.doubles),
            std::mem::take(&mut self.remembered),
        );
        let names = names.into_iter().map(|(_, name)| name);
        let names: Vec<_> = names.chain(doubles).collect();
        names.into_iter().map(|name| self.admit(name)).collect()
    }

    fn admit(&mut self, name: Name) -> (ServiceKey, Endpoint) {
        let service = self.services.get(&name.service).cloned();
        let known = service
            .as_ref()
            .is_some_and(|service| service.knows(name.endpoint));
        let real = Real {
            standing: match known || name.method == Method::Bypass {
                true => Standing::Replaced,
                false => Standing::Removed,
            },
            ..self.blank(name, service.as_deref())
        };
        self.count(&real);
        self.put(real);
        self.named.push_back(name.id);
        (name.service, name.endpoint)
    }

    /// The slot of a new real server: the one that it had, or one that nobody has.
    pub(super) fn slot_for(
        &mut self,
        service: &ServiceKey,
        endpoint: Endpoint,
        method: Method,
    ) -> RealId {
        let key = (*service, endpoint, discriminant(&method));
        let former = self.remembered.remove(&key).map(|name| name.id);
        let id = former.or_else(|| self.free.pop_front());
        let id = id.unwrap_or_else(|| {
            self.slots.push_back(None);
            RealId(self.slots.len() as u32 - 1)
        });
        self.named.push_back(id);
        id
    }

    /// Who was given a slot since this was last asked.
    pub fn take_named(&mut self) -> Vec<Name> {
        let named = std::mem::take(&mut self.named);
        let reals = named.iter().filter_map(|id| self.real(*id));
        reals.map(|real| Name::from(&**real)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use adminapi::model::{Family, HealthPolicy, Scheduler};

    use super::*;
    use crate::service::{Phase, Settings};
    use crate::wire::{Addr, Protocol};

    fn at(host: u8) -> Endpoint {
        Endpoint::new(Addr::v4([10, 0, 2, host]), 80)
    }

    fn key() -> ServiceKey {
        ServiceKey::at(Protocol::Tcp, at(99))
    }

    fn pool(names: &[Name], hosts: &[u8]) -> Pool {
        let mut pool = Pool::new(1);
        pool.remember(names.iter().copied());
        pool.add_service(key(), Scheduler::Rr).unwrap();
        for host in hosts {
            pool.add_real(&key(), at(*host), Settings::weight(1))
                .unwrap();
        }
        pool
    }

    fn id(pool: &Pool, host: u8) -> RealId {
        let service = pool.service(&key()).unwrap();
        service.reals.find(at(host)).unwrap().id
    }

    #[test]
    fn a_real_server_has_the_slot_again_that_it_had() {
        let mut former = pool(&[], &[1, 2, 3, 4]);
        let names = former.take_named();
        assert!(names.len() == 4 && former.take_named().is_empty());
        let mut heir = pool(&names, &[7, 4, 3, 1]);
        for host in [1, 3, 4] {
            assert_eq!(id(&heir, host), id(&former, host));
        }
        assert_eq!(id(&heir, 7), RealId(4), "no slot is free");
        assert_eq!(heir.admit_remembered(), [(key(), at(2))]);
        assert!(heir.admit_remembered().is_empty());
        let left = Arc::clone(heir.real(id(&former, 2)).unwrap());
        assert_eq!((left.endpoint, left.standing), (at(2), Standing::Removed));

        left.enter(Phase::Active);
        assert!(heir.reap().is_empty());
        heir.add_real(&key(), at(2), Settings::weight(1)).unwrap();
        assert_eq!(id(&heir, 2), left.id);
        assert!(Arc::ptr_eq(&heir.real(left.id).unwrap().load, &left.load));
    }

    #[test]
    fn a_sorry_server_that_is_not_needed_now_keeps_its_connections() {
        let mut former = pool(&[], &[1, 9]);
        let names = former.take_named();
        let mut heir = pool(&names, &[1]);
        let sorry = serde_json::from_value(serde_json::json!({
            "sorry": {"address": "10.0.2.9", "port": 80, "weight": 1, "method": "nat"}
        }));
        let policy: HealthPolicy = sorry.unwrap();
        heir.set_health(&key(), Some(&policy)).unwrap();
        heir.admit_remembered();
        let old = heir.real(id(&former, 9)).unwrap();
        assert_eq!(old.standing, Standing::Replaced);
    }

    #[test]
    fn what_is_reached_in_another_way_goes_on_in_the_old_one() {
        let mut former = pool(&[], &[1]);
        let mut names = former.take_named();
        names[0].method = Method::Dr;
        let mut heir = pool(&names, &[1]);
        heir.admit_remembered();
        let old = Arc::clone(heir.real(names[0].id).unwrap());
        assert_eq!((old.method, old.standing), (Method::Dr, Standing::Replaced));
        assert_ne!(id(&heir, 1), old.id);
        assert_eq!(heir.reap().len(), 1, "it has no connections");
    }

    /// A mark's service that was removed and added again has connections past its real servers by two
    /// slots.
    #[test]
    fn connections_past_a_service_that_was_added_again_stay_nobodys() {
        let family = Family::Ipv4;
        let mark = ServiceKey::Mark { mark: 1, family };
        let mut former = Pool::new(1);
        former.add_service(mark, Scheduler::Rr).unwrap();
        let bypass = |pool: &Pool| pool.service(&mark).unwrap().bypass.clone().unwrap();
        let first = bypass(&former);
        first.enter(Phase::Active);
        former.remove_service(&mark).unwrap();
        former.add_service(mark, Scheduler::Rr).unwrap();
        let ids = [first.id, bypass(&former).id];
        let names = former.take_named();
        assert_eq!(names.len(), 2);

        let mut heir = pool(&names, &[1]);
        heir.add_service(mark, Scheduler::Rr).unwrap();
        assert!(!ids.contains(&id(&heir, 1)), "whose connections has it?");
        assert_eq!(heir.admit_remembered().len(), 1);
        for id in ids {
            let real = heir.real(id).unwrap();
            assert_eq!((real.service, real.method), (mark, Method::Bypass));
        }
        let named = heir.take_named();
        assert!(ids.iter().all(|id| named.iter().any(|name| name.id == *id)));
    }
}
