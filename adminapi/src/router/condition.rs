//! Conditional requests (RFC 9110, section 13): `If-Match`, whose tags are compared strongly, and
//! `If-None-Match`, whose tags are compared weakly.

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::tag::{Tag, Tagged};
use crate::error::{self, ControlError};
use crate::failure::Failure;
use crate::problem::ProblemKind;

/// On what a request depends.
#[derive(Clone, Debug, Default)]
pub(super) struct Condition {
    if_match: Option<Wanted>,
    if_none_match: Option<Wanted>,
    /// Whether the request makes what is not there.
    creates: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    /// `*`: whatever is there.
    Any,
    One(Vec<Tag>),
}

impl Wanted {
    fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Failure> {
        let values: Vec<_> = headers.get_all(name).iter().collect();
        // Several fields of a name are one list (section 5.3).
        let list = values.iter().map(|value| value.as_bytes());
        let list = list.collect::<Vec<_>>().join(&b","[..]);
        match (values.is_empty(), list.trim_ascii()) {
            (true, _) => Ok(None),
            (_, b"*") => Ok(Some(Self::Any)),
            (_, list) => tags(list).map(Self::One).map(Some).ok_or_else(|| {
                let detail = format!("{name} takes entity tags in quotes, or *");
                Failure::new(ProblemKind::BadRequest, detail)
            }),
        }
    }

    /// Whether what is there is meant, of which `is_same` knows the tag; without `present` nothing
    /// is there.
    fn fits(&self, present: Option<&Tag>, is_same: fn(&Tag, &Tag) -> bool) -> bool {
        match (self, present) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::One(tags), Some(present)) => tags.iter().any(|tag| is_same(tag, present)),
        }
    }
}

/// The tags of a list, of which there is at least one. In quotes there may be commas, and between
/// commas nothing.
fn tags(list: &[u8]) -> Option<Vec<Tag>> {
    let mut tags = Vec::new();
    let mut rest = unlisted(list);
    while !rest.is_empty() {
        let begun = rest
            .strip_prefix(b"W/")
            .unwrap_or(rest)
            .strip_prefix(b"\"")?;
        let opaque = begun.split(|byte| *byte == b'"').next()?;
        let after = begun.get(opaque.len() + 1..)?;
        if !opaque.iter().copied().all(is_opaque) {
            return None;
        }
        tags.push(Tag::sent(&rest[..rest.len() - after.len()]));
        let after = after.trim_ascii_start();
        if !after.is_empty() && !after.starts_with(b",") {
            return None;
        }
        rest = unlisted(after);
    }
    (!tags.is_empty()).then_some(tags)
}

/// The list from its first element on.
fn unlisted(list: &[u8]) -> &[u8] {
    let mut bytes = list.iter();
    let first = bytes.position(|byte| !matches!(byte, b',' | b' ' | b'\t'));
    &list[first.unwrap_or(list.len())..]
}

/// Section 8.8.3: `etagc`.
const fn is_opaque(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)
}

impl<S: Send + Sync> FromRequestParts<S> for Condition {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Self::of(&parts.method, &parts.headers)
    }
}

impl Condition {
    fn of(method: &Method, headers: &HeaderMap) -> Result<Self, Failure> {
        Ok(Self {
            if_match: Wanted::read(headers, &header::IF_MATCH)?,
            if_none_match: Wanted::read(headers, &header::IF_NONE_MATCH)?,
            creates: method == Method::PUT,
        })
    }

    /// The same for a request that makes what is not there, though it is no PUT.
    pub(super) fn creating(self) -> Self {
        Self {
            creates: true,
            ..self
        }
    }

    /// Whether the change may be done to what `look` finds.
    pub(super) fn judge<T: Tagged>(
        &self,
        look: impl FnOnce() -> error::Result<T>,
    ) -> Result<(), Failure> {
        if self.if_match.is_none() && self.if_none_match.is_none() {
            return Ok(());
        }
        let present = match look() {
            Ok(present) => Some(present.tag()),
            Err(ControlError::NotFound(_)) if self.creates => None,
            // A request that fails anyway fails as it would without a condition.
            Err(other) => return Err(other.into()),
        };
        if self.misses(present.as_ref()) {
            return Err(failed("it is not what If-Match says; read it again"));
        }
        if self.is_known(present.as_ref()) {
            let detail = "it is there, and If-None-Match says not to change that";
            return Err(failed(detail));
        }
        Ok(())
    }

    /// Whether `If-Match` does not hold.
    fn misses(&self, present: Option<&Tag>) -> bool {
        let expected = self.if_match.as_ref();
        expected.is_some_and(|wanted| !wanted.fits(present, Tag::is_strongly))
    }

    /// Whether `If-None-Match` does not hold.
    fn is_known(&self, present: Option<&Tag>) -> bool {
        let unwanted = self.if_none_match.as_ref();
        unwanted.is_some_and(|unwanted| unwanted.fits(present, Tag::is_weakly))
    }
}

fn failed(detail: &str) -> Failure {
    Failure::new(ProblemKind::PreconditionFailed, detail)
}

/// Judges a change of what has no entity tag: none that a client could name is its own.
pub(super) async fn judge_untagged(request: Request, next: Next) -> Result<Response, Failure> {
    let condition = Condition::of(request.method(), request.headers())?;
    match condition.if_match {
        Some(Wanted::One(_)) if !request.method().is_safe() => {
            Err(failed("it has no entity tag; leave If-Match out"))
        }
        _ => Ok(next.run(request).await),
    }
}

/// Judges a GET by the tag of its answer: who knows that tag is told that nothing has changed.
pub(super) async fn judge_reading(request: Request, next: Next) -> Result<Response, Failure> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(next.run(request).await);
    }
    let condition = Condition::of(request.method(), request.headers())?;
    let answer = next.run(request).await;
    let tag = answer.headers().get(header::ETAG).cloned();
    let Some(tag) = tag.filter(|_| answer.status() == StatusCode::OK) else {
        return Ok(answer);
    };
    let present = Some(Tag::sent(tag.as_bytes()));
    if condition.misses(present.as_ref()) {
        return Err(failed("it is not what If-Match says"));
    }
    match condition.is_known(present.as_ref()) {
        true => Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response()),
        false => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_tags_are_read() {
        for (list, expected) in [
            ("\"a\"", &["\"a\""][..]),
            ("W/\"a\"", &["W/\"a\""]),
            ("\"a\",W/\"b\" , \"\"", &["\"a\"", "W/\"b\"", "\"\""]),
            (", \"a,b\", , \"c\",", &["\"a,b\"", "\"c\""]),
        ] {
            let expected = expected.iter().map(|tag| Tag::sent(tag.as_bytes()));
            assert_eq!(tags(list.as_bytes()), Some(expected.collect()), "{list}");
        }
        for list in [
            "",
            "a",
            "\"",
            "\"a",
            "a\"",
            "w/\"a\"",
            "W/a",
            "\"a\"b\"",
            "\"a\" \"b\"",
            "\"a b\"",
            "*",
            "\"a\", *",
            "W/ \"a\"",
        ] {
            assert_eq!(tags(list.as_bytes()), None, "{list}");
        }
    }

    #[test]
    fn tags_are_compared_as_the_rfc_says() {
        // RFC 9110, section 8.8.3.2, table 3.
        for (one, other, strongly, weakly) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ] {
            let [one, other] = [one, other].map(|tag| Tag::sent(tag.as_bytes()));
            assert_eq!(one.is_strongly(&other), strongly, "{one:?} {other:?}");
            assert_eq!(one.is_weakly(&other), weakly, "{one:?} {other:?}");
        }
    }
}
