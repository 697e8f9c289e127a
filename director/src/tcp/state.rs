//! The states of a TCP connection in the director.

/// The states of IPVS (`include/uapi` numbering of `net/netfilter/ipvs/ip_vs_proto_tcp.c`).
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
    /// One end has sent a FIN.
    FinWait,
    /// Both ends have sent a FIN.
    TimeWait,
    /// Reset, or closed.
    Close,
    /// The client has sent its FIN.
    CloseWait,
    /// The last ACK is awaited.
    LastAck,
    /// Listening.
    Listen,
    /// The real server's SYN+ACK has been seen.
    SynAck,
}
