//! What names a virtual service.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Transport protocol of a virtual service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// The name of a virtual service in paths: `tcp:10.0.0.1:80`, `udp:[2001:db8::1]:53`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId {
    /// Transport protocol.
    pub protocol: Protocol,
    /// VIP and port.
    pub vip: SocketAddr,
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.protocol.name(), self.vip)
    }
}

/// What is wrong with a [`ServiceId`] that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no service; write tcp:10.0.0.1:80 or udp:[2001:db8::1]:53")]
pub struct BadServiceId(String);

impl FromStr for ServiceId {
    type Err = BadServiceId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadServiceId(text.to_owned());
        let (protocol, vip) = text.split_once(':').ok_or_else(bad)?;
        let named = |known: &Protocol| known.name() == protocol;
        Ok(Self {
            protocol: Protocol::ALL.into_iter().find(named).ok_or_else(bad)?,
            vip: vip.parse().map_err(|_| bad())?,
        })
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
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn any_id() -> impl Strategy<Value = ServiceId> {
        let address = prop_oneof![
            any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from(bits))),
            any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from(bits))),
        ];
        let protocol = prop::sample::select(&Protocol::ALL);
        (protocol, address, any::<u16>()).prop_map(|(protocol, address, port)| ServiceId {
            protocol,
            vip: SocketAddr::new(address, port),
        })
    }

    proptest! {
        #[test]
        fn an_id_survives_its_text(id in any_id()) {
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<ServiceId>(&json).unwrap(), id);
        }

        #[test]
        fn a_text_that_is_read_is_read_the_same_again(text in "(tcp|udp|sctp|x)?:?[0-9a-f:.\\[\\]%]{0,40}") {
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
        ] {
            assert!(text.parse::<ServiceId>().is_err(), "{text}");
        }
    }
}
