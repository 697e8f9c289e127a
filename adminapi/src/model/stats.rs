//! Counters. They grow until they are zeroed, and wrap never in practice (64 bits).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{InterfaceStatus, RateWindows, Rates, WorkerStatus};

/// What a service or a real server has carried since it was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"connections": 3, "in_packets": 5, "out_packets": 2, "in_bytes": 420, "out_bytes": 180}))]
pub struct Traffic {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets to clients.
    pub out_packets: u64,
    /// Bytes from clients, network header included.
    pub in_bytes: u64,
    /// Bytes to clients, network header included.
    pub out_bytes: u64,
}

/// What a service or a real server has carried, and carries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"connections": 3, "in_packets": 5, "out_packets": 2, "in_bytes": 420, "out_bytes": 180, "rates": {"connections": 1, "in_packets": 2, "out_packets": 1, "in_bytes": 140, "out_bytes": 60}, "windows": {"1s": {"connections": 1, "in_packets": 2, "out_packets": 1, "in_bytes": 140, "out_bytes": 60}, "10s": {"connections": 1, "in_packets": 2, "out_packets": 1, "in_bytes": 140, "out_bytes": 60}, "60s": {"connections": 1, "in_packets": 2, "out_packets": 1, "in_bytes": 140, "out_bytes": 60}}, "drops": {}}))]
pub struct Carried {
    /// Since it was added, or its counters were zeroed.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// In a second, as IPVS estimates it.
    #[serde(default)]
    pub rates: Rates,
    /// In a second, over one, ten and sixty seconds.
    #[serde(default)]
    pub windows: RateWindows,
    /// Packets dropped that were known to be its own, by reason.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, u64>)]
    pub drops: Drops,
}

/// Packets dropped, by reason and by who dropped them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"total": 3, "drops": {"no_real": 3}, "workers": [{"no_real": 3}]}))]
pub struct DropReport {
    /// All of them.
    pub total: u64,
    /// By reason.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub drops: Drops,
    /// Those of each worker, by its number.
    #[schema(value_type = Vec<BTreeMap<String, u64>>)]
    pub workers: Vec<Drops>,
}

impl From<super::Status> for DropReport {
    fn from(status: super::Status) -> Self {
        Self {
            total: status.drops.values().sum(),
            drops: status.drops,
            workers: status.workers.into_iter().map(|w| w.drops).collect(),
        }
    }
}

/// Packets dropped by reason, the reason in snake case (`no_real`).
pub type Drops = BTreeMap<String, u64>;

/// What the director has done with packets since it started:
/// `received` = `sent` + `passed` + `answered` + `dropped` + frames under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PacketTotals {
    /// Seen by the gates of all interfaces.
    pub received: u64,
    /// Forwarded.
    pub sent: u64,
    /// Left to the kernel.
    pub passed: u64,
    /// SYNs of services with cookies that the gate has answered.
    #[serde(default)]
    pub answered: u64,
    /// Dropped, for any reason.
    pub dropped: u64,
}

/// What one worker has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerStats {
    /// Its number, from 0.
    pub id: u32,
    /// Packets taken from its sockets and from this host.
    pub received: u64,
    /// Those of them that programs of this host have sent.
    #[serde(default)]
    pub from_host: u64,
    /// Packets handed to the NIC.
    pub sent: u64,
    /// Packets dropped.
    pub dropped: u64,
    /// Packets that the kernel dropped at its sockets.
    pub missed: u64,
}

/// What the gate of one interface has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InterfaceStats {
    /// Name of the interface.
    pub name: String,
    /// Packets received.
    pub rx: u64,
    /// Packets left to the kernel.
    pub passed: u64,
    /// Packets handed to a worker.
    pub redirected: u64,
    /// SYNs of services with cookies that the gate has answered.
    #[serde(default)]
    pub answered: u64,
    /// Packets dropped by the gate.
    pub dropped: u64,
    /// Packets that the gate has forwarded by itself.
    #[serde(default)]
    pub forwarded: u64,
}

/// Statistics of the whole director.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"total": {"received": 10, "sent": 7, "passed": 1, "dropped": 2}, "traffic": {"connections": 3, "in_packets": 5, "out_packets": 2, "in_bytes": 420, "out_bytes": 180}, "rates": {"connections": 1, "in_packets": 2, "out_packets": 1, "in_bytes": 140, "out_bytes": 60}, "windows": {"1s": {"connections": 1, "in_packets": 2, "out_packets": 1, "in_bytes": 140, "out_bytes": 60}, "10s": {"connections": 1, "in_packets": 2, "out_packets": 1, "in_bytes": 140, "out_bytes": 60}, "60s": {"connections": 1, "in_packets": 2, "out_packets": 1, "in_bytes": 140, "out_bytes": 60}}, "drops": {"no_real": 2}, "workers": [{"id": 0, "received": 8, "sent": 7, "dropped": 1, "missed": 0}], "interfaces": [{"name": "eth0", "rx": 10, "passed": 1, "redirected": 8, "dropped": 1}]}))]
pub struct Stats {
    /// Packets, all interfaces and workers together.
    pub total: PacketTotals,
    /// What all virtual services together have carried.
    pub traffic: Traffic,
    /// What they carry in a second.
    #[serde(default)]
    pub rates: Rates,
    /// The same over one, ten and sixty seconds.
    #[serde(default)]
    pub windows: RateWindows,
    /// Drops by reason; their sum is `total.dropped`.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub drops: Drops,
    /// Each worker.
    pub workers: Vec<WorkerStats>,
    /// Each interface.
    pub interfaces: Vec<InterfaceStats>,
}

impl From<WorkerStatus> for WorkerStats {
    fn from(status: WorkerStatus) -> Self {
        Self {
            id: status.id,
            received: status.received,
            from_host: status.from_host,
            sent: status.sent,
            dropped: status.dropped,
            missed: status.missed,
        }
    }
}

impl From<InterfaceStatus> for InterfaceStats {
    fn from(status: InterfaceStatus) -> Self {
        Self {
            name: status.name,
            rx: status.rx,
            passed: status.passed,
            redirected: status.redirected,
            answered: status.answered,
            dropped: status.dropped,
            forwarded: status.forwarded,
        }
    }
}
