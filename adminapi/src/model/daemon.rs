//! The daemons that synchronise connections between directors.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::text::AddressText;

/// Which end of the synchronisation a daemon is. A director can have one of each.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum SyncRole {
    /// Tells of its connections.
    Master,
    /// Takes over what it is told.
    Backup,
}

impl SyncRole {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Master, Self::Backup];

    /// Its name, as in paths.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Backup => "backup",
        }
    }
}

/// A synchronisation daemon as it is configured. What is left out has the default of IPVS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "master", "interface": "eth0", "syncid": 1}))]
pub struct SyncDaemon {
    /// Which end.
    pub role: SyncRole,
    /// The interface that the messages go through.
    pub interface: String,
    /// Which directors belong together.
    #[serde(default)]
    pub syncid: u8,
    /// The largest message, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maxlen: Option<u16>,
    /// The multicast group.
    #[serde(default = "default_group")]
    #[schema(value_type = AddressText)]
    pub group: IpAddr,
    /// The port of the group.
    #[serde(default = "default_port")]
    pub port: u16,
    /// TTL of the messages.
    #[serde(default = "default_ttl")]
    pub ttl: u8,
}

const fn default_group() -> IpAddr {
    SyncDaemon::GROUP
}

const fn default_port() -> u16 {
    SyncDaemon::PORT
}

const fn default_ttl() -> u8 {
    SyncDaemon::TTL
}

impl SyncDaemon {
    /// The default group (`IP_VS_SYNC_GROUP`).
    pub const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81));
    /// The default port (`IP_VS_SYNC_PORT`).
    pub const PORT: u16 = 8848;
    /// The default TTL.
    pub const TTL: u8 = 1;
    /// MTU that a sender counts on.
    const MTU: u32 = 1500;
    /// The shortest message that a receiver must have room for.
    const LEAST_ROOM: u32 = 1024;
    /// The longest datagram.
    const LONGEST: u32 = 65_535;

    /// The largest message over an interface with this `mtu` (`start_sync_thread`).
    pub fn settled_maxlen(&self, mtu: u32) -> u16 {
        let headers = match self.group {
            IpAddr::V4(_) => 20 + 8,
            IpAddr::V6(_) => 40 + 8,
        };
        let (least, mtu) = match self.role {
            SyncRole::Master => (1, Self::MTU),
            SyncRole::Backup => (Self::LEAST_ROOM, mtu.clamp(Self::MTU, Self::LONGEST)),
        };
        let wanted = self.maxlen.map_or(mtu - headers, u32::from);
        wanted.clamp(least, Self::LONGEST - headers) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_long_as_the_kernel_has_them() {
        for (role, maxlen, group, mtu, settled) in [
            ("master", None, "224.0.0.81", 9000, 1472),
            ("backup", None, "224.0.0.81", 9000, 8972),
            ("backup", None, "224.0.0.81", 576, 1472),
            ("backup", None, "ff05::1", 1500, 1452),
            ("master", Some(1), "224.0.0.81", 1500, 1),
            ("backup", Some(1), "ff05::1", 1500, 1024),
            ("master", Some(65_507), "224.0.0.81", 9000, 65_507),
            ("master", Some(65_507), "ff05::1", 1500, 65_487),
        ] {
            let mut daemon: SyncDaemon =
                serde_json::from_value(serde_json::json!({"role": role, "interface": "eth0"}))
                    .unwrap();
            (daemon.maxlen, daemon.group) = (maxlen, group.parse().unwrap());
            assert_eq!(daemon.settled_maxlen(mtu), settled, "{daemon:?}");
        }
    }
}
