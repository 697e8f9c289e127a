//! The defence, and what happens to it.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{AuditEntry, CookieStatus, RepeatStatus, ServiceId};

/// The defence of the whole director or of one service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"level": 1, "automatic": true, "reason": "half_open_pool is 31 %", "since": 1795000000, "drop_rate": 0.1, "half_open": 77500, "half_open_limit": 250000, "signals": [{"name": "half_open_pool", "value": 31.0, "enter": 25.0, "leave": 12.0, "unit": "%"}], "next": "0 waits for half_open_pool"}))]
pub struct Defense {
    /// The level in force: 0 normal, 1 under attack, 2 as 1 and never left by itself. Of a
    /// service: the higher one of its own and the director's.
    pub level: u8,
    /// Whether the level changes by itself.
    pub automatic: bool,
    /// Why the level is what it is.
    pub reason: String,
    /// Since when, seconds since 1970.
    pub since: u64,
    /// The share of new TCP connections that is dropped, 0.0 to 1.0. Of the director: the largest of any
    /// service.
    pub drop_rate: f64,
    /// Half-open connections now.
    pub half_open: u64,
    /// Places for them, of all services together.
    pub half_open_limit: u64,
    /// What the level depends on.
    pub signals: Vec<DefenseSignal>,
    /// What changes the level next.
    pub next: String,
    /// The highest step that is taken: `none`, `tables` (handshakes are judged more strictly),
    /// `cookies`, `repeats` (UDP clients that are not known have to come twice), `share` (a share of the new connections is dropped). Of the director: for any service.
    #[serde(default)]
    pub rung: String,
    /// The resource of the director that is short, the one furthest beyond its mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short: Option<String>,
    /// The resources of the director that a flood uses up, as far as they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<DefenseResource>,
    /// The cookies of a TCP service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookies: Option<CookieStatus>,
    /// Whether clients have to come twice, of a UDP service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<RepeatStatus>,
}

/// Something that there is only so much of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DefenseResource {
    /// `ring`: packets that the kernel had to drop at the workers' rings, of all that came;
    /// `core`: time of the busiest worker's core; `pool`: places for half-open connections;
    /// `backlog`: places in the fullest listen queue of a real server, as agents tell.
    pub name: String,
    /// How much of it is used, in percent.
    pub used: f64,
    /// From here on it is short.
    pub mark: f64,
}

/// Something that is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DefenseSignal {
    /// `memory_budget`, `memory_machine`, `half_open_pool`, `half_open_share`, `rejected_acks`,
    /// `lost_cookies` or `new_udp`.
    pub name: String,
    /// As it was measured last.
    pub value: f64,
    /// Level 1 begins here.
    pub enter: f64,
    /// Level 1 can end here.
    pub leave: f64,
    /// `MiB`, `%` or `/s`.
    pub unit: String,
}

/// A level to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"level": 2}))]
pub struct DefenseLevel {
    /// 0: by itself, from level 0 on. 1: by itself, from level 1 on. 2: stays.
    pub level: u8,
}

impl DefenseLevel {
    /// The highest level.
    pub const MAX: u8 = 2;
}

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its number, one above that of the event before it, which may be forgotten by now.
    pub id: u64,
    /// When, seconds since 1970.
    pub at: u64,
    /// What: `defense_level`, `real_health`, `service_health`, `cookies`, `repeats`, `shortage`, `ban`, `regions`, `change`.
    pub kind: String,
    /// Which service it is about; none: the whole director.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceId>,
    /// What has happened, with figures.
    pub message: String,
    /// Who changed what, if that is what has happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<AuditEntry>,
}

/// Which events are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Those with a higher number than this.
    #[serde(default)]
    pub since: u64,
}

/// The latest events, the oldest first. The director remembers a bounded number, and a share of each
/// kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"events": [{"id": 1, "at": 1795000000, "kind": "defense_level", "message": "defence level 0 -> 1: half_open_pool is 31 %"}], "last": 1}))]
pub struct Events {
    /// They.
    pub events: Vec<Event>,
    /// The number of the latest one; 0 before the first.
    pub last: u64,
}
