//! Schedulers and their flags.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The name of a scheduling algorithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheduler {
    /// Round robin.
    Rr,
    /// Weighted round robin.
    Wrr,
    /// Least connections.
    Lc,
    /// Weighted least connections, the default.
    #[default]
    Wlc,
    /// Locality-based least connections: a destination address keeps its real server.
    Lblc,
    /// The same with replication: a destination address keeps a set of real servers.
    Lblcr,
    /// Destination hashing.
    Dh,
    /// Source hashing.
    Sh,
    /// Shortest expected delay.
    Sed,
    /// Never queue: one that is idle, else shortest expected delay.
    Nq,
    /// Failover: the heaviest that is there.
    Fo,
    /// Overflow: the heaviest until it is full, then the next.
    Ovf,
    /// Maglev hashing of the source.
    Mh,
    /// The better of two random choices.
    Twos,
}

impl Scheduler {
    /// All of them, in the order of their documentation.
    pub const ALL: [Self; 14] = [
        Self::Rr,
        Self::Wrr,
        Self::Lc,
        Self::Wlc,
        Self::Lblc,
        Self::Lblcr,
        Self::Dh,
        Self::Sh,
        Self::Sed,
        Self::Nq,
        Self::Fo,
        Self::Ovf,
        Self::Mh,
        Self::Twos,
    ];

    /// The name, as `-s` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rr => "rr",
            Self::Wrr => "wrr",
            Self::Lc => "lc",
            Self::Wlc => "wlc",
            Self::Lblc => "lblc",
            Self::Lblcr => "lblcr",
            Self::Dh => "dh",
            Self::Sh => "sh",
            Self::Sed => "sed",
            Self::Nq => "nq",
            Self::Fo => "fo",
            Self::Ovf => "ovf",
            Self::Mh => "mh",
            Self::Twos => "twos",
        }
    }

    /// Whether it goes by weights above 0.
    pub const fn weighs(self) -> bool {
        !matches!(self, Self::Rr | Self::Lc | Self::Dh)
    }

    /// What it does, in a few words.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Rr => "round robin",
            Self::Wrr => "weighted round robin",
            Self::Lc => "least connections",
            Self::Wlc => "weighted least connections",
            Self::Lblc => "locality-based least connections: a destination keeps its real server",
            Self::Lblcr => "the same with replication: a destination keeps a set of real servers",
            Self::Dh => "destination hashing",
            Self::Sh => "source hashing",
            Self::Sed => "shortest expected delay",
            Self::Nq => "never queue: an idle one, else shortest expected delay",
            Self::Fo => "failover: the heaviest that is there",
            Self::Ovf => "overflow: the heaviest until it is full, then the next",
            Self::Mh => "Maglev hashing of the source",
            Self::Twos => "the better of two random choices",
        }
    }
}

/// An option of a scheduler. IPVS has three bits, and each scheduler gives them its own meaning;
/// one that has no use for a flag ignores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum SchedulerFlag {
    /// `sh-fallback`, `mh-fallback`: a client whose real server cannot take it gets another.
    #[serde(rename = "fallback")]
    Fallback,
    /// `sh-port`, `mh-port`: the client's port is hashed with its address.
    #[serde(rename = "port")]
    Port,
    /// `flag-3`, which no scheduler uses.
    #[serde(rename = "flag-3")]
    Third,
}

impl SchedulerFlag {
    /// All of them, in the order of their bits.
    pub const ALL: [Self; 3] = [Self::Fallback, Self::Port, Self::Third];

    /// The name in the API and the configuration file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fallback => "fallback",
            Self::Port => "port",
            Self::Third => "flag-3",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Fallback => 1,
            Self::Port => 2,
            Self::Third => 4,
        }
    }
}

/// A set of [`SchedulerFlag`]; on the wire a list, each at most once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(from = "Vec<SchedulerFlag>", into = "Vec<SchedulerFlag>")]
#[schema(value_type = Vec<SchedulerFlag>)]
pub struct SchedulerFlags(u8);

impl SchedulerFlags {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Whether `flag` is set.
    pub const fn has(self, flag: SchedulerFlag) -> bool {
        self.0 & flag.bit() != 0
    }

    /// The set with `flag`.
    #[must_use]
    pub const fn with(self, flag: SchedulerFlag) -> Self {
        Self(self.0 | flag.bit())
    }

    /// Whether no flag is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// The flags that are set, in the order of their bits.
    pub fn iter(self) -> impl Iterator<Item = SchedulerFlag> {
        SchedulerFlag::ALL
            .into_iter()
            .filter(move |flag| self.has(*flag))
    }
}

impl FromIterator<SchedulerFlag> for SchedulerFlags {
    fn from_iter<I: IntoIterator<Item = SchedulerFlag>>(flags: I) -> Self {
        flags.into_iter().fold(Self::NONE, Self::with)
    }
}

impl From<Vec<SchedulerFlag>> for SchedulerFlags {
    fn from(flags: Vec<SchedulerFlag>) -> Self {
        flags.into_iter().collect()
    }
}

impl From<SchedulerFlags> for Vec<SchedulerFlag> {
    fn from(flags: SchedulerFlags) -> Self {
        flags.iter().collect()
    }
}

/// A scheduler, for those who choose one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"name": "wrr", "description": "weighted round robin", "flags": []}))]
pub struct SchedulerView {
    /// Its name.
    pub name: Scheduler,
    /// What it does, in a few words.
    pub description: String,
    /// The flags that mean something to it.
    pub flags: SchedulerFlags,
}

impl From<Scheduler> for SchedulerView {
    fn from(name: Scheduler) -> Self {
        let flags = match name {
            Scheduler::Sh | Scheduler::Mh => {
                [SchedulerFlag::Fallback, SchedulerFlag::Port].to_vec()
            }
            _ => Vec::new(),
        };
        Self {
            name,
            description: name.description().to_owned(),
            flags: flags.into(),
        }
    }
}
