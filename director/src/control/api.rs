//! [`Control`] for a running director.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use adminapi::error::Result;
use adminapi::model::{
    Configuration, Connection, ConnectionPage, ConnectionQuery, ConnectionUse, Cursor, Defense,
    DefenseLevel, Events, ExplainQuery, Explanation, ForwardingMethod, Health, MarkRule,
    PacketTotals, Real, RealPatch, RealView, Service, ServiceId, ServicePatch, ServiceView, Stats,
    Status, SyncDaemon, SyncRole, Timeouts, TimeoutsPatch,
};
use adminapi::sysctl::{Sysctl, Sysctls, Value};
use adminapi::validate::{bad_handling, bad_health, validate_changed_real};
use adminapi::{Control, ControlError, Put};

use super::roles::Touched;
use super::{Director, translate, view};
use crate::config;
use crate::defence::Level;
use crate::flow;
use crate::pool::{Pool, PoolError};
use crate::service::{Drain, ServiceKey};
use crate::stats::TrafficSum;
use crate::wire::Endpoint;

/// The service that must be there.
fn known<'a>(pool: &'a Pool, key: &ServiceKey) -> Result<&'a Arc<crate::service::Service>> {
    let missing = || translate::error(PoolError::NoService, key, None);
    pool.service(key).ok_or_else(missing)
}

/// The real server that must be there.
fn known_real(pool: &Pool, key: &ServiceKey, endpoint: Endpoint) -> Result<RealView> {
    let found = known(pool, key)?.find(endpoint);
    let missing = || translate::error(PoolError::NoReal, key, Some(endpoint));
    found.map(|real| view::real(pool, real)).ok_or_else(missing)
}

/// A service that is another's real server would send its packets round in a circle.
fn refuse_circle(endpoint: Endpoint) -> ControlError {
    let message = format!("{endpoint} is a virtual service and a real server of another");
    let mend = "name the real servers' own addresses";
    ControlError::Invalid(vec![adminapi::Problem::new("/address", message, mend)])
}

/// Nobody else can have an address that the director speaks from.
fn refuse_speaker(pool: &Pool, endpoint: Endpoint) -> Result<()> {
    let problem = || config::speaks(endpoint.addr.into()).below("/address");
    let speaker = pool.speakers().has(endpoint.addr);
    ControlError::unless_valid(speaker.then(problem).into_iter().collect())
}

/// FullNAT needs an address to speak from.
fn refuse_voiceless(pool: &Pool, endpoint: Endpoint, real: &Real) -> Result<()> {
    let has_voice = pool.speakers().capacity(endpoint.addr.is_v4()) > 0;
    let voiceless = real.method == ForwardingMethod::FullNat && !has_voice;
    let problem = || config::voiceless(endpoint.addr.into());
    ControlError::unless_valid(voiceless.then(problem).into_iter().collect())
}

/// What a director's own address has sent has to come back to it, and a datagram that leaves no
/// connection behind could not be told whose answer that is.
fn refuse_answerless(pool: &Pool, key: &ServiceKey, method: ForwardingMethod) -> Result<()> {
    let once = known(pool, key)?.handling.one_packet;
    let problem = || {
        let message = "one-packet scheduling and the method fullnat do not go together";
        adminapi::Problem::new("/method", message, "use another method")
    };
    let answerless = once && method == ForwardingMethod::FullNat;
    ControlError::unless_valid(answerless.then(problem).into_iter().collect())
}

/// The same for a sorry server.
pub(super) fn refuse_sorry(pool: &Pool, key: &ServiceKey, endpoint: Endpoint) -> Result<()> {
    if key
        .protocols()
        .any(|protocol| pool.serves_within(protocol, endpoint))
    {
        return Err(refuse_circle(endpoint));
    }
    refuse_speaker(pool, endpoint)
}

fn add_service(pool: &mut Pool, touched: &mut Touched, service: &Service) -> Result<()> {
    let key = translate::key(service.id);
    if let ServiceKey::Address { protocol, vip } = key
        && pool.has_real_within(protocol, vip)
    {
        return Err(refuse_circle(vip));
    }
    if let ServiceKey::Address { vip, .. } = key {
        refuse_speaker(pool, vip)?;
    }
    pool.add_service(key, service.scheduler)
        .map_err(|e| translate::error(e, &key, None))?;
    configure(pool, &key, service)?;
    touched.service(key);
    service
        .reals
        .iter()
        .try_for_each(|real| add_real(pool, touched, &key, real))
}

fn add_real(pool: &mut Pool, touched: &mut Touched, key: &ServiceKey, real: &Real) -> Result<()> {
    let endpoint = Endpoint::from(real.endpoint(key.port()));
    // A service may be its own real server: `Touched::locals` sees to it that this host serves it.
    let itself = matches!(key, ServiceKey::Address { vip, .. } if *vip == endpoint);
    let serves = |protocol| pool.serves_within(protocol, endpoint);
    if !itself && key.protocols().any(serves) {
        return Err(refuse_circle(endpoint));
    }
    refuse_speaker(pool, endpoint)?;
    refuse_voiceless(pool, endpoint, real)?;
    refuse_answerless(pool, key, real.method)?;
    let added = pool.add_real(key, endpoint, translate::settings(real));
    let checked = added.and_then(|()| pool.set_check(key, endpoint, real.check.as_ref()));
    checked.map_err(|e| translate::error(e, key, Some(endpoint)))?;
    touched.real(key, endpoint);
    Ok(())
}

/// Gives a service the scheduler and the handling of `wanted`.
fn configure(pool: &mut Pool, key: &ServiceKey, wanted: &Service) -> Result<()> {
    let handling = translate::handling(wanted.id, wanted.persistence, wanted.one_packet);
    pool.set_scheduler(key, wanted.scheduler, wanted.scheduler_flags)
        .and_then(|()| pool.set_handling(key, handling))
        .and_then(|()| pool.set_health(key, wanted.health.as_ref()))
        .map_err(|e| translate::error(e, key, None))?;
    let reals = known(pool, key)?.configured();
    let methods = reals.map(|real| translate::api_method(real.method).0);
    let mut full = methods.filter(|method| *method == ForwardingMethod::FullNat);
    full.next()
        .map_or(Ok(()), |method| refuse_answerless(pool, key, method))
}

/// True when the real server is new.
fn put_real(pool: &mut Pool, touched: &mut Touched, key: &ServiceKey, real: &Real) -> Result<bool> {
    let endpoint = Endpoint::from(real.endpoint(key.port()));
    refuse_voiceless(pool, endpoint, real)?;
    refuse_answerless(pool, key, real.method)?;
    match set_real(pool, touched, key, endpoint, real) {
        Ok(()) => Ok(false),
        Err(PoolError::NoReal) => add_real(pool, touched, key, real).map(|()| true),
        Err(e) => Err(translate::error(e, key, Some(endpoint))),
    }
}

fn set_real(
    pool: &mut Pool,
    touched: &mut Touched,
    key: &ServiceKey,
    endpoint: Endpoint,
    real: &Real,
) -> std::result::Result<(), PoolError> {
    pool.set_real(key, endpoint, translate::settings(real))?;
    pool.set_check(key, endpoint, real.check.as_ref())?;
    touched.real(key, endpoint);
    Ok(())
}

pub(super) fn remove_real(
    pool: &mut Pool,
    touched: &mut Touched,
    key: &ServiceKey,
    endpoint: Endpoint,
) -> Result<()> {
    let removed = pool.remove_real(key, endpoint);
    removed.map_err(|e| translate::error(e, key, Some(endpoint)))?;
    touched.real(key, endpoint);
    Ok(())
}

fn remove_service(pool: &mut Pool, touched: &mut Touched, key: ServiceKey) -> Result<()> {
    let service = Arc::clone(known(pool, &key)?);
    pool.remove_service(&key)
        .map_err(|e| translate::error(e, &key, None))?;
    touched.service(key);
    let reals = service.configured().chain(&service.sorry);
    reals.for_each(|real| touched.real(&key, real.endpoint));
    Ok(())
}

/// Makes a service look like `wanted`. True when it is new.
fn put_service(
    pool: &mut Pool,
    touched: &mut Touched,
    wanted: &Service,
    grace: Option<Drain>,
) -> Result<bool> {
    let key = translate::key(wanted.id);
    if pool.service(&key).is_none() {
        return add_service(pool, touched, wanted).map(|()| true);
    }
    configure(pool, &key, wanted)?;
    touched.service(key);
    remove_unwanted(pool, touched, wanted, grace)?;
    for real in &wanted.reals {
        put_real(pool, touched, &key, real)?;
    }
    Ok(false)
}

/// Removes the real servers of a service, if it is there, that `wanted` does not have, or drains
/// them if there is a `grace`. What is being drained already goes on.
fn remove_unwanted(
    pool: &mut Pool,
    touched: &mut Touched,
    wanted: &Service,
    grace: Option<Drain>,
) -> Result<()> {
    let key = translate::key(wanted.id);
    let Some(present) = pool.service(&key).cloned() else {
        return Ok(());
    };
    let keep: HashSet<_> = wanted
        .reals
        .iter()
        .map(|r| Endpoint::from(r.endpoint(key.port())))
        .collect();
    present
        .configured()
        .filter(|real| !keep.contains(&real.endpoint) && real.drain.is_none())
        .try_for_each(|gone| match grace {
            Some(drain) => drain_real(pool, &key, gone.endpoint, drain),
            None => remove_real(pool, touched, &key, gone.endpoint),
        })
}

fn drain_of(pool: &Pool, key: &ServiceKey, endpoint: Endpoint) -> Option<Drain> {
    pool.service(key)?.find(endpoint)?.drain
}

fn drain_real(pool: &mut Pool, key: &ServiceKey, endpoint: Endpoint, drain: Drain) -> Result<()> {
    let drained = pool.drain_real(key, endpoint, drain);
    drained.map_err(|e| translate::error(e, key, Some(endpoint)))
}

/// Makes the services those of `desired`. What goes is removed first: a real server of before
/// may be a service now, and the other way round.
pub(super) fn put_services(
    pool: &mut Pool,
    touched: &mut Touched,
    desired: &[Service],
    grace: Option<Drain>,
) -> Result<()> {
    let wanted: HashSet<_> = desired.iter().map(|s| translate::key(s.id)).collect();
    for service in pool.services() {
        if !wanted.contains(&service.key) {
            remove_service(pool, touched, service.key)?;
        }
    }
    for service in desired {
        remove_unwanted(pool, touched, service, grace)?;
    }
    for service in desired {
        put_service(pool, touched, service, grace)?;
    }
    Ok(())
}

/// In the cursor of a listing: the connections are through, the templates are not.
const IN_TEMPLATES: u64 = 1 << 63;

const fn put<T>(created: bool, now: T) -> Put<T> {
    match created {
        true => Put::Created(now),
        false => Put::Replaced(now),
    }
}

impl Control for Director {
    fn health(&self) -> Result<Health> {
        Ok(Health::default())
    }

    fn status(&self) -> Result<Status> {
        let interfaces = self.interface_status()?;
        let table = &self.shared.table;
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime: self.facts.clock.uptime().as_secs(),
            workers: self.worker_status(),
            drops: self.drops(&interfaces),
            interfaces,
            connections: ConnectionUse {
                entries: (table.len() - table.half_open_len().min(table.len())) as u64,
                half_open: table.half_open_len() as u64,
                limit: table.capacity() as u64,
                half_open_limit: table.half_open_capacity() as u64,
                bytes: table.footprint() as u64,
            },
            local_addresses: self.local_addresses(),
        })
    }

    fn services(&self) -> Result<Vec<ServiceView>> {
        let pool = self.shared.pool.load();
        let shown = |service: &Arc<crate::service::Service>| self.shown(&pool, service);
        Ok(pool.services().iter().map(shown).collect())
    }

    fn service(&self, id: ServiceId) -> Result<ServiceView> {
        let pool = self.shared.pool.load();
        known(&pool, &translate::key(id)).map(|service| self.shown(&pool, service))
    }

    fn add_service(&self, service: Service) -> Result<ServiceView> {
        self.refuse_commands_of(std::slice::from_ref(&service))?;
        self.change(|pool, touched| add_service(pool, touched, &service))?;
        self.service(service.id)
    }

    fn put_service(&self, service: Service) -> Result<Put<ServiceView>> {
        self.refuse_commands_of(std::slice::from_ref(&service))?;
        let created =
            self.change(|pool, touched| put_service(pool, touched, &service, self.grace()))?;
        Ok(put(created, self.service(service.id)?))
    }

    fn change_service(&self, id: ServiceId, patch: ServicePatch) -> Result<ServiceView> {
        let key = translate::key(id);
        let health = patch.health.iter().flatten();
        let check = health.filter_map(|health| health.check.as_ref());
        self.refuse_commands(check.map(|check| ("/health/check".to_owned(), check)))?;
        self.change(|pool, touched| {
            let now = view::service(pool, known(pool, &key)?);
            let wanted = Service {
                id,
                scheduler: patch.scheduler.unwrap_or(now.scheduler),
                scheduler_flags: patch.scheduler_flags.unwrap_or(now.scheduler_flags),
                persistence: patch.persistence.unwrap_or(now.persistence),
                one_packet: patch.one_packet.unwrap_or(now.one_packet),
                health: patch.health.unwrap_or(now.health),
                reals: Vec::new(),
            };
            let mut problems = bad_handling(id, wanted.persistence, wanted.one_packet);
            let reals = known(pool, &key)?.configured();
            let reals = reals.map(|real| SocketAddr::from(real.endpoint));
            problems.extend(bad_health(id, wanted.health.as_ref(), reals));
            ControlError::unless_valid(problems)?;
            touched.service(key);
            configure(pool, &key, &wanted)
        })?;
        self.service(id)
    }

    fn remove_service(&self, id: ServiceId) -> Result<()> {
        self.change(|pool, touched| remove_service(pool, touched, translate::key(id)))
    }

    fn flush(&self) -> Result<()> {
        self.apply(&[])
    }

    fn reals(&self, service: ServiceId) -> Result<Vec<RealView>> {
        Ok(self.service(service)?.reals)
    }

    fn real(&self, service: ServiceId, real: SocketAddr) -> Result<RealView> {
        let key = translate::key(service);
        let mut view = known_real(&self.shared.pool.load(), &key, real.into())?;
        self.examine_real(&key, &mut view);
        Ok(view)
    }

    fn add_real(&self, service: ServiceId, real: Real) -> Result<RealView> {
        self.refuse_command(real.check.as_ref())?;
        let key = translate::key(service);
        self.change(|pool, touched| add_real(pool, touched, &key, &real))?;
        self.real(service, real.endpoint(key.port()))
    }

    fn put_real(&self, service: ServiceId, real: Real) -> Result<Put<RealView>> {
        self.refuse_command(real.check.as_ref())?;
        let key = translate::key(service);
        let created = self.change(|pool, touched| put_real(pool, touched, &key, &real))?;
        Ok(put(created, self.real(service, real.endpoint(key.port()))?))
    }

    fn change_real(
        &self,
        service: ServiceId,
        real: SocketAddr,
        patch: RealPatch,
    ) -> Result<RealView> {
        let key = translate::key(service);
        self.refuse_command(patch.check.iter().flatten().next())?;
        self.change(|pool, touched| {
            let now = known_real(pool, &key, real.into())?;
            let wanted = patch.applied(&now);
            ControlError::unless_valid(validate_changed_real(service, &now, &wanted))?;
            refuse_voiceless(pool, wanted.endpoint(key.port()).into(), &wanted)?;
            let goes_on = drain_of(pool, &key, real.into()).filter(|_| wanted.weight == 0);
            let changed = set_real(pool, touched, &key, real.into(), &wanted);
            changed.map_err(|e| translate::error(e, &key, Some(real.into())))?;
            match patch
                .drain
                .map(|seconds| self.drain_for(seconds))
                .or(goes_on)
            {
                Some(drain) => drain_real(pool, &key, real.into(), drain),
                None => Ok(()),
            }
        })?;
        self.real(service, real)
    }

    fn remove_real(&self, service: ServiceId, real: SocketAddr) -> Result<()> {
        let key = translate::key(service);
        self.change(|pool, touched| remove_real(pool, touched, &key, real.into()))
    }

    fn connections(&self, query: &ConnectionQuery) -> Result<ConnectionPage> {
        let pool = self.shared.pool.load();
        let now = self.facts.clock.now();
        let mut page = ConnectionPage::default();
        let mut cursor = Some(query.cursor.map_or(0, |cursor| cursor.0));
        while let Some(here) = cursor {
            let room = (query.limit as usize).saturating_sub(page.connections.len()) as u32;
            if room == 0 {
                break;
            }
            let wanted = |c: &Connection| query.matches(c);
            let at = flow::Cursor::from_bits(here & !IN_TEMPLATES);
            let found = &mut page.connections;
            cursor = if here & IN_TEMPLATES == 0 {
                let next = self.shared.table.page(at, room, |entry| {
                    found.extend(view::connection(&pool, entry, now).filter(wanted));
                });
                Some(next.map_or(IN_TEMPLATES, flow::Cursor::to_bits))
            } else {
                let next = self.shared.templates.page(at, room, |entry| {
                    found.extend(view::template(&pool, entry, now).filter(wanted));
                });
                next.map(|next| next.to_bits() | IN_TEMPLATES)
            };
        }
        page.next = cursor.map(Cursor);
        Ok(page)
    }

    fn marks(&self) -> Result<Vec<MarkRule>> {
        Ok(self.rules.lock().clone())
    }

    fn put_marks(&self, rules: Vec<MarkRule>) -> Result<()> {
        self.change_marks(|_| rules)
    }

    fn add_mark(&self, rule: MarkRule) -> Result<usize> {
        let add = |rules: &[MarkRule]| [rules, std::slice::from_ref(&rule)].concat();
        self.change_marks(add)?;
        Ok(self.rules.lock().len().saturating_sub(1))
    }

    fn remove_mark(&self, place: usize) -> Result<bool> {
        let mut there = false;
        self.change_marks(|rules| {
            there = place < rules.len();
            let kept = rules.iter().enumerate().filter(|(at, _)| *at != place);
            kept.map(|(_, rule)| rule.clone()).collect()
        })?;
        Ok(there)
    }

    fn zero(&self, service: Option<ServiceId>) -> Result<()> {
        let pool = self.shared.pool.load();
        let services = match service {
            Some(id) => vec![Arc::clone(known(&pool, &translate::key(id))?)],
            None => pool.services(),
        };
        for service in services {
            service.traffic.zero();
            service.reals.iter().for_each(|real| real.traffic.zero());
        }
        Ok(())
    }

    fn defense(&self, service: Option<ServiceId>) -> Result<Defense> {
        let pool = self.shared.pool.load();
        let service = service.map(|id| known(&pool, &translate::key(id)));
        Ok(self.show_defense(service.transpose()?.map(|service| &**service)))
    }

    fn set_defense(&self, service: Option<ServiceId>, level: DefenseLevel) -> Result<Defense> {
        let pool = self.shared.pool.load();
        let key = service.map(|id| known(&pool, &translate::key(id)));
        let level = Level::from_number(level.level).unwrap_or_default();
        self.set_level(key.transpose()?.map(|service| &**service), level);
        self.defense(service)
    }

    fn events(&self, since: u64) -> Result<Events> {
        Ok(self.watch.lock().events.since(since))
    }

    fn timeouts(&self) -> Result<Timeouts> {
        let [tcp, tcpfin, udp] = self.shared.timeouts.load().shown();
        Ok(Timeouts { tcp, tcpfin, udp })
    }

    fn change_timeouts(&self, patch: TimeoutsPatch) -> Result<Timeouts> {
        let _one_at_a_time = self.master.lock();
        let mut timeouts = crate::tcp::Timeouts::clone(&self.shared.timeouts.load());
        let set = timeouts.set(
            patch.tcp.unwrap_or(0),
            patch.tcpfin.unwrap_or(0),
            patch.udp.unwrap_or(0),
        );
        set.map_err(|e| ControlError::Limit(e.to_string()))?;
        self.shared.timeouts.store(Arc::new(timeouts));
        self.timeouts()
    }

    fn put_config(&self, wanted: &Configuration) -> Result<()> {
        self.refuse_commands_of(&wanted.services)?;
        self.apply(&wanted.services)?;
        self.change_timeouts(wanted.timeouts.into()).map(drop)
    }

    fn check_config(&self, wanted: &Configuration) -> Result<()> {
        self.refuse_commands_of(&wanted.services)?;
        self.check(&wanted.services)
    }

    fn explain(&self, query: &ExplainQuery) -> Result<Explanation> {
        self.explained(query)
    }

    fn daemons(&self) -> Result<Vec<SyncDaemon>> {
        Ok(self.daemons.all())
    }

    fn start_daemon(&self, daemon: SyncDaemon) -> Result<SyncDaemon> {
        let links = self.neighbourhood.links().borrow().clone();
        self.daemons.start(daemon, &links)
    }

    fn stop_daemon(&self, role: SyncRole) -> Result<()> {
        self.daemons.stop(role)
    }

    fn sysctls(&self) -> Result<Sysctls> {
        let written = Sysctls::clone(&self.shared.sysctls.load());
        Ok(self.watch.lock().strategies().shown(written))
    }

    fn change_sysctl(&self, sysctl: Sysctl, value: &Value) -> Result<Sysctls> {
        let _one_at_a_time = self.master.lock();
        let mut sysctls = Sysctls::clone(&self.shared.sysctls.load());
        sysctls.set(sysctl, value)?;
        self.shared.sysctls.store(Arc::new(sysctls));
        self.watch();
        self.sysctls()
    }

    fn stats(&self) -> Result<Stats> {
        let interfaces = self.interface_status()?;
        let workers = self.worker_status();
        let drops = self.drops(&interfaces);
        let pool = self.shared.pool.load();
        let services = pool.services();
        let carried = services.iter().map(|s| s.traffic.sum());
        let rates = services.iter().map(|s| s.traffic.rates());
        Ok(Stats {
            total: PacketTotals {
                received: interfaces.iter().map(|i| i.rx).sum(),
                sent: workers.iter().map(|w| w.sent).sum(),
                passed: interfaces.iter().map(|i| i.passed).sum(),
                dropped: drops.values().sum(),
            },
            traffic: carried.fold(TrafficSum::default(), TrafficSum::plus).into(),
            rates: rates.map(translate::rates).sum(),
            drops,
            workers: workers.into_iter().map(Into::into).collect(),
            interfaces: interfaces.into_iter().map(Into::into).collect(),
        })
    }
}

#[cfg(test)]
mod tests;
