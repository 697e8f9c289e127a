//! Rules that mark packets, for services that have a mark instead of an address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Family, Protocol, masked};

/// What a packet must be to get a mark; what is left out fits every packet. The first rule that
/// fits counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"mark": 7, "protocol": "tcp", "destination": "192.0.2.0/24", "destination_ports": "8000-8099"}))]
pub struct MarkRule {
    /// The mark, not 0.
    pub mark: u32,
    /// Transport protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// Addresses that it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Prefix>,
    /// Addresses that it goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<Prefix>,
    /// Source ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ports: Option<PortRange>,
    /// Destination ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_ports: Option<PortRange>,
    /// The director's interface that it comes in through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The region that it comes from: one of those of the filters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

impl MarkRule {
    /// Rules that a director takes at most.
    pub const MAX: usize = 64;
}

impl fmt::Display for MarkRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mark {}", self.mark)?;
        if let Some(protocol) = self.protocol {
            write!(f, " protocol {}", protocol.name())?;
        }
        if let Some(source) = self.source {
            write!(f, " source {source}")?;
        }
        if let Some(ports) = self.source_ports {
            write!(f, " sport {ports}")?;
        }
        if let Some(destination) = self.destination {
            write!(f, " destination {destination}")?;
        }
        if let Some(ports) = self.destination_ports {
            write!(f, " dport {ports}")?;
        }
        if let Some(interface) = &self.interface {
            write!(f, " interface {interface}")?;
        }
        match &self.region {
            Some(region) => write!(f, " region {region}"),
            None => Ok(()),
        }
    }
}

/// The addresses that share their first bits: `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The first of them.
    pub address: IpAddr,
    /// How many bits they share.
    pub length: u8,
}

/// A text that is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPrefix {
    /// It cannot be read.
    #[error("`{0}` is neither an address nor a network; write 10.0.0.1 or 10.0.0.0/24")]
    Unread(String),
    /// The address has bits that the length leaves out.
    #[error("{given} has bits behind its first {}; write {meant}", given.length)]
    HostBits {
        /// What was given.
        given: Prefix,
        /// The network that it lies in.
        meant: Prefix,
    },
}

impl FromStr for Prefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unread = || BadPrefix::Unread(text.to_owned());
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| unread())?;
        let bits = Family::of(address).bits();
        let length = match length {
            Some(text) => text.parse().map_err(|_| unread())?,
            None => bits,
        };
        let mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        if length > bits || mapped {
            return Err(unread());
        }
        let prefix = Self { address, length };
        match masked(address, length) == address {
            true => Ok(prefix),
            false => Err(BadPrefix::HostBits {
                given: prefix,
                meant: Self {
                    address: masked(address, length),
                    length,
                },
            }),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.length == Family::of(self.address).bits() {
            true => write!(f, "{}", self.address),
            false => write!(f, "{}/{}", self.address, self.length),
        }
    }
}

/// A port or a range of them: `80`, `8000-8099`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last, not below the first.
    pub last: u16,
}

/// A text that is no range of ports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no port and no range of ports; write 80 or 8000-8099")]
pub struct BadPortRange(String);

impl FromStr for PortRange {
    type Err = BadPortRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadPortRange(text.to_owned());
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let port = |text: &str| text.parse::<u16>().map_err(|_| bad());
        let (first, last) = (port(first)?, port(last)?);
        match first <= last {
            true => Ok(Self { first, last }),
            false => Err(bad()),
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

macro_rules! as_text {
    ($($name:ty)*) => {
        $(impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        })*
    };
}

as_text! { Prefix PortRange }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_ports_are_read_and_written() {
        for text in [
            "10.0.0.0/8",
            "10.0.0.1",
            "0.0.0.0/0",
            "2001:db8::/32",
            "::/0",
            "::1",
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "::/129",
            "10.0.0.0/",
            "::ffff:10.0.0.1",
        ] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
        for text in ["80", "8000-8099", "0-65535"] {
            assert_eq!(text.parse::<PortRange>().unwrap().to_string(), text);
        }
        for text in ["", "90-80", "65536", "-", "80-"] {
            assert!(text.parse::<PortRange>().is_err(), "{text}");
        }
    }
}
