//! All that a director is told to do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{FilterRules, MarkRule, Service, ServiceId, StandingListing, SyncDaemon, Timeouts};
use crate::sysctl::{SysctlValue, Value};

/// Services, timeouts and settings, as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "timeouts": {"tcp": 900, "tcpfin": 120, "udp": 300},
    "service": [{"protocol": "tcp", "address": "192.0.2.10", "port": 80, "scheduler": "wrr",
                 "real": [{"address": "10.0.2.1", "port": 8080, "weight": 2}]}],
    "sysctls": {"net.ipv4.vs.conn_reuse_mode": 0},
}))]
pub struct Configuration {
    /// How long an idle connection is kept.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Sysctls by name. Shown: those that are not at their default. Put: these are written, the
    /// others stay.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, SysctlValue>)]
    pub sysctls: BTreeMap<String, Value>,
    /// Levels of defence. Shown: those that a user has pinned. Put: these are set, the others stay.
    #[serde(default, skip_serializing_if = "Levels::is_empty")]
    pub defense: Levels,
    /// The rules that mark packets, all of them; those that are there stay when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Vec<MarkRule>>,
    /// The synchronisation daemons, all of them; those that there are stay when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daemons: Option<Vec<SyncDaemon>>,
    /// What is filtered besides the lists; it stays when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<FilterRules>,
    /// The networks that the API has listed, all of them; those that are there stay when left out.
    /// What the configuration file lists is not among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Vec<StandingListing>>,
    /// The virtual services, in the order they were added.
    #[serde(default, rename = "service", alias = "services")]
    pub services: Vec<Service>,
}

/// Levels of defence, 0 to 2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Levels {
    /// Of the whole director.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// Of single services.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, u8>)]
    pub services: BTreeMap<ServiceId, u8>,
}

impl Levels {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How a configuration is put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PutQuery {
    /// Only says what it would change, or why it could not.
    #[serde(default)]
    pub dry_run: bool,
}
