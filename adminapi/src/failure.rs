//! An answer that is no success: a problem document (RFC 9457).

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::error::ControlError;
use crate::problem::{MEDIA_TYPE, ProblemDocument, ProblemKind};

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Failure(Box<ProblemDocument>);

impl Failure {
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        ProblemDocument::new(kind, detail).into()
    }
}

impl From<ProblemDocument> for Failure {
    fn from(document: ProblemDocument) -> Self {
        Self(Box::new(document))
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        if let ControlError::Internal(fault) = &error {
            tracing::error!(fault, "a request failed inside the director");
        }
        ProblemDocument::from(error).into()
    }
}

impl From<Failure> for ProblemDocument {
    fn from(failure: Failure) -> Self {
        *failure.0
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], Json(self.0)).into_response()
    }
}
