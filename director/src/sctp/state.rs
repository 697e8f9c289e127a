//! The states of an SCTP association in the director.

use std::fmt;

use crate::time::Ticks;

/// The states of IPVS, numbered and named as in `net/netfilter/ipvs/ip_vs_proto_sctp.c`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum State {
    /// No packet seen yet.
    #[default]
    None,
    /// The client has sent an INIT.
    Init1,
    /// The client has sent it again.
    Init,
    /// The real server has answered with INIT ACK.
    CookieSent,
    /// The client has sent COOKIE ECHO.
    CookieReplied,
    /// The real server has sent an INIT.
    CookieWait,
    /// The client has answered that with INIT ACK.
    Cookie,
    /// The real server has sent COOKIE ECHO.
    CookieEchoed,
    /// Both ends have agreed.
    Established,
    /// The real server has sent SHUTDOWN.
    ShutdownSent,
    /// The client has sent SHUTDOWN.
    ShutdownReceived,
    /// The real server has sent SHUTDOWN ACK.
    ShutdownAckSent,
    /// The real server has answered the INIT with ABORT.
    Rejected,
    /// Over.
    Closed,
}

/// The longest time between two attempts to send a packet (RTO.Max of RFC 9260 §16), and one
/// second, seconds.
const MAX_RTO: u32 = 61;

impl State {
    /// How many there are.
    pub const COUNT: usize = 14;

    /// All of them, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::None,
        Self::Init1,
        Self::Init,
        Self::CookieSent,
        Self::CookieReplied,
        Self::CookieWait,
        Self::Cookie,
        Self::CookieEchoed,
        Self::Established,
        Self::ShutdownSent,
        Self::ShutdownReceived,
        Self::ShutdownAckSent,
        Self::Rejected,
        Self::Closed,
    ];

    /// The name that listings show (`sctp_state_name_table`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Init1 => "INIT1",
            Self::Init => "INIT",
            Self::CookieSent => "C-SENT",
            Self::CookieReplied => "C-REPLIED",
            Self::CookieWait => "C-WAIT",
            Self::Cookie => "COOKIE",
            Self::CookieEchoed => "C-ECHOED",
            Self::Established => "ESTABLISHED",
            Self::ShutdownSent => "S-SENT",
            Self::ShutdownReceived => "S-RECEIVED",
            Self::ShutdownAckSent => "S-ACK-SENT",
            Self::Rejected => "REJECTED",
            Self::Closed => "CLOSED",
        }
    }

    /// How long an association lives in it after its last packet (`sctp_timeouts`).
    pub const fn timeout(self) -> Ticks {
        Ticks::seconds(match self {
            Self::None => 2,
            Self::Init1 | Self::Rejected => 4,
            Self::Established => 15 * 60,
            _ => MAX_RTO,
        })
    }

    /// Whether the association counts as ActiveConn of its real server, else as InActConn.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Established)
    }

    /// Whether an INIT from the client opens a new association.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Rejected | Self::Closed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_the_kernels() {
        let seconds = State::ALL.map(|state| state.timeout().as_seconds_ceil());
        let expected = [2, 4, 61, 61, 61, 61, 61, 61, 900, 61, 61, 61, 4, 61];
        assert_eq!(seconds, expected);
    }
}
