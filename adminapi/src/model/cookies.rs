//! When SYNs of a service are answered with cookies.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// When the SYNs of a service are answered with cookies, which keep nothing in the director.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CookiePolicy {
    /// Never.
    Off,
    /// Under attack, when the tables for attacks are not enough.
    #[default]
    Auto,
    /// At all times.
    Always,
}

impl CookiePolicy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Auto, Self::Always];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Auto => "auto",
            Self::Always => "always",
        }
    }

    /// Whether it is what a service has unless it is told otherwise.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for CookiePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the real server of a client comes to know what the cookie says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CookieWay {
    /// Its agent reads it.
    Agents,
    /// The director opens a connection to it, and joins both.
    Splice,
    /// It does not: the client shows by a RST that it is there, and sends its SYN again.
    Reset,
}

impl CookieWay {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agents => "agents",
            Self::Splice => "splice",
            Self::Reset => "reset",
        }
    }
}

impl fmt::Display for CookieWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The cookies of a service, as they are now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CookieStatus {
    /// What is configured.
    pub policy: CookiePolicy,
    /// Whether SYNs are answered now, before there is a connection.
    pub active: bool,
    /// Why, or why not.
    pub reason: String,
    /// How real servers come to know of them, if there is a way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<CookieWay>,
    /// Real servers whose agent is there and takes connections that cookies have proved.
    pub able: u32,
    /// Real servers that are to get connections.
    pub reals: u32,
    /// SYNs answered.
    pub sent: u64,
    /// Connections that a cookie has opened, or SYNs of clients that have reset the answer to the first.
    pub accepted: u64,
    /// Segments dropped that belong to nothing.
    pub refused: u64,
}
