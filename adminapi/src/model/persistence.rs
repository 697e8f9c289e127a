//! Persistence: connections of a client go where its first one went.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What decides, where the source alone does not, which packets go to one real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// The Call-ID of SIP messages over UDP.
    Sip,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Sip];

    /// Its name, as IPVS has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sip => "sip",
        }
    }
}

/// How a client sticks to its real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Persistence {
    /// Seconds that a client is remembered for after its last new connection, and at least as long
    /// as it has one.
    #[serde(default = "default_timeout")]
    pub timeout: u32,
    /// Leading bits of the addresses that count as one client; all when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<u8>,
    /// What decides beside the client: with `sip` each of its calls sticks by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
}

const fn default_timeout() -> u32 {
    Persistence::DEFAULT_TIMEOUT
}

impl Persistence {
    /// Seconds when nobody says otherwise, as in ipvsadm.
    pub const DEFAULT_TIMEOUT: u32 = 360;
    /// The longest timeout: 31 days.
    pub const MAX_TIMEOUT: u32 = 31 * 24 * 60 * 60;

    /// The prefix as an IPv4 netmask.
    pub fn netmask(prefix: u8) -> Ipv4Addr {
        Ipv4Addr::from_bits(
            u32::MAX
                .checked_shl(32 - u32::from(prefix.min(32)))
                .unwrap_or(0),
        )
    }

    /// The length of a netmask, unless it has holes.
    pub fn of_netmask(mask: Ipv4Addr) -> Option<u8> {
        let length = mask.to_bits().leading_ones() as u8;
        (Self::netmask(length) == mask).then_some(length)
    }
}

impl Default for Persistence {
    fn default() -> Self {
        Self {
            timeout: Self::DEFAULT_TIMEOUT,
            prefix: None,
            engine: None,
        }
    }
}

/// The address that stands for all that share its first `prefix` bits.
pub fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => (v4 & Persistence::netmask(prefix)).into(),
        IpAddr::V6(v6) => {
            let host = 128 - u32::from(prefix.min(128));
            let mask = u128::MAX.checked_shl(host).unwrap_or(0);
            std::net::Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netmasks_are_prefixes() {
        for prefix in 0..=32 {
            let mask = Persistence::netmask(prefix);
            assert_eq!(Persistence::of_netmask(mask), Some(prefix));
        }
        assert_eq!(Persistence::netmask(24).to_string(), "255.255.255.0");
        assert_eq!(Persistence::of_netmask([255, 0, 255, 0].into()), None);
    }
}
