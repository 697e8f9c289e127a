//! The director as it is now.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Drops;
use super::text::AddressText;

/// The answer of a director that is ready to forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"status": "ok"}))]
pub struct Health {
    /// Always `ok`: a director that is not ready answers with a problem.
    pub status: HealthStatus,
}

/// The one word of [`Health`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// Ready.
    #[default]
    Ok,
}

/// How packets get from the NIC into user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum XdpMode {
    /// The driver puts them into the UMEM itself.
    ZeroCopy,
    /// The driver runs the gate, the kernel copies into the UMEM.
    Copy,
    /// The network stack runs the gate, for drivers that know no XDP.
    Generic,
}

impl XdpMode {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ZeroCopy => "zero-copy",
            Self::Copy => "copy",
            Self::Generic => "generic",
        }
    }
}

impl fmt::Display for XdpMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An interface that the director takes packets from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InterfaceStatus {
    /// Name.
    pub name: String,
    /// Index in the director's network namespace.
    pub ifindex: u32,
    /// How packets get into user space.
    pub mode: XdpMode,
    /// Receive queues that have a socket.
    pub queues: u32,
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
    /// The same by reason.
    #[serde(default, skip_serializing_if = "Drops::is_empty")]
    pub drops: Drops,
    /// Packets that the gate has forwarded by itself.
    #[serde(default)]
    pub forwarded: u64,
    /// Whether the gate forwards packets by itself that leave through it.
    #[serde(default)]
    pub fast_path: bool,
    /// If not, why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_because: Option<String>,
    /// Why packets are lost, if they are: queues have come that got no socket, or such have gone that
    /// workers send through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loses_because: Option<String>,
}

/// The connections that the gate forwards by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FastPathUse {
    /// How many.
    pub flows: u64,
    /// Most of them that fit.
    pub limit: u64,
    /// How often a packet's connection did not.
    pub refused: u64,
    /// Memory that they take, in bytes.
    pub bytes: u64,
}

/// Where the UMEM frames of a worker are: `free` + `filling` + `sending` = `total` when no
/// packet is in the worker's hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Frames {
    /// All that the worker has.
    pub total: u64,
    /// Ready for use.
    pub free: u64,
    /// In fill or receive rings.
    pub filling: u64,
    /// In transmit or completion rings.
    pub sending: u64,
}

/// A worker thread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerStatus {
    /// Its number, from 0.
    pub id: u32,
    /// The CPU that it is pinned to.
    pub cpu: u32,
    /// Packets taken from its sockets and from this host: `sent` + `dropped` once it rests.
    pub received: u64,
    /// Those of them that programs of this host have sent: answers of real servers that are the
    /// director itself, by NAT.
    #[serde(default)]
    pub from_host: u64,
    /// Packets forwarded to the NIC.
    pub sent: u64,
    /// Those of `sent` that came from real servers, belonged to no connection and were routed as
    /// they were.
    #[serde(default)]
    pub routed: u64,
    /// Packets of its own: RST and ICMP errors in answer to dropped ones, and the fragments that it
    /// made of forwarded ones, but the first.
    pub answered: u64,
    /// Packets dropped.
    pub dropped: u64,
    /// The same by reason.
    #[serde(default, skip_serializing_if = "Drops::is_empty")]
    #[schema(value_type = BTreeMap<String, u64>)]
    pub drops: Drops,
    /// Packets that the kernel dropped at its sockets, since a ring was full or empty.
    pub missed: u64,
    /// Its UMEM frames.
    pub frames: Frames,
}

/// The connection table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionUse {
    /// Connections tracked, half-open ones not counted.
    pub entries: u64,
    /// Half-open connections.
    pub half_open: u64,
    /// Most of them that fit.
    pub limit: u64,
    /// Most half-open connections that fit.
    pub half_open_limit: u64,
    /// Memory that the table takes, in bytes.
    pub bytes: u64,
}

/// An address that the director speaks from to the real servers of FullNAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LocalAddress {
    /// The address.
    #[schema(value_type = AddressText)]
    pub address: IpAddr,
    /// Whether the host has it on an interface. If not, the network has to route it here.
    pub assigned: bool,
    /// Connections that speak from it.
    pub connections: u64,
    /// Ports that it has towards each real server.
    pub ports: u64,
}

/// A certificate that the director shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateStatus {
    /// To whom: `api` or `agents`.
    pub listener: String,
    /// The file.
    pub file: String,
    /// When it expires, or one that leads from it to its root, in seconds since 1970.
    pub expires: u64,
}

/// The director as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"version": "0.1.0", "uptime": 5, "interfaces": [], "workers": [], "drops": {"no_real": 1}, "connections": {"entries": 3, "half_open": 1, "limit": 1000000, "half_open_limit": 250000, "bytes": 156000000}}))]
pub struct Status {
    /// Version of the director.
    pub version: String,
    /// Seconds since it started.
    pub uptime: u64,
    /// Interfaces, in the order of the configuration.
    pub interfaces: Vec<InterfaceStatus>,
    /// Workers, by their number.
    pub workers: Vec<WorkerStatus>,
    /// Packets dropped, by reason.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub drops: Drops,
    /// The connection table.
    pub connections: ConnectionUse,
    /// What the director speaks from to the real servers of FullNAT.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub local_addresses: Vec<LocalAddress>,
    /// The fast path, if it is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast_path: Option<FastPathUse>,
    /// The certificates that it shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateStatus>,
}
