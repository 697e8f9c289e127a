//! The configuration file: TOML into a [`Config`] that cannot hold a bad value.
//!
//! [`Config::parse`] reports every problem of a file at once, each with its line and key and what
//! to do about it. What a virtual service must look like is judged by [`adminapi::validate`],
//! the same way as for the API.

mod agent;
mod agents;
mod api;
mod datapath;
mod defense;
mod duplicate;
mod error;
mod filter;
mod health;
mod identity;
mod limits;
mod local;
mod log;
mod mark;
mod outline;
mod places;
mod read;
mod region;
mod service;
mod suggest;
mod survive;
mod sysctl;

use std::ops::Deref;
use std::path::Path;

use adminapi::model::{MarkRule, Service, Timeouts};
use adminapi::sysctl::Sysctls;
use toml_edit::Document;

pub use agent::{AgentConfig, HookChoice, Source, Tunnel};
pub use agents::{Agents, Cookies};
pub use api::{Api, Listen, Requests};
pub use datapath::{Datapath, InterfaceName, ModeChoice};
pub use defense::Defense;
pub use error::{ConfigError, ConfigErrors};
pub use filter::Filter;
pub use health::Health;
pub use limits::Limits;
pub use local::Local;
pub(crate) use local::{speaks, voiceless};
pub use log::{Log, LogFormat, LogLevel};
pub use survive::Survive;

use error::Report;
use outline::Outline;
use read::{Expected, Section};

/// A configuration that has passed every check. Only [`Config::parse`] and [`Config::load`] make
/// one, and it cannot be changed; its values are those of [`Settings`].
#[derive(Clone, Debug, PartialEq)]
pub struct Config(Settings);

impl Deref for Config {
    type Target = Settings;

    fn deref(&self) -> &Settings {
        &self.0
    }
}

/// What a configuration says.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `[datapath]`: interfaces, workers and their memory.
    pub datapath: Datapath,
    /// `[api]`: where the API listens.
    pub api: Api,
    /// `[limits]`: how much is tracked.
    pub limits: Limits,
    /// `[defense]`: when the level changes, and what is done then.
    pub defense: Defense,
    /// `[agents]`: where agents of real servers come in, if they may.
    pub agents: Option<Agents>,
    /// `[cookies]`: how cookies are made.
    pub cookies: Cookies,
    /// `[filter]`: whose packets are taken.
    pub filter: Filter,
    /// `[timeouts]`: how long idle connections are kept.
    pub timeouts: Timeouts,
    /// `[sysctl]`: the sysctls of IPVS; those left out have their defaults.
    pub sysctls: Sysctls,
    /// `[health]`: health checks in general.
    pub health: Health,
    /// `[log]`: what is logged, and how.
    pub log: Log,
    /// `[[mark]]`: rules that mark packets, in the order of the file.
    pub marks: Vec<MarkRule>,
    /// `[[service]]`: virtual services, in the order of the file.
    pub services: Vec<Service>,
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// That the file cannot be read, or everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        load(path, read).map(Self)
    }

    /// What there is to say of those of `services`, of this configuration or of what is kept in its place,
    /// whose weights would go by listen queues and do not.
    pub fn idle_queues(&self, services: &[Service]) -> impl Iterator<Item = String> {
        health::idle_queues(services, self.agents.is_some())
    }

    /// Reads `text`, which errors call `name`.
    ///
    /// # Errors
    /// Everything that is wrong with it; only the first when it is not TOML at all.
    pub fn parse(text: &str, name: &str) -> Result<Self, ConfigErrors> {
        parse(text, name, read).map(Self)
    }
}

/// What `read` makes of the file at `path`.
fn load<T>(path: &Path, read: impl FnOnce(Section<'_>) -> Option<T>) -> Result<T, ConfigErrors> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|error| ConfigErrors::whole_file(&name, format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| ConfigErrors::whole_file(&name, "is not UTF-8 text".to_owned()))?;
    parse(&text, &name, read)
}

/// What `read` makes of `text`, which errors call `name`.
fn parse<T>(
    text: &str,
    name: &str,
    read: impl FnOnce(Section<'_>) -> Option<T>,
) -> Result<T, ConfigErrors> {
    let document = Document::parse(text)
        .map_err(|error| ConfigErrors::syntax(name, &duplicate::explain(text, &error)))?;
    let report = Report::new(Outline::of(text, &document));
    match read(Section::root(document.as_table(), &report)) {
        Some(value) if report.is_empty() => Ok(value),
        _ => Err(report.into_errors(name)),
    }
}

/// `None` when something without a default is missing or unreadable, which is reported then.
fn read(mut root: Section<'_>) -> Option<Settings> {
    let datapath = datapath::read(root.section("datapath"));
    let api = api::read(root.section("api"));
    let limits = limits::read(root.section("limits"));
    let timeouts = read_timeouts(root.section("timeouts"));
    let sysctls = sysctl::read(root.section("sysctl"));
    let health = health::read(root.section("health"));
    let log = log::read(root.section("log"));
    let marks = mark::read(&mut root);
    let defense = defense::read(root.section("defense"));
    let wants_agents = root.has("agents");
    let agents = wants_agents.then(|| agents::read(root.section("agents")));
    let cookies = agents::read_cookies(root.section("cookies"));
    let filter = filter::read(root.section("filter"));
    let services = service::read(&mut root, datapath.as_ref().map(|datapath| &datapath.local));
    root.finish();
    Some(Settings {
        datapath: datapath?,
        api: api?,
        limits,
        defense,
        agents: agents.flatten(),
        cookies,
        filter,
        timeouts,
        sysctls,
        health,
        log,
        marks,
        services,
    })
}

fn read_timeouts(mut section: Section<'_>) -> Timeouts {
    let seconds = Expected::Number(1..=i64::from(Timeouts::MAX));
    let default = Timeouts::default();
    let timeouts = Timeouts {
        tcp: section.or("tcp", &seconds, default.tcp),
        tcpfin: section.or("tcpfin", &seconds, default.tcpfin),
        udp: section.or("udp", &seconds, default.udp),
    };
    section.finish();
    timeouts
}

#[cfg(test)]
mod tests;
