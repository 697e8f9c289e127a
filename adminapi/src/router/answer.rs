//! Answers: what is there, and what was created.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::tag::{Tag, Tagged};
use crate::control::Put;

/// 200 with what is there now, and its entity tag.
pub(super) struct Shown<T>(pub(super) T);

impl<T: Serialize + Tagged> IntoResponse for Shown<T> {
    fn into_response(self) -> Response {
        let tag = self.0.tag();
        tagged(&tag, Json(self.0))
    }
}

/// 201 with the place of what was created, and its entity tag.
pub(super) struct Created<T> {
    pub(super) location: String,
    pub(super) body: T,
}

impl<T: Serialize + Tagged> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        created(&self.body.tag(), self.location, Json(self.body))
    }
}

/// 201 with the place of what was added to a list, by whose entity tag all that it has is changed.
pub(super) struct Added<L, T> {
    pub(super) location: String,
    /// The list as it is now.
    pub(super) list: L,
    pub(super) body: T,
}

impl<L: Tagged, T: Serialize> IntoResponse for Added<L, T> {
    fn into_response(self) -> Response {
        created(&self.list.tag(), self.location, Json(self.body))
    }
}

fn created(tag: &Tag, location: String, body: impl IntoResponse) -> Response {
    let location: [(HeaderName, String); 1] = [(header::LOCATION, location)];
    tagged(tag, (StatusCode::CREATED, location, body))
}

/// 201 or 200, as it was new or not.
pub(super) fn put<T: Serialize + Tagged>(done: Put<T>, location: String) -> Response {
    match done {
        Put::Created(body) => Created { location, body }.into_response(),
        Put::Replaced(body) => Shown(body).into_response(),
    }
}

fn tagged(tag: &Tag, answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    if let Some(tag) = tag.header() {
        // The tag says nothing of counters, which have changed by the next time.
        let no_store = HeaderValue::from_static("no-store");
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, no_store);
        headers.insert(header::ETAG, tag);
    }
    response
}
