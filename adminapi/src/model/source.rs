//! Who sends most.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Prefix;

/// The heaviest sources of the last seconds, the heaviest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"packets": 1200, "sources": [{"source": "203.0.113.7", "packets": 900, "margin": 0, "bytes": 54000, "opens": 900, "stopped": 0}], "networks": []}))]
pub struct Sources {
    /// Packets of all clients a second.
    pub packets: u64,
    /// The sources.
    pub sources: Vec<Source>,
    /// Networks that much of it comes from, a tenth of all at least, without one source that sends most of
    /// that: of 24 or 16 bits, for IPv6 of 48 or 32. The heaviest first. What they send is that of
    /// their sources, and is not counted besides.
    #[serde(default)]
    pub networks: Vec<Source>,
}

impl Sources {
    /// Networks and sources in one order, the heaviest first; of equals the wider one.
    pub fn rows(&self) -> Vec<Source> {
        let mut rows = [&self.networks[..], &self.sources].concat();
        rows.sort_by_key(|row| Reverse(row.packets.saturating_sub(row.margin)));
        rows
    }
}

/// A client, or for IPv6 its network of 64 bits. Counts are a second, taken from samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// Who.
    pub source: Prefix,
    /// Packets; it may be fewer by `margin`.
    pub packets: u64,
    /// How many of the packets may be another's.
    pub margin: u64,
    /// Bytes at least, IP header included.
    pub bytes: u64,
    /// Packets at least that would open a TCP connection.
    pub opens: u64,
    /// Packets at least that the gate kept from the director: dropped, or SYNs that it answered.
    #[serde(default)]
    pub stopped: u64,
}

/// Which sources are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SourceQuery {
    /// So many at most.
    #[serde(default = "default_limit")]
    pub limit: u32,
}

const fn default_limit() -> u32 {
    SourceQuery::DEFAULT_LIMIT
}

impl SourceQuery {
    /// How many are shown when nobody says otherwise.
    pub const DEFAULT_LIMIT: u32 = 20;
}

impl Default for SourceQuery {
    fn default() -> Self {
        Self {
            limit: Self::DEFAULT_LIMIT,
        }
    }
}
