//! `application/problem+json` (RFC 9457): what a request that failed is answered with.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{ControlError, Problem, Subject};

/// The media type of a [`ProblemDocument`].
pub const MEDIA_TYPE: &str = "application/problem+json";

/// The prefix of every `type`; the rest is [`ProblemKind::name`].
const TYPE_PREFIX: &str = "urn:bulwark:problem:";

/// What kind of failure: the `type` of the document, for programs to decide on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The service does not exist.
    NoSuchService,
    /// The service exists, the real server does not.
    NoSuchReal,
    /// There is no such connection.
    NoSuchConnection,
    /// The service remembers no such client.
    NoSuchTemplate,
    /// There is no sysctl of this name.
    NoSuchSysctl,
    /// The path leads nowhere.
    NoSuchResource,
    /// The service exists already.
    ServiceExists,
    /// The real server exists already.
    RealExists,
    /// The synchronisation daemon does not run.
    NoSuchDaemon,
    /// The synchronisation daemon runs already.
    DaemonExists,
    /// The director's host has no such interface.
    NoSuchInterface,
    /// Values that cannot be: see `errors`.
    Invalid,
    /// A body that is no JSON.
    MalformedJson,
    /// A path or query that cannot be read.
    BadRequest,
    /// Who asks is not known: no token, or a wrong one.
    Unauthorized,
    /// Who asks is known, and may not.
    Forbidden,
    /// Plain HTTP where TLS is spoken.
    TlsRequired,
    /// What `If-Match` or `If-None-Match` asks for is not so.
    PreconditionFailed,
    /// The resource knows no such method.
    MethodNotAllowed,
    /// The body did not come in time.
    RequestTimeout,
    /// The body is too large.
    TooLarge,
    /// Who asks has asked too often.
    TooManyRequests,
    /// The body says that it is no JSON.
    UnsupportedMediaType,
    /// Not now.
    Busy,
    /// A limit of the configuration is reached.
    Limit,
    /// A fault of the director.
    Internal,
    /// A kind that this version does not know.
    Unknown,
}

impl ProblemKind {
    /// All that a director sends.
    pub const ALL: [Self; 26] = [
        Self::NoSuchService,
        Self::NoSuchReal,
        Self::NoSuchConnection,
        Self::NoSuchTemplate,
        Self::NoSuchSysctl,
        Self::NoSuchResource,
        Self::ServiceExists,
        Self::RealExists,
        Self::NoSuchDaemon,
        Self::DaemonExists,
        Self::NoSuchInterface,
        Self::Invalid,
        Self::MalformedJson,
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::TlsRequired,
        Self::PreconditionFailed,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::TooLarge,
        Self::TooManyRequests,
        Self::UnsupportedMediaType,
        Self::Busy,
        Self::Limit,
        Self::Internal,
    ];

    /// Name, HTTP status, title.
    const fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::NoSuchService => ("no-such-service", 404, "No such service"),
            Self::NoSuchReal => ("no-such-real", 404, "No such real server"),
            Self::NoSuchConnection => ("no-such-connection", 404, "No such connection"),
            Self::NoSuchTemplate => ("no-such-template", 404, "No such template"),
            Self::NoSuchSysctl => ("no-such-sysctl", 404, "No such sysctl"),
            Self::NoSuchResource => ("no-such-resource", 404, "No such resource"),
            Self::ServiceExists => ("service-exists", 409, "Service already exists"),
            Self::RealExists => ("real-exists", 409, "Real server already exists"),
            Self::NoSuchDaemon => ("no-such-daemon", 404, "No such daemon"),
            Self::DaemonExists => ("daemon-exists", 409, "Daemon already runs"),
            Self::NoSuchInterface => ("no-such-interface", 422, "No such interface"),
            Self::Invalid => ("invalid", 422, "Invalid values"),
            Self::MalformedJson => ("malformed-json", 400, "Malformed JSON"),
            Self::BadRequest => ("bad-request", 400, "Bad request"),
            Self::Unauthorized => ("unauthorized", 401, "Not let in"),
            Self::Forbidden => ("forbidden", 403, "Not allowed"),
            Self::TlsRequired => ("tls-required", 400, "TLS is needed"),
            Self::RequestTimeout => ("request-timeout", 408, "Body too slow"),
            Self::PreconditionFailed => ("precondition-failed", 412, "Precondition failed"),
            Self::MethodNotAllowed => ("method-not-allowed", 405, "Method not allowed"),
            Self::TooLarge => ("too-large", 413, "Body too large"),
            Self::TooManyRequests => ("too-many-requests", 429, "Too many requests"),
            Self::UnsupportedMediaType => ("unsupported-media-type", 415, "Body is not JSON"),
            Self::Busy => ("busy", 503, "Busy"),
            Self::Limit => ("limit", 507, "Limit reached"),
            Self::Internal => ("internal", 500, "Internal error"),
            Self::Unknown => ("unknown", 500, "Unknown problem"),
        }
    }

    /// The last part of the `type`.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        self.row().1
    }

    /// The same for all problems of the kind.
    pub const fn title(self) -> &'static str {
        self.row().2
    }
}

/// The body of an answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"type": "urn:bulwark:problem:invalid", "title": "Invalid values", "status": 422, "detail": "1 value is not valid", "errors": [{"pointer": "/port", "message": "port 0 is no port", "mend": "use 1 to 65535"}]}))]
pub struct ProblemDocument {
    /// `urn:bulwark:problem:` and the name of the kind.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// The kind in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The bad values, when the kind is [`ProblemKind::Invalid`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Problem>,
}

impl ProblemDocument {
    /// A problem without bad values to point at.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            type_uri: format!("{TYPE_PREFIX}{}", kind.name()),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// Values that cannot be.
    pub fn invalid(errors: Vec<Problem>) -> Self {
        let detail = match errors.as_slice() {
            [only] => only.to_string(),
            many => format!("{} values are not valid", many.len()),
        };
        Self {
            errors,
            ..Self::new(ProblemKind::Invalid, detail)
        }
    }

    /// The kind that the `type` names.
    pub fn kind(&self) -> ProblemKind {
        let name = self.type_uri.strip_prefix(TYPE_PREFIX);
        ProblemKind::ALL
            .into_iter()
            .find(|kind| Some(kind.name()) == name)
            .unwrap_or(ProblemKind::Unknown)
    }
}

impl From<ControlError> for ProblemDocument {
    /// Internal errors keep their text to themselves: it belongs into the log.
    fn from(error: ControlError) -> Self {
        let kind = match &error {
            ControlError::NotFound(Subject::Service(_)) => ProblemKind::NoSuchService,
            ControlError::NotFound(Subject::Real { .. }) => ProblemKind::NoSuchReal,
            // Connections and templates are never added over the API.
            ControlError::NotFound(Subject::Connection(_))
            | ControlError::AlreadyExists(Subject::Connection(_)) => ProblemKind::NoSuchConnection,
            ControlError::NotFound(Subject::Template(_))
            | ControlError::AlreadyExists(Subject::Template(_)) => ProblemKind::NoSuchTemplate,
            // A network is never added where one must not be.
            ControlError::NotFound(Subject::Network(_))
            | ControlError::AlreadyExists(Subject::Network(_)) => ProblemKind::NoSuchResource,
            ControlError::NotFound(Subject::Daemon(_)) => ProblemKind::NoSuchDaemon,
            ControlError::AlreadyExists(Subject::Daemon(_)) => ProblemKind::DaemonExists,
            ControlError::NoInterface(_) => ProblemKind::NoSuchInterface,
            ControlError::AlreadyExists(Subject::Service(_)) => ProblemKind::ServiceExists,
            ControlError::AlreadyExists(Subject::Real { .. }) => ProblemKind::RealExists,
            ControlError::Invalid(_) => ProblemKind::Invalid,
            ControlError::Busy(_) => ProblemKind::Busy,
            ControlError::Limit(_) => ProblemKind::Limit,
            ControlError::Internal(_) => ProblemKind::Internal,
        };
        match error {
            ControlError::Invalid(errors) => Self::invalid(errors),
            ControlError::Internal(_) => Self::new(kind, "see the log of the director"),
            other => Self::new(kind, other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_kind_survives_the_wire() {
        for kind in ProblemKind::ALL {
            let sent = ProblemDocument::new(kind, "why");
            let json = serde_json::to_string(&sent).unwrap();
            let received: ProblemDocument = serde_json::from_str(&json).unwrap();
            assert_eq!(received, sent);
            assert_eq!(received.kind(), kind);
            assert_eq!(received.status, kind.status());
        }
    }

    #[test]
    fn names_are_unique() {
        let names: HashSet<_> = ProblemKind::ALL.map(ProblemKind::name).into();
        assert_eq!(names.len(), ProblemKind::ALL.len());
    }

    #[test]
    fn a_foreign_type_is_unknown() {
        let mut document = ProblemDocument::new(ProblemKind::Busy, "");
        document.type_uri = "about:blank".to_owned();
        assert_eq!(document.kind(), ProblemKind::Unknown);
    }

    #[test]
    fn internal_errors_are_not_told() {
        let document = ProblemDocument::from(ControlError::Internal("secret path".to_owned()));
        assert!(!serde_json::to_string(&document).unwrap().contains("secret"));
    }
}
