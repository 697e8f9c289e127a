//! Why a call gave no answer, or not the one that was asked for.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::Address;
use crate::problem::{ProblemDocument, ProblemKind};

/// A text that is no [`Address`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no address of a director; write unix:/path, https://host:port or http://host:port"
)]
pub struct BadAddress(pub String);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address cannot be read.
    #[error(transparent)]
    BadAddress(#[from] BadAddress),
    /// There is no socket at the path.
    #[error("{0}: no such socket; is the director running?")]
    SocketMissing(Address),
    /// What is at the path is no socket.
    #[error("{0}: not a socket; the director's is where `[api] unix` of its file says")]
    NotASocket(Address),
    /// The user may not use the socket.
    #[error("{0}: permission denied; use root or a member of the socket's group")]
    PermissionDenied(Address),
    /// Nobody listens there.
    #[error("{0}: connection refused; is the director running?")]
    Refused(Address),
    /// The network does not lead there.
    #[error("{address}: {source}")]
    Unreachable {
        /// Where.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// TLS failed: one side does not believe the other, or does not speak it.
    #[error("{address}: TLS: {why}")]
    Tls {
        /// Where.
        address: Address,
        /// What is wrong, and what to do.
        why: String,
    },
    /// A file of [`super::Trust`] is no use.
    #[error("{0}")]
    BadTrust(String),
    /// No answer within the time that the client may wait.
    #[error("{address}: no answer within {after:?}")]
    Timeout {
        /// Where.
        address: Address,
        /// How long it waited.
        after: Duration,
    },
    /// The connection was closed before an answer came, as by a director that ends.
    #[error(
        "{address}: the connection was closed without an answer, and what was asked may be done; if the director is being restarted, ask again"
    )]
    HungUp {
        /// Where.
        address: Address,
    },
    /// The answer broke off.
    #[error("{address}: the answer broke off, and what came of it is not all; ask again")]
    Cut {
        /// Where.
        address: Address,
    },
    /// The director said no.
    #[error("{}", .0.detail)]
    Problem(Box<ProblemDocument>),
    /// What answers there does not speak this API.
    #[error("not the answer of a director: {0}")]
    Protocol(String),
}

impl ClientError {
    /// What kind of no the director said; `None` when it was not the director who failed the
    /// call.
    pub fn kind(&self) -> Option<ProblemKind> {
        match self {
            Self::Problem(document) => Some(document.kind()),
            _ => None,
        }
    }

    /// Why no connection to `address` could be opened.
    pub(super) fn of_connect(address: &Address, source: io::Error) -> Self {
        let address = address.clone();
        match (source.kind(), &address) {
            // A path below something that is no directory, too.
            (io::ErrorKind::NotFound | io::ErrorKind::NotADirectory, Address::Unix(_)) => {
                Self::SocketMissing(address)
            }
            (io::ErrorKind::ConnectionRefused, Address::Unix(path)) if !is_socket(path) => {
                Self::NotASocket(address)
            }
            (io::ErrorKind::PermissionDenied, _) => Self::PermissionDenied(address),
            (io::ErrorKind::ConnectionRefused, _) => Self::Refused(address),
            _ => Self::Unreachable { address, source },
        }
    }
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|file| file.file_type().is_socket())
}
