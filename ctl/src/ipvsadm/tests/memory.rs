//! A director in memory.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use adminapi::Problem;
use adminapi::client::{EntityTag, Seen};
use adminapi::model::{
    Change, Configuration, Connection, ConnectionPage, Cursor, ListingQuery, Rates, Real, RealView,
    Service, ServiceId, ServiceRow, ServiceView, Stats, SyncDaemon, SyncRole, Timeouts, Traffic,
    ViewsQuery,
};
use adminapi::table::{self, Style, TableQuery};

use crate::director::{Director, DirectorError, Edit, Pieces, Result, Rows, Setting};

/// Nobody else changes anything.
const TAG: EntityTag = EntityTag::of_static("\"one\"");

/// A director that forwards nothing.
#[derive(Debug, Default)]
pub(super) struct MemoryDirector {
    pub(super) services: RefCell<Vec<ServiceView>>,
    pub(super) connections: Vec<Connection>,
    /// Without services.
    pub(super) settings: RefCell<Configuration>,
    /// How often it was asked for changes.
    pub(super) requests: Cell<u32>,
    pub(super) daemons: RefCell<Vec<SyncDaemon>>,
    /// What it has against all that is asked of it, if anything.
    pub(super) refusal: Vec<Problem>,
}

impl MemoryDirector {
    fn unless_refused(&self) -> Result<()> {
        match self.refusal.is_empty() {
            true => Ok(()),
            false => Err(DirectorError::BadValues(self.refusal.clone())),
        }
    }

    /// All services, or one.
    fn all_or(&self, one: Option<ServiceId>) -> Result<Vec<ServiceView>> {
        match one {
            Some(id) => Ok(vec![self.with(id, |service| service.clone())?]),
            None => Ok(self.services.borrow().clone()),
        }
    }

    fn with<T>(&self, id: ServiceId, act: impl FnOnce(&mut ServiceView) -> T) -> Result<T> {
        let mut services = self.services.borrow_mut();
        let service = services.iter_mut().find(|service| service.id == id);
        service.map(act).ok_or(DirectorError::NoService)
    }
}

fn unless_multicast(address: IpAddr) -> Result<()> {
    match address.is_multicast() {
        true => Err(DirectorError::Refused("/address: multicast".into())),
        false => Ok(()),
    }
}

fn view(real: &Real) -> RealView {
    RealView {
        address: real.address,
        port: real.port.unwrap(),
        weight: real.weight,
        method: real.method,
        tun: real.tunnel(),
        upper: real.upper,
        lower: real.lower,
        overloaded: false,
        active: 0,
        inactive: 0,
        check: None,
        condition: None,
        draining: None,
        persistent: 0,
        local_ports: None,
        stats: Traffic::default(),
        rates: Rates::default(),
        drops: Default::default(),
    }
}

fn service_view(service: &Service) -> ServiceView {
    ServiceView {
        id: service.id,
        naming: service.id.into(),
        scheduler: service.scheduler,
        scheduler_flags: service.scheduler_flags,
        persistence: service.persistence,
        engine: service.engine,
        one_packet: service.one_packet,
        health: None,
        condition: None,
        sorry: None,
        cookies: service.cookies,
        udp_repeats: service.udp_repeats,
        helper: service.helper,
        stats: Traffic::default(),
        rates: Rates::default(),
        drops: Default::default(),
        reals: service.reals.iter().map(view).collect(),
    }
}

impl MemoryDirector {
    fn change(&self, change: Change) -> Result<()> {
        self.unless_refused()?;
        if let Change::AddReal { real, .. } = &change {
            unless_multicast(real.address)?;
        }
        match change {
            Change::AddService(service) => self.add_service(&service),
            Change::ChangeService { service, patch } => self.with(service, |known| {
                let changed = patch.applied(&Service::from(&*known)).unwrap();
                *known = service_view(&changed);
            }),
            Change::RemoveService { service } => {
                self.with(service, |_| ())?;
                self.services
                    .borrow_mut()
                    .retain(|known| known.id != service);
                Ok(())
            }
            Change::RemoveServices {} => {
                self.services.borrow_mut().clear();
                Ok(())
            }
            Change::AddReal { service, real } => self.with(service, |known| {
                let at = SocketAddr::new(real.address, real.port.unwrap());
                if known.reals.iter().any(|known| known.endpoint() == at) {
                    return Err(DirectorError::Exists);
                }
                known.reals.push(view(&real));
                Ok(())
            })?,
            Change::ChangeReal {
                service,
                real: at,
                patch,
            } => self.with(service, |known| {
                let known = known.reals.iter_mut().find(|known| known.endpoint() == at);
                let known = known.ok_or(DirectorError::NoReal)?;
                *known = view(&patch.applied(&Real::from(&*known)).unwrap());
                Ok(())
            })?,
            Change::RemoveReal { service, real: at } => self.with(service, |known| {
                let before = known.reals.len();
                known.reals.retain(|known| known.endpoint() != at);
                match known.reals.len() == before {
                    true => Err(DirectorError::NoReal),
                    false => Ok(()),
                }
            })?,
        }
    }

    fn add_service(&self, service: &Service) -> Result<()> {
        let id = service.id;
        if self.with(id, |_| ()).is_ok() {
            return Err(DirectorError::Exists);
        }
        id.vip().map_or(Ok(()), |vip| unless_multicast(vip.ip()))?;
        self.services.borrow_mut().push(service_view(service));
        Ok(())
    }
}

impl Edit for &MemoryDirector {
    async fn has_service(&self, id: ServiceId) -> Result<bool> {
        Ok(self.with(id, |_| ()).is_ok())
    }

    async fn make(&self, changes: Vec<Change>) -> Result<Vec<Result<()>>> {
        self.requests.set(self.requests.get() + 1);
        Ok(changes.into_iter().map(|one| self.change(one)).collect())
    }

    async fn set(&self, setting: Setting) -> Result<()> {
        self.unless_refused()?;
        let mut settings = self.settings.borrow_mut();
        match setting {
            Setting::Timeouts(patch) => settings.timeouts = settings.timeouts.changed(patch),
            Setting::Sysctl(name, value) => drop(settings.sysctls.insert(name, value)),
            Setting::Level(None, level) => settings.defense.level = Some(level.level),
            Setting::Level(Some(id), level) => {
                self.with(id, |_| ())?;
                settings.defense.services.insert(id, level.level);
            }
            Setting::Cookies(id, policy) => self.with(id, |service| service.cookies = policy)?,
            Setting::Repeats(id, policy) => {
                self.with(id, |service| service.udp_repeats = policy)?
            }
            Setting::NoMarks => settings.marks = None,
            Setting::Mark(rule) => settings.marks.get_or_insert_default().push(rule),
        }
        Ok(())
    }
}

/// Rows that are all there.
struct InMemory(VecDeque<ServiceRow>);

impl Rows for InMemory {
    async fn next(&mut self) -> Result<Option<ServiceRow>> {
        Ok(self.0.pop_front())
    }
}

/// A text that is all there.
struct Whole(Option<Vec<u8>>);

impl Pieces for Whole {
    async fn next(&mut self) -> Result<Option<impl AsRef<[u8]>>> {
        Ok(self.0.take())
    }
}

impl Director for &MemoryDirector {
    async fn views(&self, query: ViewsQuery) -> Result<impl Pieces> {
        let views = query.order.of_all(self.all_or(query.service)?);
        Ok(Whole(Some(serde_json::to_vec(&views).unwrap())))
    }

    async fn listing(&self, query: ListingQuery) -> Result<impl Rows> {
        let services = self.all_or(query.service)?;
        let services = query.order.of_services(services, |service| service.id);
        let row = |service: &ServiceView| ServiceRow::of(service, &query);
        Ok(InMemory(services.iter().map(row).collect()))
    }

    async fn table(&self, query: TableQuery) -> Result<Option<impl Pieces>> {
        let mut rows = self.listing(query.rows()).await?;
        let mut text = query.head().into_bytes();
        while let Some(row) = rows.next().await? {
            table::service(&mut text, &row, query.columns, Style::Numeric);
        }
        Ok(Some(Whole(Some(text))))
    }

    async fn config(&self) -> Result<Seen<Configuration>> {
        let value = Configuration {
            services: self.services.borrow().iter().map(Service::from).collect(),
            ..self.settings.borrow().clone()
        };
        Ok(Seen { value, tag: TAG })
    }

    async fn put_config(&self, wanted: &Configuration, tag: &EntityTag) -> Result<()> {
        assert_eq!(*tag, TAG);
        self.check_config(wanted).await?;
        self.settings.replace(Configuration {
            services: Vec::new(),
            ..wanted.clone()
        });
        let services = wanted.services.iter().map(service_view);
        self.services.replace(services.collect());
        Ok(())
    }

    async fn check_config(&self, wanted: &Configuration) -> Result<()> {
        self.unless_refused()?;
        let full = wanted.services.len() > 3;
        full.then(|| DirectorError::Full("no room".into()))
            .map_or(Ok(()), Err)
    }

    /// One connection a page, so that every listing has to turn pages.
    async fn connections(&self, from: Option<Cursor>) -> Result<ConnectionPage> {
        let at = from.map_or(0, |cursor| cursor.0);
        let following = self.connections.get(at as usize..).unwrap_or_default();
        Ok(ConnectionPage {
            connections: following.iter().take(1).cloned().collect(),
            next: (following.len() > 1).then_some(Cursor(at + 1)),
        })
    }

    async fn zero(&self, id: Option<ServiceId>) -> Result<()> {
        if let Some(id) = id {
            self.with(id, |_| ())?;
        }
        for service in self.services.borrow_mut().iter_mut() {
            if id.is_none_or(|id| id == service.id) {
                service.stats = Traffic::default();
                service
                    .reals
                    .iter_mut()
                    .for_each(|r| r.stats = Traffic::default());
            }
        }
        Ok(())
    }

    async fn timeouts(&self) -> Result<Timeouts> {
        Ok(self.settings.borrow().timeouts)
    }

    async fn stats(&self) -> Result<Stats> {
        let services = self.services.borrow();
        let first = services.first();
        Ok(Stats {
            traffic: first.map_or(Traffic::default(), |service| service.stats),
            rates: first.map_or(Rates::default(), |service| service.rates),
            ..Stats::default()
        })
    }

    async fn daemons(&self) -> Result<Vec<SyncDaemon>> {
        Ok(self.daemons.borrow().clone())
    }

    async fn start_daemon(&self, daemon: SyncDaemon) -> Result<()> {
        self.unless_refused()?;
        let mut daemons = self.daemons.borrow_mut();
        if daemons.iter().any(|known| known.role == daemon.role) {
            return Err(DirectorError::Exists);
        }
        if daemon.interface != "eth0" {
            return Err(DirectorError::NoInterface("it has eth0".into()));
        }
        daemons.push(daemon);
        Ok(())
    }

    async fn stop_daemon(&self, role: SyncRole) -> Result<()> {
        let mut daemons = self.daemons.borrow_mut();
        let place = daemons.iter().position(|known| known.role == role);
        daemons.remove(place.ok_or(DirectorError::NoDaemon)?);
        Ok(())
    }
}
