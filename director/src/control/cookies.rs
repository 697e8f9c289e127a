//! The mint: which services answer SYNs with cookies, with which keys, and which real servers take
//! what comes back.
//!
//! ```text
//!  policy, level, agents -> recipe -> workers, then the gate          (to begin)
//!                                     the gate, then workers          (to end)
//!  keys                  -> agents -> acknowledged -> used here
//! ```

mod bearers;
mod finding;
mod held;
mod lacks;
mod segment;
mod way;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use adminapi::model::{CookieStatus, CookieWay};
use adminapi::sysctl::Sysctls;
use parking_lot::Mutex;
use tracing::{info, warn};

use super::events::EventKind;
use super::health::queues_asked;
use super::unix::unix_now;
use super::{Director, translate};
use crate::agents::Agents;
use crate::channel::KeysOf;
use crate::cookie::{Recipe, Secret, Turnover};
use crate::drops::Cause;
use crate::gate::CookieCounts;
use crate::neighbour::Fib;
use crate::pool::Pool;
use crate::service::{Service, ServiceKey};
use crate::time::{Clock, Tick, Ticks};
use crate::wire::Endpoint;

use bearers::orders_of;
use finding::Finding;
use held::Trusted;
pub(super) use held::bearers;
use way::{at_rest, can_have, needs_dies, places};

/// A service that has cookies, or had some lately.
#[derive(Debug)]
struct Dies {
    /// Its place among the gate's counters.
    slot: u16,
    /// Its number in the MAC.
    number: u16,
    keys: Turnover,
    /// Since when nobody wants them.
    unwanted: Option<Tick>,
    /// What had been counted when they were made.
    before: CookieCounts,
    status: CookieStatus,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Mint {
    dies: HashMap<ServiceKey, Dies>,
    period: Option<Ticks>,
    /// What other directors make the same keys of.
    secret: Option<Secret>,
    /// When somebody has looked first: before, keys of a former director may come.
    begun: Option<Tick>,
    trusted: Arc<Trusted>,
}

/// What is known of a service at a look.
struct Look<'a> {
    agents: &'a Agents,
    /// Whether there is an agent at all.
    is_helped: bool,
    /// Whether another director may make cookies with the same keys, as one before this may have.
    is_shared: bool,
    fib: &'a Fib,
    now: Tick,
    period: Ticks,
    trusted: &'a Trusted,
    sysctls: &'a Sysctls,
    /// Whether the defence wants cookies.
    attacked: bool,
    pool: &'a Pool,
}

impl Mint {
    /// How long a key makes cookies, unless the configuration says otherwise.
    const PERIOD: Ticks = Ticks::seconds(30);

    fn period(&self) -> Ticks {
        self.period.unwrap_or(Self::PERIOD)
    }

    /// The smallest of so many places that nobody has.
    fn free_slot(&self, places: u16) -> Option<u16> {
        let taken: BTreeSet<_> = self.dies.values().map(|dies| dies.slot).collect();
        (0..places).find(|number| !taken.contains(number))
    }
}

impl Director {
    /// Sets for how long a key makes cookies.
    pub fn set_cookie_period(&self, period: Ticks) {
        self.mint.lock().period = Some(period);
    }

    /// Says what the keys are made of that other directors have too; without, they are this one's
    /// alone.
    pub fn set_cookie_secret(&self, secret: Option<Secret>) {
        self.mint.lock().secret = secret;
    }

    /// Since when it runs.
    pub fn clock(&self) -> Clock {
        self.facts.clock
    }

    /// The agents of real servers.
    pub fn agents(&self) -> &Arc<Agents> {
        &self.agents
    }

    /// Looks who can have cookies, and who is to; to be called a few times a second.
    pub fn tend_cookies(&self) {
        // First, so that no other look goes on with what was there before a change.
        let mut mint = self.mint.lock();
        mint.begun.get_or_insert(self.facts.clock.now());
        self.look_at_cookies(&mut mint);
    }

    /// The same, when somebody has changed that.
    pub(super) fn follow_cookies(&self) {
        let mut mint = self.mint.lock();
        if mint.begun.is_some() {
            self.look_at_cookies(&mut mint);
        }
    }

    fn look_at_cookies(&self, mint: &mut Mint) {
        let now = self.facts.clock.now();
        let pool = self.shared.pool.load();
        let fib = self.shared.fib.load();
        let attacked: HashSet<_> = {
            let watch = self.watch.lock();
            let keys = pool.iter().map(|service| service.key);
            keys.filter(|key| watch.wants_cookies(key)).collect()
        };
        self.forget_dies(mint, |key| pool.service(key).is_some());
        let mut orders = Vec::new();
        let trusted = mint.trusted(now);
        let is_helped = self.agents.count() > 0;
        let sysctls = self.shared.sysctls.load();
        for service in pool.iter().filter(|service| can_have(service)) {
            let look = Look {
                agents: &self.agents,
                is_helped,
                is_shared: mint.secret.is_some(),
                fib: &fib,
                now,
                period: mint.period(),
                trusted: &trusted,
                sysctls: &sysctls,
                attacked: attacked.contains(&service.key),
                pool: &pool,
            };
            if self.ready_dies(mint, service, &look) {
                self.tend(mint, service, &look, &mut orders);
            }
        }
        let lease = 2 * mint.period().as_seconds_ceil() + 2;
        self.agents.tell(&orders, &queues_asked(&pool), lease);
    }

    /// Takes from the gate what belongs to services that are no more.
    fn forget_dies(&self, mint: &mut Mint, is_there: impl Fn(&ServiceKey) -> bool) {
        mint.dies.retain(|key, _| {
            let there = is_there(key);
            if let (false, Some(vip)) = (there, key.vip()) {
                self.tell_gate(vip, None);
            }
            there
        });
    }

    /// Sees to it that a service has keys when it may need them; false when it has none.
    fn ready_dies(&self, mint: &mut Mint, service: &Service, look: &Look<'_>) -> bool {
        let Some(vip) = service.key.vip() else {
            return false;
        };
        let secret = mint.secret.clone();
        let is_of = |dies: &Dies| dies.keys.is_of(secret.as_ref());
        if mint.dies.get(&service.key).is_some_and(is_of) {
            return true;
        }
        let had = mint.dies.remove(&service.key).is_some();
        let Some(slot) = mint.free_slot(places(service, look)) else {
            if had {
                self.end_cookies(service, vip);
            }
            return false;
        };
        let dies = Dies {
            slot,
            number: secret.as_ref().map_or(slot, |secret| secret.number(vip)),
            keys: Turnover::new(secret.as_ref(), vip, look.now, look.period),
            unwanted: None,
            before: self.counted(slot, service),
            status: CookieStatus::default(),
        };
        mint.dies.insert(service.key, dies);
        true
    }

    fn tend(
        &self,
        mint: &mut Mint,
        service: &Arc<Service>,
        look: &Look<'_>,
        orders: &mut Vec<(IpAddr, KeysOf)>,
    ) {
        let (Some(dies), Some(vip)) = (mint.dies.get_mut(&service.key), service.key.vip()) else {
            return;
        };
        let finding = Finding::of(dies, service, vip, look);
        let recipe = finding.recipe(dies, service, vip, look);
        let turn = finding.turned(&dies.status);
        dies.status = finding.into_status();
        if let Some(message) = turn {
            self.tell_turn(service, message);
        }
        orders.extend(orders_of(dies, service, vip, look));
        self.publish_recipe(service, vip, recipe);
        let idle = !needs_dies(service, look);
        dies.unwanted = idle.then(|| dies.unwanted.unwrap_or(look.now));
        let rest = dies.unwanted.map(|since| since.until(look.now));
        if rest.is_some_and(|rest| rest >= Ticks(look.period.0 * 2)) {
            mint.dies.remove(&service.key);
            self.end_cookies(service, vip);
        }
    }

    fn tell_turn(&self, service: &Service, message: String) {
        info!(service = %translate::id(&service.key), "{message}");
        let (key, mut watch) = (Some(&service.key), self.watch.lock());
        watch
            .events
            .add(unix_now(), EventKind::Cookies, key, message);
    }

    /// From now on no cookie of a service is good.
    fn end_cookies(&self, service: &Service, vip: Endpoint) {
        self.tell_gate(vip, None);
        service.cookies.set(None);
    }

    /// Who checks cookies learns of a change before who makes them, and the other way round when
    /// it ends.
    fn publish_recipe(&self, service: &Service, vip: Endpoint, recipe: Recipe) {
        let old = service.cookies.recipe();
        if old.as_deref() == Some(&recipe) {
            return;
        }
        if recipe.answers() {
            service.cookies.set(Some(recipe.clone()));
            self.tell_gate(vip, Some(&recipe));
        } else {
            self.tell_gate(vip, Some(&recipe));
            service.cookies.set(Some(recipe));
        }
    }

    fn tell_gate(&self, vip: Endpoint, recipe: Option<&Recipe>) {
        if let Err(error) = self.gate.endpoints().set_recipe(vip, recipe) {
            warn!(%error, %vip, "the gate does not take the cookies of a service");
        }
    }

    /// What has become of the cookies of all services that have some.
    pub(super) fn cookies_counted(&self, pool: &Pool) -> HashMap<ServiceKey, CookieCounts> {
        let mint = self.mint.lock();
        let known = pool.iter().filter_map(|service| {
            let dies = mint.dies.get(&service.key)?;
            Some((service.key, self.counted_by(dies, service)))
        });
        known.collect()
    }

    fn counted_by(&self, dies: &Dies, service: &Service) -> CookieCounts {
        self.counted(dies.slot, service).since(&dies.before)
    }

    /// What gate and workers have ever done with cookies at this place.
    fn counted(&self, slot: u16, service: &Service) -> CookieCounts {
        let gate = self.gate.cookie_counts(slot).unwrap_or_default();
        let by_workers = |cause: Cause| service.traffic.dropped(cause.into());
        CookieCounts {
            sent: gate.sent + by_workers(Cause::Challenged),
            // What the gate has let by is each segment up to the one that opens the connection.
            accepted: service.traffic.shown(),
            refused: gate.refused + by_workers(Cause::BadCookie),
        }
    }

    /// How the SYNs of a service are answered now, if they are.
    pub(super) fn answering_way(&self, service: &Service) -> Option<CookieWay> {
        let status = self.cookie_status(service)?;
        status.way.filter(|_| status.active)
    }

    /// The cookies of a service, as the API shows them.
    pub(super) fn cookie_status(&self, service: &Service) -> Option<CookieStatus> {
        if !can_have(service) {
            return None;
        }
        let policy = service.handling.cookies;
        let mint = self.mint.lock();
        let (status, counts) = match mint.dies.get(&service.key) {
            Some(dies) => (dies.status.clone(), self.counted_by(dies, service)),
            None => {
                let (pool, sysctls) = (self.shared.pool.load(), self.shared.sysctls.load());
                let status = at_rest(service, &pool, &sysctls);
                (status, CookieCounts::default())
            }
        };
        Some(CookieStatus {
            policy,
            sent: counts.sent,
            accepted: counts.accepted,
            refused: counts.refused,
            ..status
        })
    }
}

/// Behind a lock of its own: looks are rare.
pub(super) type Minting = Mutex<Mint>;
