//! How much may come in, and how many connections there may be.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::FilterList;
use crate::model::{Protocol, ServiceId};

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LimitOf {
    /// Packets that do not go the fast path.
    Packets,
    /// SYNs.
    Syns,
    /// Connections that are opened, half-open ones among them.
    Connections,
}

impl LimitOf {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Packets => "packets",
            Self::Syns => "syns",
            Self::Connections => "connections",
        }
    }
}

/// What has a share of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LimitPer {
    /// Each source: the addresses that share their first bits.
    Source,
    /// Each service, all sources together.
    Service,
}

/// How much may come in; what is above is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// What it is called: letters, digits, `-` and `_`.
    pub name: String,
    /// What it counts.
    pub of: LimitOf,
    /// What has a share of its own.
    pub per: LimitPer,
    /// So many a second.
    pub rate: u32,
    /// So many at once; as many as in a second when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Bits that make one IPv4 source, 8 to 32. Left out where a service shares.
    #[serde(default = "RateLimit::all_v4")]
    pub prefix_v4: u8,
    /// Bits that make one IPv6 source, 16 to 128. Left out where a service shares.
    #[serde(default = "RateLimit::link_v6")]
    pub prefix_v6: u8,
    /// To this service only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceId>,
    /// From this region only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// What is done about sources that are over it too often; nothing when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ban: Option<BanPolicy>,
}

/// A source that is over a limit too often is banned by itself. The list `allow` always wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"over": 1000, "within": 10, "for": 600, "longest": 86400, "list": "deny"}))]
pub struct BanPolicy {
    /// So many packets over the limit,
    pub over: u32,
    /// within so many seconds.
    pub within: u32,
    /// Seconds of the first ban; each further one is twice as long.
    #[serde(rename = "for")]
    pub first: u32,
    /// Seconds of the longest one. Who was good for so long since its last ban is no repeat
    /// offender.
    #[serde(default = "BanPolicy::day")]
    pub longest: u32,
    /// `deny` or `black-hole`.
    #[serde(default = "BanPolicy::deny")]
    pub list: FilterList,
}

impl BanPolicy {
    /// The longest time in which packets are counted, seconds.
    pub const MAX_WITHIN: u32 = 3600;

    /// The longest ban when nobody says otherwise.
    pub const fn day() -> u32 {
        86_400
    }

    /// The list when nobody says otherwise: who has connections keeps them, since a flood can name
    /// anybody as its source.
    pub const fn deny() -> FilterList {
        FilterList::Deny
    }
}

impl LimitPer {
    const fn source() -> Self {
        Self::Source
    }

    const fn is_source(&self) -> bool {
        matches!(self, Self::Source)
    }

    /// Whether sources are so wide where no source has a share.
    fn is_idly_wide(self, prefix_v4: u8, prefix_v6: u8) -> bool {
        let widths = (RateLimit::all_v4(), RateLimit::link_v6());
        self == Self::Service && (prefix_v4, prefix_v6) != widths
    }
}

/// How many connections one source may have, or all sources together to one service. Those that are
/// there stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "web", "most": 200, "prefix_v4": 24}))]
pub struct ConnectionLimit {
    /// What it is called: letters, digits, `-` and `_`.
    pub name: String,
    /// So many, half-open ones among them.
    pub most: u32,
    /// What has a share of its own; a source when left out.
    #[serde(
        default = "LimitPer::source",
        skip_serializing_if = "LimitPer::is_source"
    )]
    pub per: LimitPer,
    /// Bits that make one IPv4 source, 8 to 32. Left out where a service shares.
    #[serde(default = "RateLimit::all_v4")]
    pub prefix_v4: u8,
    /// Bits that make one IPv6 source, 16 to 128. Left out where a service shares.
    #[serde(default = "RateLimit::link_v6")]
    pub prefix_v6: u8,
    /// To this service only; when left out a source has its share of all services together, and each
    /// service its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceId>,
}

impl ConnectionLimit {
    /// Whether it says how wide sources are, and knows none.
    pub fn is_idly_wide(&self) -> bool {
        self.per.is_idly_wide(self.prefix_v4, self.prefix_v6)
    }
}

impl RateLimit {
    /// Limits that a director takes at most.
    pub const MAX: usize = 16;
    /// The highest rate: a packet each 100 ns.
    pub const MAX_RATE: u32 = 10_000_000;
    /// The longest name.
    pub const MAX_NAME: usize = 32;

    /// Each IPv4 address is a source.
    pub const fn all_v4() -> u8 {
        32
    }

    /// Each IPv6 network of one link is a source.
    pub const fn link_v6() -> u8 {
        64
    }

    /// Whether it says how wide sources are, and knows none.
    pub fn is_idly_wide(&self) -> bool {
        self.per.is_idly_wide(self.prefix_v4, self.prefix_v6)
    }

    /// Whether it counts the SYNs of a service that gets none.
    pub fn counts_nothing(&self) -> bool {
        let Some(ServiceId::Address { protocol, .. }) = self.service else {
            return false;
        };
        self.of == LimitOf::Syns && protocol != Protocol::Tcp
    }
}
