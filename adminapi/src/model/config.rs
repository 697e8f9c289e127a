//! All that a director is told to do.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Service, Timeouts};

/// Services and timeouts, as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// How long an idle connection is kept.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// The virtual services, in the order they were added.
    #[serde(default, rename = "service", alias = "services")]
    pub services: Vec<Service>,
}

/// How a configuration is put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PutQuery {
    /// Only says whether it could be.
    #[serde(default)]
    pub dry_run: bool,
}
