//! What a reload has left undone.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What of the configuration file does not hold though it was read again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"notes": ["changes of [limits] need a restart"]}))]
pub struct Reloaded {
    /// What stays as it was, and why, as the director's log says it too.
    pub notes: Vec<String>,
}
