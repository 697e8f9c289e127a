//! Why the director did not do it, and what the process exits with.

use adminapi::client::ClientError;
use adminapi::{Problem, ProblemDocument, ProblemKind};

/// The exit status when the director says no.
const REFUSED: u8 = 255;

/// Why the director did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DirectorError {
    /// There is no such service.
    #[error("no such service")]
    NoService,
    /// The service has no such real server.
    #[error("no such real server")]
    NoReal,
    /// There is no such connection.
    #[error("no such connection")]
    NoConnection,
    /// The service remembers no such client.
    #[error("no such template")]
    NoTemplate,
    /// What was to be added is there already.
    #[error("it exists already")]
    Exists,
    /// There is no such synchronisation daemon.
    #[error("no such synchronisation daemon")]
    NoDaemon,
    /// The director's host has no such interface; its own words.
    #[error("{0}")]
    NoInterface(String),
    /// The director takes no such value; its own words.
    #[error("{0}")]
    Refused(String),
    /// The director takes none of these values, which it points at in what it was sent.
    #[error("{}", in_lines(.0))]
    BadValues(Vec<Problem>),
    /// A limit of the director is reached; its own words.
    #[error("{0}")]
    Full(String),
    /// What was to be changed is not what it was when it was read.
    #[error("it was changed by somebody else meanwhile, and nothing is done; try again")]
    Changed,
    /// The director failed or its answer made no sense.
    #[error("{0}")]
    Fault(String),
    /// A value of the line does not go with what it names.
    #[error("{0}")]
    BadValue(String),
    /// The address of the director can't be read or leads to no socket, or a file that says whom
    /// to believe is no use.
    #[error("{0}")]
    BadAddress(String),
    /// Nobody answers there.
    #[error("{0}")]
    NotRunning(String),
    /// The socket or the director does not let this user in.
    #[error("{0}")]
    NoPermission(String),
    /// No answer in time.
    #[error("{0}")]
    TimedOut(String),
    /// TLS: one side does not believe the other.
    #[error("{0}")]
    NotTrusted(String),
}

impl DirectorError {
    /// Whether the director answered and said no, so that another request may succeed.
    pub(crate) const fn is_refusal(&self) -> bool {
        self.status() == REFUSED
    }

    /// What the process exits with.
    pub(crate) const fn status(&self) -> u8 {
        match self {
            Self::NoService
            | Self::NoReal
            | Self::NoConnection
            | Self::NoTemplate
            | Self::Exists
            | Self::NoDaemon
            | Self::NoInterface(_)
            | Self::Refused(_)
            | Self::BadValues(_)
            | Self::Full(_)
            | Self::Changed => REFUSED,
            Self::BadValue(_) | Self::BadAddress(_) => 2,
            Self::NotRunning(_) => 3,
            Self::NoPermission(_) => 4,
            Self::TimedOut(_) => 5,
            Self::Fault(_) => 6,
            Self::NotTrusted(_) => 7,
        }
    }
}

/// The answer of every call.
pub(crate) type Result<T> = std::result::Result<T, DirectorError>;

impl From<ClientError> for DirectorError {
    fn from(error: ClientError) -> Self {
        let text = error.to_string();
        match error {
            ClientError::BadAddress(_) | ClientError::NotASocket(_) | ClientError::BadTrust(_) => {
                Self::BadAddress(text)
            }
            ClientError::SocketMissing(_)
            | ClientError::Refused(_)
            | ClientError::Unreachable { .. } => Self::NotRunning(text),
            ClientError::PermissionDenied(_) => Self::NoPermission(text),
            ClientError::Tls { .. } => Self::NotTrusted(text),
            ClientError::Timeout { .. } => {
                Self::TimedOut(format!("{text}; BULWARK_TIMEOUT=SECONDS waits longer"))
            }
            ClientError::Problem(document) => document.as_ref().into(),
            ClientError::HungUp { .. } | ClientError::Cut { .. } => Self::Fault(text),
            ClientError::Protocol(_) => Self::Fault(format!(
                "{text}; --api or BULWARK_API may lead elsewhere, or to one of another version"
            )),
        }
    }
}

impl From<&ProblemDocument> for DirectorError {
    fn from(document: &ProblemDocument) -> Self {
        let text = in_full(document);
        match document.kind() {
            ProblemKind::NoSuchService => Self::NoService,
            ProblemKind::NoSuchReal => Self::NoReal,
            ProblemKind::NoSuchConnection => Self::NoConnection,
            ProblemKind::NoSuchTemplate => Self::NoTemplate,
            ProblemKind::NoSuchDaemon => Self::NoDaemon,
            ProblemKind::NoSuchInterface => Self::NoInterface(text),
            ProblemKind::ServiceExists | ProblemKind::RealExists | ProblemKind::DaemonExists => {
                Self::Exists
            }
            ProblemKind::Invalid if !document.errors.is_empty() => {
                Self::BadValues(document.errors.clone())
            }
            ProblemKind::Invalid
            | ProblemKind::MalformedJson
            | ProblemKind::BadRequest
            | ProblemKind::TooManyRequests
            | ProblemKind::NoSuchResource
            | ProblemKind::NoSuchSysctl => Self::Refused(text),
            ProblemKind::Limit => Self::Full(text),
            ProblemKind::PreconditionFailed => Self::Changed,
            ProblemKind::TlsRequired => Self::NotTrusted(text),
            _ if matches!(document.status, 401 | 403) => Self::NoPermission(text),
            _ => Self::Fault(text),
        }
    }
}

/// What happened, and each bad value.
fn in_full(document: &ProblemDocument) -> String {
    if document.errors.is_empty() {
        return format!("{}: {}", document.title, document.detail);
    }
    in_lines(&document.errors)
}

fn in_lines(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_failure_has_its_status() {
        let address = || "unix:/x".parse().unwrap();
        for (error, status) in [
            (
                "x".parse::<adminapi::client::Address>().unwrap_err().into(),
                2,
            ),
            (ClientError::NotASocket(address()), 2),
            (ClientError::SocketMissing(address()), 3),
            (ClientError::Refused(address()), 3),
            (ClientError::PermissionDenied(address()), 4),
            (
                ClientError::Timeout {
                    address: address(),
                    after: Duration::from_secs(1),
                },
                5,
            ),
            (ClientError::HungUp { address: address() }, 6),
            (ClientError::Cut { address: address() }, 6),
            (ClientError::Protocol("no HTTP".to_owned()), 6),
            (
                ClientError::Tls {
                    address: address(),
                    why: "unknown issuer".to_owned(),
                },
                7,
            ),
            (ClientError::BadTrust("no such file".to_owned()), 2),
        ] {
            let text = error.to_string();
            let error = DirectorError::from(error);
            assert_eq!(error.status(), status);
            // What to do may follow.
            assert!(error.to_string().starts_with(&text), "{error}");
        }
    }

    #[test]
    fn every_problem_has_its_meaning() {
        for kind in ProblemKind::ALL {
            let error = DirectorError::from(&ProblemDocument::new(kind, "why"));
            let text = format!("{}: why", kind.title());
            let want = match kind.status() {
                _ if kind == ProblemKind::TlsRequired => DirectorError::NotTrusted(text),
                404 if kind == ProblemKind::NoSuchService => DirectorError::NoService,
                404 if kind == ProblemKind::NoSuchReal => DirectorError::NoReal,
                404 if kind == ProblemKind::NoSuchConnection => DirectorError::NoConnection,
                404 if kind == ProblemKind::NoSuchTemplate => DirectorError::NoTemplate,
                404 if kind == ProblemKind::NoSuchDaemon => DirectorError::NoDaemon,
                422 if kind == ProblemKind::NoSuchInterface => DirectorError::NoInterface(text),
                409 => DirectorError::Exists,
                412 => DirectorError::Changed,
                400 | 404 | 422 | 429 => DirectorError::Refused(text),
                401 | 403 => DirectorError::NoPermission(text),
                507 => DirectorError::Full(text),
                _ => DirectorError::Fault(text),
            };
            assert_eq!(error, want);
        }
        let mut foreign = ProblemDocument::new(ProblemKind::Internal, "token");
        (foreign.type_uri, foreign.status) = ("about:blank".to_owned(), 401);
        assert_eq!(DirectorError::from(&foreign).status(), 4);
    }

    #[test]
    fn every_bad_value_is_told() {
        let document = ProblemDocument::invalid(vec![
            Problem::new("/port", "is 0", "give one"),
            Problem::new("/address", "is multicast", ""),
        ]);
        let error = DirectorError::from(&document);
        assert!(error.is_refusal());
        assert_eq!(
            error.to_string(),
            "/port: is 0; give one\n/address: is multicast"
        );
    }
}
