//! What a segment means for its connection.

use super::State;

/// What [`super::Tracking::judge`] says of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Judgement {
    /// It belongs to the connection: forward it, restart the timer with the timeout of `to`.
    Accept {
        /// State before.
        from: State,
        /// State now; often the same.
        to: State,
    },
    /// Forward it, but neither state nor timer moves: what it means is for the endpoint to say.
    Ignore(Unmoved),
    /// Drop it and count it: no endpoint with these windows can have sent it.
    Invalid(Invalid),
}

/// Why a segment is forwarded without moving anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unmoved {
    /// Bound II: data that has long been acknowledged.
    OldData,
    /// Bound IV: an acknowledgement that has long been overtaken.
    OldAck,
    /// A SYN that is not this connection's: the endpoint challenges it (RFC 5961 §4), or has
    /// forgotten the connection and takes it.
    Syn,
    /// A RST inside the window but not at its left edge: the endpoint challenges it
    /// (RFC 5961 §3).
    Reset,
    /// The real server still holds an older connection from this port and says where that one
    /// stands; or the client's RST in answer to it (RFC 9293 §3.5.1, half-open connections).
    Challenge,
    /// The real server speaks before the client has acknowledged its SYN: with the SYN's data (RFC
    /// 7413), or to a SYN that is not the connection's (RFC 5961 §4), which anyone can bring about.
    Unconfirmed,
    /// Far from all that the client has said, on a connection whose other half is not seen; or a FIN
    /// where it has not been seen yet.
    Doubtful,
}

/// Why a segment is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invalid {
    /// A combination of flags that no TCP sends.
    Flags,
    /// Bound I: data above the receiver's window.
    DataAboveWindow,
    /// Bound III: acknowledges what was never sent (RFC 5961 §5).
    AckAboveSent,
    /// An answer in the handshake that does not acknowledge the SYN or the SYN+ACK.
    Handshake,
    /// A RST outside the window (RFC 5961 §3).
    Reset,
}
