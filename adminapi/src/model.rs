//! The types on the wire. A configuration file, a request and an answer use the same ones.
//!
//! What a client sends refuses unknown fields, so that a typing error is never silently without
//! effect; what the director answers may grow fields, and an older client ignores them.

mod audit;
mod change;
mod check;
mod config;
mod connection;
mod cookies;
mod daemon;
mod defense;
mod difference;
mod explanation;
mod filter;
mod flags;
mod health;
mod helper;
mod id;
mod limits;
pub mod listing;
mod mark;
mod merge;
mod millis;
mod octets;
mod persistence;
mod rates;
mod real;
mod region;
mod reloaded;
mod repeats;
mod sample;
mod scheduler;
mod service;
mod source;
mod span;
mod standing;
mod stats;
mod status;
mod status_set;
mod template;
mod text;
mod timeouts;
mod tunnel;

use serde::{Deserialize, Deserializer};

pub use audit::AuditEntry;
pub use change::Change;
pub use check::{Check, CheckKind, Pace};
pub use config::{Configuration, Levels, PutQuery};
pub use connection::{
    BadConnectionId, BadCursor, Connection, ConnectionId, ConnectionPage, ConnectionQuery, Cursor,
    Forwarded,
};
pub use cookies::{CookiePolicy, CookieStatus, CookieWay};
pub use daemon::{SyncDaemon, SyncRole};
pub use defense::{
    Defense, DefenseLevel, DefenseResource, DefenseSignal, Event, EventQuery, Events,
};
pub use difference::{Difference, ResourceChange};
pub use explanation::{DecidingRule, ExplainQuery, Explanation, Fate, NextHop};
pub use filter::{
    BanPolicy, ConnectionLimit, Filter, FilterList, FilterRules, LimitOf, LimitPer, Listed,
    ListedView, ListedWish, NetworkPage, NetworkQuery, RateLimit,
};
pub use flags::{BadTcpFlags, TcpFlags};
pub use health::{
    AgentCheck, CheckCounts, Condition, HealthPolicy, HealthSource, LastCheck, OnFailure,
    PassiveCheck, QueueCondition, RealState, ServiceCondition,
};
pub use helper::{BadHelper, Helper};
pub use id::{BadServiceId, Family, Protocol, ServiceId};
pub use limits::{Limits, Use};
pub use listing::{
    Five, ListingQuery, Live, Numbers, Order, RealRow, ServiceRow, Side, ViewsQuery,
};
pub use mark::{BadPortRange, BadPrefix, MarkRule, PortRange, Prefix};
pub(crate) use merge::FilterRulesMerge;
pub use merge::Merge;
pub use millis::{BadMillis, Millis};
pub use octets::{BadOctets, Octets};
pub use persistence::{Engine, Persistence, masked};
pub use rates::{RateWindows, Rates};
pub use real::{Draining, ForwardingMethod, PortUse, Real, RealPatch, RealView};
pub use region::{AtlasFile, Place, Region, RegionUse};
pub use reloaded::Reloaded;
pub use repeats::{RepeatPolicy, RepeatStatus};
pub use sample::{Sample, StreamQuery};
pub use scheduler::{Scheduler, SchedulerFlag, SchedulerFlags, SchedulerView};
pub use service::{Naming, Service, ServicePatch, ServiceView, Unnamed};
pub use source::{Source, SourceQuery, Sources};
pub use span::{MAX_SPAN, span};
pub use standing::StandingListing;
pub use stats::{
    Carried, DropReport, Drops, InterfaceStats, PacketTotals, Stats, Traffic, WorkerStats,
};
pub use status::{
    CertificateStatus, ConnectionUse, FastPathUse, Frames, Health, HealthStatus, InterfaceStatus,
    LocalAddress, Status, WorkerStatus, XdpMode,
};
pub use status_set::{BadStatusSet, StatusSet};
pub use template::{BadTemplateId, Forgotten, TemplateId, TemplatePageQuery, TemplateQuery};
pub(crate) use text::EndpointText;
pub use timeouts::{Timeouts, TimeoutsPatch};
pub use tunnel::{Tunnel, TunnelChecksum, TunnelType};

/// Reads a field of a patch that may be absent, but not `null`: nobody can do without it.
fn given<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Reads a field of a patch that may be `null`: it is what it is when left out then.
fn given_or_default<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer)
        .map(Option::unwrap_or_default)
        .map(Some)
}

/// Whether a switch is off, and so left out.
const fn is_off(switch: &bool) -> bool {
    !*switch
}

#[cfg(test)]
mod tests;
