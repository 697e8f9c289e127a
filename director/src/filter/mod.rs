//! The filters: whose packets are taken at all, and how many of them.
//!
//! The gate does the filtering (`bpf/filter.h`, `bpf/limit.h`); here is what it is told, and what
//! is remembered beyond that: until when a network is listed, and why.

mod bogons;
mod book;
mod limit;

pub use bogons::BOGONS;
pub use book::{Book, List, Listing};
pub use limit::{Limit, Of, Per};

/// Limits at most (`LIMITS` in `bpf/limit.h`).
pub const MAX_LIMITS: usize = 16;

/// What is filtered besides the lists. Ports (interfaces) are a bit each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Ports where bogons are dropped.
    pub bogons: u32,
    /// Ports whose packets must come from where their answers go.
    pub strict: u32,
    /// Ports whose packets must come from where an answer can go.
    pub loose: u32,
    /// The limits.
    pub limits: Vec<Limit>,
}
