//! How packets travel to a real server behind a tunnel.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a packet is wrapped in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TunnelType {
    /// IP in IP, of either version (RFC 2003, RFC 2473, RFC 4213).
    #[default]
    Ipip,
    /// Generic Routing Encapsulation (RFC 2784).
    Gre,
    /// Generic UDP Encapsulation (draft-ietf-intarea-gue, variant 0).
    Gue,
}

impl TunnelType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ipip, Self::Gre, Self::Gue];

    /// Its name, as `--tun-type` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipip => "ipip",
            Self::Gre => "gre",
            Self::Gue => "gue",
        }
    }
}

/// Which checksum the outer header has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TunnelChecksum {
    /// None (`--tun-nocsum`).
    #[default]
    None,
    /// Its own (`--tun-csum`): of GRE, or of the outer UDP header.
    Csum,
    /// Remote checksum offload (`--tun-remcsum`), GUE only. A packet that is forwarded has its
    /// checksum already, so there is nothing to offload: on the wire it is the same as `csum`,
    /// here as in IPVS.
    Remcsum,
}

impl TunnelChecksum {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Csum, Self::Remcsum];

    /// Its name on the wire and in the configuration file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Csum => "csum",
            Self::Remcsum => "remcsum",
        }
    }
}

/// How a tunnel wraps packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tunnel {
    /// In what.
    #[serde(default, rename = "type")]
    pub kind: TunnelType,
    /// UDP port of the receiver, GUE only; [`Tunnel::GUE_PORT`] when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// With which checksum; IP in IP has none.
    #[serde(default)]
    pub checksum: TunnelChecksum,
}

impl Tunnel {
    /// The port of GUE that IANA has given out.
    pub const GUE_PORT: u16 = 6080;
}
