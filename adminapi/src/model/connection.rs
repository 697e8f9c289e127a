//! Connections, a page at a time.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::text::{AddressText, EndpointText};
use super::{Engine, Protocol, ServiceId};

/// A connection as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Connection {
    /// The virtual service that it belongs to.
    pub service: ServiceId,
    /// Transport protocol; none in what is remembered of a client of a mark service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// Whether this is what a persistent service remembers of a client, and no connection.
    #[serde(default, skip_serializing_if = "super::is_off")]
    pub template: bool,
    /// Client.
    #[schema(value_type = EndpointText)]
    pub client: SocketAddr,
    /// Where it came to.
    #[schema(value_type = EndpointText)]
    pub vip: SocketAddr,
    /// Real server that has it.
    #[schema(value_type = EndpointText)]
    pub real: SocketAddr,
    /// What the director speaks from to the real server, with the method `fullnat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<EndpointText>)]
    pub local: Option<SocketAddr>,
    /// State, in IPVS' names: `ESTABLISHED`, `SYN_RECV`, `UDP`...
    pub state: String,
    /// Seconds until it expires unless a packet comes.
    pub expires: u32,
    /// What the fast path has carried of it; left out while it is not on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<Forwarded>,
    /// What decided beside the client; in templates only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// What it went by, a Call-ID; left out while the director does not know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_data: Option<String>,
}

/// What the gate has forwarded of a connection by itself since it was entered into the flow cache.
/// What has gone through the director is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"in_packets": 812, "out_packets": 1604, "in_bytes": 42310, "out_bytes": 2310448}))]
pub struct Forwarded {
    /// Packets from the client; begins at 0 again after 4294967295.
    pub in_packets: u32,
    /// Packets to the client, as above; none where they do not pass the director (DR, TUN).
    pub out_packets: u32,
    /// Bytes from the client, network header included.
    pub in_bytes: u64,
    /// Bytes to the client, network header included.
    pub out_bytes: u64,
}

/// What names a connection: `tcp:203.0.113.7:40112-192.0.2.10:80`, from its client to the VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Client.
    pub client: SocketAddr,
    /// Where it came to.
    pub vip: SocketAddr,
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}-{}", self.protocol.name(), self.client, self.vip)
    }
}

/// A text that names no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no connection; write tcp:203.0.113.7:40112-192.0.2.10:80")]
pub struct BadConnectionId(String);

impl FromStr for ConnectionId {
    type Err = BadConnectionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (protocol, ends) = text.split_once(':')?;
            let mut known = Protocol::ALL.into_iter();
            let protocol = known.find(|known| known.name() == protocol)?;
            let (client, vip) = ends.split_once('-')?;
            Some(Self {
                protocol,
                client: client.parse().ok()?,
                vip: vip.parse().ok()?,
            })
        };
        parse().ok_or_else(|| BadConnectionId(text.to_owned()))
    }
}

impl Connection {
    /// What names it; a template has no name.
    pub fn id(&self) -> Option<ConnectionId> {
        let protocol = self.protocol.filter(|_| !self.template)?;
        Some(ConnectionId {
            protocol,
            client: self.client,
            vip: self.vip,
        })
    }
}

/// Where the next page starts. What the number means is the director's own affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub u64);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// A cursor that no answer of a director has held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no cursor; take `next` of the page before, or leave it out")]
pub struct BadCursor(String);

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadCursor(text.to_owned());
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(bad());
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| bad())
    }
}

impl Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Which connections to list: those that match everything that is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ConnectionQuery {
    /// Only of this virtual service.
    #[serde(default)]
    pub service: Option<ServiceId>,
    /// Only with this real server.
    #[serde(default)]
    #[param(value_type = Option<EndpointText>)]
    pub real: Option<SocketAddr>,
    /// Only from this client.
    #[serde(default)]
    #[param(value_type = Option<AddressText>)]
    pub client: Option<IpAddr>,
    /// Only what persistent services remember of clients, or only connections; both when left out.
    #[serde(default)]
    pub template: Option<bool>,
    /// At most this many, 1 to [`ConnectionQuery::MAX_LIMIT`].
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 10_000)]
    pub limit: u32,
    /// Go on from here; from the start when left out.
    #[serde(default)]
    pub cursor: Option<Cursor>,
}

pub(super) const fn default_limit() -> u32 {
    ConnectionQuery::DEFAULT_LIMIT
}

impl ConnectionQuery {
    /// Connections in a page when the query does not say.
    pub const DEFAULT_LIMIT: u32 = 1000;
    /// The largest page.
    pub const MAX_LIMIT: u32 = 10_000;

    /// True when `connection` is asked for; looks at the filters only.
    pub fn matches(&self, connection: &Connection) -> bool {
        self.service.is_none_or(|id| id == connection.service)
            && self.real.is_none_or(|real| real == connection.real)
            && self
                .client
                .is_none_or(|client| client == connection.client.ip())
            && self
                .template
                .is_none_or(|template| template == connection.template)
    }
}

impl Default for ConnectionQuery {
    fn default() -> Self {
        Self {
            service: None,
            real: None,
            client: None,
            template: None,
            limit: Self::DEFAULT_LIMIT,
            cursor: None,
        }
    }
}

/// One page of connections.
///
/// Connections come and go while one pages: what is born or dies between two pages may be missed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"connections": [{"service": "tcp:192.0.2.10:80", "protocol": "tcp", "client": "203.0.113.7:40112", "vip": "192.0.2.10:80", "real": "10.0.2.1:8080", "state": "ESTABLISHED", "expires": 897, "forwarded": {"in_packets": 812, "out_packets": 1604, "in_bytes": 42310, "out_bytes": 2310448}}], "next": "1f4"}))]
pub struct ConnectionPage {
    /// The connections, at most the limit of the query; may be fewer although more follow.
    pub connections: Vec<Connection>,
    /// Where the next page starts; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Cursor>,
}
