//! Sequence windows: what each end may send, after `tcp_in_window` of nf_conntrack.

use super::State;

/// One end of a connection: how far it has sent, and how far the other end lets it send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Highest sequence number sent so far, plus one (SND.NXT as seen here).
    pub end: u32,
    /// Highest sequence number that this end may send, from the other end's ACK + window.
    pub max_end: u32,
    /// Largest window that this end has advertised, scaled, bytes.
    pub max_window: u32,
    /// Highest acknowledgement that this end has sent.
    pub max_ack: u32,
}

/// All that is tracked of one TCP connection, packed for the connection table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tracking {
    /// Original direction (client) and reply direction (real server).
    pub peers: [Peer; 2],
    /// Window scale shift of each end.
    pub scales: [u8; 2],
    /// The state.
    pub state: State,
    /// What is known beside it.
    pub flags: u8,
}

const _: () = assert!(size_of::<Tracking>() == 36);
