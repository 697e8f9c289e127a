//! Why the table does not take a connection, or has let one go.

use crate::drops::Cause;

/// Why a new connection was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// The client already has a connection to this virtual service from this port.
    #[error("the connection is in the table already")]
    Exists,
    /// The client has a connection to this port of this real server through another virtual
    /// service: replies could not be told apart. Another real server may do.
    #[error("the real server already talks to this client endpoint")]
    ReplyTaken,
    /// Everything that could make room is worth more than the newcomer.
    #[error("the connection table is full")]
    Full,
}

impl From<Refused> for Cause {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Exists | Refused::ReplyTaken => Self::TupleTaken,
            Refused::Full => Self::TableFull,
        }
    }
}

/// Why a connection left the table without being asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Departed {
    /// Its time was up.
    Expired,
    /// Another one needed its room.
    Evicted,
}
