//! What names a virtual service.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Transport protocol of a virtual service.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// RFC 9260.
    Sctp,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The lower-case name, as in a service id.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// Address family of the packets that a mark service takes.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// RFC 791.
    #[default]
    Ipv4,
    /// RFC 8200.
    Ipv6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// Its name on the wire and in the configuration file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }

    /// Bits of an address.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Ipv4 => 32,
            Self::Ipv6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

/// What names a virtual service: in paths `tcp:10.0.0.1:80`, `udp:[2001:db8::1]:53`, `fwm:7`, and
/// `fwm6:7` for the IPv6 packets of mark 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceId {
    /// Packets to an address.
    Address {
        /// Transport protocol.
        protocol: Protocol,
        /// VIP and port; port 0 is every port that no other service of the VIP has.
        vip: SocketAddr,
    },
    /// Packets that a rule has marked, whatever their protocol and destination.
    Mark {
        /// The mark, not 0.
        mark: u32,
        /// Of packets of this family.
        family: Family,
    },
}

impl ServiceId {
    /// The service of `protocol` at `vip`.
    pub const fn at(protocol: Protocol, vip: SocketAddr) -> Self {
        Self::Address { protocol, vip }
    }

    /// Its protocol; a mark has none.
    pub const fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Address { protocol, .. } => Some(*protocol),
            Self::Mark { .. } => None,
        }
    }

    /// VIP and port; a mark has none.
    pub const fn vip(&self) -> Option<SocketAddr> {
        match self {
            Self::Address { vip, .. } => Some(*vip),
            Self::Mark { .. } => None,
        }
    }

    /// Its port, 0 for every port; a mark has none.
    pub const fn port(&self) -> Option<u16> {
        match self {
            Self::Address { vip, .. } => Some(vip.port()),
            Self::Mark { .. } => None,
        }
    }

    /// The family of its clients.
    pub const fn family(&self) -> Family {
        match self {
            Self::Address { vip, .. } => Family::of(vip.ip()),
            Self::Mark { family, .. } => *family,
        }
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { protocol, vip } => write!(f, "{}:{vip}", protocol.name()),
            Self::Mark { mark, family } => write!(f, "{}:{mark}", mark_prefix(*family)),
        }
    }
}

const fn mark_prefix(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "fwm",
        Family::Ipv6 => "fwm6",
    }
}

/// What is wrong with a [`ServiceId`] that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no service; write tcp:10.0.0.1:80, udp:[2001:db8::1]:53, fwm:7 or fwm6:7")]
pub struct BadServiceId(String);

impl FromStr for ServiceId {
    type Err = BadServiceId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadServiceId(text.to_owned());
        let (kind, rest) = text.split_once(':').ok_or_else(bad)?;
        if let Some(family) = Family::ALL.into_iter().find(|f| mark_prefix(*f) == kind) {
            let is_number = rest.bytes().all(|byte| byte.is_ascii_digit());
            let mark = is_number.then(|| rest.parse().ok()).flatten();
            let mark = mark.filter(|mark| *mark != 0).ok_or_else(bad)?;
            return Ok(Self::Mark { mark, family });
        }
        let named = |known: &Protocol| known.name() == kind;
        let protocol = Protocol::ALL.into_iter().find(named).ok_or_else(bad)?;
        Ok(Self::at(protocol, rest.parse().map_err(|_| bad())?))
    }
}

impl Serialize for ServiceId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ServiceId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn any_id() -> impl Strategy<Value = ServiceId> {
        let address = prop_oneof![
            any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from(bits))),
            any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from(bits))),
        ];
        let protocol = prop::sample::select(&Protocol::ALL);
        let at = (protocol, address, any::<u16>()).prop_map(|(protocol, address, port)| {
            ServiceId::at(protocol, SocketAddr::new(address, port))
        });
        let family = prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)];
        let mark = (1..=u32::MAX, family);
        prop_oneof![
            at,
            mark.prop_map(|(mark, family)| ServiceId::Mark { mark, family })
        ]
    }

    proptest! {
        #[test]
        fn an_id_survives_its_text(id in any_id()) {
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<ServiceId>(&json).unwrap(), id);
        }

        #[test]
        fn a_text_that_is_read_is_read_the_same_again(text in "(tcp|udp|sctp|fwm|fwm6|x)?:?[0-9a-f:.\\[\\]%]{0,40}") {
            if let Ok(id) = text.parse::<ServiceId>() {
                prop_assert_eq!(id.to_string().parse(), Ok(id));
            }
        }
    }

    #[test]
    fn other_texts_name_no_service() {
        for text in [
            "",
            "tcp",
            "tcp:",
            "tcp:10.0.0.1",
            "dccp:10.0.0.1:80",
            "TCP:10.0.0.1:80",
            "tcp:10.0.0.1:80 ",
            "tcp:2001:db8::1:80",
            "tcp:10.0.0.1:65536",
            "fwm:",
            "fwm:0",
            "fwm:+1",
            "fwm:4294967296",
            "fwm4:1",
        ] {
            assert!(text.parse::<ServiceId>().is_err(), "{text}");
        }
    }
}
