//! The states of a TCP connection in the director.

use std::fmt;

/// The states of IPVS, numbered and named as in `net/netfilter/ipvs/ip_vs_proto_tcp.c`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum State {
    /// No packet seen yet.
    #[default]
    None,
    /// Both ends have agreed.
    Established,
    /// The real server has sent a SYN.
    SynSent,
    /// The client has sent a SYN.
    SynRecv,
    /// The real server has sent a FIN.
    FinWait,
    /// Both ends have sent a FIN.
    TimeWait,
    /// Reset, or closed.
    Close,
    /// The client has sent a FIN.
    CloseWait,
    /// The last ACK is awaited.
    LastAck,
    /// Listening.
    Listen,
    /// The real server's SYN+ACK has been seen, the client's ACK is not believed yet.
    SynAck,
}

impl State {
    /// How many there are.
    pub const COUNT: usize = 11;

    /// All of them, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::None,
        Self::Established,
        Self::SynSent,
        Self::SynRecv,
        Self::FinWait,
        Self::TimeWait,
        Self::Close,
        Self::CloseWait,
        Self::LastAck,
        Self::Listen,
        Self::SynAck,
    ];

    /// The name that listings show (`tcp_state_name_table`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Established => "ESTABLISHED",
            Self::SynSent => "SYN_SENT",
            Self::SynRecv => "SYN_RECV",
            Self::FinWait => "FIN_WAIT",
            Self::TimeWait => "TIME_WAIT",
            Self::Close => "CLOSE",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::Listen => "LISTEN",
            Self::SynAck => "SYNACK",
        }
    }

    /// Whether the connection counts as ActiveConn of its real server, else as InActConn
    /// (`tcp_state_active_table`).
    pub const fn is_active(self) -> bool {
        matches!(
            self,
            Self::Established | Self::SynSent | Self::SynRecv | Self::SynAck
        )
    }

    /// Whether the three-way handshake is still under way.
    pub const fn is_half_open(self) -> bool {
        matches!(self, Self::SynSent | Self::SynRecv | Self::SynAck)
    }

    /// Whether a SYN from the client opens the next connection.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::TimeWait | Self::Close)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
