//! The types on the wire. A configuration file, a request and an answer use the same ones.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Transport protocol of a virtual service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
}

impl Protocol {
    /// The lower-case name, as in a service id.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// The name of a virtual service in paths: `tcp:10.0.0.1:80`, `udp:[2001:db8::1]:53`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId {
    /// Transport protocol.
    pub protocol: Protocol,
    /// VIP and port.
    pub vip: SocketAddr,
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.protocol.name(), self.vip)
    }
}

/// What is wrong with a [`ServiceId`] that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no service; write tcp:10.0.0.1:80 or udp:[2001:db8::1]:53")]
pub struct BadServiceId(String);

impl FromStr for ServiceId {
    type Err = BadServiceId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadServiceId(text.to_owned());
        let (protocol, vip) = text.split_once(':').ok_or_else(bad)?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(bad()),
        };
        Ok(Self {
            protocol,
            vip: vip.parse().map_err(|_| bad())?,
        })
    }
}

impl Serialize for ServiceId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ServiceId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How packets reach a real server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForwardingMethod {
    /// Network address translation (`-m`, `Masq` in listings).
    #[default]
    Nat,
}

/// A real server as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Real {
    /// RIP.
    pub address: IpAddr,
    /// Port; the service's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Share of the new connections; 0 = none (the server is quiesced).
    #[serde(default = "default_weight")]
    pub weight: u32,
    /// How packets reach it.
    #[serde(default)]
    pub method: ForwardingMethod,
}

const fn default_weight() -> u32 {
    1
}

/// The name of a scheduling algorithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheduler {
    /// Round robin.
    Rr,
    /// Weighted round robin.
    Wrr,
    /// Least connections.
    Lc,
    /// Weighted least connections, the default.
    #[default]
    Wlc,
}

impl Scheduler {
    /// All of them, in the order of their documentation.
    pub const ALL: [Self; 4] = [Self::Rr, Self::Wrr, Self::Lc, Self::Wlc];

    /// The name, as `-s` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rr => "rr",
            Self::Wrr => "wrr",
            Self::Lc => "lc",
            Self::Wlc => "wlc",
        }
    }
}

/// A virtual service as it is configured. In the file: `[[service]]` with `[[service.real]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Transport protocol.
    pub protocol: Protocol,
    /// VIP.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Scheduling algorithm.
    #[serde(default)]
    pub scheduler: Scheduler,
    /// Real servers, in the order they were added.
    #[serde(default, rename = "real", alias = "reals")]
    pub reals: Vec<Real>,
}

impl Service {
    /// What names this service.
    pub fn id(&self) -> ServiceId {
        ServiceId {
            protocol: self.protocol,
            vip: SocketAddr::new(self.address, self.port),
        }
    }
}

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

/// A virtual service as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceView {
    /// Its name in paths.
    pub id: ServiceId,
    /// Transport protocol.
    pub protocol: Protocol,
    /// VIP.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Scheduling algorithm.
    pub scheduler: Scheduler,
    /// What it has carried.
    pub stats: Traffic,
    /// Its real servers, in the order they were added.
    pub reals: Vec<RealView>,
}

/// A real server as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealView {
    /// RIP.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Weight.
    pub weight: u32,
    /// How packets reach it.
    pub method: ForwardingMethod,
    /// Connections in a state that counts as active (ActiveConn).
    pub active: u32,
    /// Its other connections (InActConn).
    pub inactive: u32,
    /// What it has carried.
    pub stats: Traffic,
}

/// A connection as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Client.
    pub client: SocketAddr,
    /// Virtual service that it came to.
    pub vip: SocketAddr,
    /// Real server that has it.
    pub real: SocketAddr,
    /// State, in IPVS' names: `ESTABLISHED`, `SYN_RECV`, `UDP`...
    pub state: String,
    /// Seconds until it expires unless a packet comes.
    pub expires: u32,
}
