//! What is read to be changed, and changed only while it is what was read (RFC 9110, section 13.1.1).

use hyper::Method;
use hyper::header::{HeaderValue, IF_MATCH};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::exchange::json;
use super::transport::Answer;
use super::{Client, ClientError, Result};
use crate::model::{Configuration, Filter, FilterRules};
use crate::path;

/// What the director showed.
#[derive(Clone, Debug)]
pub struct Seen<T> {
    /// It.
    pub value: T,
    /// What says whether it is still so.
    pub tag: EntityTag,
}

/// An entity tag (RFC 9110, section 8.8.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag(HeaderValue);

impl EntityTag {
    /// One that is not a director's. Panics if it does not fit into a header.
    pub const fn of_static(tag: &'static str) -> Self {
        Self(HeaderValue::from_static(tag))
    }
}

impl Client {
    /// The filters, to change them.
    pub async fn see_filter(&self) -> Result<Seen<Filter>> {
        self.see(path::FILTER).await
    }

    /// What [`Client::put_filter`] does, unless they have changed since they were seen:
    /// [`ProblemKind::PreconditionFailed`](crate::problem::ProblemKind).
    pub async fn put_filter_as_seen(&self, rules: &FilterRules, tag: &EntityTag) -> Result<Filter> {
        self.put_as_seen(path::FILTER, rules, tag).await?.json()
    }

    /// The whole configuration, to change it.
    pub async fn see_config(&self) -> Result<Seen<Configuration>> {
        self.see(path::CONFIG).await
    }

    /// What [`Client::put_config`] does, unless it has changed since it was seen:
    /// [`ProblemKind::PreconditionFailed`](crate::problem::ProblemKind).
    pub async fn put_config_as_seen(&self, wanted: &Configuration, tag: &EntityTag) -> Result<()> {
        self.put_as_seen(path::CONFIG, wanted, tag).await.map(drop)
    }

    async fn see<T: DeserializeOwned>(&self, path: &str) -> Result<Seen<T>> {
        let mut answer = self.call(Method::GET, path, None).await?;
        let tag = answer.tag.take();
        let without = || ClientError::Protocol(format!("no ETag of {path}"));
        Ok(Seen {
            tag: EntityTag(tag.ok_or_else(without)?),
            value: answer.json()?,
        })
    }

    async fn put_as_seen(
        &self,
        path: &str,
        body: &impl Serialize,
        tag: &EntityTag,
    ) -> Result<Answer> {
        let mut request = self.request(Method::PUT, path, Some(json(body)?))?;
        request.headers_mut().insert(IF_MATCH, tag.0.clone());
        self.whole(request).await
    }
}
