//! The mint: which services answer SYNs with cookies, with which keys, and which real servers take
//! what comes back.
//!
//! ```text
//!  policy, level, agents -> recipe -> workers, then the gate          (to begin)
//!                                     the gate, then workers          (to end)
//!  keys                  -> agents -> acknowledged -> used here
//! ```

mod held;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use adminapi::model::{CookiePolicy, CookieStatus, CookieWay};
use adminapi::sysctl::Sysctl;
use parking_lot::Mutex;
use tracing::warn;

use super::Director;
use crate::agents::Agents;
use crate::channel::KeysOf;
use crate::cookie::{Abilities, Recipe, Secret, Turnover};
use crate::drops::Cause;
use crate::gate::{CookieCounts, MAX_COOKIE_SERVICES};
use crate::neighbour::Fib;
use crate::pool::Pool;
use crate::service::{Method, Real, Service, ServiceKey};
use crate::time::{Clock, Tick, Ticks};
use crate::wire::{Addr, Endpoint, Protocol, ipv4, ipv6, tcp};

/// The MTU of a way that is not known.
const USUAL_MTU: u32 = 1500;

/// Segments are never larger than what a cookie can say of a client's (RFC 894).
const LARGEST_MSS: u32 = 1460;

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
}

/// What is known of a service at a look.
struct Look<'a> {
    agents: &'a Agents,
    fib: &'a Fib,
    now: Tick,
    period: Ticks,
    lenient: bool,
    /// Whether the defence wants cookies.
    attacked: bool,
}

impl Mint {
    /// How long a key makes cookies, unless the configuration says otherwise.
    const PERIOD: Ticks = Ticks::seconds(30);

    fn period(&self) -> Ticks {
        self.period.unwrap_or(Self::PERIOD)
    }

    /// The smallest place that nobody has.
    fn free_slot(&self) -> Option<u16> {
        let taken: BTreeSet<_> = self.dies.values().map(|dies| dies.slot).collect();
        (0..MAX_COOKIE_SERVICES).find(|number| !taken.contains(number))
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
        let now = self.facts.clock.now();
        let pool = self.shared.pool.load();
        let fib = self.shared.fib.load();
        let attacked: HashSet<_> = {
            let watch = self.watch.lock();
            let keys = pool.iter().map(|service| service.key);
            keys.filter(|key| watch.wants_cookies(key)).collect()
        };
        let mut mint = self.mint.lock();
        self.forget_dies(&mut mint, |key| pool.service(key).is_some());
        let mut orders = Vec::new();
        for service in pool.iter().filter(|service| can_have(service)) {
            let look = Look {
                agents: &self.agents,
                fib: &fib,
                now,
                period: mint.period(),
                lenient: self.shared.sysctls.load().is_on(Sysctl::SloppyTcp),
                attacked: attacked.contains(&service.key),
            };
            if self.ready_dies(&mut mint, service, &look) {
                self.tend(&mut mint, service, &look, &mut orders);
            }
        }
        let lease = 2 * mint.period().as_seconds_ceil() + 2;
        self.agents.tell(&orders, lease);
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
        mint.dies.remove(&service.key);
        if !needs_dies(service, look) {
            return false;
        }
        let Some(slot) = mint.free_slot() else {
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
        let stands = stand(dies, service, vip, look);
        let policy = service.handling.cookies;
        let way = way_of(service, &stands);
        let reason = decide(policy, &way, &stands, look);
        let before = service.cookies.recipe().is_some_and(|old| old.splices);
        let resets = way == Ok(CookieWay::Reset);
        let recipe = Recipe {
            slot: dies.slot,
            service: dies.number,
            keys: dies.keys.good(),
            parity: dies.keys.parity(),
            mints: reason.is_ok() && !resets,
            resets: reason.is_ok() && resets,
            mss: mss(service, vip, look.fib),
            abilities: abilities(&way, &stands),
            lenient: look.lenient,
            // Those that are under way are good in the old way.
            splices: match way {
                Ok(CookieWay::Splice) => true,
                Ok(CookieWay::Agents) => false,
                Ok(CookieWay::Reset) | Err(_) => before,
            },
        };
        dies.status = CookieStatus {
            policy,
            active: reason.is_ok(),
            reason: reason.unwrap_or_else(|why| why),
            way: way.ok(),
            able: stands.able,
            reals: stands.reals,
            ..CookieStatus::default()
        };
        orders.extend(orders_of(dies, service, vip));
        self.publish_recipe(service, vip, recipe);
        let idle = !needs_dies(service, look);
        dies.unwanted = idle.then(|| dies.unwanted.unwrap_or(look.now));
        let rest = dies.unwanted.map(|since| since.until(look.now));
        if rest.is_some_and(|rest| rest >= Ticks(look.period.0 * 2)) {
            mint.dies.remove(&service.key);
            self.tell_gate(vip, None);
            service.cookies.set(None);
        }
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
        if let Err(error) = self.gate.set_cookies(vip, recipe) {
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
            accepted: gate.accepted + service.traffic.shown(),
            refused: gate.refused + by_workers(Cause::BadCookie),
        }
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
            None => (at_rest(service), CookieCounts::default()),
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

/// Whether a service can have cookies: TCP, to one port.
fn can_have(service: &Service) -> bool {
    matches!(service.key, ServiceKey::Address { protocol: Protocol::Tcp, vip } if vip.port > 0)
}

/// The real servers that may get connections.
fn candidates(service: &Service) -> impl Iterator<Item = &Real> {
    let listed = service.reals.iter().filter(|_| service.sorry.is_none());
    let reals = listed.chain(&service.sorry).map(|real| &**real);
    reals.filter(|real| real.weight > 0)
}

/// Whether a service needs keys now: agents have to have them before they are used.
fn needs_dies(service: &Service, look: &Look<'_>) -> bool {
    let mut reals = candidates(service);
    match service.handling.cookies {
        CookiePolicy::Off => false,
        CookiePolicy::Always => true,
        CookiePolicy::Auto => {
            look.attacked || reals.any(|real| look.agents.has(real.endpoint.addr.into()))
        }
    }
}

/// How a service stands that has no keys.
fn at_rest(service: &Service) -> CookieStatus {
    let reals = candidates(service).count() as u32;
    let lack = (reals > 0).then(|| "no real server has an agent".to_owned());
    let stands = Stands {
        able: 0,
        reals,
        abilities: Abilities::ALL,
        lack,
    };
    let way = way_of(service, &stands);
    let why = match (service.handling.cookies, &way) {
        (CookiePolicy::Off, _) => SET.to_owned(),
        (_, Ok(_)) => UNCALLED.to_owned(),
        (_, Err(lack)) => lack.clone(),
    };
    CookieStatus {
        reason: why,
        way: way.ok(),
        reals,
        ..CookieStatus::default()
    }
}

/// To where a real server gets the connections of `vip`.
fn endpoint_of(real: &Real, vip: Endpoint) -> SocketAddr {
    let to = real.destination(vip);
    match real.method.is_one_way() {
        true => vip.into(),
        false => to.into(),
    }
}

/// How the real servers of a service stand.
struct Stands {
    able: u32,
    reals: u32,
    abilities: Abilities,
    /// Why the first one that is not able is not.
    lack: Option<String>,
}

/// Asks the agents, and says to the schedulers what they say.
fn stand(dies: &mut Dies, service: &Service, vip: Endpoint, look: &Look<'_>) -> Stands {
    let holds = |real: &Real, key: &_| {
        if real.method == Method::FullNat {
            return Err("by FullNAT it does not see the client");
        }
        let (addr, to) = (real.endpoint.addr.into(), endpoint_of(real, vip));
        look.agents.stand(addr, dies.number, to, key, look.now)
    };
    let able: Vec<_> = candidates(service)
        .filter(|r| r.load.takes_cookies())
        .collect();
    dies.keys.step(look.now, look.period, |key| {
        able.iter().all(|real| holds(real, key).is_ok())
    });
    let mut stands = Stands {
        able: 0,
        reals: 0,
        abilities: Abilities::ALL,
        lack: None,
    };
    for real in candidates(service) {
        let stand = dies.keys.key().ok_or("there is no key");
        let stand = stand.and_then(|key| holds(real, key));
        real.load.set_takes_cookies(stand.is_ok());
        stands.reals += 1;
        match stand {
            Ok(abilities) => {
                stands.able += 1;
                stands.abilities = stands.abilities.and(abilities);
            }
            Err(why) => {
                let lack = || format!("real server {}: {why}", real.endpoint);
                stands.lack.get_or_insert_with(lack);
            }
        }
    }
    stands
}

impl Stands {
    fn lack(&self) -> String {
        let lack = self.lack.as_deref();
        lack.unwrap_or("no real server").to_owned()
    }
}

const SET: &str = "set by the user";
const UNCALLED: &str = "nothing calls for them";

/// The best way that there is for a service: its real servers read cookies themselves if all can, or
/// the director asks them, if it hears both ends; else those that can get all who come, and at last
/// there is what any client does.
fn way_of(service: &Service, stands: &Stands) -> Result<CookieWay, String> {
    let is_heard = |real: &Real| !real.method.is_one_way();
    let all_heard = !service.is_ftp() && candidates(service).all(is_heard);
    // Who sticks to a real server must be able to go there.
    let sticks = service.handling.persistence.is_some();
    match (stands.able, stands.reals) {
        (_, 0) => Err(stands.lack()),
        (able, reals) if able == reals => Ok(CookieWay::Agents),
        _ if all_heard => Ok(CookieWay::Splice),
        (1.., _) if !sticks => Ok(CookieWay::Agents),
        _ => Ok(CookieWay::Reset),
    }
}

/// What is offered to clients. Of a real server that is yet to be asked ECN is not known: a client
/// that was promised it would wait for marks that never come.
fn abilities(way: &Result<CookieWay, String>, stands: &Stands) -> Abilities {
    match way {
        Ok(CookieWay::Splice) => Abilities {
            ecn: false,
            ..Abilities::ALL
        },
        _ => stands.abilities,
    }
}

/// Why SYNs are answered with cookies, or why not.
fn decide(
    policy: CookiePolicy,
    way: &Result<CookieWay, String>,
    stands: &Stands,
    look: &Look<'_>,
) -> Result<String, String> {
    let with_way = |why: &str| match way {
        Ok(CookieWay::Splice | CookieWay::Reset) => format!("{why}; {}", stands.lack()),
        _ => why.to_owned(),
    };
    match (policy, way) {
        (CookiePolicy::Off, _) => Err(SET.to_owned()),
        (_, Err(lack)) => Err(lack.clone()),
        (CookiePolicy::Always, _) => Ok(with_way(SET)),
        (CookiePolicy::Auto, _) if look.attacked => Ok(with_way("under attack")),
        (CookiePolicy::Auto, _) => Err(UNCALLED.to_owned()),
    }
}

/// The keys of a service, for each of its real servers.
fn orders_of(
    dies: &Dies,
    service: &Service,
    vip: Endpoint,
) -> impl Iterator<Item = (IpAddr, KeysOf)> {
    candidates(service).map(move |real| {
        let keys = KeysOf {
            service: dies.number,
            endpoint: endpoint_of(real, vip),
            keys: dies.keys.installed().map(|key| key.map(Into::into)),
        };
        (real.endpoint.addr.into(), keys)
    })
}

/// The largest segment that gets to every real server.
fn mss(service: &Service, vip: Endpoint, fib: &Fib) -> u16 {
    let headers = tcp::LEN
        + if vip.addr.is_v4() {
            ipv4::LEN
        } else {
            ipv6::LEN
        };
    let room = |real: &Real| {
        let Endpoint { addr, .. } = real.endpoint;
        let mtu = fib.next_hop(addr, 0).map_or(USUAL_MTU, |hop| hop.mtu);
        mtu.saturating_sub(overhead(real.method, addr).into())
    };
    let room = candidates(service).map(room).min().unwrap_or(USUAL_MTU);
    room.saturating_sub(headers as u32).min(LARGEST_MSS) as u16
}

const fn overhead(method: Method, addr: Addr) -> u16 {
    match method {
        Method::Tun(tunnel) => tunnel.overhead(addr),
        _ => 0,
    }
}

/// Behind a lock of its own: looks are rare.
pub(super) type Minting = Mutex<Mint>;
