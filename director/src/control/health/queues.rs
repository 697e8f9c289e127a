//! The listen queues of real servers, of which their agents tell: whose are asked for, and how they
//! stand.

use std::net::{IpAddr, SocketAddr};

use super::Round;
use crate::health::Filled;
use crate::pool::Pool;
use crate::service::{Real, Service, ServiceKey};
use crate::wire::{Endpoint, Protocol};

/// Those that weights go by: the real server, and where it listens.
pub(in crate::control) fn asked(pool: &Pool) -> Vec<(IpAddr, SocketAddr)> {
    let mut asked = Vec::new();
    for service in pool.iter() {
        let Some(vip) = listened_at(service) else {
            continue;
        };
        let place = |real: &Real| -> (IpAddr, SocketAddr) {
            (real.endpoint.addr.into(), real.hears_at(vip).into())
        };
        asked.extend(service.configured().map(|real| place(real)));
    }
    asked
}

/// How full that of a real server is; none where weights do not go by queues.
pub(super) fn filled(service: &Service, real: &Real, round: &Round<'_>) -> Option<Filled> {
    let at = real.hears_at(listened_at(service)?);
    let addr = real.endpoint.addr.into();
    Some(round.agents.filled(addr, at.into(), round.tick))
}

/// The VIP of a service whose weights go by queues: one of TCP at one port.
fn listened_at(service: &Service) -> Option<Endpoint> {
    let goes_by_queues = service
        .health
        .as_deref()
        .is_some_and(|policy| policy.queues);
    match service.key {
        ServiceKey::Address {
            protocol: Protocol::Tcp,
            vip,
        } if goes_by_queues && vip.port > 0 => Some(vip),
        _ => None,
    }
}
