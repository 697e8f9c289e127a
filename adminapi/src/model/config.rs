//! All that a director is told to do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{MarkRule, Service, ServiceId, Timeouts};
use crate::sysctl::Value;

/// Services, timeouts and settings, as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// How long an idle connection is kept.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Sysctls by name. Shown: those that are not at their default. Put: these are written, the
    /// others stay.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, Value>,
    /// Levels of defence. Shown: those that a user has pinned. Put: these are set, the others stay.
    #[serde(default, skip_serializing_if = "Levels::is_empty")]
    pub defense: Levels,
    /// The rules that mark packets, all of them; those that are there stay when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Vec<MarkRule>>,
    /// The virtual services, in the order they were added.
    #[serde(default, rename = "service", alias = "services")]
    pub services: Vec<Service>,
}

/// Levels of defence, 0 to 2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Levels {
    /// Of the whole director.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// Of single services.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<ServiceId, u8>,
}

impl Levels {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How a configuration is put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutQuery {
    /// Only says whether it could be.
    #[serde(default)]
    pub dry_run: bool,
}
