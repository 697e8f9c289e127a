//! What a listing of many real servers needs, and no more: some kilobytes where the full views are
//! megabytes.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Engine, ForwardingMethod, Helper, Persistence, Rates, Real, RealView, Scheduler,
    SchedulerFlags, Service, ServiceId, ServiceView, Traffic, Tunnel,
};
use crate::order::{self, Listed};

mod parts;
mod wire;

pub use wire::{Fixed, MEDIA_TYPE, Reader, Unlisted, encode, row};

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

/// In which order services and their real servers are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// That in which they were added.
    #[default]
    Added,
    /// That of ipvsadm.
    Ipvsadm,
}

impl Order {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Ipvsadm => "ipvsadm",
        }
    }

    /// Services and their real servers in this order, which come in that in which they were added.
    pub fn of_all<S: Listed>(self, services: Vec<S>) -> Vec<S> {
        match self {
            Self::Added => services,
            Self::Ipvsadm => order::listed(services),
        }
    }

    /// Services in this order, which come in that in which they were added.
    pub fn of_services<T>(self, services: Vec<T>, id: impl Fn(&T) -> ServiceId) -> Vec<T> {
        match self {
            Self::Added => services,
            Self::Ipvsadm => order::services(services, id),
        }
    }

    /// Real servers in this order, which come in that in which they were added.
    pub fn of_reals<T>(self, reals: Vec<T>, endpoint: impl Fn(&T) -> SocketAddr) -> Vec<T> {
        match self {
            Self::Added => reals,
            Self::Ipvsadm => order::reals(reals, endpoint),
        }
    }
}

/// Which side of services a listing shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// As the kernel would have them, told by a tool that watches the health of real servers: weights
    /// in force, nobody who is out of service, and the sorry server when it has its turn.
    #[default]
    Present,
    /// As they are configured.
    Configured,
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
    /// In this order.
    #[serde(default)]
    pub order: Order,
    /// This side of them.
    #[serde(default)]
    pub side: Side,
}

/// Which services are to be shown, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ViewsQuery {
    /// Only this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceId>,
    /// In this order.
    #[serde(default)]
    pub order: Order,
}

/// Services in a row each, as bytes, which are made as they are asked for.
pub struct Rows {
    rows: Box<dyn Iterator<Item = Result<Vec<u8>, Unlisted>> + Send>,
    size: usize,
}

impl Rows {
    /// Rows that hold `size` bytes until the last one is made.
    pub fn holding(
        size: usize,
        rows: impl Iterator<Item = Result<Vec<u8>, Unlisted>> + Send + 'static,
    ) -> Self {
        let rows = Box::new(rows);
        Self { rows, size }
    }

    /// Bytes that are held of them.
    pub const fn size(&self) -> usize {
        self.size
    }
}

impl Iterator for Rows {
    type Item = Result<Vec<u8>, Unlisted>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.next()
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Rows");
        shown.field("size", &self.size).finish_non_exhaustive()
    }
}

/// A virtual service in a listing. What serde skips are the numbers that change with the traffic;
/// they follow the rest, which stays until something is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRow {
    /// Its name in paths.
    #[serde(with = "parts::id")]
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
    /// What follows its connections.
    pub helper: Helper,
    /// A persistence engine that is named without persistence; [`Fixed`] has it behind the rest.
    #[serde(skip)]
    pub engine: Option<Engine>,
    /// The numbers that were asked for.
    #[serde(skip)]
    pub numbers: Option<Five>,
    /// Its real servers; [`Reader`] reads them.
    #[serde(skip_deserializing)]
    pub reals: Vec<RealRow>,
}

/// A real server in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    #[serde(serialize_with = "parts::serialize")]
    pub tun: Option<Tunnel>,
    /// With so many connections it is overloaded; 0 = no limit.
    pub upper: u32,
    /// With fewer connections than this it is no longer overloaded; 0 = three quarters of `upper`.
    pub lower: u32,
    /// What it has at this moment.
    #[serde(skip)]
    pub live: Live,
}

/// What changes of a real server with its traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Live {
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

    /// How a tunnel to it wraps packets; none when there is no tunnel to it.
    pub fn tunnel(&self) -> Option<Tunnel> {
        (self.method == ForwardingMethod::Tun).then(|| self.tun.unwrap_or_default())
    }
}

impl ServiceRow {
    /// The row of a service, as `query` wants it.
    pub fn of(view: &ServiceView, query: &ListingQuery) -> Self {
        let reals: Vec<_> = match query.side {
            Side::Present => {
                let there = view.reals.iter().filter(|real| !real.is_out());
                there.chain(&view.sorry).collect()
            }
            Side::Configured => {
                let there = view.reals.iter();
                there.filter(|real| real.draining.is_none()).collect()
            }
        };
        let reals = query.order.of_reals(reals, |real| real.endpoint());
        Self {
            id: view.id,
            scheduler: view.scheduler,
            scheduler_flags: view.scheduler_flags,
            persistence: view.persistence,
            one_packet: view.one_packet,
            helper: view.helper,
            engine: view.engine,
            numbers: query.numbers.of(view.stats, view.rates),
            reals: (reals.into_iter())
                .map(|real| RealRow::of(real, query))
                .collect(),
        }
    }
}

impl From<&Service> for ServiceRow {
    /// As it is configured.
    fn from(service: &Service) -> Self {
        let port = service.id.port();
        Self {
            id: service.id,
            scheduler: service.scheduler,
            scheduler_flags: service.scheduler_flags,
            persistence: service.persistence,
            one_packet: service.one_packet,
            helper: service.helper,
            engine: service.engine,
            numbers: None,
            reals: (service.reals.iter())
                .map(|real| RealRow::configured(real, port))
                .collect(),
        }
    }
}

impl RealRow {
    /// How a real server is configured whose service has this port.
    fn configured(real: &Real, port: Option<u16>) -> Self {
        Self {
            address: real.address,
            port: real.endpoint(port).port(),
            weight: real.weight,
            method: real.method,
            tun: real.tun,
            upper: real.upper,
            lower: real.lower,
            live: Live::default(),
        }
    }

    fn of(view: &RealView, query: &ListingQuery) -> Self {
        Self {
            address: view.address,
            port: view.port,
            weight: match query.side {
                Side::Present => view.listed_weight(),
                Side::Configured => view.weight,
            },
            method: view.method,
            tun: view.tun,
            upper: view.upper,
            lower: view.lower,
            live: Live {
                active: view.active,
                inactive: view.inactive,
                persistent: view.persistent,
                numbers: query.numbers.of(view.stats, view.rates),
            },
        }
    }
}
