//! The filters: whose packets are taken at all, and how many of them.
//!
//! The gate does the filtering (`bpf/filter.h`, `bpf/limit.h`); here is what it is told, and what
//! is remembered beyond that: until when a network is listed, and why. Connections are limited by the
//! workers, by what is here: `crowd` how many there are, `paces` how many are opened in a second.

mod bans;
mod bogons;
mod book;
mod bucket;
mod crowd;
mod limit;
mod networks;
mod paces;
mod scope;

#[cfg(test)]
pub(crate) use bans::testing;
pub use bans::{Accused, BanPolicy, Bans, MOST_ACCUSED, MOST_BANS, Offence, Offenders, Sentence};
pub use bogons::BOGONS;
pub use book::{Book, End, List, Listing};
pub use bucket::Tokens;
pub use crowd::{Crowd, Crowds};
pub use limit::{Limit, Of, Pace};
pub use networks::longest;
pub use paces::{Left, Paces};
pub use scope::{Per, Scope, Sharer};

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

impl Rules {
    /// The limits that the gate holds, in the order in which it has them, with their numbers among all.
    pub fn limits_of_gate(&self) -> impl Iterator<Item = (usize, &Limit)> {
        let all = self.limits.iter().enumerate();
        all.filter(|(_, limit)| limit.is_of_gate())
    }

    /// Those that the workers hold, with theirs.
    pub fn limits_of_workers(&self) -> impl Iterator<Item = (usize, &Limit)> {
        let all = self.limits.iter().enumerate();
        all.filter(|(_, limit)| !limit.is_of_gate())
    }
}
