//! What is made known of a real server's health.

use std::borrow::Cow;
use std::time::Instant;

use adminapi::model::{HealthSource, RealState};

/// How a real server is. It is published in one step with what it leaves of the weight, so that
/// nobody sees one without the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bulletin {
    /// In one word.
    pub state: RealState,
    /// Since when.
    pub since: Instant,
    /// Why.
    pub reason: Cow<'static, str>,
    /// Who says so, if anybody has said anything.
    pub source: Option<HealthSource>,
}
