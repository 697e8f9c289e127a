//! What a listing of many real servers needs, and no more: some kilobytes where the full views are
//! megabytes.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    ForwardingMethod, Persistence, Rates, RealView, Scheduler, SchedulerFlags, ServiceId,
    ServiceView, Traffic, Tunnel, TunnelChecksum, TunnelType,
};

/// Which numbers of what is carried a listing has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Numbers {
    /// None.
    #[default]
    None,
    /// What was carried.
    Stats,
    /// What is carried in a second.
    Rates,
}

impl Numbers {
    /// Those of what was carried and is carried.
    pub fn of(self, stats: Traffic, rates: Rates) -> Option<Five> {
        match self {
            Self::None => None,
            Self::Stats => Some(stats.into()),
            Self::Rates => Some(rates.into()),
        }
    }
}

/// Connections, packets in and out, bytes in and out.
pub type Five = [u64; 5];

impl From<Traffic> for Five {
    fn from(stats: Traffic) -> Self {
        [
            stats.connections,
            stats.in_packets,
            stats.out_packets,
            stats.in_bytes,
            stats.out_bytes,
        ]
    }
}

impl From<Rates> for Five {
    fn from(rates: Rates) -> Self {
        [
            rates.connections,
            rates.in_packets,
            rates.out_packets,
            rates.in_bytes,
            rates.out_bytes,
        ]
    }
}

/// What is to be listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListingQuery {
    /// Only this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceId>,
    /// With these numbers.
    #[serde(default)]
    pub numbers: Numbers,
}

/// A virtual service in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRow {
    /// Its name in paths.
    pub id: ServiceId,
    /// Scheduling algorithm.
    pub scheduler: Scheduler,
    /// Its options.
    pub scheduler_flags: SchedulerFlags,
    /// How clients stick to their real servers, if they do.
    #[serde(with = "parts")]
    pub persistence: Option<Persistence>,
    /// Whether each datagram is scheduled by itself.
    pub one_packet: bool,
    /// The numbers that were asked for.
    pub numbers: Option<Five>,
    /// Its real servers, in the order they were added.
    pub reals: Vec<RealRow>,
}

/// A real server in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealRow {
    /// RIP.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Weight.
    pub weight: u32,
    /// How packets reach it.
    pub method: ForwardingMethod,
    /// How the tunnel to it wraps them.
    #[serde(with = "parts")]
    pub tun: Option<Tunnel>,
    /// With so many connections it is overloaded; 0 = no limit.
    pub upper: u32,
    /// With fewer connections than this it is no longer overloaded; 0 = three quarters of `upper`.
    pub lower: u32,
    /// Connections in a state that counts as active.
    pub active: u32,
    /// Its other connections.
    pub inactive: u32,
    /// Clients that stick to it.
    pub persistent: u32,
    /// The numbers that were asked for.
    pub numbers: Option<Five>,
}

impl RealRow {
    /// RIP and port.
    pub const fn endpoint(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

impl ServiceRow {
    /// The row of a service, with these numbers: as the kernel would have it, told by a tool that
    /// watches the health of real servers.
    pub fn of(view: &ServiceView, numbers: Numbers) -> Self {
        Self {
            id: view.id,
            scheduler: view.scheduler,
            scheduler_flags: view.scheduler_flags,
            persistence: view.persistence,
            one_packet: view.one_packet,
            numbers: numbers.of(view.stats, view.rates),
            reals: (view.reals.iter().filter(|real| !real.is_out()))
                .chain(&view.sorry)
                .map(|real| RealRow::of(real, numbers))
                .collect(),
        }
    }
}

impl RealRow {
    fn of(view: &RealView, numbers: Numbers) -> Self {
        Self {
            address: view.address,
            port: view.port,
            weight: view.effective_weight(),
            method: view.method,
            tun: view.tun,
            upper: view.upper,
            lower: view.lower,
            active: view.active,
            inactive: view.inactive,
            persistent: view.persistent,
            numbers: numbers.of(view.stats, view.rates),
        }
    }
}

/// The media type of a listing that [`encode`] has made.
pub const MEDIA_TYPE: &str = "application/vnd.bulwark.listing";

/// The bytes of a listing (postcard: numbers of variable length, no names).
///
/// # Errors
/// Never with rows of this module.
pub fn encode(rows: &[ServiceRow]) -> Result<Vec<u8>, postcard::Error> {
    postcard::to_extend(rows, Vec::new())
}

/// The listing in `bytes`.
///
/// # Errors
/// When they are none.
pub fn decode(bytes: &[u8]) -> Result<Vec<ServiceRow>, postcard::Error> {
    postcard::from_bytes(bytes)
}

/// What leaves fields out when they are empty, in parts that are always there: an encoding without
/// names would not know which is missing.
mod parts {
    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::super::Engine;
    use super::{Persistence, Tunnel, TunnelChecksum, TunnelType};

    pub(super) trait Whole: Copy {
        type Parts: Serialize + DeserializeOwned;
        fn parts(self) -> Self::Parts;
        fn whole(parts: Self::Parts) -> Self;
    }

    impl Whole for Persistence {
        type Parts = (u32, Option<u8>, Option<Engine>);

        fn parts(self) -> Self::Parts {
            (self.timeout, self.prefix, self.engine)
        }

        fn whole((timeout, prefix, engine): Self::Parts) -> Self {
            Self {
                timeout,
                prefix,
                engine,
            }
        }
    }

    impl Whole for Tunnel {
        type Parts = (TunnelType, Option<u16>, TunnelChecksum);

        fn parts(self) -> Self::Parts {
            (self.kind, self.port, self.checksum)
        }

        fn whole((kind, port, checksum): Self::Parts) -> Self {
            Self {
                kind,
                port,
                checksum,
            }
        }
    }

    pub(super) fn serialize<T: Whole, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(T::parts).serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: Whole, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let parts = Option::<T::Parts>::deserialize(deserializer)?;
        Ok(parts.map(T::whole))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn a_listing_survives_its_bytes() {
        let plain = RealRow {
            address: [10, 0, 0, 1].into(),
            port: 80,
            weight: 1,
            method: ForwardingMethod::Nat,
            tun: None,
            upper: 0,
            lower: 0,
            active: 1,
            inactive: 70_000,
            persistent: 0,
            numbers: None,
        };
        let tunnelled = RealRow {
            address: Ipv6Addr::LOCALHOST.into(),
            method: ForwardingMethod::Tun,
            tun: Some(Tunnel {
                kind: TunnelType::Gue,
                port: Some(6080),
                checksum: TunnelChecksum::Csum,
            }),
            numbers: Some([u64::MAX, 0, 1, 2, 3]),
            ..plain.clone()
        };
        let row = |prefix| ServiceRow {
            id: "fwm6:7".parse().unwrap(),
            scheduler: Scheduler::Mh,
            scheduler_flags: SchedulerFlags::NONE.with(super::super::SchedulerFlag::Port),
            persistence: Some(Persistence {
                timeout: 5,
                prefix,
                engine: prefix.map(|_| super::super::Engine::Sip),
            }),
            one_packet: false,
            numbers: None,
            reals: vec![plain.clone(), tunnelled.clone()],
        };
        let rows = vec![row(None), row(Some(64))];
        assert_eq!(decode(&encode(&rows).unwrap()), Ok(rows));
        decode(&[1, 2, 3]).unwrap_err();
    }
}
