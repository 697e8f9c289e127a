//! Entity tags (RFC 9110, section 8.8.3): a tag stands for what can be set of a resource. Counters
//! and states, which change with every packet, are no part of it.

use std::hash::{DefaultHasher, Hasher};
use std::io;

use axum::http::HeaderValue;
use serde::Serialize;

use crate::model::{
    Configuration, Defense, Filter, ListedView, MarkRule, Real, RealView, Service, ServiceView,
    SyncDaemon, Timeouts,
};
use crate::sysctl::SysctlView;

/// An entity tag, quotes included, and `W/` before a weak one. The director's own are strong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag(String);

impl Tag {
    fn of(settings: &impl Serialize) -> Self {
        let mut hash = Hashed(DefaultHasher::new());
        // Nothing that is hashed can fail to be written.
        let _ = serde_json::to_writer(&mut hash, settings);
        Self(format!("\"{:016x}\"", hash.0.finish()))
    }

    /// One that somebody has sent, as it stands there.
    pub(super) fn sent(text: &[u8]) -> Self {
        Self(String::from_utf8_lossy(text).into_owned())
    }

    /// The strong comparison (section 8.8.3.2): a weak tag is the same as none.
    pub(super) fn is_strongly(&self, other: &Self) -> bool {
        self == other && !self.0.starts_with("W/")
    }

    /// The weak comparison: what is in the quotes decides.
    pub(super) fn is_weakly(&self, other: &Self) -> bool {
        let opaque = |tag: &Self| tag.0.strip_prefix("W/").unwrap_or(&tag.0).to_owned();
        opaque(self) == opaque(other)
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

all_of_it! { Vec<MarkRule> Vec<SyncDaemon> Timeouts }
