//! What the states of a service's real servers call for.

use std::sync::Arc;
use std::time::Instant;

use adminapi::model::{HealthPolicy, OnFailure, RealState, Scheduler};

use super::super::events::EventKind;
use super::super::translate;
use super::orders::Order;
use super::{Books, Round, is_watched, policy, queues, well};
use crate::health::{Change, Filled, Turn};
use crate::service::{Fitness, Part, Real, Service, ServiceKey};

/// What the weights of a service are multiplied with while one is brought up or relieved and some are
/// small.
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
        round: &Round<'_>,
        news: &mut Vec<News>,
    ) -> Vec<Order> {
        let (policy, now) = (policy(service), round.now);
        for real in service.configured() {
            if let Some(change) = self.settle(service, real, &policy, now) {
                news.push(tidings(service, real, &change));
            }
            news.extend(self.press(service, real, round));
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

    fn press(&self, service: &Service, real: &Real, round: &Round<'_>) -> Option<News> {
        let bed = self.beds.get(&(service.key, real.endpoint))?;
        let filled = queues::filled(service, real, round);
        let turn = bed.patient.lock().pressed(filled, round.now)?;
        Some(relief(service, real, turn, filled))
    }

    /// Parts of small weights would not differ.
    fn scale(&self, service: &Service) -> u16 {
        let takes_weights_as_counts = matches!(
            service.algorithm,
            Scheduler::Ovf | Scheduler::Lblc | Scheduler::Lblcr
        );
        let is_small = |real: &Arc<Real>| (1..SCALE.into()).contains(&real.configured);
        let differs = !takes_weights_as_counts && service.configured().any(is_small);
        let has_part = |real: &Arc<Real>| self.has_part(service, real);
        match differs && service.configured().any(has_part) {
            true => SCALE,
            false => 1,
        }
    }

    /// Whether a real server has a part of its weight for now.
    fn has_part(&self, service: &Service, real: &Real) -> bool {
        let bed = self.beds.get(&(service.key, real.endpoint));
        bed.is_some_and(|bed| {
            let patient = bed.patient.lock();
            patient.state() == RealState::Warming || patient.strain().is_felt()
        })
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

/// What there is to tell when a listen queue begins to take of a weight, or takes nothing any more.
fn relief(service: &Service, real: &Real, turn: Turn, filled: Option<Filled>) -> News {
    let why = match filled {
        Some(Ok(percent)) => format!("its listen queue is {percent} % full"),
        Some(Err(lack)) => lack.to_owned(),
        None => "weights do not go by queues".to_owned(),
    };
    let what = match turn {
        Turn::Relieved => "is relieved",
        Turn::Recovered => "has its whole weight again",
    };
    News {
        service: service.key,
        kind: EventKind::RealHealth,
        is_bad: turn == Turn::Relieved,
        message: format!("real server {} {what}: {why}", real.endpoint),
    }
}
