//! Slots: a real server has one for as long as it is listed or has connections.

use std::sync::Arc;

use super::{Name, Pool};
use crate::service::{Fitness, Method, Real, RealId, Service, ServiceKey, Settings, Standing};
use crate::speakers::Speakers;
use crate::stats::PerWorker;
use crate::wire::Endpoint;

impl Pool {
    /// The real servers that packets of their connections reach no more, or in another way than
    /// in the pool that this one was made of. To be called when this one is published.
    pub fn take_turned(&mut self) -> Vec<RealId> {
        std::mem::take(&mut self.turned).into_iter().collect()
    }

    /// Forgets real servers that are listed no more and have no connections any more, and says
    /// which; forgets addresses that it speaks from in the same way. To be called only when no
    /// worker can hold an earlier snapshot: in none were they listed then, and a slot is given to
    /// somebody else only when all show it empty.
    pub fn reap(&mut self) -> Vec<Arc<Real>> {
        let gone = self.unlisted.iter().filter_map(|(_, _, id)| self.real(*id));
        let dead: Vec<_> = gone.filter(|real| real.load.is_idle()).cloned().collect();
        self.free.append(std::mem::take(&mut self.resting));
        for real in &dead {
            self.unlisted
                .remove(&(real.service, real.endpoint, real.id));
            self.slots.set(real.id.0 as usize, None);
            self.resting.push_back(real.id);
            self.uncount(real);
        }
        if self.speakers.has_unlisted() {
            let mut speakers = Speakers::clone(&self.speakers);
            if speakers.reap() {
                self.speakers = Arc::new(speakers);
            }
        }
        dead
    }

    /// Puts a real server, as it is now, into its slot.
    pub(super) fn put(&mut self, real: Real) -> Arc<Real> {
        let real = Arc::new(real);
        let (here, whose) = (
            (real.endpoint, real.id),
            (real.service, real.endpoint, real.id),
        );
        match real.standing {
            Standing::Listed => {
                self.unlisted.remove(&whose);
                self.listed.insert(here);
            }
            Standing::Replaced | Standing::Removed => {
                self.listed.remove(&here);
                self.unlisted.insert(whose);
            }
        }
        let old = self.slots.set(real.id.0 as usize, Some(Arc::clone(&real)));
        let way = |real: &Real| (real.standing, real.method);
        if old.is_some_and(|old| way(&old) != way(&real)) {
            self.turned.push_back(real.id);
        }
        real
    }

    /// A real server that is listed no more and could go on with these settings.
    pub(super) fn unlisted(
        &self,
        key: &ServiceKey,
        endpoint: Endpoint,
        settings: Settings,
    ) -> Option<Arc<Real>> {
        self.others(key, endpoint)
            .find(|real| real.method.carries_on(settings.method))
            .cloned()
    }

    /// The real servers of a service at an endpoint that are listed no more.
    pub(super) fn others(
        &self,
        key: &ServiceKey,
        endpoint: Endpoint,
    ) -> impl Iterator<Item = &Arc<Real>> {
        let [first, last] = [0, u32::MAX].map(|id| (*key, endpoint, RealId(id)));
        let unlisted = self.unlisted.range(first..=last);
        unlisted.filter_map(|(_, _, id)| self.real(*id))
    }

    /// A real server that is new, in a slot of its own.
    pub(super) fn new_real(
        &mut self,
        service: &Service,
        endpoint: Endpoint,
        method: Method,
    ) -> Real {
        let name = Name {
            id: self.slot_for(&service.key, endpoint, method),
            service: service.key,
            endpoint,
            method,
        };
        let real = self.blank(name, Some(service));
        self.count(&real);
        real
    }

    /// A real server that nothing is known about but its name, and what it shares with its service
    /// if that is there.
    pub(super) fn blank(&self, name: Name, service: Option<&Service>) -> Real {
        let fresh = || Arc::new(PerWorker::new(self.workers));
        Real {
            id: name.id,
            service: name.service,
            endpoint: name.endpoint,
            weight: 0,
            configured: 0,
            fitness: Fitness::default(),
            bulletin: None,
            check: None,
            last_weight: 0,
            upper: 0,
            lower: 0,
            method: name.method,
            drain: None,
            standing: Standing::Listed,
            load: Arc::default(),
            traffic: fresh(),
            service_traffic: service.map_or_else(fresh, |service| Arc::clone(&service.traffic)),
            stance: service.map_or_else(Arc::default, |service| Arc::clone(&service.stance)),
            cookies: service.map_or_else(Arc::default, |service| Arc::clone(&service.cookies)),
            ftp: service.map(Service::ftp).unwrap_or_default(),
        }
    }

    /// Counts a real server where it stands.
    pub(super) fn count(&mut self, real: &Real) {
        if real.method != Method::Bypass {
            self.known.enter(real);
        }
        if !real.method.is_one_way() {
            self.answering.enter(real);
        }
    }

    /// Counts it there no more.
    pub(super) fn uncount(&mut self, real: &Real) {
        if real.method != Method::Bypass {
            self.known.leave(real);
        }
        if !real.method.is_one_way() {
            self.answering.leave(real);
        }
    }

    /// Removes a listed real server, with what it was before in another way.
    pub(super) fn retire(&mut self, real: &Arc<Real>) {
        let before: Vec<_> = self.others(&real.service, real.endpoint).cloned().collect();
        for old in before {
            self.put(Real {
                standing: Standing::Removed,
                ..Real::clone(&old)
            });
        }
        self.unlist(real, Standing::Removed);
    }

    /// Lets the connections go on again that a real server of `service`, which is listed again, had in
    /// other ways when it was removed.
    pub(super) fn revive(&mut self, service: &Service, endpoint: Endpoint) {
        let others = self.others(&service.key, endpoint);
        let removed = others.filter(|real| real.standing == Standing::Removed);
        let removed: Vec<_> = removed.cloned().collect();
        for old in removed {
            self.put(Real {
                standing: Standing::Replaced,
                service_traffic: Arc::clone(&service.traffic),
                stance: Arc::clone(&service.stance),
                cookies: Arc::clone(&service.cookies),
                ..Real::clone(&old)
            });
        }
    }

    /// Lists a real server no more.
    pub(super) fn unlist(&mut self, real: &Arc<Real>, standing: Standing) {
        self.put(Real {
            standing,
            ..Real::clone(real)
        });
    }
}
