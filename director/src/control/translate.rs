//! Between the names of the API and those of the packet path.

use std::net::SocketAddr;

use adminapi::ControlError;
use adminapi::model::{self, ServiceId};

use crate::pool::PoolError;
use crate::service::ServiceKey;
use crate::stats::TrafficSum;
use crate::wire::{Endpoint, Protocol};

pub(super) const fn protocol(protocol: model::Protocol) -> Protocol {
    match protocol {
        model::Protocol::Tcp => Protocol::Tcp,
        model::Protocol::Udp => Protocol::Udp,
    }
}

pub(super) const fn api_protocol(protocol: Protocol) -> model::Protocol {
    match protocol {
        Protocol::Tcp => model::Protocol::Tcp,
        Protocol::Udp => model::Protocol::Udp,
    }
}

pub(super) fn key(id: ServiceId) -> ServiceKey {
    ServiceKey {
        protocol: protocol(id.protocol),
        vip: id.vip.into(),
    }
}

pub(super) fn id(key: &ServiceKey) -> ServiceId {
    ServiceId {
        protocol: api_protocol(key.protocol),
        vip: key.vip.into(),
    }
}

/// What the pool said, of `service` and, where it was about one, `real`.
pub(super) fn error(
    error: PoolError,
    service: &ServiceKey,
    real: Option<Endpoint>,
) -> ControlError {
    use adminapi::Subject;
    let service = id(service);
    let of_real = || match real {
        Some(real) => Subject::Real {
            service,
            real: SocketAddr::from(real),
        },
        None => Subject::Service(service),
    };
    match error {
        PoolError::NoService => ControlError::no_service(service),
        PoolError::ServiceExists => ControlError::AlreadyExists(Subject::Service(service)),
        PoolError::NoReal => ControlError::NotFound(of_real()),
        PoolError::RealExists => ControlError::AlreadyExists(of_real()),
    }
}

impl From<TrafficSum> for model::Traffic {
    fn from(sum: TrafficSum) -> Self {
        Self {
            connections: sum.connections,
            in_packets: sum.in_packets,
            out_packets: sum.out_packets,
            in_bytes: sum.in_bytes,
            out_bytes: sum.out_bytes,
        }
    }
}
