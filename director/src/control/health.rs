//! Looking after the real servers: whoever is to be watched is, and what their states call for is
//! done to the pool, all of a moment in one change.
//!
//! ```text
//!  health: checks, agents -> visit: what they call for -> orders: done to the pool
//!  queues: their agents tell of --'
//! ```

mod orders;
mod queues;
mod shown;
mod visit;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use adminapi::model::HealthPolicy;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::{info, warn};

use super::unix::unix_now;
use super::{Director, translate};
use crate::agents::Agents;
use crate::config::Health;
use crate::health::{Bed, Chart, Patient, Place, Regimen, Rounds, Switchboard, Target};
use crate::keep::Watched;
use crate::pool::Pool;
use crate::service::{Fitness, Real, Service, ServiceKey};
use crate::time::Tick;

use orders::carry_out;
pub(super) use queues::asked as queues_asked;
use visit::News;

/// How often time alone is let work: holds end, weights are brought up.
const PERIOD: Duration = Duration::from_secs(1);

/// The pool is changed this often at most, however real servers flap.
const REST: Duration = Duration::from_millis(100);

/// All real servers that are looked after.
#[derive(Default)]
pub(super) struct Ward {
    books: Mutex<Books>,
    woken: Arc<Notify>,
}

#[derive(Default)]
struct Books {
    beds: HashMap<Place, Arc<Bed>>,
    /// Which services count as up.
    up: HashMap<ServiceKey, bool>,
    /// The pool that the beds were made for.
    seen: Weak<Pool>,
    /// What a former daemon knew of those that have no bed yet.
    charts: HashMap<Place, Chart>,
    /// Where the programs are that the API may have run.
    scripts: PathBuf,
}

/// A look at all of them.
struct Round<'a> {
    now: Instant,
    /// The same, by the director's clock.
    tick: Tick,
    agents: &'a Agents,
}

impl Ward {
    /// Where the programs are that the API may have run.
    pub(super) fn scripts(&self) -> PathBuf {
        self.books.lock().scripts.clone()
    }

    /// Something has changed that may call for another round.
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }
}

/// Looks after the real servers of `director` until `end`, and calls them over `lines`.
pub async fn look_after(
    director: Arc<Director>,
    lines: Arc<Switchboard>,
    end: impl Future<Output = ()>,
) {
    let mut end = std::pin::pin!(end);
    let woken = Arc::clone(&director.ward.woken);
    let mut rounds = Rounds::new(lines, Arc::clone(&woken));
    loop {
        if director.admit() {
            rounds.visit(director.ward.books.lock().beds.iter());
        }
        director.treat(Instant::now());
        tokio::select! {
            () = &mut end => return,
            () = tokio::time::sleep(REST) => {}
        }
        tokio::select! {
            () = &mut end => return,
            () = woken.notified() => {}
            () = tokio::time::sleep(PERIOD - REST) => {}
        }
    }
}

impl Director {
    /// Takes over what the configuration file says of health checks in general.
    pub fn adopt_health(&self, health: &Health) {
        self.ward.books.lock().scripts.clone_from(&health.scripts);
    }

    /// Makes the beds those of the present pool: what is asked as before goes on as it is. False
    /// when nothing has changed since the last time.
    fn admit(&self) -> bool {
        let pool = self.shared.pool.load_full();
        let mut books = self.ward.books.lock();
        if std::ptr::eq(books.seen.as_ptr(), Arc::as_ptr(&pool)) {
            return false;
        }
        books.seen = Arc::downgrade(&pool);
        let (mut old, now) = (std::mem::take(&mut books.beds), Instant::now());
        let clock = &self.facts.clock;
        for service in pool.iter() {
            for real in service.configured() {
                let place = (service.key, real.endpoint);
                let Some(regimen) = regimen(service, real) else {
                    continue;
                };
                let bed = match old.remove(&place) {
                    Some(bed) if bed.regimen == regimen => bed,
                    Some(bed) => Arc::new(bed.changed(regimen)),
                    None => Arc::new(match books.charts.remove(&place) {
                        Some(chart) => Bed::going_on(regimen, &Patient::of(chart, clock)),
                        None => Bed::new(regimen, now),
                    }),
                };
                books.beds.insert(place, bed);
            }
        }
        books.up.retain(|key, _| pool.service(key).is_some());
        true
    }

    /// Goes on with what a former daemon knew of the real servers.
    pub(super) fn care_on(&self, known: &[Watched]) {
        let place = |of: &Watched| (translate::key(of.service), of.real.into());
        let charts = known.iter().map(|of| (place(of), of.chart.clone()));
        self.ward.books.lock().charts = charts.collect();
        self.admit();
        self.treat(Instant::now());
        let mut books = self.ward.books.lock();
        books.charts.clear();
        // Nobody goes round yet: who does begins with all of them.
        books.seen = Weak::new();
    }

    /// What is known of the real servers, for the next daemon.
    pub(super) fn charts(&self) -> Vec<Watched> {
        let books = self.ward.books.lock();
        let beds = books.beds.iter();
        let known = beds.filter_map(|((service, real), bed)| {
            Some(Watched {
                service: translate::id(service),
                real: (*real).into(),
                chart: bed.patient.lock().chart(&self.facts.clock)?,
            })
        });
        known.collect()
    }

    /// Draws the conclusions of what is known at `now`.
    fn treat(&self, now: Instant) {
        let (mut orders, mut news) = (Vec::new(), Vec::new());
        let round = Round {
            now,
            tick: self.facts.clock.tick_of(now),
            agents: &self.agents,
        };
        {
            let pool = self.shared.pool.load();
            let mut books = self.ward.books.lock();
            for service in pool.iter() {
                let wanted = books.visit(service, &round, &mut news);
                orders.extend(wanted.into_iter().map(|order| (service.key, order)));
            }
        }
        if !orders.is_empty()
            && self
                .change(|pool, touched| carry_out(pool, touched, &orders))
                .is_err()
        {
            // One that cannot be done must not keep the others from it.
            for order in &orders {
                let done = self
                    .change(|pool, touched| carry_out(pool, touched, std::slice::from_ref(order)));
                if let Err(error) = done {
                    warn!(%error, service = %translate::id(&order.0), "health: {:?} is not done", order.1);
                }
            }
        }
        news.into_iter().for_each(|news| self.tell_health(news));
    }

    fn tell_health(&self, news: News) {
        let News {
            service,
            kind,
            is_bad,
            message,
        } = news;
        let id = translate::id(&service);
        match is_bad {
            true => warn!("{id}: {message}"),
            false => info!("{id}: {message}"),
        }
        let mut watch = self.watch.lock();
        watch.events.add(unix_now(), kind, Some(&service), message);
    }
}

/// How a real server is asked; none if nobody looks at it in any way.
fn regimen(service: &Service, real: &Real) -> Option<Regimen> {
    let policy = service.health.as_deref();
    let check = real.check.as_deref().or_else(|| policy?.check.as_ref());
    let agent = policy.and_then(|policy| policy.agent);
    let is_seen = policy.is_some_and(|policy| policy.passive.is_some() || policy.queues);
    (check.is_some() || agent.is_some() || is_seen).then(|| Regimen {
        target: Target {
            service: translate::id(&service.key),
            real: real.endpoint.into(),
        },
        check: check.cloned(),
        agent,
    })
}

/// How many real servers of a service are well: wanted, and of some weight after what `fitness` says
/// of it.
fn well(service: &Service, fitness: impl Fn(&Real) -> Fitness) -> u32 {
    let wanted = service.configured().filter(|real| real.drain.is_none());
    let is_well = |real: &&Arc<Real>| fitness(real).shown_of(real.configured) > 0;
    wanted.filter(is_well).count() as u32
}

/// How a service is watched, if only by the checks that its real servers have of their own.
fn policy(service: &Service) -> HealthPolicy {
    let policy = service.health.as_deref();
    policy.cloned().unwrap_or_default()
}

fn is_watched(service: &Service) -> bool {
    service.health.is_some() || service.configured().any(|real| real.check.is_some())
}
