//! Statistics, second by second.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Stats;

/// The statistics of one second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// Its number; they grow by one.
    pub id: u64,
    /// When, seconds since 1970.
    pub at: u64,
    /// The statistics.
    #[serde(flatten)]
    pub stats: Stats,
}

/// Which samples are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// One in so many seconds, 1 to 60.
    #[serde(default = "each")]
    #[param(minimum = 1, maximum = 60)]
    pub interval: u32,
}

const fn each() -> u32 {
    1
}

impl StreamQuery {
    /// The longest interval, in seconds.
    pub const LONGEST: u32 = 60;
}
