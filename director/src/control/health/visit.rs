//! What the states of a service's real servers call for.

use std::sync::Arc;
use std::time::Instant;

use adminapi::model::{HealthPolicy, OnFailure, RealState, Scheduler};

use super::super::events::EventKind;
use super::super::translate;
use super::orders::Order;
use super::{Books, is_watched, policy, well};
use crate::health::Change;
use crate::service::{Fitness, Part, Real, Service, ServiceKey};

/// What the weights of a service are multiplied with while one is brought up and some are small.
const SCALE: u16 = 20;

/// What has happened to a real server, or to the service.
pub(super) struct News {
    pub(super) service: ServiceKey,
    pub(super) kind: EventKind,
    pub(super) is_bad: bool,
    pub(super) message: String,
}

impl Books {
    /// What the states of a service's real servers call for, as far as it is not so already.
    pub(super) fn visit(
        &mut self,
        service: &Service,
        now: Instant,
        news: &mut Vec<News>,
    ) -> Vec<Order> {
        let policy = policy(service);
        for real in service.configured() {
            if let Some(change) = self.settle(service, real, &policy, now) {
                news.push(tidings(service, real, &change));
            }
        }
        let scale = self.scale(service);
        let mut orders: Vec<_> = service
            .configured()
            .filter_map(|real| self.order(service, real, &policy, scale, now))
            .collect();
        let up = match is_watched(service) {
            true => self.count(service, &policy, now, news),
            false => {
                self.up.remove(&service.key);
                true
            }
        };
        let sorry = policy.sorry.as_ref().filter(|_| !up).map(|real| {
            let endpoint = real.endpoint(service.key.port()).into();
            (endpoint, translate::settings(real))
        });
        let present = service.sorry.as_ref();
        if present.map(|real| (real.endpoint, real.settings())) != sorry {
            orders.push(Order::Sorry(sorry));
        }
        orders
    }

    fn settle(
        &self,
        service: &Service,
        real: &Real,
        policy: &HealthPolicy,
        now: Instant,
    ) -> Option<Change> {
        let bed = self.beds.get(&(service.key, real.endpoint))?;
        let mut patient = bed.patient.lock();
        patient.bound_by(policy.passive.as_ref(), now);
        if let Some(passive) = &policy.passive {
            patient.met(real.traffic.handshakes(), passive, now);
        }
        patient.settle(policy.slow_start.into(), now)
    }

    /// Parts of small weights would not differ.
    fn scale(&self, service: &Service) -> u16 {
        let takes_weights_as_counts = matches!(
            service.algorithm,
            Scheduler::Ovf | Scheduler::Lblc | Scheduler::Lblcr
        );
        let is_small = |real: &Arc<Real>| (1..SCALE.into()).contains(&real.configured);
        let warming = |real: &Arc<Real>| self.state(service, real) == Some(RealState::Warming);
        let differs = !takes_weights_as_counts && service.configured().any(is_small);
        match differs && service.configured().any(warming) {
            true => SCALE,
            false => 1,
        }
    }

    fn state(&self, service: &Service, real: &Real) -> Option<RealState> {
        let bed = self.beds.get(&(service.key, real.endpoint))?;
        Some(bed.patient.lock().state())
    }

    /// What its health leaves of a real server's weight.
    fn fitness(
        &self,
        service: &Service,
        real: &Real,
        policy: &HealthPolicy,
        now: Instant,
    ) -> Fitness {
        let bed = self.beds.get(&(service.key, real.endpoint));
        bed.map_or_else(Fitness::default, |bed| {
            let patient = bed.patient.lock();
            patient.fitness(policy.slow_start.into(), now)
        })
    }

    fn order(
        &self,
        service: &Service,
        real: &Real,
        policy: &HealthPolicy,
        scale: u16,
        now: Instant,
    ) -> Option<Order> {
        let bed = self.beds.get(&(service.key, real.endpoint));
        let bulletin = bed.map(|bed| Arc::clone(bed.patient.lock().bulletin()));
        let fitness = match self.fitness(service, real, policy, now) {
            Fitness::Fit(part) => Fitness::Fit(Part { scale, ..part }),
            other => other,
        };
        let is_out = service.aside.find(real.endpoint).is_some();
        let removes = policy.on_failure == OnFailure::Remove && real.drain.is_none();
        match (fitness == Fitness::Failed && removes, is_out) {
            (true, true) => None,
            (true, false) => Some(Order::Out(real.endpoint, bulletin)),
            (false, true) => Some(Order::Fit(real.endpoint, fitness, bulletin)),
            (false, false) => {
                let is_so = real.fitness == fitness && real.bulletin == bulletin;
                (!is_so).then_some(Order::Fit(real.endpoint, fitness, bulletin))
            }
        }
    }

    /// Counts who is well, and says whether the service is up.
    fn count(
        &mut self,
        service: &Service,
        policy: &HealthPolicy,
        now: Instant,
        news: &mut Vec<News>,
    ) -> bool {
        let well = well(service, |real| self.fitness(service, real, policy, now));
        let up = well >= policy.quorum;
        if self.up.insert(service.key, up).unwrap_or(true) != up {
            let word = if up { "up" } else { "down" };
            let quorum = policy.quorum;
            news.push(News {
                service: service.key,
                kind: EventKind::ServiceHealth,
                is_bad: !up,
                message: format!(
                    "service is {word}: {well} real servers are well, the quorum is {quorum}"
                ),
            });
        }
        up
    }
}

fn tidings(service: &Service, real: &Real, change: &Change) -> News {
    let Change { from, to, reason } = change;
    let (from, to) = (from.name(), to.name());
    News {
        service: service.key,
        kind: EventKind::RealHealth,
        is_bad: !change.to.is_well(),
        message: format!("real server {} {from} -> {to}: {reason}", real.endpoint),
    }
}
