//! A change that somebody has made.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Who changed what, and from what to what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// `uid 0, pid 4711`, `token ci from 192.0.2.7:40112`.
    pub who: String,
    /// Method and path, or the signal.
    pub what: String,
    /// What was there and is not any more; null: nothing was.
    pub before: Value,
    /// What is there and was not before; null: nothing is.
    pub after: Value,
}
