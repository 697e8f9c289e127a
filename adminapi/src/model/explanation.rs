//! What a director would do with a packet.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::text::EndpointText;
use super::{
    Connection, CookieWay, FilterList, ForwardingMethod, LimitOf, ListedView, Place, Prefix,
    Protocol, Scheduler, ServiceId, TcpFlags,
};

/// The packet in question: one that opens a connection, unless there is one of these ends or its flags say
/// otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExplainQuery {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Who sends it.
    #[param(value_type = EndpointText)]
    pub from: SocketAddr,
    /// Whom it is for.
    #[param(value_type = EndpointText)]
    pub to: SocketAddr,
    /// The director's interface that it comes in through, which rules of marks may ask for; the
    /// first one if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The Call-ID of the SIP message that it is, for services that go by calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// The control bits of the TCP segment that it is; those of a SYN if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub flags: Option<TcpFlags>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It is forwarded.
    Forward,
    /// It is dropped.
    Drop,
    /// It is left to the kernel.
    Pass,
}

/// How a packet leaves the director.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NextHop {
    /// The interface.
    pub interface: String,
    /// Ethernet address of the station that gets it.
    pub station: String,
    /// The largest IP packet that goes this way.
    pub mtu: u32,
}

/// The rule of the filters by which a packet is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schema(example = json!({"kind": "connection_limit", "name": "web", "source": "10.0.1.0/24", "most": 200}))]
pub enum DecidingRule {
    /// A limit of connections: the source has as many as it may have, or all sources together have.
    ConnectionLimit {
        /// Its name.
        name: String,
        /// What it takes for one source; none where a service shares.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<Prefix>,
        /// So many.
        most: u32,
    },
    /// A limit of rates, of which the source, or all sources together, have used up what they may have
    /// now. It is of a packet that opens a connection.
    RateLimit {
        /// Its name.
        name: String,
        /// What it takes for one source; none where a service shares.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<Prefix>,
        /// What it counts.
        of: LimitOf,
        /// So many a second.
        rate: u32,
    },
    /// A bogon.
    Bogon {
        /// The longest of those that the source is in.
        network: Prefix,
        /// The interface where bogons are dropped.
        interface: String,
    },
    /// A check of the way back: answers would leave through another interface.
    Strict {
        /// The interface that is checked.
        interface: String,
    },
    /// A check of the way back: there is none.
    Loose {
        /// The interface that is checked.
        interface: String,
    },
    /// A region that is on a list.
    Region {
        /// Its name.
        name: String,
        /// The list.
        list: FilterList,
    },
}

/// What a director would do with a packet, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"fate": "forward", "service": "tcp:192.0.2.10:80", "scheduler": "wrr", "real": "10.0.2.1:8080", "method": "nat", "next_hop": {"interface": "eth1", "station": "02:00:00:00:00:01", "mtu": 1500}}))]
pub struct Explanation {
    /// What becomes of it.
    pub fate: Fate,
    /// Why it is dropped: a reason of the drop counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How the network that it comes from is listed, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<ListedView>,
    /// The rule of the filters by which it is dropped, if one of these does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<DecidingRule>,
    /// Where it comes from, if regions are configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The service that it is for; one with a mark when a rule has marked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceId>,
    /// How a SYN is answered before there is a connection, if the service has cookies now. What is said
    /// beyond that is for the client that has come back. What opens nothing, and is of no connection, has
    /// to bring a cookie then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookies: Option<CookieWay>,
    /// Whether a datagram of a client that is not known is dropped now, and the next one let in. What
    /// is said beyond that is for the next one.
    #[serde(default, skip_serializing_if = "super::is_off")]
    pub repeats: bool,
    /// The connection that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// The state of that connection after it, if both are of TCP, and its numbers are those that its sender
    /// would give it next. With others it may be dropped, or change nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub becomes: Option<String>,
    /// The connection of the same ends that it leaves behind: one that is over, where its SYN or INIT
    /// opens the next one, or one whose real server cannot get it any more. Packets that open nothing
    /// belong to that one until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_behind: Option<Connection>,
    /// What the service, a persistent one, remembers of the client: the real server is that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Connection>,
    /// Whether it is scheduled by itself and leaves no connection behind.
    #[serde(default, skip_serializing_if = "super::is_off")]
    pub one_packet: bool,
    /// Whether it opens a data connection that a control connection of FTP has announced, which has
    /// that one's real server.
    #[serde(default, skip_serializing_if = "super::is_off")]
    pub expected: bool,
    /// Who chooses the real server, when nothing that is known already says which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<Scheduler>,
    /// The real server, with the port that the packet goes to there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<EndpointText>)]
    pub real: Option<SocketAddr>,
    /// Whether that is the sorry server, which takes what no other does: then nobody has chosen it.
    #[serde(default, skip_serializing_if = "super::is_off")]
    pub sorry: bool,
    /// How packets reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<ForwardingMethod>,
    /// How the packet leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<NextHop>,
}
