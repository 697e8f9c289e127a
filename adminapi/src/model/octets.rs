//! Bytes as people write them: text, with `\xNN` for what is none.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// Some bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, ToSchema)]
#[schema(value_type = String, example = "PING")]
pub struct Octets(pub Vec<u8>);

impl Octets {
    /// The most that are taken: what a datagram carries over any network.
    pub const MAX: usize = 1024;
}

/// Why a text stands for no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(r"a `\` stands before n, r, t, another `\`, or x and two hexadecimal digits")]
pub struct BadOctets;

impl FromStr for Octets {
    type Err = BadOctets;

    fn from_str(text: &str) -> Result<Self, BadOctets> {
        let mut octets = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let [first, behind @ ..] = rest {
            rest = behind;
            if *first != b'\\' {
                octets.push(*first);
                continue;
            }
            let (octet, length) = escaped(rest).ok_or(BadOctets)?;
            octets.push(octet);
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(Self(octets))
    }
}

/// The byte that an escape stands for, and its length without the `\`.
fn escaped(rest: &[u8]) -> Option<(u8, usize)> {
    match rest.first()? {
        b'n' => Some((b'\n', 1)),
        b'r' => Some((b'\r', 1)),
        b't' => Some((b'\t', 1)),
        b'\\' => Some((b'\\', 1)),
        b'x' => {
            let digit = |at: usize| char::from(*rest.get(at)?).to_digit(16);
            let octet = digit(1)? * 16 + digit(2)?;
            u8::try_from(octet).ok().map(|octet| (octet, 3))
        }
        _ => None,
    }
}

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for octet in &self.0 {
            match octet {
                b'\n' => f.write_str(r"\n")?,
                b'\r' => f.write_str(r"\r")?,
                b'\t' => f.write_str(r"\t")?,
                b'\\' => f.write_str(r"\\")?,
                b' '..=b'~' => write!(f, "{}", char::from(*octet))?,
                _ => write!(f, r"\x{octet:02x}")?,
            }
        }
        Ok(())
    }
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_survive_their_text(octets in prop::collection::vec(any::<u8>(), 0..40)) {
            let octets = Octets(octets);
            prop_assert_eq!(octets.to_string().parse(), Ok(octets));
        }

        #[test]
        fn any_text_is_read_or_refused(text in r"[\\xnrt0-9a-g]{0,12}") {
            if let Ok(octets) = text.parse::<Octets>() {
                prop_assert_eq!(octets.to_string().parse(), Ok(octets));
            }
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(r"PING\r\n".parse(), Ok(Octets(b"PING\r\n".to_vec())));
        assert_eq!(r"\x00\xffé".parse(), Ok(Octets(vec![0, 255, 0xc3, 0xa9])));
        for bad in [r"\", r"\x", r"\x1", r"\xg0", r"\q"] {
            assert_eq!(bad.parse::<Octets>(), Err(BadOctets), "{bad}");
        }
    }
}
