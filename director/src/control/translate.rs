//! Between the names of the API and those of the packet path.

use std::net::SocketAddr;

use adminapi::ControlError;
use adminapi::model::{self, FilterList, Prefix, ServiceId};

use crate::filter::List;
use crate::forward::{GueChecksum, Tunnel};
use crate::pool::PoolError;
use crate::service::{Handling, Method, Persistence, ServiceKey, Settings};
use crate::stats::{PerWorker, TrafficSum};
use crate::time::Ticks;
use crate::wire::{Addr, Endpoint, Net, Protocol};

pub(super) const fn protocol(protocol: model::Protocol) -> Protocol {
    match protocol {
        model::Protocol::Tcp => Protocol::Tcp,
        model::Protocol::Udp => Protocol::Udp,
        model::Protocol::Sctp => Protocol::Sctp,
    }
}

pub(super) const fn api_protocol(protocol: Protocol) -> model::Protocol {
    match protocol {
        Protocol::Tcp => model::Protocol::Tcp,
        Protocol::Udp => model::Protocol::Udp,
        Protocol::Sctp => model::Protocol::Sctp,
    }
}

pub(super) fn net(prefix: Prefix) -> Net {
    let addr = Addr::from(prefix.address);
    let outer = if addr.is_v4() { Net::V4_BITS } else { 0 };
    Net::new(addr, outer + prefix.length)
}

pub(super) fn prefix(net: Net) -> Prefix {
    let outer = if net.is_v4() { Net::V4_BITS } else { 0 };
    Prefix {
        address: net.addr.into(),
        length: net.bits - outer,
    }
}

pub(super) const fn list(list: FilterList) -> List {
    match list {
        FilterList::Allow => List::Allow,
        FilterList::Deny => List::Deny,
        FilterList::BlackHole => List::BlackHole,
    }
}

pub(super) const fn api_list(list: List) -> FilterList {
    match list {
        List::Allow => FilterList::Allow,
        List::Deny => FilterList::Deny,
        List::BlackHole => FilterList::BlackHole,
    }
}

pub(super) fn key(id: ServiceId) -> ServiceKey {
    match id {
        ServiceId::Address { protocol: of, vip } => ServiceKey::at(protocol(of), vip.into()),
        ServiceId::Mark { mark, family } => ServiceKey::Mark { mark, family },
    }
}

pub(super) fn id(key: &ServiceKey) -> ServiceId {
    match *key {
        ServiceKey::Address { protocol, vip } => ServiceId::at(api_protocol(protocol), vip.into()),
        ServiceKey::Mark { mark, family } => ServiceId::Mark { mark, family },
    }
}

/// How a service is to treat connections.
pub(super) fn handling(service: &model::Service) -> Handling {
    let bits = service.id.family().bits();
    let persistence = service.persistence.map(|wanted| Persistence {
        timeout: Ticks::seconds(wanted.timeout),
        prefix: 128 - bits + wanted.prefix.unwrap_or(bits),
        engine: wanted.engine,
    });
    Handling {
        persistence,
        engine: service.engine,
        one_packet: service.one_packet,
        cookies: service.cookies,
        udp_repeats: service.udp_repeats,
        helper: service.helper,
    }
}

pub(super) fn api_persistence(key: &ServiceKey, persistence: &Persistence) -> model::Persistence {
    let host = 128 - persistence.prefix;
    model::Persistence {
        timeout: persistence.timeout.as_seconds_ceil(),
        prefix: (host > 0).then(|| id(key).family().bits() - host),
        engine: persistence.engine,
    }
}

/// What a real server is to be.
pub(super) fn settings(real: &model::Real) -> Settings {
    Settings {
        weight: real.weight,
        upper: real.upper,
        lower: real.lower,
        method: match (real.method, real.tunnel()) {
            (model::ForwardingMethod::Nat, _) => Method::Nat,
            (model::ForwardingMethod::FullNat, _) => Method::FullNat,
            (model::ForwardingMethod::Dr, _) => Method::Dr,
            (model::ForwardingMethod::Tun, tun) => Method::Tun(tunnel(tun.unwrap_or_default())),
        },
    }
}

const fn tunnel(tun: model::Tunnel) -> Tunnel {
    let checksum = !matches!(tun.checksum, model::TunnelChecksum::None);
    match tun.kind {
        model::TunnelType::Ipip => Tunnel::Ipip,
        model::TunnelType::Gre => Tunnel::Gre { checksum },
        model::TunnelType::Gue => Tunnel::Gue {
            port: match tun.port {
                Some(port) => port,
                None => model::Tunnel::GUE_PORT,
            },
            checksum: match tun.checksum {
                model::TunnelChecksum::None => GueChecksum::None,
                model::TunnelChecksum::Csum => GueChecksum::Own,
                model::TunnelChecksum::Remcsum => GueChecksum::Remote,
            },
        },
    }
}

/// The method as it is configured, and the tunnel that goes with it.
pub(super) const fn api_method(method: Method) -> (model::ForwardingMethod, Option<model::Tunnel>) {
    match method {
        Method::Nat => (model::ForwardingMethod::Nat, None),
        Method::FullNat => (model::ForwardingMethod::FullNat, None),
        // A bypass is nobody's setting; it does to packets what direct routing does.
        Method::Dr | Method::Bypass => (model::ForwardingMethod::Dr, None),
        Method::Tun(tunnel) => (model::ForwardingMethod::Tun, Some(api_tunnel(tunnel))),
    }
}

const fn api_tunnel(tunnel: Tunnel) -> model::Tunnel {
    let (kind, port, checksum) = match tunnel {
        Tunnel::Ipip => (model::TunnelType::Ipip, None, model::TunnelChecksum::None),
        Tunnel::Gre { checksum: false } => {
            (model::TunnelType::Gre, None, model::TunnelChecksum::None)
        }
        Tunnel::Gre { checksum: true } => {
            (model::TunnelType::Gre, None, model::TunnelChecksum::Csum)
        }
        Tunnel::Gue { port, checksum } => {
            let checksum = match checksum {
                GueChecksum::None => model::TunnelChecksum::None,
                GueChecksum::Own => model::TunnelChecksum::Csum,
                GueChecksum::Remote => model::TunnelChecksum::Remcsum,
            };
            (model::TunnelType::Gue, Some(port), checksum)
        }
    };
    model::Tunnel {
        kind,
        port,
        checksum,
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

/// Counts of a second.
pub(super) const fn rates(sum: TrafficSum) -> model::Rates {
    model::Rates {
        connections: sum.connections,
        in_packets: sum.in_packets,
        out_packets: sum.out_packets,
        in_bytes: sum.in_bytes,
        out_bytes: sum.out_bytes,
    }
}

/// The same over the last one, ten and sixty seconds.
pub(super) fn windows(traffic: &PerWorker) -> model::RateWindows {
    let [second, ten_seconds, minute] = traffic.windows().map(rates);
    model::RateWindows {
        second,
        ten_seconds,
        minute,
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
