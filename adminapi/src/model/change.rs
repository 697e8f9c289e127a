//! Many changes in one request.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::text::EndpointText;
use super::{Real, RealPatch, Service, ServiceId, ServicePatch};
use crate::error::Problem;

/// One of several changes that are made in their order, each by itself: one that fails does not
/// keep the others from being made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({"change_real": {"service": "tcp:192.0.2.10:80", "real": "10.0.2.1:8080", "patch": {"weight": 5}}}))]
#[expect(
    clippy::large_enum_variant,
    reason = "they are made and taken apart at once"
)]
pub enum Change {
    /// Adds a service with its real servers.
    AddService(Service),
    /// Changes what `patch` names of a service.
    ChangeService {
        /// Which.
        service: ServiceId,
        /// To what.
        patch: ServicePatch,
    },
    /// Removes a service and its real servers.
    RemoveService {
        /// Which.
        service: ServiceId,
    },
    /// Adds a real server.
    AddReal {
        /// To this service.
        service: ServiceId,
        /// What it is to be.
        real: Real,
    },
    /// Changes what `patch` names of a real server.
    ChangeReal {
        /// Of this service.
        service: ServiceId,
        /// RIP and port.
        #[schema(value_type = EndpointText)]
        real: SocketAddr,
        /// To what.
        patch: RealPatch,
    },
    /// Removes a real server.
    RemoveReal {
        /// From this service.
        service: ServiceId,
        /// RIP and port.
        #[schema(value_type = EndpointText)]
        real: SocketAddr,
    },
    /// Removes all services.
    RemoveServices {},
}

impl Change {
    /// What is wrong with it whatever it is a change of.
    pub fn misshapen(&self) -> Vec<Problem> {
        let (found, patch) = match self {
            Self::ChangeService { patch, .. } => (patch.misshapen(), "/change_service/patch"),
            Self::ChangeReal { patch, .. } => (patch.misshapen(), "/change_real/patch"),
            _ => return Vec::new(),
        };
        found.into_iter().map(|p| p.below(patch)).collect()
    }
}
