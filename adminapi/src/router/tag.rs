//! Entity tags (RFC 9110, section 8.8.3): a tag stands for what can be set of a resource. Counters
//! and states, which change with every packet, are no part of it.

use std::hash::{DefaultHasher, Hasher};
use std::io;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::Serialize;

use crate::error::{self, ControlError};
use crate::failure::Failure;
use crate::model::{
    Configuration, Defense, Filter, ListedView, MarkRule, Real, RealView, Service, ServiceView,
    SyncDaemon, Timeouts,
};
use crate::problem::ProblemKind;
use crate::sysctl::SysctlView;

/// A strong entity tag, quotes included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag(String);

impl Tag {
    fn of(settings: &impl Serialize) -> Self {
        let mut hash = Hashed(DefaultHasher::new());
        // Nothing that is hashed can fail to be written.
        let _ = serde_json::to_writer(&mut hash, settings);
        Self(format!("\"{:016x}\"", hash.0.finish()))
    }

    pub(super) fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

struct Hashed(DefaultHasher);

impl io::Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What an entity tag is made for.
pub(super) trait Tagged {
    fn tag(&self) -> Tag;
}

impl Tagged for ServiceView {
    fn tag(&self) -> Tag {
        Tag::of(&Service::from(self))
    }
}

impl Tagged for Vec<ServiceView> {
    fn tag(&self) -> Tag {
        Tag::of(&self.iter().map(Service::from).collect::<Vec<_>>())
    }
}

impl Tagged for RealView {
    fn tag(&self) -> Tag {
        Tag::of(&Real::from(self))
    }
}

impl Tagged for Vec<RealView> {
    fn tag(&self) -> Tag {
        Tag::of(&self.iter().map(Real::from).collect::<Vec<_>>())
    }
}

impl Tagged for Defense {
    fn tag(&self) -> Tag {
        Tag::of(&(self.level, self.automatic))
    }
}

impl Tagged for ListedView {
    fn tag(&self) -> Tag {
        Tag::of(&(self.list, &self.why, self.left.is_some()))
    }
}

impl Tagged for Filter {
    fn tag(&self) -> Tag {
        Tag::of(&self.rules)
    }
}

impl Tagged for SysctlView {
    fn tag(&self) -> Tag {
        Tag::of(&self.value)
    }
}

impl Tagged for Configuration {
    /// What ends by itself is no part of it: bans come and go by the second.
    fn tag(&self) -> Tag {
        let mut lasting = self.clone();
        let listed = lasting.listed.iter_mut();
        listed.for_each(|listed| listed.retain(|listing| listing.until.is_none()));
        Tag::of(&lasting)
    }
}

macro_rules! all_of_it {
    ($($type:ty)*) => {
        $(impl Tagged for $type {
            fn tag(&self) -> Tag {
                Tag::of(self)
            }
        })*
    };
}

all_of_it! { MarkRule Vec<MarkRule> SyncDaemon Vec<SyncDaemon> Timeouts }

/// On what a change depends: `If-Match` and `If-None-Match` of its request.
#[derive(Clone, Debug, Default)]
pub(super) struct Condition {
    if_match: Option<Wanted>,
    if_none_match: Option<Wanted>,
    /// Whether the request makes what is not there.
    creates: bool,
}

#[derive(Clone, Debug)]
enum Wanted {
    /// `*`: whatever is there.
    Any,
    One(Vec<Tag>),
}

impl Wanted {
    fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Failure> {
        let mut tags = Vec::new();
        for value in headers.get_all(name) {
            let bad = || {
                let detail = format!("{name} takes entity tags in quotes, or *");
                Failure::new(ProblemKind::BadRequest, detail)
            };
            let text = value.to_str().map_err(|_| bad())?;
            for part in text.split(',').map(str::trim) {
                let weak = part.strip_prefix("W/").unwrap_or(part);
                match (part, weak) {
                    ("*", _) => return Ok(Some(Self::Any)),
                    (_, tag) if tag.len() > 1 && tag.starts_with('"') && tag.ends_with('"') => {
                        tags.push(Tag(part.to_owned()));
                    }
                    _ => return Err(bad()),
                }
            }
        }
        Ok((!tags.is_empty()).then_some(Self::One(tags)))
    }

    fn fits(&self, present: Option<&Tag>) -> bool {
        match (self, present) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::One(tags), Some(present)) => tags.contains(present),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Condition {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Ok(Self {
            if_match: Wanted::read(&parts.headers, &header::IF_MATCH)?,
            if_none_match: Wanted::read(&parts.headers, &header::IF_NONE_MATCH)?,
            creates: parts.method == Method::PUT,
        })
    }
}

impl Condition {
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
        let expected = self.if_match.as_ref();
        let unwanted = self.if_none_match.as_ref();
        if expected.is_some_and(|wanted| !wanted.fits(present.as_ref())) {
            return Err(changed("it is not what If-Match says; read it again"));
        }
        if unwanted.is_some_and(|unwanted| unwanted.fits(present.as_ref())) {
            return Err(changed(
                "it is there, and If-None-Match says not to change that",
            ));
        }
        Ok(())
    }
}

fn changed(detail: &str) -> Failure {
    Failure::new(ProblemKind::PreconditionFailed, detail)
}
