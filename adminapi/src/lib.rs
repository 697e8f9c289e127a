//! The admin API of Bulwark: the wire types that the API, the command line and the configuration
//! file share, the [`Control`] trait that a director implements, the HTTP [`router()`] over it,
//! and the typed [`Client`] that the command line and the tests use.

pub mod audit;
pub mod auth;
pub mod certificate;
pub mod client;
pub mod control;
mod difference;
pub mod error;
mod failure;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod held;
pub mod json;
pub mod kept;
pub mod metrics;
pub mod model;
pub mod order;
pub mod path;
pub mod problem;
mod reads;
pub mod router;
pub mod serve;
pub mod sysctl;
pub mod table;
pub mod validate;

pub use audit::audited;
pub use client::{Client, ClientError};
pub use control::{Control, News, Put};
pub use error::{ControlError, Problem, Subject};
pub use problem::{ProblemDocument, ProblemKind};
pub use router::router;
pub use validate::{validate_config, validate_service};

/// Where a director listens and a client looks unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/bulwark/api.sock";
