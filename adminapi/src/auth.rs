//! Who may do what: roles, tokens, and the users at the other end of the Unix socket.

mod allowance;
mod guard;
mod shares;
mod token;
mod tokens;

use std::fmt;
use std::net::SocketAddr;

use axum::http::Method;

pub use allowance::Allowance;
pub use guard::{Door, Peer, guard};
pub use shares::{CONNECTIONS, OF_A_TOKEN, OF_READERS};
pub use token::{Digest, Token};
pub(crate) use tokens::private_text;
pub use tokens::{BadTokens, NamedToken, Tokens};

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// See everything, change nothing.
    Read,
    /// Everything.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Read, Self::Admin];

    /// Its word in a file of tokens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether it allows `method`. Those that change nothing are the safe ones of RFC 9110,
    /// section 9.2.1.
    pub fn may(self, method: &Method) -> bool {
        self == Self::Admin || method.is_safe()
    }
}

/// Who makes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A process on this host, through the Unix socket.
    Process {
        /// Whose it is.
        uid: u32,
        /// Its number, if the kernel tells.
        pid: Option<i32>,
    },
    /// The holder of a token.
    Token {
        /// What the file calls it.
        name: String,
        /// What it may do.
        role: Role,
        /// From where.
        from: SocketAddr,
    },
    /// Anybody on this host, where the configuration accepts that.
    Anybody {
        /// From where.
        from: SocketAddr,
    },
}

impl Caller {
    /// What it may do. The mode of the Unix socket has kept out who may not use it.
    pub const fn role(&self) -> Role {
        match self {
            Self::Process { .. } | Self::Anybody { .. } => Role::Admin,
            Self::Token { role, .. } => *role,
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process {
                uid,
                pid: Some(pid),
            } => write!(f, "uid {uid}, pid {pid}"),
            Self::Process { uid, pid: None } => write!(f, "uid {uid}"),
            Self::Token { name, from, .. } => write!(f, "token {name} from {from}"),
            Self::Anybody { from } => write!(f, "anybody from {from}"),
        }
    }
}

#[cfg(test)]
mod tests;
