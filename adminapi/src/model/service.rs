//! Virtual services.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{
    Drops, Protocol, Rates, Real, RealView, Scheduler, SchedulerFlags, ServiceId, Traffic,
};

/// A virtual service as it is configured. In the file: `[[service]]` with `[[service.real]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Transport protocol.
    pub protocol: Protocol,
    /// VIP.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Scheduling algorithm.
    #[serde(default)]
    pub scheduler: Scheduler,
    /// Its options.
    #[serde(default, skip_serializing_if = "SchedulerFlags::is_empty")]
    pub scheduler_flags: SchedulerFlags,
    /// Real servers, in the order they were added.
    #[serde(default, rename = "real", alias = "reals")]
    pub reals: Vec<Real>,
}

impl Service {
    /// What names this service.
    pub fn id(&self) -> ServiceId {
        ServiceId {
            protocol: self.protocol,
            vip: SocketAddr::new(self.address, self.port),
        }
    }
}

/// A change of a virtual service: what is left out stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicePatch {
    /// New scheduling algorithm.
    #[serde(
        default,
        deserialize_with = "super::given",
        skip_serializing_if = "Option::is_none"
    )]
    pub scheduler: Option<Scheduler>,
    /// New options of the scheduler: all of them.
    #[serde(
        default,
        deserialize_with = "super::given",
        skip_serializing_if = "Option::is_none"
    )]
    pub scheduler_flags: Option<SchedulerFlags>,
}

impl ServicePatch {
    /// `now` with this change.
    pub fn applied(self, now: &Service) -> Service {
        let Self {
            scheduler,
            scheduler_flags,
        } = self;
        Service {
            scheduler: scheduler.unwrap_or(now.scheduler),
            scheduler_flags: scheduler_flags.unwrap_or(now.scheduler_flags),
            ..now.clone()
        }
    }
}

/// A virtual service as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceView {
    /// Its name in paths.
    pub id: ServiceId,
    /// Transport protocol.
    pub protocol: Protocol,
    /// VIP.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Scheduling algorithm.
    pub scheduler: Scheduler,
    /// Its options.
    #[serde(default, skip_serializing_if = "SchedulerFlags::is_empty")]
    pub scheduler_flags: SchedulerFlags,
    /// What it has carried.
    pub stats: Traffic,
    /// What it carries in a second.
    #[serde(default)]
    pub rates: Rates,
    /// Packets dropped that were known to be for it, by reason.
    #[serde(default, skip_serializing_if = "Drops::is_empty")]
    pub drops: Drops,
    /// Its real servers, in the order they were added.
    pub reals: Vec<RealView>,
}

impl From<&ServiceView> for Service {
    /// How it is configured.
    fn from(view: &ServiceView) -> Self {
        Self {
            protocol: view.protocol,
            address: view.address,
            port: view.port,
            scheduler: view.scheduler,
            scheduler_flags: view.scheduler_flags,
            reals: view.reals.iter().map(Real::from).collect(),
        }
    }
}
