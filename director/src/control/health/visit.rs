//! What the states of a service's real servers call for.

use std::sync::Arc;
use std::time::Instant;

use adminapi::model::{HealthPolicy, OnFailure, RealState, Scheduler};

use super::super::events::EventKind;
use super::super::translate;
use super::orders::Order;
use super::{Books, Round, is_watched, policy, queues, well};
use crate::health::{Change, Filled, Turn};
use crate::sched::SOURCE_BUCKETS;
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
        let is_small = |real: &Arc<Real>| (1..SCALE.into()).contains(&real.configured);
        let has_part = |real: &Arc<Real>| self.has_part(service, real);
        match service.configured().any(is_small) && service.configured().any(has_part) {
            true => room(service),
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

/// What its scheduler lets the weights of a service be multiplied with: to some they are numbers of
/// connections, and `sh` has so many buckets for all of them, of which each real server is to keep one.
fn room(service: &Service) -> u16 {
    match service.algorithm {
        Scheduler::Ovf | Scheduler::Lblc | Scheduler::Lblcr => 1,
        Scheduler::Sh => {
            let weights = service.configured().map(|real| real.configured.max(1));
            let all = weights.fold(0, u32::saturating_add).max(1);
            (SOURCE_BUCKETS / all).clamp(1, SCALE.into()) as u16
        }
        _ => SCALE,
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

#[cfg(test)]
mod tests {
    use adminapi::model;
    use serde_json::json;

    use super::super::super::edit;
    use super::super::super::roles::Touched;
    use super::*;
    use crate::pool::Pool;

    #[test]
    fn weights_are_multiplied_as_far_as_there_is_room() {
        for (scheduler, reals, weight, expected) in [
            ("wrr", 100, 1, 20),
            ("mh", 100, 1, 20),
            ("ovf", 2, 1, 1),
            ("lblc", 2, 1, 1),
            ("lblcr", 2, 1, 1),
            ("sh", 2, 1, 20),
            ("sh", 13, 1, 19),
            ("sh", 100, 1, 2),
            ("sh", 100, 0, 2),
            ("sh", 100, 3, 1),
            ("sh", 0, 1, 20),
        ] {
            let real = |n: i32| json!({"address": format!("10.0.0.{}", n + 1), "weight": weight});
            let reals: Vec<_> = (0..reals).map(real).collect();
            let service = json!({"protocol": "tcp", "address": "192.0.2.1", "port": 80,
                "scheduler": scheduler, "reals": reals});
            let service: model::Service = serde_json::from_value(service).unwrap();
            let mut pool = Pool::new(1);
            edit::put_services(&mut pool, &mut Touched::default(), &[service], None).unwrap();
            let found = room(&pool.services()[0]);
            assert_eq!(found, expected, "{scheduler} {} {weight}", reals.len());
        }
    }
}
