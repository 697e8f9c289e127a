//! All that a director is told to do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{MarkRule, Service, ServiceId, SyncDaemon, Timeouts};
use crate::sysctl::Settings;

/// All that can be set while a director runs, as a whole.
///
/// The sections that are optional stay as they are when they are left out; an answer has them all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "timeouts": {"tcp": 900, "tcpfin": 120, "udp": 300},
    "service": [{"protocol": "tcp", "address": "192.0.2.10", "port": 80, "scheduler": "wrr",
                 "real": [{"address": "10.0.2.1", "port": 8080, "weight": 2}]}],
    "sysctl": {"conn_reuse_mode": 1},
}))]
pub struct Configuration {
    /// How long an idle connection is kept.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// The virtual services, in the order they were added.
    #[serde(default, rename = "service", alias = "services")]
    pub services: Vec<Service>,
    /// The rules that mark packets, in their order.
    #[serde(default, rename = "mark", skip_serializing_if = "Option::is_none")]
    pub marks: Option<Vec<MarkRule>>,
    /// The sysctls that do not have their defaults.
    #[serde(default, rename = "sysctl", skip_serializing_if = "Option::is_none")]
    pub sysctls: Option<Settings>,
    /// The synchronisation daemons.
    #[serde(default, rename = "daemon", skip_serializing_if = "Option::is_none")]
    pub daemons: Option<Vec<SyncDaemon>>,
    /// The levels of defence that were set to stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defense: Option<Levels>,
}

/// Levels of defence that do not change by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Levels {
    /// Of the whole director: 2 stays, 0 changes by itself.
    #[serde(default)]
    #[schema(maximum = 2)]
    pub level: u8,
    /// The same of each service; one that is left out changes by itself.
    #[serde(
        default,
        rename = "service",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    #[schema(value_type = BTreeMap<String, u8>)]
    pub services: BTreeMap<ServiceId, u8>,
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
