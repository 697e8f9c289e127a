//! Virtual services.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::merge::{HealthMerge, PersistenceMerge, merged, misshapen};
use super::text::AddressText;
use super::{
    CookiePolicy, Drops, Engine, Family, HealthPolicy, Helper, Persistence, Protocol, Rates, Real,
    RealView, RepeatPolicy, Scheduler, SchedulerFlags, ServiceCondition, ServiceId, Traffic,
};
use crate::error::Problem;

/// The fields that name a service: `protocol`, `address` and `port`, or `fwmark` and, unless it is
/// IPv4, `family`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Naming {
    /// Transport protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// VIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AddressText>)]
    pub address: Option<IpAddr>,
    /// Port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fwmark: Option<u32>,
    /// Address family of the marked packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
}

/// Why fields name no service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unnamed {
    /// Neither a mark nor all of an address.
    #[error("missing field `{0}`: a service has protocol, address and port, or fwmark")]
    Missing(&'static str),
    /// A mark and an address.
    #[error("`{0}` does not go with `fwmark`, which is all that names a service")]
    Both(&'static str),
    /// A family beside an address.
    #[error("`family` goes with `fwmark` only: an address has its own")]
    Family,
}

impl Naming {
    /// The service that they name.
    ///
    /// # Errors
    /// What is missing or too much.
    pub const fn id(&self) -> Result<ServiceId, Unnamed> {
        match (self.fwmark, self.protocol, self.address, self.port) {
            (Some(mark), None, None, None) => Ok(ServiceId::Mark {
                mark,
                family: match self.family {
                    Some(family) => family,
                    None => Family::Ipv4,
                },
            }),
            (Some(_), Some(_), ..) => Err(Unnamed::Both("protocol")),
            (Some(_), _, Some(_), _) => Err(Unnamed::Both("address")),
            (Some(_), ..) => Err(Unnamed::Both("port")),
            _ if self.family.is_some() => Err(Unnamed::Family),
            (None, None, ..) => Err(Unnamed::Missing("protocol")),
            (None, _, None, _) => Err(Unnamed::Missing("address")),
            (None, _, _, None) => Err(Unnamed::Missing("port")),
            (None, Some(protocol), Some(address), Some(port)) => {
                Ok(ServiceId::at(protocol, SocketAddr::new(address, port)))
            }
        }
    }
}

impl From<ServiceId> for Naming {
    fn from(id: ServiceId) -> Self {
        match id {
            ServiceId::Address { protocol, vip } => Self {
                protocol: Some(protocol),
                address: Some(vip.ip()),
                port: Some(vip.port()),
                ..Self::default()
            },
            ServiceId::Mark { mark, family } => Self {
                fwmark: Some(mark),
                family: Some(family),
                ..Self::default()
            },
        }
    }
}

/// A virtual service as it is configured. In the file: `[[service]]` with `[[service.real]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Service {
    /// What names it.
    pub id: ServiceId,
    /// Scheduling algorithm.
    pub scheduler: Scheduler,
    /// Its options.
    pub scheduler_flags: SchedulerFlags,
    /// How clients stick to their real servers, if they do.
    pub persistence: Option<Persistence>,
    /// A persistence engine that is named without persistence: kept, as by the kernel, without effect.
    pub engine: Option<Engine>,
    /// Whether each datagram is scheduled by itself; for UDP.
    pub one_packet: bool,
    /// How the health of its real servers is watched, if it is.
    pub health: Option<HealthPolicy>,
    /// When its SYNs are answered with cookies; for TCP.
    pub cookies: CookiePolicy,
    /// When its clients have to come twice, if not as the director has it; for UDP.
    pub udp_repeats: Option<RepeatPolicy>,
    /// What follows its connections; FTP needs TCP and a port.
    pub helper: Helper,
    /// Real servers, in the order they were added.
    pub reals: Vec<Real>,
}

/// [`Service`] on the wire.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"protocol": "tcp", "address": "192.0.2.10", "port": 80, "scheduler": "wrr", "real": [{"address": "10.0.2.1", "port": 8080, "weight": 2}]}))]
struct Fields {
    /// Transport protocol; with `address` and `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
    /// VIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AddressText>)]
    address: Option<IpAddr>,
    /// Port of the VIP; 0 is every port that no other service of the VIP has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// Mark of the packets, instead of the three above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fwmark: Option<u32>,
    /// Address family of the marked packets; `ipv4` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    family: Option<Family>,
    /// Scheduling algorithm.
    #[serde(default)]
    scheduler: Scheduler,
    /// Its options.
    #[serde(default, skip_serializing_if = "SchedulerFlags::is_empty")]
    scheduler_flags: SchedulerFlags,
    /// How clients stick to their real servers, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    persistence: Option<Persistence>,
    /// A persistence engine that is named without persistence: kept, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    engine: Option<Engine>,
    /// Whether each datagram is scheduled by itself; for UDP.
    #[serde(default, skip_serializing_if = "super::is_off")]
    one_packet: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    health: Option<HealthPolicy>,
    #[serde(default, skip_serializing_if = "CookiePolicy::is_default")]
    cookies: CookiePolicy,
    /// When its clients have to come twice, if not as the director has it; for UDP with a port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    udp_repeats: Option<RepeatPolicy>,
    /// What follows its connections: `auto` is FTP's helper at TCP port 21.
    #[serde(default, skip_serializing_if = "Helper::is_default")]
    helper: Helper,
    /// Real servers, in the order they were added.
    #[serde(default, rename = "real", alias = "reals")]
    reals: Vec<Real>,
}

impl TryFrom<Fields> for Service {
    type Error = Unnamed;

    fn try_from(fields: Fields) -> Result<Self, Unnamed> {
        let naming = Naming {
            protocol: fields.protocol,
            address: fields.address,
            port: fields.port,
            fwmark: fields.fwmark,
            family: fields.family,
        };
        Ok(Self {
            id: naming.id()?,
            scheduler: fields.scheduler,
            scheduler_flags: fields.scheduler_flags,
            persistence: fields.persistence,
            engine: fields.engine,
            one_packet: fields.one_packet,
            health: fields.health,
            cookies: fields.cookies,
            udp_repeats: fields.udp_repeats,
            helper: fields.helper,
            reals: fields.reals,
        })
    }
}

impl From<Service> for Fields {
    fn from(service: Service) -> Self {
        let naming = Naming::from(service.id);
        Self {
            protocol: naming.protocol,
            address: naming.address,
            port: naming.port,
            fwmark: naming.fwmark,
            family: naming.family,
            scheduler: service.scheduler,
            scheduler_flags: service.scheduler_flags,
            persistence: service.persistence,
            engine: service.engine,
            one_packet: service.one_packet,
            health: service.health,
            cookies: service.cookies,
            udp_repeats: service.udp_repeats,
            helper: service.helper,
            reals: service.reals,
        }
    }
}

/// A change of a virtual service, a merge patch (RFC 7396): what is left out stays, what is `null` is
/// what it is when left out of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"scheduler": "lc"}))]
pub struct ServicePatch {
    /// New scheduling algorithm.
    #[serde(
        default,
        deserialize_with = "super::given_or_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub scheduler: Option<Scheduler>,
    /// New options of the scheduler: all of them.
    #[serde(
        default,
        deserialize_with = "super::given_or_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub scheduler_flags: Option<SchedulerFlags>,
    /// What changes of its persistence, or `null` for none.
    #[serde(
        default,
        deserialize_with = "super::given",
        skip_serializing_if = "Option::is_none"
    )]
    pub persistence: Option<PersistenceMerge>,
    /// New persistence engine that is named without persistence, or `null` for none.
    #[serde(
        default,
        deserialize_with = "super::given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<Engine>)]
    pub engine: Option<Option<Engine>>,
    /// Whether each datagram is to be scheduled by itself.
    #[serde(
        default,
        deserialize_with = "super::given_or_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub one_packet: Option<bool>,
    /// What changes of the watch over the health of its real servers, or `null` for none.
    #[serde(
        default,
        deserialize_with = "super::given",
        skip_serializing_if = "Option::is_none"
    )]
    pub health: Option<HealthMerge>,
    /// When its SYNs are to be answered with cookies.
    #[serde(
        default,
        deserialize_with = "super::given_or_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub cookies: Option<CookiePolicy>,
    /// When its clients are to have to come twice, or `null` for when the director has it.
    #[serde(
        default,
        deserialize_with = "super::given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<RepeatPolicy>)]
    pub udp_repeats: Option<Option<RepeatPolicy>>,
    /// What is to follow its connections; those that there are stay followed as they were.
    #[serde(
        default,
        deserialize_with = "super::given_or_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub helper: Option<Helper>,
}

impl ServicePatch {
    /// What is wrong with it whatever the service is.
    pub fn misshapen(&self) -> Vec<Problem> {
        [
            misshapen("/persistence", self.persistence.as_ref()),
            misshapen("/health", self.health.as_ref()),
        ]
        .concat()
    }

    /// `now` with this change.
    ///
    /// # Errors
    /// What makes it no service.
    pub fn applied(self, now: &Service) -> Result<Service, Vec<Problem>> {
        let Self {
            scheduler,
            scheduler_flags,
            persistence,
            engine,
            one_packet,
            health,
            cookies,
            udp_repeats,
            helper,
        } = self;
        let mut problems = Vec::new();
        let persistence = merged("/persistence", persistence, &now.persistence, &mut problems);
        let health = merged("/health", health, &now.health, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Service {
            scheduler: scheduler.unwrap_or(now.scheduler),
            scheduler_flags: scheduler_flags.unwrap_or(now.scheduler_flags),
            persistence,
            engine: engine.unwrap_or(now.engine.filter(|_| persistence.is_none())),
            one_packet: one_packet.unwrap_or(now.one_packet),
            health,
            cookies: cookies.unwrap_or(now.cookies),
            udp_repeats: udp_repeats.unwrap_or(now.udp_repeats),
            helper: helper.unwrap_or(now.helper),
            ..now.clone()
        })
    }
}

/// A virtual service as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"id": "tcp:192.0.2.10:80", "protocol": "tcp", "address": "192.0.2.10", "port": 80, "scheduler": "wrr", "stats": {"connections": 3, "in_packets": 5, "out_packets": 2, "in_bytes": 420, "out_bytes": 180}, "rates": {"connections": 1, "in_packets": 2, "out_packets": 1, "in_bytes": 140, "out_bytes": 60}, "reals": []}))]
pub struct ServiceView {
    /// Its name in paths.
    pub id: ServiceId,
    /// The same in parts.
    #[serde(flatten)]
    pub naming: Naming,
    /// Scheduling algorithm.
    pub scheduler: Scheduler,
    /// Its options.
    #[serde(default, skip_serializing_if = "SchedulerFlags::is_empty")]
    pub scheduler_flags: SchedulerFlags,
    /// How clients stick to their real servers, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
    /// A persistence engine that is named without persistence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// Whether each datagram is scheduled by itself.
    #[serde(default, skip_serializing_if = "super::is_off")]
    pub one_packet: bool,
    /// How the health of its real servers is watched, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthPolicy>,
    /// How it is, if the health of its real servers is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<ServiceCondition>,
    /// Its sorry server, while that gets the new connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sorry: Option<RealView>,
    /// When its SYNs are answered with cookies.
    #[serde(default, skip_serializing_if = "CookiePolicy::is_default")]
    pub cookies: CookiePolicy,
    /// When its clients have to come twice, if not as the director has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp_repeats: Option<RepeatPolicy>,
    /// What follows its connections.
    #[serde(default, skip_serializing_if = "Helper::is_default")]
    pub helper: Helper,
    /// What it has carried.
    pub stats: Traffic,
    /// What it carries in a second.
    #[serde(default)]
    pub rates: Rates,
    /// Packets dropped that were known to be for it, by reason.
    #[serde(default, skip_serializing_if = "Drops::is_empty")]
    #[schema(value_type = BTreeMap<String, u64>)]
    pub drops: Drops,
    /// Its real servers, in the order they were added.
    pub reals: Vec<RealView>,
}

impl From<&ServiceView> for Service {
    /// How it is configured.
    fn from(view: &ServiceView) -> Self {
        Self {
            id: view.id,
            scheduler: view.scheduler,
            scheduler_flags: view.scheduler_flags,
            persistence: view.persistence,
            engine: view.engine,
            one_packet: view.one_packet,
            health: view.health.clone(),
            cookies: view.cookies,
            udp_repeats: view.udp_repeats,
            helper: view.helper,
            reals: view.reals.iter().map(Real::from).collect(),
        }
    }
}

impl PartialSchema for Service {
    fn schema() -> RefOr<Schema> {
        Fields::schema()
    }
}

impl ToSchema for Service {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Fields::schemas(schemas);
    }
}
