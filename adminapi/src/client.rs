//! The typed client of the API, over a Unix socket, TLS or plain HTTP.

mod address;
mod error;
mod exchange;
mod filter;
mod listing;
mod seen;
mod tls;
mod transport;

use std::net::SocketAddr;
use std::time::Duration;

use hyper::{Method, StatusCode};
use tokio::sync::Mutex;

use crate::control::Put;
use crate::model::{
    Change, Configuration, ConnectionId, ConnectionPage, ConnectionQuery, Defense, DefenseLevel,
    Difference, Events, ExplainQuery, Explanation, Forgotten, Health, Limits, ListingQuery,
    MarkRule, Real, RealPatch, RealView, Reloaded, Service, ServiceId, ServicePatch, ServiceView,
    SourceQuery, Sources, Stats, Status, SyncDaemon, SyncRole, TemplateId, TemplateQuery, Timeouts,
    TimeoutsPatch, ViewsQuery,
};
use crate::path;
use crate::problem::ProblemDocument;
use crate::sysctl::{SysctlView, SysctlWrite, Value};
use crate::table::{self, TableQuery};

pub use address::Address;
pub use error::{BadAddress, ClientError};
use exchange::json;
pub use listing::{Listing, Pieces};
pub use seen::{EntityTag, Seen};
pub use tls::Trust;
use transport::Transport;

/// The answer of every call.
pub type Result<T> = std::result::Result<T, ClientError>;

/// A connection to a director. Opened at the first call, kept for the next ones, opened anew
/// when the director has closed it. Calls that run at the same time wait for each other.
#[derive(Debug)]
pub struct Client {
    address: Address,
    token: Option<Bearer>,
    trust: Trust,
    patience: Duration,
    transport: Mutex<Option<Transport>>,
}

impl Client {
    /// How long a call may take unless told otherwise.
    pub const PATIENCE: Duration = Duration::from_secs(10);

    /// A client of the director at `unix:/path`, `https://host:port` or `http://host:port`. Sends nothing yet: a
    /// director that is not there is an error of the first call.
    pub fn connect(address: &str) -> Result<Self> {
        Ok(Self::new(address.parse()?))
    }

    /// A client of the director at `address`.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            token: None,
            trust: Trust::default(),
            patience: Self::PATIENCE,
            transport: Mutex::new(None),
        }
    }

    /// The same client, which sends `token` as `Authorization: Bearer`.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(Bearer(token.into()));
        self
    }

    /// The same client, which believes a director that `trust` says to believe.
    #[must_use]
    pub fn with_trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// The same client, whose calls may take `patience`.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Where the director is.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Is the director ready?
    pub async fn health(&self) -> Result<Health> {
        self.get(path::HEALTH).await
    }

    /// The director as it is now.
    pub async fn status(&self) -> Result<Status> {
        self.get(path::STATUS).await
    }

    /// Statistics of the whole director.
    pub async fn stats(&self) -> Result<Stats> {
        self.get(path::STATS).await
    }

    /// All services.
    pub async fn services(&self) -> Result<Vec<ServiceView>> {
        self.get(path::SERVICES).await
    }

    /// Services in a row each, all or one. Until it is read or dropped, other calls wait.
    pub async fn listing(&self, query: &ListingQuery) -> Result<Listing<'_>> {
        Listing::of(self, query).await
    }

    /// Services as they are now, all or one, as JSON in pieces. Until it is read or dropped, other
    /// calls wait.
    pub async fn views(&self, query: &ViewsQuery) -> Result<Pieces<'_>> {
        Pieces::of(self, &path::views(query), "application/json").await
    }

    /// Services as a table of ipvsadm, in pieces. Until it is read or dropped, other calls wait.
    pub async fn table(&self, query: &TableQuery) -> Result<Pieces<'_>> {
        Pieces::of(self, &path::table(query), table::MEDIA_TYPE).await
    }

    /// One service.
    pub async fn service(&self, id: ServiceId) -> Result<ServiceView> {
        self.get(&path::service(id)).await
    }

    /// Adds a service with its real servers.
    pub async fn add_service(&self, service: &Service) -> Result<ServiceView> {
        self.send(Method::POST, path::SERVICES, service).await
    }

    /// Adds a service, or makes the one of its name look like it.
    pub async fn put_service(&self, service: &Service) -> Result<Put<ServiceView>> {
        self.put(&path::service(service.id), service).await
    }

    /// Changes what `patch` names.
    pub async fn change_service(&self, id: ServiceId, patch: ServicePatch) -> Result<ServiceView> {
        self.send(Method::PATCH, &path::service(id), &patch).await
    }

    /// Removes a service and its real servers.
    pub async fn remove_service(&self, id: ServiceId) -> Result<()> {
        self.delete(&path::service(id)).await
    }

    /// Removes all services.
    pub async fn flush(&self) -> Result<()> {
        self.delete(path::SERVICES).await
    }

    /// The rules that mark packets.
    pub async fn marks(&self) -> Result<Vec<MarkRule>> {
        self.get(path::MARKS).await
    }

    /// Makes the rules these.
    pub async fn put_marks(&self, rules: &[MarkRule]) -> Result<Vec<MarkRule>> {
        self.send(Method::PUT, path::MARKS, &rules).await
    }

    /// Adds a rule behind the others.
    pub async fn add_mark(&self, rule: &MarkRule) -> Result<MarkRule> {
        self.send(Method::POST, path::MARKS, rule).await
    }

    /// Removes the rule at a place, from 0.
    pub async fn remove_mark(&self, place: usize) -> Result<()> {
        self.delete(&path::mark(place)).await
    }

    /// The real servers of a service.
    pub async fn reals(&self, service: ServiceId) -> Result<Vec<RealView>> {
        self.get(&path::reals(service)).await
    }

    /// One real server.
    pub async fn real(&self, service: ServiceId, real: SocketAddr) -> Result<RealView> {
        self.get(&path::real(service, real)).await
    }

    /// Adds a real server.
    pub async fn add_real(&self, service: ServiceId, real: &Real) -> Result<RealView> {
        self.send(Method::POST, &path::reals(service), real).await
    }

    /// Adds a real server, or makes the one of its name look like it.
    pub async fn put_real(&self, service: ServiceId, real: &Real) -> Result<Put<RealView>> {
        let endpoint = real.endpoint(service.port());
        self.put(&path::real(service, endpoint), real).await
    }

    /// Changes what `patch` names.
    pub async fn change_real(
        &self,
        service: ServiceId,
        real: SocketAddr,
        patch: RealPatch,
    ) -> Result<RealView> {
        self.send(Method::PATCH, &path::real(service, real), &patch)
            .await
    }

    /// Removes a real server.
    pub async fn remove_real(&self, service: ServiceId, real: SocketAddr) -> Result<()> {
        self.delete(&path::real(service, real)).await
    }

    /// One page of the connections that match `query`.
    pub async fn connections(&self, query: &ConnectionQuery) -> Result<ConnectionPage> {
        self.get(&path::connections(query)).await
    }

    /// Closes a connection.
    pub async fn close_connection(&self, id: ConnectionId) -> Result<()> {
        self.delete(&path::connection(id)).await
    }

    /// Forgets what a service remembers of a client.
    pub async fn forget_template(&self, id: TemplateId) -> Result<()> {
        self.delete(&path::template(id)).await
    }

    /// Forgets the templates that `query` is about; how many.
    pub async fn forget_templates(&self, query: &TemplateQuery) -> Result<Forgotten> {
        let path = path::templates(query);
        self.call(Method::DELETE, &path, None).await?.json()
    }

    /// How much there is room for.
    pub async fn limits(&self) -> Result<Limits> {
        self.get(path::LIMITS).await
    }

    /// Zeroes the counters of a service and its real servers, or of all of them.
    pub async fn zero(&self, service: Option<ServiceId>) -> Result<()> {
        match service {
            Some(id) => self.delete(&path::service_stats(id)).await,
            None => self.delete(path::SERVICES_STATS).await,
        }
    }

    /// The defence of a service, or of the whole director.
    pub async fn defense(&self, service: Option<ServiceId>) -> Result<Defense> {
        self.get(&path::defense(service)).await
    }

    /// Sets the level of a service, or of the whole director.
    pub async fn set_defense(
        &self,
        service: Option<ServiceId>,
        level: DefenseLevel,
    ) -> Result<Defense> {
        let path = path::defense(service);
        self.send(Method::PUT, &path, &level).await
    }

    /// Who sends most.
    pub async fn sources(&self, query: SourceQuery) -> Result<Sources> {
        let path = format!("{}?limit={}", path::SOURCES, query.limit);
        self.get(&path).await
    }

    /// What has happened after event number `since`.
    pub async fn events(&self, since: u64) -> Result<Events> {
        self.get(&path::events(since)).await
    }

    /// The timeouts in force.
    pub async fn timeouts(&self) -> Result<Timeouts> {
        self.get(path::TIMEOUTS).await
    }

    /// Changes what `patch` names; the answer is what is in force then.
    pub async fn change_timeouts(&self, patch: TimeoutsPatch) -> Result<Timeouts> {
        self.send(Method::PATCH, path::TIMEOUTS, &patch).await
    }

    /// Services, timeouts and settings as a whole.
    pub async fn config(&self) -> Result<Configuration> {
        self.get(path::CONFIG).await
    }

    /// Makes services and timeouts those of `wanted`, and the settings that it names: all of it or
    /// nothing.
    pub async fn put_config(&self, wanted: &Configuration) -> Result<()> {
        let body = Some(json(wanted)?);
        self.call(Method::PUT, path::CONFIG, body).await.map(drop)
    }

    /// What [`Client::put_config`] would change. Changes nothing.
    pub async fn check_config(&self, wanted: &Configuration) -> Result<Difference> {
        let path = format!("{}?dry_run=true", path::CONFIG);
        self.send(Method::PUT, &path, wanted).await
    }

    /// Has the director read its configuration file again: all of it or nothing. Says what of the
    /// file does not hold.
    pub async fn reload(&self) -> Result<Reloaded> {
        let answer = self.call(Method::POST, path::RELOAD, None).await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(Reloaded::default()),
            _ => answer.json(),
        }
    }

    /// Makes changes in their order, each by itself; what went wrong with each, if something did.
    pub async fn make(&self, changes: &[Change]) -> Result<Vec<Option<ProblemDocument>>> {
        self.send(Method::POST, path::CHANGES, &changes).await
    }

    /// What would become of a packet.
    pub async fn explain(&self, query: &ExplainQuery) -> Result<Explanation> {
        self.get(&path::explain(query)).await
    }

    /// The synchronisation daemons, the master first.
    pub async fn daemons(&self) -> Result<Vec<SyncDaemon>> {
        self.get(path::DAEMONS).await
    }

    /// Starts a synchronisation daemon.
    pub async fn start_daemon(&self, daemon: &SyncDaemon) -> Result<SyncDaemon> {
        self.send(Method::POST, path::DAEMONS, daemon).await
    }

    /// Stops a synchronisation daemon.
    pub async fn stop_daemon(&self, role: SyncRole) -> Result<()> {
        self.delete(&path::daemon(role)).await
    }

    /// All sysctls of IPVS.
    pub async fn sysctls(&self) -> Result<Vec<SysctlView>> {
        self.get(path::SYSCTLS).await
    }

    /// One sysctl, by its name with or without `net.ipv4.vs.`.
    pub async fn sysctl(&self, name: &str) -> Result<SysctlView> {
        self.get(&path::sysctl(name)).await
    }

    /// Writes one sysctl; the answer is what it is then.
    pub async fn change_sysctl(&self, name: &str, value: Value) -> Result<SysctlView> {
        let write = SysctlWrite { value };
        self.send(Method::PUT, &path::sysctl(name), &write).await
    }
}

/// A token to send. It does not show itself.
struct Bearer(String);

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer(..)")
    }
}

#[cfg(test)]
mod tests;
