//! The filters: whose packets are taken at all, and how many of them.
//!
//! The gate does the filtering (`bpf/filter.h`, `bpf/limit.h`); here is what it is told, and what
//! is remembered beyond that: until when a network is listed, and why.

mod bans;
mod bogons;
mod book;
mod crowd;
mod limit;
mod networks;

#[cfg(test)]
pub(crate) use bans::testing;
pub use bans::{BanPolicy, Bans, MOST_BANS, Offence, Offenders, Sentence};
pub use bogons::BOGONS;
pub use book::{Book, End, List, Listing};
pub use crowd::{Crowd, Crowds};
pub use limit::{Limit, Of, Per};
pub use networks::longest;

use crate::region::Regions;

/// Limits at most (`LIMITS` in `bpf/limit.h`).
pub const MAX_LIMITS: usize = 16;

/// What is done with the packets for services that come from regions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegionRules {
    /// Regions that are all but what they name.
    pub outside: Regions,
    /// Regions that open no connections.
    pub closed: Regions,
    /// Regions of which nothing is taken.
    pub sealed: Regions,
}

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
    /// What is done with regions.
    pub regions: RegionRules,
}
