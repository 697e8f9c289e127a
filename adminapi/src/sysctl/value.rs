//! The values of sysctls.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The value of a sysctl.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = SysctlValue)]
pub enum Value {
    /// A number.
    Number(i64),
    /// Two numbers.
    Pair([i64; 2]),
    /// Text; in a write also one of the others, as `echo` would write it.
    Text(String),
}

impl Value {
    /// The number; of a pair the first, of a text 0.
    #[inline]
    pub const fn number(&self) -> i64 {
        match self {
            Self::Number(number) | Self::Pair([number, _]) => *number,
            Self::Text(_) => 0,
        }
    }
}

impl fmt::Display for Value {
    /// As `/proc/sys` shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Pair([first, second]) => write!(f, "{first}\t{second}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}
