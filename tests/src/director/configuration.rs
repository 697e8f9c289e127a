//! The configuration file of a director.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use adminapi::model::{
    CookiePolicy, ForwardingMethod, Protocol, Real, Scheduler, SchedulerFlags, Service, ServiceId,
    Tunnel,
};
use anyhow::Result;
use serde::Serialize;

use crate::certificates::Files;

/// The configuration file that a director is started with.
#[derive(Clone, Debug, Serialize)]
pub struct Configuration {
    datapath: Datapath,
    api: ApiPlace,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    limits: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    defense: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    agents: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    cookies: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    filter: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    timeouts: toml::Table,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    sysctl: toml::Table,
    service: Vec<Service>,
}

#[derive(Clone, Debug, Serialize)]
struct Datapath {
    interfaces: Vec<String>,
    fast_path: bool,
    #[serde(flatten)]
    more: toml::Table,
}

#[derive(Clone, Debug, Default, Serialize)]
struct ApiPlace {
    unix: PathBuf,
    #[serde(flatten)]
    more: toml::Table,
}

impl Configuration {
    /// Forwards between `interfaces`, without a service.
    pub fn new(interfaces: Vec<String>) -> Self {
        Self {
            datapath: Datapath {
                interfaces,
                fast_path: is_fast(),
                more: toml::Table::new(),
            },
            api: ApiPlace::default(),
            limits: toml::Table::new(),
            defense: toml::Table::new(),
            agents: toml::Table::new(),
            cookies: toml::Table::new(),
            filter: toml::Table::new(),
            timeouts: toml::Table::new(),
            sysctl: toml::Table::new(),
            service: Vec::new(),
        }
    }

    /// Adds a service.
    #[must_use]
    pub fn service(mut self, service: Service) -> Self {
        self.service.push(service);
        self
    }

    /// Adds services.
    #[must_use]
    pub fn services(mut self, services: impl IntoIterator<Item = Service>) -> Self {
        self.service.extend(services);
        self
    }

    /// Has no service answer with cookies, which would keep the pools empty and take the place of
    /// whatever else is tried.
    #[must_use]
    pub fn without_cookies(self) -> Self {
        self.policy(CookiePolicy::Off)
    }

    /// Says when services answer with cookies.
    #[must_use]
    pub fn policy(mut self, policy: CookiePolicy) -> Self {
        for service in &mut self.service {
            service.cookies = policy;
        }
        self
    }

    /// Sets a key of `[datapath]`.
    #[must_use]
    pub fn datapath(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.datapath.more.insert(key.to_owned(), value.into());
        self
    }

    /// Without what would outlive the director.
    #[must_use]
    pub fn unpinned(mut self) -> Self {
        for key in ["pin", "state"] {
            self.datapath.more.remove(key);
        }
        self
    }

    /// Forwards between these interfaces instead.
    #[must_use]
    pub fn interfaces(mut self, interfaces: &[&str]) -> Self {
        let names = interfaces.iter().map(ToString::to_string);
        self.datapath.interfaces = names.collect();
        self
    }

    /// With the fast path, or without.
    #[must_use]
    pub fn fast_path(mut self, fast_path: bool) -> Self {
        self.datapath.fast_path = fast_path;
        self
    }

    /// Whether it is with the fast path.
    pub fn is_fast(&self) -> bool {
        self.datapath.fast_path
    }

    /// Sets a key of `[api]`.
    #[must_use]
    pub fn api(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.api.more.insert(key.to_owned(), value.into());
        self
    }

    /// Sets a key of `[limits]`.
    #[must_use]
    pub fn limit(mut self, key: &str, value: i64) -> Self {
        self.limits.insert(key.to_owned(), value.into());
        self
    }

    /// Sets a key of `[defense]`.
    #[must_use]
    pub fn defense(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.defense.insert(key.to_owned(), value.into());
        self
    }

    /// Takes agents in at `listen`, with what `files` say.
    #[must_use]
    pub fn agents(mut self, listen: SocketAddr, files: &Files) -> Self {
        let path = |path: &Path| path.display().to_string();
        let pairs = [
            ("listen", listen.to_string()),
            ("certificate", path(&files.certificate)),
            ("key", path(&files.key)),
            ("client_ca", path(&files.authority)),
        ];
        let pairs = pairs.map(|(key, value)| (key.to_owned(), value.into()));
        self.agents.extend(pairs);
        self
    }

    /// Sets a key of `[cookies]`.
    #[must_use]
    pub fn cookies(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.cookies.insert(key.to_owned(), value.into());
        self
    }

    /// Sets a key of `[filter]`.
    #[must_use]
    pub fn filter(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.filter.insert(key.to_owned(), value.into());
        self
    }

    /// Sets a key of `[timeouts]`, seconds.
    #[must_use]
    pub fn timeout(mut self, key: &str, seconds: i64) -> Self {
        self.timeouts.insert(key.to_owned(), seconds.into());
        self
    }

    /// Sets a key of `[sysctl]`.
    #[must_use]
    pub fn sysctl(mut self, name: &str, value: i64) -> Self {
        self.sysctl.insert(name.to_owned(), value.into());
        self
    }

    /// The file, with the API on `socket`.
    ///
    /// # Errors
    /// When it has no TOML form.
    pub fn text(&self, socket: &Path) -> Result<String> {
        let mut placed = self.clone();
        placed.api.unix = socket.to_owned();
        Ok(toml::to_string(&placed)?)
    }
}

/// Whether directors have their fast path unless a test says otherwise: `BULWARK_FAST_PATH=off` runs
/// all tests without.
fn is_fast() -> bool {
    std::env::var_os("BULWARK_FAST_PATH").is_none_or(|word| word != "off")
}

/// A NAT service on `vip` with real servers and their weights.
pub fn service(
    protocol: Protocol,
    vip: SocketAddr,
    scheduler: Scheduler,
    reals: impl IntoIterator<Item = (SocketAddr, u32)>,
) -> Service {
    let reals = reals.into_iter().map(|(address, weight)| Real {
        address: address.ip(),
        port: Some(address.port()),
        weight,
        method: ForwardingMethod::Nat,
        tun: None,
        upper: 0,
        lower: 0,
        check: None,
    });
    Service {
        id: ServiceId::at(protocol, vip),
        scheduler,
        scheduler_flags: SchedulerFlags::NONE,
        persistence: None,
        engine: None,
        one_packet: false,
        health: None,
        cookies: Default::default(),
        udp_repeats: None,
        helper: Default::default(),
        reals: reals.collect(),
    }
}

/// The same service, with packets reaching its real servers in another way.
pub fn by(service: Service, method: ForwardingMethod, tun: Option<Tunnel>) -> Service {
    let reals = service.reals.into_iter().map(|real| Real {
        method,
        tun,
        ..real
    });
    Service {
        reals: reals.collect(),
        ..service
    }
}
