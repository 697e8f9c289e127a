//! When clients of a flooded UDP service have to come twice.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// When clients of a flooded UDP service that are not known have to come twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RepeatPolicy {
    /// Never.
    Off,
    /// When what their first datagrams use up is short.
    #[default]
    Auto,
}

impl RepeatPolicy {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Off, Self::Auto];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Auto => "auto",
        }
    }
}

impl fmt::Display for RepeatPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether clients of a UDP service that are not known have to come twice: the first datagram is
/// dropped, and who comes again within eight seconds is let in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepeatStatus {
    /// What holds for it: its own setting, or else the director's.
    #[serde(default)]
    pub policy: RepeatPolicy,
    /// Whether they have to now.
    pub active: bool,
    /// Why, or why not.
    pub reason: String,
    /// First datagrams that were dropped.
    pub dropped: u64,
}
