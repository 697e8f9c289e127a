//! What a director does for the API.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{Mutex, watch};

use crate::difference;
use crate::error::Result;
use crate::model::listing::{self, Rows};
use crate::model::{
    AuditEntry, Carried, Change, Configuration, ConnectionId, ConnectionPage, ConnectionQuery,
    Defense, DefenseLevel, Events, ExplainQuery, Explanation, Filter, FilterRules, Forgotten,
    Health, Limits, Listed, ListedView, ListingQuery, MarkRule, NetworkPage, NetworkQuery, Prefix,
    Real, RealPatch, RealView, Reloaded, Sample, Service, ServiceId, ServicePatch, ServiceRow,
    ServiceView, SourceQuery, Sources, Stats, Status, SyncDaemon, SyncRole, TemplateQuery,
    Timeouts, TimeoutsPatch, ViewsQuery,
};
use crate::sysctl::{Sysctl, Sysctls, Value};
use crate::table::TableQuery;

/// What a `put` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put<T> {
    /// It was not there before.
    Created(T),
    /// It took the place of what was there.
    Replaced(T),
}

impl<T> Put<T> {
    /// What is there now.
    pub fn into_inner(self) -> T {
        match self {
            Self::Created(now) | Self::Replaced(now) => now,
        }
    }
}

/// The numbers of the latest event and the latest sample, as they come.
#[derive(Clone, Debug)]
pub struct News {
    /// Of events.
    pub events: watch::Receiver<u64>,
    /// Of samples.
    pub samples: watch::Receiver<u64>,
}

/// What the router asks of a director.
///
/// Services, reals, patches and queries that arrive here have passed [`crate::validate`] by
/// themselves; what depends on the director's state (what exists, limits, a real server that
/// is another service's VIP) is for the implementation to check.
///
/// Calls may come from several threads at once and may block for a moment (a lock, a scan of the
/// connection table): the router keeps them off its own threads. Changes take effect before the
/// call returns and leave established connections as they are.
pub trait Control: Send + Sync + 'static {
    /// Ready to forward; [`crate::ControlError::Busy`] says why not yet.
    fn health(&self) -> Result<Health>;

    /// The director as it is now.
    fn status(&self) -> Result<Status>;

    /// All services, in the order they were added.
    fn services(&self) -> Result<Vec<ServiceView>>;

    /// Services in a row each: all, or the one that is asked for. Making a row waits for nobody.
    fn listing(&self, query: ListingQuery) -> Result<Rows> {
        let services = match query.service {
            Some(id) => vec![self.service(id)?],
            None => self.services()?,
        };
        let services = query.order.of_services(services, |view| view.id);
        let size = |view: &ServiceView| size_of_val(view) + size_of_val(view.reals.as_slice());
        let size = services.iter().map(size).sum();
        let rows = services.into_iter();
        let rows = rows.map(move |view| listing::encode(&ServiceRow::of(&view, &query)));
        Ok(Rows::holding(size, rows))
    }

    /// Services as a table, its first lines and then those of a service each: all, or the one that is asked
    /// for. Making them waits for nobody.
    fn table(&self, query: TableQuery) -> Result<Rows> {
        Ok(query.of(self.listing(query.rows())?))
    }

    /// Services as they are now, all or the one that is asked for, in the order that is asked for.
    fn views(&self, query: ViewsQuery) -> Result<Vec<ServiceView>> {
        let views = match query.service {
            Some(id) => vec![self.service(id)?],
            None => self.services()?,
        };
        Ok(query.order.of_all(views))
    }

    /// One service.
    fn service(&self, id: ServiceId) -> Result<ServiceView>;

    /// Adds a service with its real servers.
    fn add_service(&self, service: Service) -> Result<ServiceView>;

    /// Adds a service, or makes the one of its name look like it: real servers that are in both
    /// keep their connections and counters.
    fn put_service(&self, service: Service) -> Result<Put<ServiceView>>;

    /// Changes what `patch` names.
    fn change_service(&self, id: ServiceId, patch: ServicePatch) -> Result<ServiceView>;

    /// Removes a service and its real servers.
    fn remove_service(&self, id: ServiceId) -> Result<()>;

    /// Removes all services (`-C`).
    fn flush(&self) -> Result<()>;

    /// The real servers of a service, in the order they were added.
    fn reals(&self, service: ServiceId) -> Result<Vec<RealView>>;

    /// One real server.
    fn real(&self, service: ServiceId, real: SocketAddr) -> Result<RealView>;

    /// Adds a real server. Without a port it has the service's.
    fn add_real(&self, service: ServiceId, real: Real) -> Result<RealView>;

    /// Adds a real server, or makes the one of its name look like it.
    fn put_real(&self, service: ServiceId, real: Real) -> Result<Put<RealView>>;

    /// Changes what `patch` names.
    fn change_real(
        &self,
        service: ServiceId,
        real: SocketAddr,
        patch: RealPatch,
    ) -> Result<RealView>;

    /// Removes a real server.
    fn remove_real(&self, service: ServiceId, real: SocketAddr) -> Result<()>;

    /// Makes a change, whatever its kind.
    fn make(&self, change: Change) -> Result<()> {
        match change {
            Change::AddService(service) => self.add_service(service).map(drop),
            Change::ChangeService { service, patch } => {
                self.change_service(service, patch).map(drop)
            }
            Change::RemoveService { service } => self.remove_service(service),
            Change::AddReal { service, real } => self.add_real(service, real).map(drop),
            Change::ChangeReal {
                service,
                real,
                patch,
            } => self.change_real(service, real, patch).map(drop),
            Change::RemoveReal { service, real } => self.remove_real(service, real),
            Change::RemoveServices {} => self.flush(),
        }
    }

    /// Makes all changes in their order, and says what came of each.
    fn make_all(&self, changes: Vec<Change>) -> Vec<Result<()>> {
        changes
            .into_iter()
            .map(|change| self.make(change))
            .collect()
    }

    /// One page of the connections that match `query`.
    fn connections(&self, query: &ConnectionQuery) -> Result<ConnectionPage>;

    /// Forgets a connection. Its client is told at its next packet.
    fn close_connection(&self, id: ConnectionId) -> Result<()>;

    /// Forgets the templates that `query` is about; how many. Connections go on.
    fn forget_templates(&self, query: &TemplateQuery) -> Result<Forgotten>;

    /// How much there is room for.
    fn limits(&self) -> Result<Limits>;

    /// What a service, or a real server of it, has carried.
    fn carried(&self, service: ServiceId, real: Option<SocketAddr>) -> Result<Carried>;

    /// The statistics of the seconds after number `since` that are remembered.
    fn samples(&self, since: u64) -> Result<Vec<Sample>>;

    /// Hears of events and samples.
    fn news(&self) -> News;

    /// The rules that mark packets, in their order.
    fn marks(&self) -> Result<Vec<MarkRule>>;

    /// Makes the rules these, in one step.
    fn put_marks(&self, rules: Vec<MarkRule>) -> Result<()>;

    /// Adds a rule behind the others; its place, from 0.
    fn add_mark(&self, rule: MarkRule) -> Result<usize>;

    /// Removes the rule at a place; false when there is none.
    fn remove_mark(&self, place: usize) -> Result<bool>;

    /// The filters as they are now.
    fn filter(&self) -> Result<Filter>;

    /// Makes what is filtered besides the lists this, in one step.
    fn put_filter(&self, rules: FilterRules) -> Result<Filter>;

    /// One page of the listed networks.
    fn listed_networks(&self, query: &NetworkQuery) -> Result<NetworkPage>;

    /// One listed network, if it is listed as just that.
    fn listed_network(&self, network: Prefix) -> Result<Option<ListedView>>;

    /// Lists a network, or changes how it is listed. That of a black hole ends its connections.
    fn put_network(&self, listing: Listed) -> Result<Put<ListedView>>;

    /// Takes a network off its list; false when it is on none.
    fn remove_network(&self, network: Prefix) -> Result<bool>;

    /// Zeroes the counters of a service and its real servers, or of all of them (`-Z`).
    fn zero(&self, service: Option<ServiceId>) -> Result<()>;

    /// The timeouts in force.
    fn timeouts(&self) -> Result<Timeouts>;

    /// Changes what `patch` names; the answer is what is in force then.
    fn change_timeouts(&self, patch: TimeoutsPatch) -> Result<Timeouts>;

    /// Services, timeouts and settings, as they are now.
    fn config(&self) -> Result<Configuration> {
        Ok(Configuration {
            timeouts: self.timeouts()?,
            services: self.services()?.iter().map(Service::from).collect(),
            ..Configuration::default()
        })
    }

    /// Makes services and timeouts those of `wanted`, and settings as far as it names them, in one
    /// step: all of it or nothing. Services and real servers that are there and in `wanted` keep
    /// their connections and counters.
    fn put_config(&self, wanted: &Configuration) -> Result<()>;

    /// Whether [`Control::put_config`] would do it. Changes nothing.
    fn check_config(&self, wanted: &Configuration) -> Result<()>;

    /// Reads the configuration file again and makes everything in it that can change what it says:
    /// all of it or nothing. Says what of the file does not hold.
    fn reload(&self) -> Result<Reloaded>;

    /// Held by who changes something, from before it is looked at until the audit has heard of it.
    fn turn(&self) -> &Arc<Mutex<()>>;

    /// [`Control::reload`] for somebody who is no client of the API: it waits for its turn, and the
    /// audit hears of it. Not to be called within a runtime.
    fn reload_by(&self, who: &str) -> Result<()> {
        let _turn = self.turn().blocking_lock();
        let before = self.config()?;
        self.reload()?;
        if let Some(change) = difference::of_config(who, "reload", &before, &self.config()?) {
            self.record(change);
        }
        Ok(())
    }

    /// Remembers among the events, and in the log, that somebody has changed something.
    fn record(&self, change: AuditEntry);

    /// Makes what was changed last for good. Called after each change, before the next one.
    ///
    /// # Errors
    /// When it cannot be written down; the change is taken back then.
    fn keep(&self) -> Result<()> {
        Ok(())
    }

    /// What would become of a packet. Changes nothing.
    fn explain(&self, query: &ExplainQuery) -> Result<Explanation>;

    /// The synchronisation daemons, the master first.
    fn daemons(&self) -> Result<Vec<SyncDaemon>>;

    /// Starts a synchronisation daemon; the answer is what is in force then.
    fn start_daemon(&self, daemon: SyncDaemon) -> Result<SyncDaemon>;

    /// Stops a synchronisation daemon.
    fn stop_daemon(&self, role: SyncRole) -> Result<()>;
    /// The sysctls in force.
    fn sysctls(&self) -> Result<Sysctls>;

    /// Writes one sysctl; the answer is what is in force then. [`Sysctls::set`] judges the value.
    fn change_sysctl(&self, sysctl: Sysctl, value: &Value) -> Result<Sysctls>;

    /// The defence of a service, or of the whole director.
    fn defense(&self, service: Option<ServiceId>) -> Result<Defense>;

    /// Sets the level of a service, or of the whole director; the answer is what is in force then.
    fn set_defense(&self, service: Option<ServiceId>, level: DefenseLevel) -> Result<Defense>;

    /// Who sends most.
    fn sources(&self, query: &SourceQuery) -> Result<Sources>;

    /// What has happened after event number `since`.
    fn events(&self, since: u64) -> Result<Events>;

    /// Statistics of the whole director.
    fn stats(&self) -> Result<Stats>;
}
