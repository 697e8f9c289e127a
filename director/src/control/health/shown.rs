//! The health of real servers, as the API shows it.

use std::time::{Instant, SystemTime};

use adminapi::model::{
    CheckCounts, Condition, LastCheck, QueueCondition, RealView, ServiceCondition, ServiceView,
};

use super::super::unix::unix;
use super::super::{Director, view};
use super::{Books, is_watched, policy, well};
use crate::health::Patient;
use crate::pool::Pool;
use crate::service::{Real, Service, ServiceKey};

impl Director {
    /// Adds to what is shown of a service how it and its real servers are.
    fn examine(&self, service: &Service, view: &mut ServiceView) {
        let books = self.ward.books.lock();
        if is_watched(service) {
            let well = well(service, |real| real.fitness);
            let quorum = policy(service).quorum;
            view.condition = Some(ServiceCondition {
                up: well >= quorum,
                well,
                quorum,
            });
        }
        for (real, view) in service.configured().zip(&mut view.reals) {
            view.condition = books.condition(service, real);
        }
    }

    /// The same of one real server.
    pub(in crate::control) fn examine_real(
        &self,
        pool: &Pool,
        key: &ServiceKey,
        view: &mut RealView,
    ) {
        let Some(service) = pool.service(key) else {
            return;
        };
        if let Some(real) = service.find(view.endpoint().into()) {
            view.condition = self.ward.books.lock().condition(service, real);
        }
    }

    /// A service as the API shows it.
    pub(in crate::control) fn shown(&self, pool: &Pool, service: &Service) -> ServiceView {
        let mut view = view::service(pool, service);
        self.examine(service, &mut view);
        view
    }
}

impl Books {
    fn condition(&self, service: &Service, real: &Real) -> Option<Condition> {
        let bulletin = real.bulletin.as_deref()?;
        let bed = self.beds.get(&(service.key, real.endpoint));
        let known = bed.map(|bed| bed.patient.lock());
        let last = known.as_ref().and_then(|patient| patient.last().cloned());
        let queue = known.as_ref().and_then(|patient| queue(patient, real));
        let history = known.map(|patient| patient.history()).unwrap_or_default();
        // A moment is to be the same second whenever it is asked for.
        let (now, today) = (Instant::now(), SystemTime::now());
        let unix = |at: Instant| unix(today - (now - at));
        Some(Condition {
            state: bulletin.state,
            since: unix(bulletin.since),
            reason: bulletin.reason.to_string(),
            source: bulletin.source,
            weight: real.fitness.shown_of(real.configured),
            percent: real.fitness.thousandths().div_ceil(10),
            queue,
            removed: service.aside.find(real.endpoint).is_some(),
            last: last.map(|last| LastCheck {
                at: unix(last.at),
                passed: last.passed,
                said: last.said.to_string(),
                took: last.took.as_millis() as u64,
            }),
            checks: CheckCounts {
                passed: history.passed,
                failed: history.failed,
                took: history.took.as_millis() as u64,
            },
            downs: history.downs,
        })
    }
}

/// What its listen queue does to the weight of a real server, where weights go by queues.
fn queue(patient: &Patient, real: &Real) -> Option<QueueCondition> {
    let filled = patient.strain().filled()?;
    Some(QueueCondition {
        full: filled.ok(),
        lack: filled.err().map(str::to_owned),
        // As of the weight that is shown beside it.
        leaves: u32::from(real.fitness.queue()) / 10,
        of: real.fitness.listed_of(real.configured),
    })
}
