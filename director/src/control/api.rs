//! [`Control`] for a running director.

use std::net::SocketAddr;
use std::sync::Arc;

use adminapi::error::Result;
use adminapi::model::listing::Rows;
use adminapi::model::{
    AuditEntry, Carried, Change, Configuration, ConnectionId, ConnectionPage, ConnectionQuery,
    ConnectionUse, Defense, DefenseLevel, Events, ExplainQuery, Explanation, Filter, FilterRules,
    Forgotten, Health, Limits, Listed, ListedView, ListingQuery, MarkRule, NetworkPage,
    NetworkQuery, Numbers, PacketTotals, Prefix, Real, RealPatch, RealView, Reloaded, Sample,
    Service, ServiceId, ServicePatch, ServiceView, SourceQuery, Sources, Stats, Status, SyncDaemon,
    SyncRole, TemplateQuery, Timeouts, TimeoutsPatch,
};
use adminapi::sysctl::{Sysctl, Sysctls, Value};
use adminapi::table::TableQuery;
use adminapi::{Control, News, Put};

use super::commands::commands_of_service;
use super::edit::{self, known, known_real};
use super::listing::Form;
use super::{Director, translate, view};
use crate::defence::Level;
use crate::pool::PoolError;
use crate::service;
use crate::sources;
use crate::stats::TrafficSum;

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
            fast_path: self.fast_path_use(),
            certificates: self.certificate_status(),
        })
    }

    fn services(&self) -> Result<Vec<ServiceView>> {
        self.collect();
        let pool = self.shared.pool.load();
        let shown = |service: &Arc<service::Service>| self.shown(&pool, service);
        Ok(pool.services().iter().map(shown).collect())
    }

    fn listing(&self, query: ListingQuery) -> Result<Rows> {
        let rows = self.rows(query, Form::Row(query.side))?;
        Ok(Rows::holding(rows.size(), rows))
    }

    fn table(&self, query: TableQuery) -> Result<Rows> {
        if query.columns.numbers() != Numbers::None {
            let rows = Control::listing(self, query.rows())?;
            return Ok(query.of(rows));
        }
        let head = std::iter::once(Ok(query.head().into_bytes()));
        let lines = self.rows(query.rows(), Form::Lines(query.columns))?;
        Ok(Rows::holding(lines.size(), head.chain(lines)))
    }

    fn service(&self, id: ServiceId) -> Result<ServiceView> {
        self.collect();
        let pool = self.shared.pool.load();
        known(&pool, &translate::key(id)).map(|service| self.shown(&pool, service))
    }

    fn add_service(&self, service: Service) -> Result<ServiceView> {
        self.refuse_commands(commands_of_service(&service))?;
        self.change(|pool, touched| edit::add_service(pool, touched, &service))?;
        self.service(service.id)
    }

    fn put_service(&self, service: Service) -> Result<Put<ServiceView>> {
        self.refuse_commands(commands_of_service(&service))?;
        let created =
            self.change(|pool, touched| edit::put_service(pool, touched, &service, self.grace()))?;
        Ok(put(created, self.service(service.id)?))
    }

    fn change_service(&self, id: ServiceId, patch: ServicePatch) -> Result<ServiceView> {
        let change = Change::ChangeService { service: id, patch };
        self.change(|pool, touched| self.edit(pool, touched, &change))?;
        self.service(id)
    }

    fn remove_service(&self, id: ServiceId) -> Result<()> {
        self.change(|pool, touched| edit::remove_service(pool, touched, translate::key(id)))
    }

    fn flush(&self) -> Result<()> {
        self.change(|pool, touched| edit::put_services(pool, touched, &[], self.grace()))
    }

    fn reals(&self, service: ServiceId) -> Result<Vec<RealView>> {
        Ok(self.service(service)?.reals)
    }

    fn real(&self, service: ServiceId, real: SocketAddr) -> Result<RealView> {
        self.collect();
        let key = translate::key(service);
        let pool = self.shared.pool.load();
        let mut view = known_real(&pool, &key, real.into())?;
        self.examine_real(&pool, &key, &mut view);
        Ok(view)
    }

    fn add_real(&self, service: ServiceId, real: Real) -> Result<RealView> {
        self.refuse_command(real.check.as_ref())?;
        let key = translate::key(service);
        self.change(|pool, touched| edit::add_one(pool, touched, &key, &real))?;
        self.real(service, real.endpoint(key.port()))
    }

    fn put_real(&self, service: ServiceId, real: Real) -> Result<Put<RealView>> {
        self.refuse_command(real.check.as_ref())?;
        let key = translate::key(service);
        let created = self.change(|pool, touched| edit::put_one(pool, touched, &key, &real))?;
        Ok(put(created, self.real(service, real.endpoint(key.port()))?))
    }

    fn change_real(
        &self,
        service: ServiceId,
        real: SocketAddr,
        patch: RealPatch,
    ) -> Result<RealView> {
        let change = Change::ChangeReal {
            service,
            real,
            patch,
        };
        self.change(|pool, touched| self.edit(pool, touched, &change))?;
        self.real(service, real)
    }

    fn remove_real(&self, service: ServiceId, real: SocketAddr) -> Result<()> {
        let key = translate::key(service);
        self.change(|pool, touched| edit::remove_real(pool, touched, &key, real.into()))
    }

    fn make_all(&self, changes: Vec<Change>) -> Vec<Result<()>> {
        self.edit_all(&changes)
    }

    fn connections(&self, query: &ConnectionQuery) -> Result<ConnectionPage> {
        Ok(self.page_of_connections(query))
    }

    fn marks(&self) -> Result<Vec<MarkRule>> {
        Ok(self.rules.lock().clone())
    }

    fn put_marks(&self, rules: Vec<MarkRule>) -> Result<()> {
        self.change_marks(|_| rules)
    }

    fn add_mark(&self, rule: MarkRule) -> Result<usize> {
        self.refuse_mark(&rule)?;
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

    fn filter(&self) -> Result<Filter> {
        self.show_filter()
    }

    fn put_filter(&self, rules: FilterRules) -> Result<Filter> {
        self.refuse_files(&rules)?;
        self.change_filter(rules)?;
        self.show_filter()
    }

    fn listed_networks(&self, query: &NetworkQuery) -> Result<NetworkPage> {
        self.page_of_listings(query)
    }

    fn listed_network(&self, network: Prefix) -> Result<Option<ListedView>> {
        self.find_listing(network)
    }

    fn put_network(&self, listing: Listed) -> Result<Put<ListedView>> {
        self.change_listing(&listing)
    }

    fn remove_network(&self, network: Prefix) -> Result<bool> {
        self.take_off(network)
    }

    fn zero(&self, service: Option<ServiceId>) -> Result<()> {
        self.collect();
        let pool = self.shared.pool.load();
        let services = match service {
            Some(id) => vec![Arc::clone(known(&pool, &translate::key(id))?)],
            None => pool.services(),
        };
        for service in services {
            service.traffic.zero();
            service.reals.iter().for_each(|real| real.traffic.zero());
        }
        self.keep_tally();
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

    fn sources(&self, query: &SourceQuery) -> Result<Sources> {
        let shown = self
            .facts
            .workers
            .iter()
            .map(|worker| &worker.stats.sources);
        let sights = self.sights.lock();
        let shown = shown.chain([&sights.shown]);
        let seen = sources::together(shown, self.facts.clock.now());
        let heavy = seen.heavy.iter().take(query.limit as usize);
        Ok(Sources {
            packets: seen.packets,
            sources: heavy.map(view::source).collect(),
            networks: seen.networks.iter().map(view::network).collect(),
        })
    }

    fn events(&self, since: u64) -> Result<Events> {
        Ok(self.watch.lock().events.since(since))
    }

    fn samples(&self, since: u64) -> Result<Vec<Sample>> {
        Ok(self.history.since(since))
    }

    fn news(&self) -> News {
        News {
            events: self.watch.lock().events.news(),
            samples: self.history.news(),
        }
    }

    fn carried(&self, service: ServiceId, real: Option<SocketAddr>) -> Result<Carried> {
        let pool = self.shared.pool.load();
        let key = translate::key(service);
        let service = known(&pool, &key)?;
        let Some(address) = real else {
            return Ok(view::carried(&service.traffic));
        };
        let found = service.reals.find(address.into());
        let missing = || translate::error(PoolError::NoReal, &key, Some(address.into()));
        found
            .map(|real| view::carried(&real.traffic))
            .ok_or_else(missing)
    }

    fn limits(&self) -> Result<Limits> {
        let (table, templates) = (&self.shared.table, &self.shared.templates);
        let half_open = table.half_open_len();
        Ok(Limits {
            connections: view::used(table.len() - half_open.min(table.len()), table.capacity()),
            half_open: view::used(half_open, table.half_open_capacity()),
            templates: view::used(templates.len(), templates.capacity()),
            marks: view::used(self.rules.lock().len(), MarkRule::MAX),
            table_bytes: table.footprint() as u64,
        })
    }

    fn close_connection(&self, id: ConnectionId) -> Result<()> {
        self.close(id)
    }

    fn forget_templates(&self, query: &TemplateQuery) -> Result<Forgotten> {
        let forgotten = self.forget(query);
        Ok(Forgotten { forgotten })
    }

    fn timeouts(&self) -> Result<Timeouts> {
        let [tcp, tcpfin, udp] = self.shared.timeouts.load().shown();
        Ok(Timeouts { tcp, tcpfin, udp })
    }

    fn change_timeouts(&self, patch: TimeoutsPatch) -> Result<Timeouts> {
        let _one_at_a_time = self.master.lock();
        let timeouts = self.timeouts_with(Timeouts {
            tcp: patch.tcp.unwrap_or(0),
            tcpfin: patch.tcpfin.unwrap_or(0),
            udp: patch.udp.unwrap_or(0),
        })?;
        self.publish_timeouts(timeouts);
        self.timeouts()
    }

    fn config(&self) -> Result<Configuration> {
        self.configuration()
    }

    fn put_config(&self, wanted: &Configuration) -> Result<()> {
        self.refuse_commands_of(&wanted.services)?;
        self.refuse_files_of(wanted)?;
        self.put_whole(wanted)
    }

    fn check_config(&self, wanted: &Configuration) -> Result<()> {
        self.refuse_commands_of(&wanted.services)?;
        self.refuse_files_of(wanted)?;
        self.check_whole(wanted)
    }

    fn keep(&self) -> Result<()> {
        self.keep_change()
    }

    fn reload(&self) -> Result<Reloaded> {
        self.read_again()
    }

    fn turn(&self) -> &Arc<tokio::sync::Mutex<()>> {
        &self.turn
    }

    fn record(&self, change: AuditEntry) {
        self.remember(change);
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
        self.publish_sysctls(sysctls);
        self.watch();
        self.sysctls()
    }

    fn stats(&self) -> Result<Stats> {
        self.collect();
        let interfaces = self.interface_status()?;
        let workers = self.worker_status();
        let drops = self.drops(&interfaces);
        let pool = self.shared.pool.load();
        let services = pool.services();
        let carried = services.iter().map(|s| s.traffic.sum());
        let rates = services.iter().map(|s| s.traffic.rates());
        Ok(Stats {
            total: PacketTotals {
                received: interfaces.iter().map(|i| i.rx).sum::<u64>()
                    + workers.iter().map(|w| w.from_host).sum::<u64>(),
                sent: workers.iter().map(|w| w.sent).sum::<u64>()
                    + interfaces.iter().map(|i| i.forwarded).sum::<u64>(),
                passed: interfaces.iter().map(|i| i.passed).sum(),
                answered: interfaces.iter().map(|i| i.answered).sum(),
                dropped: drops.values().sum(),
            },
            traffic: carried.fold(TrafficSum::default(), TrafficSum::plus).into(),
            rates: rates.map(translate::rates).sum(),
            windows: services
                .iter()
                .map(|s| translate::windows(&s.traffic))
                .sum(),
            drops,
            workers: workers.into_iter().map(Into::into).collect(),
            interfaces: interfaces.into_iter().map(Into::into).collect(),
        })
    }
}
