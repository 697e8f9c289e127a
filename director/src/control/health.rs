//! Looking after the real servers: whoever is to be watched is, and what their states call for is
//! done to the pool, all of a moment in one change.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use adminapi::error::Result;
use adminapi::model::{
    CheckCounts, Condition, HealthPolicy, LastCheck, OnFailure, RealState, RealView, Scheduler,
    ServiceCondition, ServiceView,
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::{info, warn};

use super::roles::Touched;
use super::{Director, translate, view};
use crate::config::Health;
use crate::health::{Bed, Change, Chart, Patient, Place, Regimen, Rounds, Switchboard, Target};
use crate::keep::Watched;
use crate::pool::Pool;
use crate::service::{self, Bulletin, Fitness, Part, Real, ServiceKey, Settings};
use crate::wire::Endpoint;

/// How often time alone is let work: holds end, weights are brought up.
const PERIOD: Duration = Duration::from_secs(1);

/// The pool is changed this often at most, however real servers flap.
const REST: Duration = Duration::from_millis(100);

/// What the weights of a service are multiplied with while one is brought up and some are small.
const SCALE: u16 = 20;

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

/// What is to be done to the pool.
#[derive(Clone, Debug, PartialEq)]
enum Order {
    /// A real server gets what its health leaves of its weight.
    Fit(Endpoint, Fitness, Option<Arc<Bulletin>>),
    /// It is taken out of service.
    Out(Endpoint, Option<Arc<Bulletin>>),
    /// The sorry server takes the new connections, or nobody in its place.
    Sorry(Option<(Endpoint, Settings)>),
}

/// What has happened to a real server, or to the service.
struct News {
    service: ServiceKey,
    kind: &'static str,
    is_bad: bool,
    message: String,
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
        {
            let pool = self.shared.pool.load();
            let mut books = self.ward.books.lock();
            for service in pool.iter() {
                let wanted = books.visit(service, now, &mut news);
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

    /// Adds to what is shown of a service how it and its real servers are.
    fn examine(&self, service: &service::Service, view: &mut ServiceView) {
        let books = self.ward.books.lock();
        if is_watched(service) {
            let well = well(service, |real| {
                real.bulletin.as_ref().map(|bulletin| bulletin.state)
            });
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
    pub(super) fn examine_real(&self, pool: &Pool, key: &ServiceKey, view: &mut RealView) {
        let Some(service) = pool.service(key) else {
            return;
        };
        if let Some(real) = service.find(view.endpoint().into()) {
            view.condition = self.ward.books.lock().condition(service, real);
        }
    }

    /// A service as the API shows it.
    pub(super) fn shown(&self, pool: &Pool, service: &service::Service) -> ServiceView {
        let mut view = view::service(pool, service);
        self.examine(service, &mut view);
        view
    }
}

impl Books {
    /// What the states of a service's real servers call for, as far as it is not so already.
    fn visit(
        &mut self,
        service: &service::Service,
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
            true => self.count(service, &policy, news),
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
        service: &service::Service,
        real: &Real,
        policy: &HealthPolicy,
        now: Instant,
    ) -> Option<Change> {
        let bed = self.beds.get(&(service.key, real.endpoint))?;
        let mut patient = bed.patient.lock();
        if let Some(passive) = &policy.passive {
            patient.met(real.traffic.handshakes(), passive, now);
        }
        patient.settle(policy.slow_start.into(), now)
    }

    /// Parts of small weights would not differ.
    fn scale(&self, service: &service::Service) -> u16 {
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

    fn state(&self, service: &service::Service, real: &Real) -> Option<RealState> {
        let bed = self.beds.get(&(service.key, real.endpoint))?;
        Some(bed.patient.lock().state())
    }

    fn order(
        &self,
        service: &service::Service,
        real: &Real,
        policy: &HealthPolicy,
        scale: u16,
        now: Instant,
    ) -> Option<Order> {
        let bed = self.beds.get(&(service.key, real.endpoint));
        let (fitness, bulletin) = bed.map_or_else(Default::default, |bed| {
            let patient = bed.patient.lock();
            let fitness = patient.fitness(policy.slow_start.into(), now);
            (fitness, Some(Arc::clone(patient.bulletin())))
        });
        let fitness = match fitness {
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
        service: &service::Service,
        policy: &HealthPolicy,
        news: &mut Vec<News>,
    ) -> bool {
        let well = well(service, |real| self.state(service, real));
        let up = well >= policy.quorum;
        if self.up.insert(service.key, up).unwrap_or(true) != up {
            let word = if up { "up" } else { "down" };
            let quorum = policy.quorum;
            news.push(News {
                service: service.key,
                kind: "service_health",
                is_bad: !up,
                message: format!(
                    "service is {word}: {well} real servers are well, the quorum is {quorum}"
                ),
            });
        }
        up
    }

    fn condition(&self, service: &service::Service, real: &Real) -> Option<Condition> {
        let bulletin = real.bulletin.as_deref()?;
        let bed = self.beds.get(&(service.key, real.endpoint));
        let known = bed.map(|bed| bed.patient.lock());
        let last = known.as_ref().and_then(|patient| patient.last().cloned());
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
            percent: match real.fitness {
                Fitness::Fit(part) => u32::from(part.thousandths).div_ceil(10),
                Fitness::Drained | Fitness::Failed => 0,
            },
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

/// How many real servers of a service are well, as `state` says, and wanted.
fn well(service: &service::Service, state: impl Fn(&Real) -> Option<RealState>) -> u32 {
    let is_wanted = |real: &&Arc<Real>| real.configured > 0 && real.drain.is_none();
    let is_well = |real: &&Arc<Real>| state(real).is_none_or(RealState::is_well);
    let wanted = service.configured().filter(is_wanted);
    wanted.filter(is_well).count() as u32
}

/// How a service is watched, if only by the checks that its real servers have of their own.
fn policy(service: &service::Service) -> HealthPolicy {
    let policy = service.health.as_deref();
    policy.cloned().unwrap_or_default()
}

fn is_watched(service: &service::Service) -> bool {
    service.health.is_some() || service.configured().any(|real| real.check.is_some())
}

/// How a real server is asked; none if nobody looks at it in any way.
fn regimen(service: &service::Service, real: &Real) -> Option<Regimen> {
    let policy = service.health.as_deref();
    let check = real.check.as_deref().or_else(|| policy?.check.as_ref());
    let agent = policy.and_then(|policy| policy.agent);
    let is_met = policy.is_some_and(|policy| policy.passive.is_some());
    (check.is_some() || agent.is_some() || is_met).then(|| Regimen {
        target: Target {
            service: translate::id(&service.key),
            real: real.endpoint.into(),
        },
        check: check.cloned(),
        agent,
    })
}

fn tidings(service: &service::Service, real: &Real, change: &Change) -> News {
    let Change { from, to, reason } = change;
    let (from, to) = (from.name(), to.name());
    News {
        service: service.key,
        kind: "real_health",
        is_bad: !change.to.is_well(),
        message: format!("real server {} {from} -> {to}: {reason}", real.endpoint),
    }
}

fn carry_out(pool: &mut Pool, touched: &mut Touched, orders: &[(ServiceKey, Order)]) -> Result<()> {
    for (key, order) in orders {
        // What has gone meanwhile needs nothing any more.
        let Some(service) = pool.service(key).cloned() else {
            continue;
        };
        let error = |error| translate::error(error, key, None);
        match order {
            Order::Fit(endpoint, fitness, bulletin) if service.find(*endpoint).is_some() => {
                if service.aside.find(*endpoint).is_some() {
                    pool.readmit(key, *endpoint).map_err(error)?;
                    touched.real(key, *endpoint);
                }
                let bulletin = bulletin.as_ref();
                pool.set_fitness(key, *endpoint, *fitness, bulletin)
                    .map_err(error)?;
            }
            Order::Out(endpoint, bulletin) if service.find(*endpoint).is_some() => {
                pool.set_aside(key, *endpoint, bulletin.as_ref())
                    .map_err(error)?;
                touched.real(key, *endpoint);
            }
            Order::Fit(..) | Order::Out(..) => {}
            Order::Sorry(sorry) => {
                if let Some((endpoint, _)) = sorry {
                    super::edit::refuse_sorry(pool, key, *endpoint)?;
                }
                pool.set_sorry(key, *sorry).map_err(error)?;
                let changed = sorry.map(|(endpoint, _)| endpoint);
                let before = service.sorry.as_ref().map(|real| real.endpoint);
                for endpoint in before.into_iter().chain(changed) {
                    touched.real(key, endpoint);
                }
            }
        }
    }
    Ok(())
}

fn unix_now() -> u64 {
    unix(SystemTime::now())
}

fn unix(moment: SystemTime) -> u64 {
    let since = moment.duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
