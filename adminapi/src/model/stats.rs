//! Counters. They grow until they are zeroed, and wrap never in practice (64 bits).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{InterfaceStatus, Rates, WorkerStatus};

/// What a service or a real server has carried since it was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// Packets dropped by reason, the reason in snake case (`no_real`).
pub type Drops = BTreeMap<String, u64>;

/// What the director has done with packets since it started:
/// `received` = `sent` + `passed` + `dropped` + frames under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketTotals {
    /// Seen by the gates of all interfaces.
    pub received: u64,
    /// Forwarded.
    pub sent: u64,
    /// Left to the kernel.
    pub passed: u64,
    /// Dropped, for any reason.
    pub dropped: u64,
}

/// What one worker has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStats {
    /// Its number, from 0.
    pub id: u32,
    /// Packets taken from its sockets.
    pub received: u64,
    /// Packets handed to the NIC.
    pub sent: u64,
    /// Packets dropped.
    pub dropped: u64,
    /// Packets that the kernel dropped at its sockets.
    pub missed: u64,
}

/// What the gate of one interface has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceStats {
    /// Name of the interface.
    pub name: String,
    /// Packets received.
    pub rx: u64,
    /// Packets left to the kernel.
    pub passed: u64,
    /// Packets handed to a worker.
    pub redirected: u64,
    /// Packets dropped by the gate.
    pub dropped: u64,
    /// Packets that the gate has forwarded by itself.
    #[serde(default)]
    pub forwarded: u64,
}

/// Statistics of the whole director.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Packets, all interfaces and workers together.
    pub total: PacketTotals,
    /// What all virtual services together have carried.
    pub traffic: Traffic,
    /// What they carry in a second.
    #[serde(default)]
    pub rates: Rates,
    /// Drops by reason; their sum is `total.dropped`.
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
            dropped: status.dropped,
            forwarded: status.forwarded,
        }
    }
}
