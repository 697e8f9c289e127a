//! What can go wrong with a request, as the core says it: no HTTP here. The router turns it
//! into a [`crate::problem::ProblemDocument`].

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{ConnectionId, Prefix, ServiceId, SyncRole, TemplateId};
use crate::sysctl::BadValue;

/// The answer of every [`crate::control::Control`] call.
pub type Result<T> = std::result::Result<T, ControlError>;

/// What a request was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A virtual service.
    Service(ServiceId),
    /// A real server of a virtual service.
    Real {
        /// The service, which exists.
        service: ServiceId,
        /// The real server.
        real: SocketAddr,
    },
    /// A synchronisation daemon.
    Daemon(SyncRole),
    /// A connection.
    Connection(ConnectionId),
    /// What a persistent service remembers of a client.
    Template(TemplateId),
    /// A network on a list.
    Network(Prefix),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(id) => write!(f, "service {id}"),
            Self::Real { service, real } => write!(f, "real server {real} of service {service}"),
            Self::Connection(id) => write!(f, "connection {id}"),
            Self::Template(id) => write!(f, "template {id}"),
            Self::Network(network) => write!(f, "network {network}"),
            Self::Daemon(role) => write!(f, "{} synchronisation daemon", role.name()),
        }
    }
}

/// One bad value: where it stands, what is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// JSON pointer (RFC 6901) to the value, `/real/0/weight`; empty for the whole document.
    pub pointer: String,
    /// What is wrong, without the place.
    pub message: String,
    /// What to do about it; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mend: String,
    /// JSON pointer to the other value, when two disagree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
}

impl Problem {
    /// A problem with the value at `pointer`.
    pub fn new(
        pointer: impl Into<String>,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
            mend: mend.into(),
            other: None,
        }
    }

    /// The same problem, which is one with the value at `pointer` too.
    #[must_use]
    pub fn with_other(mut self, pointer: impl Into<String>) -> Self {
        self.other = Some(pointer.into());
        self
    }

    /// The same problem seen from a document in which its own stands at `prefix`.
    #[must_use]
    pub fn below(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        if let Some(other) = &mut self.other {
            other.insert_str(0, prefix);
        }
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.pointer.is_empty() {
            write!(f, "{}: ", self.pointer)?;
        }
        f.write_str(&self.message)?;
        if let Some(other) = &self.other {
            write!(f, " (see {other})")?;
        }
        if !self.mend.is_empty() {
            write!(f, "; {}", self.mend)?;
        }
        Ok(())
    }
}

impl From<BadValue> for ControlError {
    fn from(bad: BadValue) -> Self {
        let message = format!("is {:?}", bad.given);
        let mend = format!("{} takes {}", bad.sysctl, bad.kind);
        Self::Invalid(vec![Problem::new("/value", message, mend)])
    }
}

/// Why a director did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// What was named does not exist.
    #[error("{0} does not exist")]
    NotFound(Subject),
    /// What was to be added exists.
    #[error("{0} already exists")]
    AlreadyExists(Subject),
    /// The request contradicts itself or what the director can do.
    #[error("{}", join(.0))]
    Invalid(Vec<Problem>),
    /// The host has no interface of this name.
    #[error("the director's host has no interface `{0}`")]
    NoInterface(String),
    /// Not now; the same request may succeed later. Says what the director is busy with.
    #[error("{0}")]
    Busy(String),
    /// A limit of the configuration is reached. Says which.
    #[error("{0}")]
    Limit(String),
    /// A fault of the director. The text is for its log, not for the client.
    #[error("{0}")]
    Internal(String),
}

pub(crate) fn join(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

impl ControlError {
    /// `Ok` without problems, else [`ControlError::Invalid`].
    pub fn unless_valid(problems: Vec<Problem>) -> Result<()> {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self::Invalid(problems))
        }
    }

    /// The same error seen from a document in which what it is about stands at `prefix`.
    #[must_use]
    pub fn below(self, prefix: &str) -> Self {
        match self {
            Self::Invalid(problems) => {
                let problems = problems.into_iter().map(|problem| problem.below(prefix));
                Self::Invalid(problems.collect())
            }
            other => other,
        }
    }

    /// There is no such service.
    pub const fn no_service(id: ServiceId) -> Self {
        Self::NotFound(Subject::Service(id))
    }

    /// The service has no such real server.
    pub const fn no_real(service: ServiceId, real: SocketAddr) -> Self {
        Self::NotFound(Subject::Real { service, real })
    }
}
