//! Helpers: what reads the connections of a service to find out which others belong to them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which helper follows the connections of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Helper {
    /// FTP's, at TCP port 21; elsewhere none.
    #[default]
    Auto,
    /// FTP's: data connections go to the real server of their control connection.
    Ftp,
    /// None.
    None,
}

/// A text that names no helper.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no helper; use auto, ftp or none")]
pub struct BadHelper(String);

impl Helper {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Ftp, Self::None];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ftp => "ftp",
            Self::None => "none",
        }
    }

    /// Whether it is what nobody has to say.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Helper {
    type Err = BadHelper;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|helper| helper.name() == text);
        found.ok_or_else(|| BadHelper(text.to_owned()))
    }
}
