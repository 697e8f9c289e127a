//! Regions: where in the world a source is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::FilterList;

/// Countries and autonomous systems under one name. A source is in it when one of them fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "europe", "continents": ["EU"], "countries": ["TR"]}))]
pub struct Region {
    /// What it is called: letters, digits, `-` and `_`.
    pub name: String,
    /// Countries, by the two letters of ISO 3166-1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<String>,
    /// Continents: `AF`, `AN`, `AS`, `EU`, `NA`, `OC`, `SA`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub continents: Vec<String>,
    /// Autonomous systems, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asns: Vec<u32>,
    /// Whether it is all but that: what is in none of them, and what nobody knows.
    #[serde(default, skip_serializing_if = "super::is_off")]
    pub outside: bool,
    /// What is done with its packets for services, `deny` or `black-hole`; nothing when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<FilterList>,
}

impl Region {
    /// Regions that a director takes at most.
    pub const MAX: usize = 32;
    /// The longest name.
    pub const MAX_NAME: usize = 32;
    /// The continents.
    pub const CONTINENTS: [&str; 7] = ["AF", "AN", "AS", "EU", "NA", "OC", "SA"];
}

/// Where an address is, as far as the files say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Place {
    /// The country, by the two letters of ISO 3166-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The continent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continent: Option<String>,
    /// The autonomous system that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// The regions that it is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
}

/// What there is of a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegionUse {
    /// Networks that it names.
    pub networks: u64,
    /// Packets that were not taken because of it.
    pub dropped: u64,
}

/// A file that says where networks are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AtlasFile {
    /// Where it is.
    pub path: String,
    /// What its maker calls it.
    pub kind: String,
    /// When it was made, seconds since 1970.
    pub built: u64,
}
