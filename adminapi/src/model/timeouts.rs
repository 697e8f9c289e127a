//! How long an idle connection is kept.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The three timeouts of `ipvsadm --set`, in seconds, 1 to [`Timeouts::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"tcp": 900, "tcpfin": 120, "udp": 300}))]
pub struct Timeouts {
    /// Established TCP connections.
    pub tcp: u32,
    /// TCP connections after a FIN.
    pub tcpfin: u32,
    /// UDP.
    pub udp: u32,
}

impl Timeouts {
    /// The longest: 31 days, as `ipvsadm --set` has it.
    pub const MAX: u32 = 31 * 24 * 3600;

    /// These timeouts with what `patch` names changed.
    pub fn changed(self, patch: TimeoutsPatch) -> Self {
        Self {
            tcp: patch.tcp.unwrap_or(self.tcp),
            tcpfin: patch.tcpfin.unwrap_or(self.tcpfin),
            udp: patch.udp.unwrap_or(self.udp),
        }
    }
}

impl Default for Timeouts {
    /// The defaults of IPVS: 15 minutes, 2 minutes, 5 minutes.
    fn default() -> Self {
        Self {
            tcp: 900,
            tcpfin: 120,
            udp: 300,
        }
    }
}

/// A change of the timeouts: what is left out stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"udp": 60}))]
pub struct TimeoutsPatch {
    /// Established TCP connections.
    #[serde(
        default,
        deserialize_with = "super::given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub tcp: Option<u32>,
    /// TCP connections after a FIN.
    #[serde(
        default,
        deserialize_with = "super::given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub tcpfin: Option<u32>,
    /// UDP.
    #[serde(
        default,
        deserialize_with = "super::given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub udp: Option<u32>,
}

impl From<Timeouts> for TimeoutsPatch {
    fn from(timeouts: Timeouts) -> Self {
        Self {
            tcp: Some(timeouts.tcp),
            tcpfin: Some(timeouts.tcpfin),
            udp: Some(timeouts.udp),
        }
    }
}
