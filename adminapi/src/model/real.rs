//! Real servers.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::merge::{CheckMerge, TunnelMerge, merged, misshapen};
use super::text::AddressText;
use super::{Check, Condition, Drops, Rates, Traffic, Tunnel};
use crate::error::Problem;

/// How packets reach a real server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ForwardingMethod {
    /// Network address translation (`-m`, `Masq` in listings).
    #[default]
    Nat,
    /// Direct routing (`-g`, `Route`): the packet as it is, to the real server's station.
    Dr,
    /// A tunnel (`-i`, `Tunnel`).
    Tun,
    /// Address translation of both ends (`--fullnat`, `FullNat`): the real server talks to the
    /// director, and needs no route to the client.
    FullNat,
}

impl ForwardingMethod {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Nat, Self::Dr, Self::Tun, Self::FullNat];

    /// Its name on the wire and in the configuration file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Dr => "dr",
            Self::Tun => "tun",
            Self::FullNat => "fullnat",
        }
    }

    /// Whether the real server gets packets for the VIP itself, and so at the service's port.
    pub const fn keeps_destination(self) -> bool {
        matches!(self, Self::Dr | Self::Tun)
    }
}

/// A real server as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"address": "10.0.2.1", "port": 8080, "weight": 2}))]
pub struct Real {
    /// RIP.
    #[schema(value_type = AddressText)]
    pub address: IpAddr,
    /// Port; the service's own when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Share of the new connections; 0 = none (the server is quiesced).
    #[serde(default = "default_weight")]
    pub weight: u32,
    /// How packets reach it.
    #[serde(default)]
    pub method: ForwardingMethod,
    /// With so many connections it is overloaded and gets no new ones; 0 = no limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub upper: u32,
    /// An overloaded one gets connections again when it has fewer than this; 0 = fewer than three
    /// quarters of `upper`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lower: u32,
    /// How a tunnel wraps packets; plain IP in IP when left out. Only with the method `tun`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tun: Option<Tunnel>,
    /// How its health is checked, if not as the service says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
}

const fn default_weight() -> u32 {
    1
}

/// Reads the weight of a patch: `null` is the one of a real server that names none.
fn given_weight<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let given = Option::deserialize(deserializer)?;
    Ok(Some(given.unwrap_or_else(default_weight)))
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

impl Real {
    /// RIP and port; `service_port` when the real server names none of its own, or cannot have
    /// one since it gets packets for the VIP. Port 0 is the one that packets come to. A mark has
    /// no port: its real servers keep theirs, as ipvsadm has it.
    pub fn endpoint(&self, service_port: Option<u16>) -> SocketAddr {
        let free = !self.method.keeps_destination() || service_port.is_none();
        let own = self.port.filter(|_| free);
        SocketAddr::new(self.address, own.or(service_port).unwrap_or(0))
    }

    /// How a tunnel to it wraps packets; none when there is no tunnel to it.
    pub fn tunnel(&self) -> Option<Tunnel> {
        (self.method == ForwardingMethod::Tun).then(|| self.tun.unwrap_or_default())
    }
}

/// A change of a real server, a merge patch (RFC 7396): what is left out stays, what is `null` is what
/// it is when left out of a real server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"weight": 0}))]
pub struct RealPatch {
    /// New weight.
    #[serde(
        default,
        deserialize_with = "given_weight",
        skip_serializing_if = "Option::is_none"
    )]
    pub weight: Option<u32>,
    /// New way for packets to reach it.
    #[serde(
        default,
        deserialize_with = "super::given_or_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub method: Option<ForwardingMethod>,
    /// What changes of how a tunnel wraps them, or `null` for plain IP in IP.
    #[serde(
        default,
        deserialize_with = "super::given",
        skip_serializing_if = "Option::is_none"
    )]
    pub tun: Option<TunnelMerge>,
    /// New number of connections that overloads it.
    #[serde(
        default,
        deserialize_with = "super::given_or_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub upper: Option<u32>,
    /// New number of connections below which it is no longer overloaded.
    #[serde(
        default,
        deserialize_with = "super::given_or_default",
        skip_serializing_if = "Option::is_none"
    )]
    pub lower: Option<u32>,
    /// Gives it no new connections any more, and removes it when the last one has gone, or after
    /// so many seconds with those that are left.
    #[serde(
        default,
        deserialize_with = "super::given",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(nullable = false)]
    pub drain: Option<u32>,
    /// What changes of its own check, or `null` to be checked as the service says.
    #[serde(
        default,
        deserialize_with = "super::given",
        skip_serializing_if = "Option::is_none"
    )]
    pub check: Option<CheckMerge>,
}

impl RealPatch {
    /// What is wrong with it whatever the real server is.
    pub fn misshapen(&self) -> Vec<Problem> {
        [
            misshapen("/tun", self.tun.as_ref()),
            misshapen("/check", self.check.as_ref()),
        ]
        .concat()
    }

    /// To drain it for so many seconds.
    pub fn drain(seconds: u32) -> Self {
        Self {
            drain: Some(seconds),
            ..Self::default()
        }
    }

    /// `now` with this change.
    ///
    /// # Errors
    /// What makes it no real server.
    pub fn applied(self, now: &Real) -> Result<Real, Vec<Problem>> {
        let Self {
            weight,
            method,
            tun,
            upper,
            lower,
            drain,
            check,
        } = self;
        let method = method.unwrap_or(now.method);
        let tunnelled = method == ForwardingMethod::Tun;
        let was = now.tun.filter(|_| tunnelled);
        let mut problems = Vec::new();
        let tun = merged("/tun", tun, &was, &mut problems);
        let check = merged("/check", check, &now.check, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Real {
            address: now.address,
            port: now.port,
            weight: match drain {
                Some(_) => 0,
                None => weight.unwrap_or(now.weight),
            },
            method,
            tun,
            upper: upper.unwrap_or(now.upper),
            lower: lower.unwrap_or(now.lower),
            check,
        })
    }
}

/// A real server on its way out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Draining {
    /// Since when, in seconds of Unix time.
    pub since: u64,
    /// When it is removed at the latest, in seconds of Unix time.
    pub until: u64,
    /// Connections that it has left.
    pub connections: u64,
}

/// How many connections a real server of FullNAT has, and how many there are ports for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortUse {
    /// Ports in use.
    pub used: u64,
    /// Ports of all local addresses together.
    pub total: u64,
}

/// A real server as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"address": "10.0.2.1", "port": 8080, "weight": 2, "method": "nat", "upper": 0, "lower": 0, "overloaded": false, "active": 1, "inactive": 0, "persistent": 0, "stats": {"connections": 3, "in_packets": 5, "out_packets": 2, "in_bytes": 420, "out_bytes": 180}, "rates": {"connections": 1, "in_packets": 2, "out_packets": 1, "in_bytes": 140, "out_bytes": 60}}))]
pub struct RealView {
    /// RIP.
    #[schema(value_type = AddressText)]
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Weight, as it is configured.
    pub weight: u32,
    /// How packets reach it.
    pub method: ForwardingMethod,
    /// How the tunnel to it wraps them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tun: Option<Tunnel>,
    /// With so many connections it is overloaded; 0 = no limit.
    #[serde(default)]
    pub upper: u32,
    /// With fewer connections than this it is no longer overloaded; 0 = three quarters of `upper`.
    #[serde(default)]
    pub lower: u32,
    /// Whether it gets no new connections since it has too many.
    #[serde(default)]
    pub overloaded: bool,
    /// Connections in a state that counts as active (ActiveConn).
    pub active: u32,
    /// Its other connections (InActConn).
    pub inactive: u32,
    /// How its health is checked, if not as the service says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// How it is, if its health is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// That it is being drained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draining: Option<Draining>,
    /// Clients that stick to it (PersistConn).
    #[serde(default)]
    pub persistent: u32,
    /// With the method `fullnat`: the director's ports towards it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_ports: Option<PortUse>,
    /// What it has carried.
    pub stats: Traffic,
    /// What it carries in a second.
    #[serde(default)]
    pub rates: Rates,
    /// Packets dropped that were known to be for it or from it, by reason.
    #[serde(default, skip_serializing_if = "Drops::is_empty")]
    #[schema(value_type = BTreeMap<String, u64>)]
    pub drops: Drops,
}

impl RealView {
    /// RIP and port.
    pub fn endpoint(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// Its share of the new connections.
    pub fn effective_weight(&self) -> u32 {
        let condition = self.condition.as_ref();
        condition.map_or(self.weight, |condition| condition.weight)
    }

    /// The weight that ipvsadm lists: without what its listen queue takes, which comes and goes with
    /// each burst.
    pub fn listed_weight(&self) -> u32 {
        let queue = self
            .condition
            .as_ref()
            .and_then(|known| known.queue.as_ref());
        queue.map_or_else(|| self.effective_weight(), |queue| queue.of)
    }

    /// Whether its health has put it out of the service.
    pub fn is_out(&self) -> bool {
        let condition = self.condition.as_ref();
        condition.is_some_and(|condition| condition.removed)
    }
}

impl From<&RealView> for Real {
    /// How it is configured.
    fn from(view: &RealView) -> Self {
        Self {
            address: view.address,
            port: Some(view.port),
            weight: view.weight,
            method: view.method,
            upper: view.upper,
            lower: view.lower,
            tun: view.tun,
            check: view.check.clone(),
        }
    }
}
