//! Answers: problems, and what was created.

use axum::Json;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::control::Put;
use crate::error::ControlError;
use crate::problem::{MEDIA_TYPE, ProblemDocument, ProblemKind};

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Failure(Box<ProblemDocument>);

impl Failure {
    pub(super) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        ProblemDocument::new(kind, detail).into()
    }
}

impl From<ProblemDocument> for Failure {
    fn from(document: ProblemDocument) -> Self {
        Self(Box::new(document))
    }
}

impl From<Failure> for ProblemDocument {
    fn from(failure: Failure) -> Self {
        *failure.0
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

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], Json(self.0)).into_response()
    }
}

/// 201 with the place of what was created.
pub(super) struct Created<T> {
    pub(super) location: String,
    pub(super) body: T,
}

impl<T: serde::Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let location: [(HeaderName, String); 1] = [(header::LOCATION, self.location)];
        (StatusCode::CREATED, location, Json(self.body)).into_response()
    }
}

/// 201 or 200, as it was new or not.
pub(super) fn put<T: serde::Serialize>(done: Put<T>, location: String) -> Response {
    match done {
        Put::Created(body) => Created { location, body }.into_response(),
        Put::Replaced(body) => Json(body).into_response(),
    }
}
