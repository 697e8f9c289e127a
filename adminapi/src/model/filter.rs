//! The filters: whose packets are taken at all, and how many of them.

mod limit;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{AtlasFile, BadPrefix, Drops, Prefix, Region, RegionUse};

pub use limit::{BanPolicy, ConnectionLimit, LimitOf, LimitPer, RateLimit};

/// A list that a network can be on.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum FilterList {
    /// Its packets pass all filters and limits but those of connections.
    Allow,
    /// It opens no connections; those that it has go on.
    Deny,
    /// Nothing of it is taken, and its connections end.
    BlackHole,
}

impl FilterList {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Deny, Self::BlackHole];

    /// Its name: `allow`, `deny`, `black-hole`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::BlackHole => "black-hole",
        }
    }
}

impl fmt::Display for FilterList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A network and what is done with its packets. Of the networks that hold a source the longest
/// counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"network": "203.0.113.0/24", "list": "deny", "for": 3600, "why": "a flood"}))]
pub struct Listed {
    /// The network.
    pub network: Prefix,
    /// What is done.
    pub list: FilterList,
    /// For how long, in seconds; for ever when left out.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// Why, for whoever finds it later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Listed {
    /// Networks of one family that can be listed at most.
    pub const MAX: usize = 1 << 20;
    /// The longest `why`, in bytes.
    pub const MAX_WHY: usize = 200;
}

/// What a network is to be from now on; it stands in the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"list": "deny", "for": 3600}))]
pub struct ListedWish {
    /// What is done.
    pub list: FilterList,
    /// For how long, in seconds; for ever when left out.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A place in the order of networks, which need not be one.
fn any_prefix<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Prefix>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    match text.parse() {
        Ok(prefix) => Ok(Some(prefix)),
        Err(BadPrefix::HostBits { meant, .. }) => Ok(Some(meant)),
        Err(bad) => Err(serde::de::Error::custom(bad)),
    }
}

impl ListedWish {
    /// The listing of `network` as it is wished for.
    pub fn of(self, network: Prefix) -> Listed {
        Listed {
            network,
            list: self.list,
            seconds: self.seconds,
            why: self.why,
        }
    }
}

/// A listed network as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"network": "203.0.113.0/24", "list": "deny", "left": 3500, "packets": 12}))]
pub struct ListedView {
    /// The network.
    pub network: Prefix,
    /// What is done with its packets.
    pub list: FilterList,
    /// Seconds that are left; none: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u32>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whether the configuration file has it.
    #[serde(default, skip_serializing_if = "super::is_off")]
    pub configured: bool,
    /// Whether it was banned by itself.
    #[serde(default, skip_serializing_if = "super::is_off")]
    pub automatic: bool,
    /// Packets that it has decided about.
    pub packets: u64,
}

/// Which listings are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NetworkQuery {
    /// Those of one list only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<FilterList>,
    /// So many at most.
    #[serde(default = "NetworkQuery::limit")]
    pub limit: u32,
    /// Those behind this one: `next` of the page before.
    #[serde(
        default,
        deserialize_with = "any_prefix",
        skip_serializing_if = "Option::is_none"
    )]
    pub cursor: Option<Prefix>,
}

impl NetworkQuery {
    /// The largest page.
    pub const MAX_LIMIT: u32 = 10_000;

    const fn limit() -> u32 {
        1000
    }
}

impl Default for NetworkQuery {
    fn default() -> Self {
        Self {
            list: None,
            limit: Self::limit(),
            cursor: None,
        }
    }
}

/// A page of listings, in the order of their addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"listings": [{"network": "203.0.113.0/24", "list": "deny", "packets": 12}]}))]
pub struct NetworkPage {
    /// They.
    pub listings: Vec<ListedView>,
    /// Where the next page begins, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Prefix>,
}

/// What is filtered besides the lists. Interfaces are those of the director.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"bogons": [], "bogon_networks": ["10.0.0.0/8", "fc00::/7"], "limits": [{"name": "syns", "of": "syns", "per": "source", "rate": 100}]}))]
pub struct FilterRules {
    /// Interfaces through which nothing comes from bogons: networks that are not on the internet.
    #[serde(default)]
    pub bogons: Vec<String>,
    /// The bogons; those of RFC 6890 and its registries when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bogon_networks: Option<Vec<Prefix>>,
    /// Interfaces whose packets must come from where their answers go (RFC 3704, section 2.2).
    #[serde(default)]
    pub strict: Vec<String>,
    /// Interfaces whose packets must come from where any answer can go (section 2.4).
    #[serde(default)]
    pub loose: Vec<String>,
    /// Limits; all that concern a packet hold.
    #[serde(default)]
    pub limits: Vec<RateLimit>,
    /// How many connections sources may have; all that concern one hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connections: Vec<ConnectionLimit>,
    /// The file in the MaxMind DB format that says in which countries networks are. That of before
    /// when left out; `""`: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "/var/lib/GeoIP/GeoLite2-Country.mmdb")]
    pub country_file: Option<String>,
    /// The one that says of which autonomous systems they are. That of before when left out; `""`:
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "/var/lib/GeoIP/GeoLite2-ASN.mmdb")]
    pub asn_file: Option<String>,
    /// Regions, for themselves and for limits and marks to name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
}

impl FilterRules {
    /// Bogons at most.
    pub const MAX_BOGONS: usize = 1024;

    const fn files(&self) -> [&Option<String>; 2] {
        [&self.country_file, &self.asn_file]
    }

    const fn files_mut(&mut self) -> [&mut Option<String>; 2] {
        [&mut self.country_file, &mut self.asn_file]
    }

    /// The same with the files of `before` where it says nothing of them.
    #[must_use]
    pub fn with_files_of(mut self, before: &Self) -> Self {
        for (own, before) in self.files_mut().into_iter().zip(before.files()) {
            if own.is_none() {
                own.clone_from(before);
            }
        }
        self
    }

    /// The same, which says nothing of files that `other` says the same of.
    #[must_use]
    pub fn without_files_of(mut self, other: &Self) -> Self {
        for (own, other) in self.files_mut().into_iter().zip(other.files()) {
            if own == other {
                *own = None;
            }
        }
        self
    }

    /// The same with no file in the place of each that `before` has and this does not name.
    #[must_use]
    pub fn without_files_gone(mut self, before: &Self) -> Self {
        for (own, before) in self.files_mut().into_iter().zip(before.files()) {
            if own.is_none() && before.is_some() {
                *own = Some(String::new());
            }
        }
        self
    }

    /// The names of limits that say how wide sources are, and know none.
    pub fn idly_wide(&self) -> impl Iterator<Item = &str> {
        let limits = self.limits.iter().filter(|limit| limit.is_idly_wide());
        limits.map(|limit| limit.name.as_str())
    }

    /// The same without such widths, which did nothing where they were taken once.
    #[must_use]
    pub fn without_idle_widths(mut self) -> Self {
        for limit in self.limits.iter_mut().filter(|limit| limit.is_idly_wide()) {
            limit.prefix_v4 = RateLimit::all_v4();
            limit.prefix_v6 = RateLimit::link_v6();
        }
        self
    }

    /// The names of limits that count nothing.
    pub fn idle_limits(&self) -> impl Iterator<Item = &str> {
        let limits = self.limits.iter().filter(|limit| limit.counts_nothing());
        limits.map(|limit| limit.name.as_str())
    }

    /// The same without those, which did nothing where they were taken once.
    #[must_use]
    pub fn without_idle_limits(mut self) -> Self {
        self.limits.retain(|limit| !limit.counts_nothing());
        self
    }
}

/// The filters as they are now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"listed": {"deny": 1}, "rules": {"bogons": [], "strict": [], "loose": [], "limits": []}, "over": {}, "dropped": {}}))]
pub struct Filter {
    /// Networks on each list.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub listed: BTreeMap<FilterList, u64>,
    /// What is filtered besides them.
    pub rules: FilterRules,
    /// Networks that are banned by themselves now.
    #[serde(default)]
    pub banned: u64,
    /// Packets above each limit.
    pub over: BTreeMap<String, u64>,
    /// Packets dropped by the filters, by reason.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub dropped: Drops,
    /// What there is of each region.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub regions: BTreeMap<String, RegionUse>,
    /// The files that say where networks are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub atlas: Vec<AtlasFile>,
}
