//! A director without packets, for the tests of this crate and of those who ask one.

mod gate;
mod state;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::control::{Control, News, Put};
use crate::error::{ControlError, Result, Subject};
use crate::model::*;
use crate::sysctl::{Sysctl, Sysctls, Value};

pub use gate::Gate;
use state::{State, listed, real_view, service_view};

/// Keeps what it is told, in the order it was told.
#[derive(Debug, Default)]
pub struct Fake {
    pub(crate) state: Mutex<State>,
    pub(crate) connections: Vec<Connection>,
    /// A page has this many connections at most, whatever is asked for.
    pub(crate) page: Option<u32>,
    /// What every call fails with.
    pub(crate) fault: Option<ControlError>,
    /// The numbers of the latest event and sample.
    pub(crate) happened: watch::Sender<u64>,
    pub(crate) sampled: watch::Sender<u64>,
    /// The numbers of events that it does not remember.
    pub(crate) forgotten: Vec<u64>,
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
    /// Makes `status` panic.
    pub(crate) panics: bool,
    /// What `limits` goes through.
    pub gate: Arc<Gate>,
}

impl Fake {
    /// One that tracks these connections, and tells of so many at a time.
    pub fn tracking(connections: Vec<Connection>, page: u32) -> Self {
        Self {
            connections,
            page: Some(page),
            ..Self::default()
        }
    }

    fn with<T>(&self, call: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        match &self.fault {
            Some(fault) => Err(fault.clone()),
            None => call(&mut self.state.lock().unwrap()),
        }
    }
}

impl Control for Fake {
    fn health(&self) -> Result<Health> {
        self.with(|_| Ok(Health::default()))
    }

    fn status(&self) -> Result<Status> {
        assert!(!self.panics, "the fake was told to");
        self.with(|_| {
            Ok(Status {
                version: "1.2.3".to_owned(),
                uptime: 61,
                certificates: vec![CertificateStatus {
                    listener: "api".to_owned(),
                    file: "/etc/bulwark/api.crt".to_owned(),
                    expires: 1_893_456_000,
                }],
                ..Status::default()
            })
        })
    }

    fn services(&self) -> Result<Vec<ServiceView>> {
        self.with(|state| Ok(state.services.clone()))
    }

    fn service(&self, id: ServiceId) -> Result<ServiceView> {
        self.with(|state| state.service(id).cloned())
    }

    fn add_service(&self, service: Service) -> Result<ServiceView> {
        self.with(|state| {
            if state.place(service.id).is_some() {
                return Err(ControlError::AlreadyExists(Subject::Service(service.id)));
            }
            let view = service_view(&service);
            state.services.push(view.clone());
            Ok(view)
        })
    }

    fn put_service(&self, service: Service) -> Result<Put<ServiceView>> {
        self.with(|state| {
            let view = service_view(&service);
            match state.place(view.id) {
                Some(place) => {
                    state.services[place] = view.clone();
                    Ok(Put::Replaced(view))
                }
                None => {
                    state.services.push(view.clone());
                    Ok(Put::Created(view))
                }
            }
        })
    }

    fn change_service(&self, id: ServiceId, patch: ServicePatch) -> Result<ServiceView> {
        self.with(|state| {
            let service = state.service(id)?;
            let now = patch.applied(&Service::from(&*service));
            *service = service_view(&now.map_err(ControlError::Invalid)?);
            Ok(service.clone())
        })
    }

    fn remove_service(&self, id: ServiceId) -> Result<()> {
        self.with(|state| {
            state.service(id)?;
            state.services.retain(|service| service.id != id);
            Ok(())
        })
    }

    fn flush(&self) -> Result<()> {
        self.with(|state| {
            state.services.clear();
            Ok(())
        })
    }

    fn reals(&self, service: ServiceId) -> Result<Vec<RealView>> {
        self.with(|state| Ok(state.service(service)?.reals.clone()))
    }

    fn real(&self, service: ServiceId, real: SocketAddr) -> Result<RealView> {
        self.with(|state| state.real(service, real).cloned())
    }

    fn add_real(&self, service: ServiceId, real: Real) -> Result<RealView> {
        self.with(|state| {
            let view = real_view(service, &real);
            match state.real(service, view.endpoint()) {
                Ok(_) => Err(ControlError::AlreadyExists(Subject::Real {
                    service,
                    real: view.endpoint(),
                })),
                Err(_) => {
                    state.service(service)?.reals.push(view.clone());
                    Ok(view)
                }
            }
        })
    }

    fn put_real(&self, service: ServiceId, real: Real) -> Result<Put<RealView>> {
        self.with(|state| {
            let view = real_view(service, &real);
            if let Ok(there) = state.real(service, view.endpoint()) {
                *there = view.clone();
                return Ok(Put::Replaced(view));
            }
            state.service(service)?.reals.push(view.clone());
            Ok(Put::Created(view))
        })
    }

    fn change_real(
        &self,
        service: ServiceId,
        real: SocketAddr,
        patch: RealPatch,
    ) -> Result<RealView> {
        self.with(|state| {
            let view = state.real(service, real)?;
            let draining = patch.drain.map(|seconds| Draining {
                until: seconds.into(),
                ..Draining::default()
            });
            let now = patch.applied(&Real::from(&*view));
            *view = RealView {
                draining,
                ..real_view(service, &now.map_err(ControlError::Invalid)?)
            };
            Ok(view.clone())
        })
    }

    fn remove_real(&self, service: ServiceId, real: SocketAddr) -> Result<()> {
        self.with(|state| {
            state.real(service, real)?;
            let reals = &mut state.service(service)?.reals;
            reals.retain(|view| view.endpoint() != real);
            Ok(())
        })
    }

    fn connections(&self, query: &ConnectionQuery) -> Result<ConnectionPage> {
        self.with(|_| {
            let start = query.cursor.map_or(0, |cursor| cursor.0 as usize);
            let mut rest = self
                .connections
                .iter()
                .enumerate()
                .skip(start)
                .filter(|(_, connection)| query.matches(connection));
            let limit = query.limit.min(self.page.unwrap_or(u32::MAX));
            let page = rest.by_ref().take(limit as usize);
            let connections = page.map(|(_, connection)| connection.clone()).collect();
            let next = rest.next().map(|(place, _)| Cursor(place as u64));
            Ok(ConnectionPage { connections, next })
        })
    }

    fn close_connection(&self, id: ConnectionId) -> Result<()> {
        let known = |connection: &Connection| connection.id() == Some(id);
        match self.connections.iter().any(known) {
            true => Ok(()),
            false => Err(ControlError::NotFound(Subject::Connection(id))),
        }
    }

    fn forget_templates(&self, query: &TemplateQuery) -> Result<Forgotten> {
        let is_meant = |c: &&Connection| c.template && query.matches(c, |client| client);
        self.with(|_| {
            Ok(Forgotten {
                forgotten: self.connections.iter().filter(is_meant).count() as u64,
            })
        })
    }

    fn limits(&self) -> Result<Limits> {
        self.gate.pass();
        self.with(|_| Ok(Limits::default()))
    }

    fn carried(&self, service: ServiceId, real: Option<SocketAddr>) -> Result<Carried> {
        let traffic = match real {
            Some(real) => self.real(service, real)?.stats,
            None => self.service(service)?.stats,
        };
        Ok(Carried {
            traffic,
            ..Carried::default()
        })
    }

    fn samples(&self, since: u64) -> Result<Vec<Sample>> {
        let sample = |id| Sample {
            id,
            at: id,
            stats: Stats::default(),
        };
        let last = *self.sampled.borrow();
        Ok((last.saturating_sub(59).max(since + 1)..=last)
            .map(sample)
            .collect())
    }

    fn news(&self) -> News {
        News {
            events: self.happened.subscribe(),
            samples: self.sampled.subscribe(),
        }
    }

    fn marks(&self) -> Result<Vec<MarkRule>> {
        self.with(|state| Ok(state.marks.clone()))
    }

    fn put_marks(&self, rules: Vec<MarkRule>) -> Result<()> {
        self.with(|state| {
            state.marks = rules;
            Ok(())
        })
    }

    fn add_mark(&self, rule: MarkRule) -> Result<usize> {
        self.with(|state| {
            state.marks.push(rule);
            Ok(state.marks.len() - 1)
        })
    }

    fn filter(&self) -> Result<Filter> {
        self.with(|state| {
            Ok(Filter {
                rules: state.rules.clone(),
                ..state.filtered.clone()
            })
        })
    }

    fn put_filter(&self, rules: FilterRules) -> Result<Filter> {
        self.with(|state| {
            state.rules = rules.with_files_of(&state.rules);
            Ok(())
        })?;
        self.filter()
    }

    fn listed_networks(&self, query: &NetworkQuery) -> Result<NetworkPage> {
        let wanted = |listing: &&Listed| query.list.is_none_or(|list| list == listing.list);
        self.with(|state| {
            let listings = state.listings.iter().filter(wanted).map(listed).collect();
            Ok(NetworkPage {
                listings,
                next: None,
            })
        })
    }

    fn listed_network(&self, network: Prefix) -> Result<Option<ListedView>> {
        let is_it = |listing: &&Listed| listing.network == network;
        self.with(|state| Ok(state.listings.iter().find(is_it).map(listed)))
    }

    fn put_network(&self, listing: Listed) -> Result<Put<ListedView>> {
        let view = listed(&listing);
        let replaced = self.remove_network(listing.network)?;
        self.with(|state| {
            state.listings.push(listing);
            Ok(())
        })?;
        Ok(match replaced {
            true => Put::Replaced(view),
            false => Put::Created(view),
        })
    }

    fn remove_network(&self, network: Prefix) -> Result<bool> {
        self.with(|state| {
            let before = state.listings.len();
            state.listings.retain(|listing| listing.network != network);
            Ok(state.listings.len() < before)
        })
    }

    fn remove_mark(&self, place: usize) -> Result<bool> {
        self.with(|state| {
            let there = place < state.marks.len();
            if there {
                state.marks.remove(place);
            }
            Ok(there)
        })
    }

    fn zero(&self, service: Option<ServiceId>) -> Result<()> {
        self.with(|state| {
            let views = match service {
                Some(id) => std::slice::from_mut(state.service(id)?),
                None => &mut state.services,
            };
            for view in views {
                view.stats = Traffic::default();
                view.reals
                    .iter_mut()
                    .for_each(|real| real.stats = Traffic::default());
            }
            Ok(())
        })
    }

    fn defense(&self, service: Option<ServiceId>) -> Result<Defense> {
        self.with(|state| {
            service.map_or(Ok(()), |id| state.service(id).map(drop))?;
            let level = state.levels.get(&service).copied().unwrap_or_default();
            Ok(Defense {
                level,
                automatic: level < DefenseLevel::MAX,
                ..state.defense.clone()
            })
        })
    }

    fn set_defense(
        &self,
        service: Option<ServiceId>,
        DefenseLevel { level }: DefenseLevel,
    ) -> Result<Defense> {
        self.defense(service)?;
        self.with(|state| {
            state.levels.insert(service, level);
            Ok(())
        })?;
        self.defense(service)
    }

    fn sources(&self, query: &SourceQuery) -> Result<Sources> {
        let source = Source {
            source: "192.0.2.1".parse().unwrap(),
            packets: 10,
            margin: 0,
            bytes: 600,
            opens: 10,
            stopped: 0,
        };
        self.with(|_| {
            Ok(Sources {
                packets: 20,
                sources: vec![source; query.limit.min(2) as usize],
                networks: Vec::new(),
            })
        })
    }

    fn events(&self, since: u64) -> Result<Events> {
        let event = |id| Event {
            id,
            at: id,
            kind: "defense_level".to_owned(),
            service: None,
            message: String::new(),
            change: None,
        };
        let last = *self.happened.borrow();
        let from = last.saturating_sub(255).max(since.saturating_add(1));
        let known = (from..=last).filter(|id| !self.forgotten.contains(id));
        self.with(|_| {
            Ok(Events {
                events: known.map(event).collect(),
                last,
            })
        })
    }

    fn timeouts(&self) -> Result<Timeouts> {
        self.with(|state| Ok(state.timeouts))
    }

    fn change_timeouts(&self, patch: TimeoutsPatch) -> Result<Timeouts> {
        self.with(|state| {
            state.timeouts = state.timeouts.changed(patch);
            Ok(state.timeouts)
        })
    }

    fn config(&self) -> Result<Configuration> {
        self.with(|state| {
            Ok(Configuration {
                timeouts: state.timeouts,
                services: state.services.iter().map(Service::from).collect(),
                marks: Some(state.marks.clone()),
                daemons: Some(state.daemons.clone()),
                ..Configuration::default()
            })
        })
    }

    fn put_config(&self, wanted: &Configuration) -> Result<()> {
        self.with(|state| {
            state.timeouts = wanted.timeouts;
            state.services = wanted.services.iter().map(service_view).collect();
            let stays = state.marks.clone();
            state.marks = wanted.marks.clone().unwrap_or(stays);
            Ok(())
        })
    }

    fn check_config(&self, _: &Configuration) -> Result<()> {
        self.with(|_| Ok(()))
    }

    fn reload(&self) -> Result<Reloaded> {
        self.with(|state| {
            state.timeouts = Timeouts::default();
            let stays = (state.kept > 0).then(|| "what was kept stays".to_owned());
            Ok(Reloaded {
                notes: stays.into_iter().collect(),
            })
        })
    }

    fn turn(&self) -> &Arc<tokio::sync::Mutex<()>> {
        &self.turn
    }

    fn keep(&self) -> Result<()> {
        self.with(|state| {
            state.kept += 1;
            Ok(())
        })
    }

    fn record(&self, change: AuditEntry) {
        self.state.lock().unwrap().changes.push(change);
    }

    fn explain(&self, query: &ExplainQuery) -> Result<Explanation> {
        self.with(|state| {
            let service = ServiceId::at(query.protocol, query.to);
            let known = state.place(service).is_some();
            Ok(Explanation {
                place: None,
                fate: if known { Fate::Forward } else { Fate::Pass },
                reason: None,
                listed: None,
                rule: None,
                cookies: None,
                repeats: false,
                service: known.then_some(service),
                connection: None,
                becomes: None,
                left_behind: None,
                template: None,
                one_packet: false,
                expected: false,
                scheduler: None,
                real: None,
                sorry: false,
                method: None,
                next_hop: None,
            })
        })
    }

    fn daemons(&self) -> Result<Vec<SyncDaemon>> {
        self.with(|state| Ok(state.daemons.clone()))
    }

    fn start_daemon(&self, daemon: SyncDaemon) -> Result<SyncDaemon> {
        self.with(|state| {
            if state.daemons.iter().any(|known| known.role == daemon.role) {
                return Err(ControlError::AlreadyExists(Subject::Daemon(daemon.role)));
            }
            state.daemons.push(daemon.clone());
            Ok(daemon)
        })
    }

    fn stop_daemon(&self, role: SyncRole) -> Result<()> {
        self.with(|state| {
            let place = state.daemons.iter().position(|known| known.role == role);
            let gone = ControlError::NotFound(Subject::Daemon(role));
            state.daemons.remove(place.ok_or(gone)?);
            Ok(())
        })
    }

    fn sysctls(&self) -> Result<Sysctls> {
        self.with(|state| Ok(state.sysctls.clone()))
    }

    fn change_sysctl(&self, sysctl: Sysctl, value: &Value) -> Result<Sysctls> {
        self.with(|state| {
            state.sysctls.set(sysctl, value)?;
            Ok(state.sysctls.clone())
        })
    }

    fn stats(&self) -> Result<Stats> {
        self.with(|state| {
            let mut traffic = Traffic::default();
            for service in &state.services {
                traffic.connections += service.stats.connections;
            }
            Ok(Stats {
                traffic,
                ..Stats::default()
            })
        })
    }
}
