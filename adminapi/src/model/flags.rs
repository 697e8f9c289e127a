//! The control bits of a TCP segment, as people write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bits on the wire (RFC 9293 §3.1), in the order in which they are said.
const NAMES: [(&str, u8); 8] = [
    ("syn", 0x02),
    ("fin", 0x01),
    ("rst", 0x04),
    ("psh", 0x08),
    ("ack", 0x10),
    ("urg", 0x20),
    ("ece", 0x40),
    ("cwr", 0x80),
];

/// What stands for none of them.
const NONE: &str = "none";

/// The control bits of a segment, as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// Those of a segment that opens a connection.
    pub const SYN: Self = Self(0x02);
}

/// Why a text stands for no flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write none, or some of syn, fin, rst, psh, ack, urg, ece and cwr, as in syn,ack")]
pub struct BadTcpFlags;

impl FromStr for TcpFlags {
    type Err = BadTcpFlags;

    fn from_str(text: &str) -> Result<Self, BadTcpFlags> {
        let bit = |word: &str| {
            let found = NAMES.into_iter().find(|(name, _)| *name == word);
            found.map(|(_, bit)| bit).ok_or(BadTcpFlags)
        };
        let bits = |all, word| Ok(all | bit(word)?);
        match text {
            NONE => Ok(Self(0)),
            _ => text.split(',').try_fold(0, bits).map(Self),
        }
    }
}

impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = NAMES.into_iter().filter(|(_, bit)| self.0 & bit != 0);
        let names: Vec<_> = set.map(|(name, _)| name).collect();
        match names.is_empty() {
            true => f.write_str(NONE),
            false => f.write_str(&names.join(",")),
        }
    }
}

impl Serialize for TcpFlags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TcpFlags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sets_of_flags_survive_their_text() {
        for bits in 0..=u8::MAX {
            let flags = TcpFlags(bits);
            assert_eq!(flags.to_string().parse(), Ok(flags));
        }
        assert_eq!("ack,syn".parse(), Ok(TcpFlags(0x12)));
        assert_eq!(TcpFlags(0x12).to_string(), "syn,ack");
        assert_eq!(TcpFlags(0).to_string(), "none");
    }

    #[test]
    fn what_is_no_flag_is_refused() {
        for text in ["", "SYN", "syn,", "syn ack", "none,syn", "syn;ack", "s"] {
            assert_eq!(text.parse::<TcpFlags>(), Err(BadTcpFlags), "{text}");
        }
    }
}
