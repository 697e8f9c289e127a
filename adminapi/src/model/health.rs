//! The health of real servers: what is watched, what follows from it, and how they are.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::text::AddressText;
use super::{Check, Millis, Pace, Real};

/// What becomes of a real server that is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Its weight is 0: it gets no new connections, those that it has go on.
    #[default]
    Quiesce,
    /// It is out of the service as if it had been removed, until it comes back.
    Remove,
}

impl OnFailure {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Quiesce, Self::Remove];

    /// Its name on the wire and in the configuration file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quiesce => "quiesce",
            Self::Remove => "remove",
        }
    }
}

/// An agent of the real server that says how much it can bear, over TCP: a line of words, each
/// `up`, `ready`, `drain`, `maint`, `down`, `failed`, `stopped`, a share (`75%`) or a weight (`40`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentCheck {
    /// Its port.
    pub port: u16,
    /// Its address; the RIP when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AddressText>)]
    pub address: Option<IpAddr>,
    /// From one question to the next; 2 s when left out.
    #[serde(default = "interval")]
    pub interval: Millis,
    /// How long an answer may take; 1 s when left out.
    #[serde(default = "timeout")]
    pub timeout: Millis,
    /// How far an interval may be off, in percent; 10 when left out.
    #[serde(default = "jitter")]
    pub jitter: u32,
}

fn interval() -> Millis {
    Pace::default().interval
}

fn timeout() -> Millis {
    Pace::default().timeout
}

fn jitter() -> u32 {
    Pace::default().jitter
}

impl AgentCheck {
    /// One at this port that leaves out all else.
    pub fn at(port: u16) -> Self {
        Self {
            port,
            address: None,
            interval: interval(),
            timeout: timeout(),
            jitter: jitter(),
        }
    }

    /// How often it is asked; each answer counts at once.
    pub const fn pace(&self) -> Pace {
        Pace {
            interval: self.interval,
            timeout: self.timeout,
            rise: 1,
            fall: 1,
            jitter: self.jitter,
        }
    }
}

/// What clients meet, as the connection tracking sees it: new TCP connections that a real server
/// resets or leaves without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PassiveCheck {
    /// So many of them take a real server out...
    #[serde(default = "failures")]
    pub failures: u32,
    /// ...within so long...
    #[serde(default = "within")]
    pub within: Millis,
    /// ...when they are this share of its new connections, in percent.
    #[serde(default = "share")]
    pub share: u32,
    /// For how long at least.
    #[serde(default = "hold")]
    pub hold: Millis,
}

fn failures() -> u32 {
    PassiveCheck::default().failures
}

fn within() -> Millis {
    PassiveCheck::default().within
}

fn share() -> u32 {
    PassiveCheck::default().share
}

fn hold() -> Millis {
    PassiveCheck::default().hold
}

impl Default for PassiveCheck {
    fn default() -> Self {
        Self {
            failures: 5,
            within: Millis::seconds(10),
            share: 50,
            hold: Millis::seconds(30),
        }
    }
}

/// How the health of a service's real servers is watched, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthPolicy {
    /// How they are checked; a real server may have a check of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// The agent that each of them has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentCheck>,
    /// What the clients' connections say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passive: Option<PassiveCheck>,
    /// Whether weights go by listen queues: one whose queue fills, as the agent of Bulwark on it tells,
    /// gets fewer new connections until it has caught up. Of TCP at one port only.
    #[serde(default, skip_serializing_if = "super::is_off")]
    pub queues: bool,
    /// What becomes of one that is down.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// With fewer real servers up the service counts as down.
    #[serde(default = "quorum")]
    pub quorum: u32,
    /// For how long one that has come back is brought up to its weight; not at all when 0.
    #[serde(default)]
    pub slow_start: Millis,
    /// Who gets the new connections of the service while it is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sorry: Option<Real>,
}

const fn quorum() -> u32 {
    1
}

impl Default for HealthPolicy {
    /// Nothing is watched.
    fn default() -> Self {
        Self {
            check: None,
            agent: None,
            passive: None,
            queues: false,
            on_failure: OnFailure::default(),
            quorum: quorum(),
            slow_start: Millis::default(),
            sorry: None,
        }
    }
}

/// How a real server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RealState {
    /// It has not been heard of yet; it is taken for well.
    #[default]
    Unknown,
    /// It does its work.
    Up,
    /// It has come back and is being brought up to its weight.
    Warming,
    /// Its agent wants no new connections for it.
    Drain,
    /// It does not do its work.
    Down,
}

impl RealState {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Unknown,
        Self::Up,
        Self::Warming,
        Self::Drain,
        Self::Down,
    ];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Warming => "warming",
            Self::Drain => "drain",
            Self::Down => "down",
        }
    }

    /// Whether it is well. It counts for the quorum if there is a weight in force, too.
    pub const fn is_well(self) -> bool {
        matches!(self, Self::Unknown | Self::Up | Self::Warming)
    }
}

/// What speaks of the health of a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthSource {
    /// Its check.
    Check,
    /// Its agent.
    Agent,
    /// What clients meet.
    Clients,
}

impl HealthSource {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Agent => "agent",
            Self::Clients => "clients",
        }
    }
}

/// How a real server is, as far as its health is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Condition {
    /// In one word.
    pub state: RealState,
    /// Since when, in seconds of Unix time.
    pub since: u64,
    /// Why: what the last check that mattered has said.
    pub reason: String,
    /// Who has said it, if anybody has said anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<HealthSource>,
    /// What its health leaves of its weight now: its share of the new connections.
    pub weight: u32,
    /// The same in percent, as weights are whole numbers.
    pub percent: u32,
    /// What its listen queue does to that, where weights go by queues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueCondition>,
    /// Whether it is out of the service (`on_failure = "remove"`).
    #[serde(default, skip_serializing_if = "super::is_off")]
    pub removed: bool,
    /// What the last check of any kind has said, and when, in seconds of Unix time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastCheck>,
    /// Its checks so far.
    #[serde(default)]
    pub checks: CheckCounts,
    /// How often it has gone down.
    #[serde(default)]
    pub downs: u64,
}

/// How full the listen queue of a real server is, and what that leaves of its weight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"full": 80, "leaves": 25, "of": 8}))]
pub struct QueueCondition {
    /// How full it is, in percent, as its agent has told last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<u32>,
    /// Why nobody tells; it counts as empty then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lack: Option<String>,
    /// What it leaves, in percent: 100, 75, 50, 25 or 5.
    pub leaves: u32,
    /// Of which weight: what the real server would have without, and what ipvsadm lists.
    pub of: u32,
}

impl QueueCondition {
    /// Whether it takes anything.
    pub const fn is_felt(&self) -> bool {
        self.leaves < 100
    }

    /// How it is, in words.
    pub fn said(&self) -> String {
        match (self.full, &self.lack) {
            (Some(full), _) => format!("listen queue {full} % full"),
            (None, Some(lack)) => format!("listen queue not known: {lack}"),
            (None, None) => "listen queue not known".to_owned(),
        }
    }
}

/// Checks of a real server since it is watched, or since the director started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckCounts {
    /// Those that succeeded.
    pub passed: u64,
    /// Those that did not.
    pub failed: u64,
    /// How long all of them took together, in milliseconds.
    pub took: u64,
}

/// The last check of a real server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastCheck {
    /// When it ended, in seconds of Unix time.
    pub at: u64,
    /// Whether it succeeded.
    pub passed: bool,
    /// What it has said.
    pub said: String,
    /// How long it took, in milliseconds.
    pub took: u64,
}

/// How a service is, as far as the health of its real servers is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceCondition {
    /// Whether as many real servers are well as its quorum asks for.
    pub up: bool,
    /// How many are, with a weight in force above 0.
    pub well: u32,
    /// How many are asked for.
    pub quorum: u32,
}
