//! Why a packet was dropped: one reason each, one counter each.

use crate::fragment;
use crate::neighbour::NoHop;
use crate::sctp;
use crate::tcp::Invalid;
use crate::wire::Malformed;

/// The reason why a packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The frame has no reading.
    Malformed(Malformed),
    /// The path had no way for it.
    Path(Cause),
}

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why the path had no way for a packet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Cause {
            $($(#[$doc])* $name,)*
        }

        impl Cause {
            /// All causes, in the order of their numbers.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$name),*];

            /// Name for counters and logs, in snake case.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

causes! {
    /// Neither a virtual service nor a connection, or one whose service is no more.
    NoService = "no_service",
    /// No real server of the service takes a new connection.
    NoReal = "no_real",
    /// The real server of the connection has been removed, and its service has not.
    RealRemoved = "real_removed",
    /// TCP or SCTP to a service, neither SYN nor INIT, and no connection.
    NoConnection = "no_connection",
    /// The same, and nobody is told, since a lost connection may come back.
    NoConnectionYet = "no_connection_yet",
    /// From a real server, no connection, and not to be routed.
    ReplyWithoutConnection = "reply_without_connection",
    /// The same, and it was told so.
    ReplyRefused = "reply_refused",
    /// An ICMP error about no connection, and not to be routed.
    ErrorWithoutConnection = "error_without_connection",
    /// The connection table has no room for a connection of this worth.
    TableFull = "table_full",
    /// No room is left to remember the client of a persistent service.
    TemplatesFull = "templates_full",
    /// A datagram to a service that goes by calls, and it names none.
    NoCallId = "no_call_id",
    /// A SYN that was answered by a worker: with a cookie, when the gate has not known whether it belongs
    /// to a connection; or so that its client resets that.
    Challenged = "challenged",
    /// TCP to a service with cookies, no connection, and no cookie.
    BadCookie = "bad_cookie",
    /// A client came back with a cookie, and no real server is left that takes it.
    NoAgent = "no_agent",
    /// A RST by which a client shows that it is there, so that its next SYN goes on.
    ResetHeard = "reset_heard",
    /// From a client whose real server has not answered yet, and which has to wait.
    NotYetOpen = "not_yet_open",
    /// It would have opened a connection, and the defence drops a share of those.
    DefenceRate = "defense_rate",
    /// It would have opened a connection, and its source has as many as it may have.
    SourceConnections = "source_connections",
    /// It would have opened a connection, and its service has as many as it may have.
    ServiceConnections = "service_connections",
    /// It would have opened a connection, and its source has opened too many lately.
    SourceLimit = "source_limit",
    /// It would have opened a connection, and all sources together have opened too many to its service.
    ServiceLimit = "service_limit",
    /// No real server is left that could tell this client's connections apart.
    TupleTaken = "tuple_taken",
    /// The director has no address and port left to speak from to the real server.
    NoLocalPort = "no_local_port",
    /// It would have opened a connection, and no client can have its source: it is no host, or the
    /// director itself.
    ForgedSource = "forged_source",
    /// A combination of TCP flags that no TCP sends.
    TcpFlags = "tcp_flags",
    /// TCP data above the receiver's window.
    TcpDataAboveWindow = "tcp_data_above_window",
    /// A TCP acknowledgement of what was never sent.
    TcpAckAboveSent = "tcp_ack_above_sent",
    /// A segment that does not fit the handshake under way.
    TcpHandshake = "tcp_handshake",
    /// A RST outside of the window.
    TcpReset = "tcp_reset",
    /// SCTP chunks that no SCTP sends together, or an INIT that says too little.
    SctpChunks = "sctp_chunks",
    /// An SCTP verification tag that the receiver did not ask for.
    SctpTag = "sctp_tag",
    /// An ICMP error that quotes a sequence number outside of the window, or a tag of nobody's.
    IcmpSequence = "icmp_sequence",
    /// TTL or hop limit used up.
    TtlExceeded = "ttl_exceeded",
    /// A fragment whose first one never came, or went no further.
    FragmentOrphan = "fragment_orphan",
    /// A fragment of what has gone already, all or in part, or of a datagram with one.
    FragmentOverlap = "fragment_overlap",
    /// No room to keep a fragment, or to make fragments.
    FragmentNoRoom = "fragment_no_room",
    /// Longer than the next hop takes.
    TooBig = "too_big",
    /// No route to the destination.
    NoRoute = "no_route",
    /// A route says that the destination is not to be reached.
    Unreachable = "unreachable",
    /// The destination is this host itself.
    LocalDestination = "local_destination",
    /// The kernel of this host did not take it.
    HostRefused = "host_refused",
    /// The route leads through an interface that the director does not drive.
    OtherInterface = "other_interface",
    /// The outgoing interface is down.
    InterfaceDown = "interface_down",
    /// The neighbour's Ethernet address is not known; it has been asked for.
    NeighbourUnresolved = "neighbour_unresolved",
    /// The neighbour does not say its Ethernet address: the kernel has asked in vain.
    NeighbourSilent = "neighbour_silent",
    /// The director has no address to speak from to the end of the tunnel.
    NoSource = "no_source",
    /// The frame has no room for the headers of a tunnel.
    NoHeadroom = "no_headroom",
    /// The tx ring was full.
    TxFull = "tx_full",
    /// In the hands of a director that ended, and which the next one has followed.
    Restart = "restart",
}

impl DropReason {
    /// How many reasons there are.
    pub const COUNT: usize = Malformed::ALL.len() + Cause::ALL.len();

    /// All of them, in the order of [`DropReason::index`].
    pub fn all() -> impl Iterator<Item = Self> {
        let malformed = Malformed::ALL.into_iter().map(Self::Malformed);
        malformed.chain(Cause::ALL.into_iter().map(Self::Path))
    }

    /// Place in an array of counters, below [`DropReason::COUNT`].
    #[inline]
    pub const fn index(self) -> usize {
        match self {
            Self::Malformed(malformed) => malformed.index(),
            Self::Path(cause) => Malformed::ALL.len() + cause as usize,
        }
    }

    /// Name for counters and logs, in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed(malformed) => malformed.name(),
            Self::Path(cause) => cause.name(),
        }
    }
}

impl From<Malformed> for DropReason {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<Cause> for DropReason {
    fn from(cause: Cause) -> Self {
        Self::Path(cause)
    }
}

impl From<Invalid> for Cause {
    fn from(invalid: Invalid) -> Self {
        match invalid {
            Invalid::Flags => Self::TcpFlags,
            Invalid::DataAboveWindow => Self::TcpDataAboveWindow,
            Invalid::AckAboveSent => Self::TcpAckAboveSent,
            Invalid::Handshake => Self::TcpHandshake,
            Invalid::Reset => Self::TcpReset,
        }
    }
}

impl From<sctp::Invalid> for Cause {
    fn from(invalid: sctp::Invalid) -> Self {
        match invalid {
            sctp::Invalid::Chunks => Self::SctpChunks,
            sctp::Invalid::Tag => Self::SctpTag,
        }
    }
}

impl From<NoHop> for Cause {
    fn from(no_hop: NoHop) -> Self {
        match no_hop {
            NoHop::NoRoute => Self::NoRoute,
            NoHop::Unreachable => Self::Unreachable,
            NoHop::Local => Self::LocalDestination,
            NoHop::OtherInterface => Self::OtherInterface,
            NoHop::Down => Self::InterfaceDown,
            NoHop::Unresolved { .. } => Self::NeighbourUnresolved,
            NoHop::Silent { .. } => Self::NeighbourSilent,
        }
    }
}

impl From<fragment::Refused> for Cause {
    fn from(refused: fragment::Refused) -> Self {
        match refused {
            fragment::Refused::Overlap => Self::FragmentOverlap,
            fragment::Refused::NoRoom => Self::FragmentNoRoom,
            fragment::Refused::Datagram => Self::FragmentOrphan,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_place_and_a_name_of_its_own() {
        let places: Vec<_> = DropReason::all().map(DropReason::index).collect();
        assert_eq!(places, (0..DropReason::COUNT).collect::<Vec<_>>());
        let names: std::collections::HashSet<_> = DropReason::all().map(DropReason::name).collect();
        assert_eq!(names.len(), DropReason::COUNT);
    }
}
