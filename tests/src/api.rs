//! The director's API over its unix socket, for callers that block.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use adminapi::client::{self, Client};
use adminapi::model::{
    Connection, ConnectionQuery, CookieStatus, Defense, DefenseLevel, ExplainQuery, Explanation,
    Filter, FilterList, FilterRules, Listed, Prefix, Protocol, Real, RealPatch, Service, ServiceId,
    ServiceView, Stats, Status,
};
use adminapi::sysctl::Value;
use anyhow::{Context, Result};
use tokio::runtime::{Builder, Runtime};

use crate::topology::CLIENT_SIDE;

/// For a busy machine, where a large change may take a while.
const PATIENCE: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_secs(10);

/// The client of the API with a runtime of its own.
#[derive(Debug)]
pub struct Api {
    client: Client,
    runtime: Runtime,
    called: Mutex<Instant>,
}

impl Api {
    /// The API behind `socket`; nothing is sent yet.
    ///
    /// # Errors
    /// When the runtime cannot start.
    pub fn new(socket: &Path) -> Result<Self> {
        Ok(Self {
            client: Client::connect(&format!("unix:{}", socket.display()))?.with_patience(PATIENCE),
            runtime: Builder::new_current_thread().enable_all().build()?,
            called: Mutex::new(Instant::now()),
        })
    }

    /// Makes a call of the client and waits for its answer.
    ///
    /// # Errors
    /// The client's.
    pub fn call<T>(&self, call: impl AsyncFnOnce(&Client) -> client::Result<T>) -> Result<T> {
        self.stay_connected();
        Ok(self.runtime.block_on(call(&self.client))?)
    }

    /// Reads something after a while: the director closes a connection that is idle for half a minute,
    /// which a change does not outlive, and a read opens another one.
    fn stay_connected(&self) {
        let mut called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *called, Instant::now()).elapsed() > IDLE {
            let _ = self.runtime.block_on(self.client.health());
        }
    }

    /// Whether the director is ready.
    ///
    /// # Errors
    /// When it is not.
    pub fn health(&self) -> Result<()> {
        self.call(async |api| api.health().await).map(drop)
    }

    /// The director as it is now.
    ///
    /// # Errors
    /// The client's.
    pub fn status(&self) -> Result<Status> {
        self.call(async |api| api.status().await)
    }

    /// The counters of the whole director.
    ///
    /// # Errors
    /// The client's.
    pub fn stats(&self) -> Result<Stats> {
        self.call(async |api| api.stats().await)
    }

    /// How many packets were dropped because of `reason`.
    ///
    /// # Errors
    /// The client's.
    pub fn dropped(&self, reason: &str) -> Result<u64> {
        Ok(dropped(&self.stats()?, reason))
    }

    /// A service as it is now.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn service(&self, id: ServiceId) -> Result<ServiceView> {
        self.call(async |api| api.service(id).await)
    }

    /// What would become of a packet that comes in through the first interface.
    ///
    /// # Errors
    /// When the director refuses.
    pub fn explain(
        &self,
        protocol: Protocol,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<Explanation> {
        let query = ExplainQuery {
            protocol,
            from,
            to,
            interface: None,
            call_id: None,
            flags: None,
        };
        self.call(async |api| api.explain(&query).await)
    }

    /// The real server that each of 200 clients of a TCP service would get.
    ///
    /// # Errors
    /// When one would get none.
    pub fn foreseen(&self, vip: SocketAddr) -> Result<Vec<SocketAddr>> {
        let real = |host: u8| {
            let query = ExplainQuery {
                protocol: Protocol::Tcp,
                from: ([10, 0, 1, host], 40_000).into(),
                to: vip,
                interface: Some(CLIENT_SIDE.to_owned()),
                call_id: None,
                flags: None,
            };
            let told = self.call(async |client| client.explain(&query).await)?;
            told.real.context("nobody")
        };
        (1..=200).map(real).collect()
    }

    /// The defence of a service, or of the whole director.
    ///
    /// # Errors
    /// When the director refuses.
    pub fn defense(&self, service: Option<ServiceId>) -> Result<Defense> {
        self.call(async |api| api.defense(service).await)
    }

    /// How a service does with cookies.
    ///
    /// # Errors
    /// When the director refuses, or the service has none.
    pub fn cookies(&self, service: ServiceId) -> Result<CookieStatus> {
        self.defense(Some(service))?.cookies.context("no cookies")
    }

    /// Sets the level of a service, or of the whole director.
    ///
    /// # Errors
    /// When the director refuses.
    pub fn set_level(&self, service: Option<ServiceId>, level: u8) -> Result<Defense> {
        let level = DefenseLevel { level };
        self.call(async |api| api.set_defense(service, level).await)
    }

    /// Adds a service with its real servers.
    ///
    /// # Errors
    /// When it is refused.
    pub fn add_service(&self, service: &Service) -> Result<()> {
        self.call(async |api| api.add_service(service).await)
            .map(drop)
    }

    /// Makes a service look like `service`.
    ///
    /// # Errors
    /// When it is refused.
    pub fn put_service(&self, service: &Service) -> Result<()> {
        self.call(async |api| api.put_service(service).await)
            .map(drop)
    }

    /// Removes a service.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn remove_service(&self, id: ServiceId) -> Result<()> {
        self.call(async |api| api.remove_service(id).await)
    }

    /// Adds a real server.
    ///
    /// # Errors
    /// When it is refused.
    pub fn add_real(&self, id: ServiceId, real: &Real) -> Result<()> {
        self.call(async |api| api.add_real(id, real).await)
            .map(drop)
    }

    /// Changes a real server.
    ///
    /// # Errors
    /// What the director says.
    pub fn change_real(&self, id: ServiceId, real: SocketAddr, patch: RealPatch) -> Result<()> {
        self.call(async |api| api.change_real(id, real, patch).await.map(drop))
    }

    /// Removes a real server.
    ///
    /// # Errors
    /// When there is no such real server.
    pub fn remove_real(&self, id: ServiceId, real: SocketAddr) -> Result<()> {
        self.call(async |api| api.remove_real(id, real).await)
    }

    /// Makes what is filtered besides the lists this.
    ///
    /// # Errors
    /// When it is refused.
    pub fn put_filter(&self, rules: &FilterRules) -> Result<Filter> {
        self.call(async |api| api.put_filter(rules).await)
    }

    /// Lists a network, for ever.
    ///
    /// # Errors
    /// When it is refused.
    pub fn list(&self, network: Prefix, list: FilterList) -> Result<()> {
        let listing = Listed {
            network,
            list,
            seconds: None,
            why: None,
        };
        self.call(async |api| api.put_network(&listing).await)
            .map(drop)
    }

    /// Writes a sysctl, by its name without `net.ipv4.vs.`.
    ///
    /// # Errors
    /// What the director says.
    pub fn set_sysctl(&self, name: &str, value: i64) -> Result<()> {
        self.call(async |api| api.change_sysctl(name, Value::Number(value)).await)
            .map(drop)
    }

    /// The connections of a service, at most 1,000.
    ///
    /// # Errors
    /// The client's.
    pub fn connections(&self, service: ServiceId) -> Result<Vec<Connection>> {
        let query = ConnectionQuery {
            service: Some(service),
            ..ConnectionQuery::default()
        };
        let page = self.call(async |api| api.connections(&query).await)?;
        Ok(page.connections)
    }
}

/// How many packets `stats` say were dropped because of `reason`.
pub fn dropped(stats: &Stats, reason: &str) -> u64 {
    stats.drops.get(reason).copied().unwrap_or(0)
}
