//! What is counted of services and drops.

use rustc_hash::FxHashMap;

use crate::drops::Cause;
use crate::pool::Pool;
use crate::service::{Service, ServiceKey};
use crate::stats::Drops;
use crate::wire::Protocol;

/// What TCP is dropped for that belongs to nothing, and opens nothing.
const REJECTED: [Cause; 5] = [
    Cause::NoConnection,
    Cause::NoConnectionYet,
    Cause::TcpHandshake,
    Cause::TcpAckAboveSent,
    Cause::TcpFlags,
];

/// How many connections are half-open, and how many there are, of the services that have any.
pub(super) fn carried(pool: &Pool) -> FxHashMap<ServiceKey, (u64, u64)> {
    let mut carried: FxHashMap<_, (u64, u64)> = FxHashMap::default();
    for real in pool.reals() {
        let connections = real.load.connections();
        if connections > 0 {
            let (half_open, all) = carried.entry(real.service).or_default();
            *half_open += u64::from(real.load.half_open());
            *all += u64::from(connections);
        }
    }
    carried
}

pub(super) fn rejected_in(drops: &Drops) -> u64 {
    REJECTED
        .iter()
        .map(|&cause| drops.of(cause.into()).get())
        .sum()
}

pub(super) fn is_udp(service: &Service) -> bool {
    matches!(service.key, ServiceKey::Address { protocol, .. } if protocol == Protocol::Udp)
}

pub(super) fn may_carry_udp(service: &Service) -> bool {
    is_udp(service) || matches!(service.key, ServiceKey::Mark { .. })
}

/// Datagrams that belonged to no connection yet, and opened one, or were not let.
pub(super) fn new_udp_of(service: &Service) -> u64 {
    if !is_udp(service) {
        return 0;
    }
    let opened = service.traffic.opened();
    let refused = [
        Cause::DefenceRate,
        Cause::TableFull,
        Cause::SourceConnections,
        Cause::ServiceConnections,
        Cause::SourceLimit,
        Cause::ServiceLimit,
    ];
    let refused = refused.map(|cause| service.traffic.dropped(cause.into()));
    opened + refused.iter().sum::<u64>()
}

pub(super) fn rejected_of(service: &Service) -> u64 {
    REJECTED
        .iter()
        .map(|&cause| service.traffic.dropped(cause.into()))
        .sum()
}
