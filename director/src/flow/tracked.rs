//! What is tracked of a connection, by its protocol.

use crate::service::Phase;
use crate::wire::Protocol;
use crate::{sctp, sip, tcp};

/// The protocol of a connection, with all that its state machine keeps.
///
/// It takes no more room than TCP alone: the state's unused values tell the others apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracked {
    /// State and windows.
    Tcp(tcp::Tracking),
    /// State and tags.
    Sctp(sctp::Tracking),
    /// Nothing.
    Udp,
    /// UDP: the call that it began with.
    Call(sip::Call),
}

const _: () = assert!(size_of::<Tracked>() == size_of::<tcp::Tracking>());

impl Tracked {
    /// Nothing seen yet.
    pub fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp(tcp::Tracking::default()),
            Protocol::Sctp => Self::Sctp(sctp::Tracking::default()),
            Protocol::Udp => Self::Udp,
        }
    }

    /// Whose it is.
    #[inline]
    pub const fn protocol(&self) -> Protocol {
        match self {
            Self::Tcp(_) => Protocol::Tcp,
            Self::Sctp(_) => Protocol::Sctp,
            Self::Udp | Self::Call(_) => Protocol::Udp,
        }
    }

    /// The call that it began with, where a template goes by that.
    #[inline]
    pub const fn call(&self) -> Option<sip::Call> {
        match self {
            Self::Call(call) => Some(*call),
            _ => None,
        }
    }

    /// Whether both ends are known to talk to each other, as a cookie proves from the start.
    #[inline]
    pub const fn is_proved(&self) -> bool {
        matches!(self, Self::Tcp(tcp) if tcp.is_proved())
    }

    /// Whether its client was answered before its real server was asked.
    #[inline]
    pub const fn is_spliced(&self) -> bool {
        matches!(self, Self::Tcp(tcp) if tcp.is_spliced())
    }

    /// Whether the real server has agreed to it, of TCP.
    pub const fn is_answered(&self) -> bool {
        matches!(self, Self::Tcp(tcp) if tcp.is_answered())
    }

    /// As what the connection counts: UDP is always inactive.
    #[inline]
    pub fn phase(&self) -> Phase {
        match self {
            Self::Tcp(tcp) => tcp.state.into(),
            Self::Sctp(sctp) => sctp.state.into(),
            Self::Udp | Self::Call(_) => Phase::Inactive,
        }
    }

    /// The state's name in listings.
    pub const fn state_name(&self) -> &'static str {
        match self {
            Self::Tcp(tcp) => tcp.state.name(),
            Self::Sctp(sctp) => sctp.state.name(),
            Self::Udp | Self::Call(_) => "UDP",
        }
    }
}

impl Default for Tracked {
    fn default() -> Self {
        Self::Tcp(tcp::Tracking::default())
    }
}
