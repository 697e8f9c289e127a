//! Values in a line with a word: addresses, numbers, times. One that cannot be read is answered by
//! what to write.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use adminapi::model::span;

/// An address, and a port if one was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The address.
    pub(super) address: IpAddr,
    /// The port.
    pub(super) port: Option<u16>,
}

impl End {
    /// With this port, if none was given.
    pub(super) fn or_port(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, self.port.unwrap_or(port))
    }
}

impl FromStr for End {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = text.parse::<SocketAddr>().map(|end| Self {
            address: end.ip(),
            port: Some(end.port()),
        });
        let bare = || {
            text.parse().map(|address| Self {
                address,
                port: None,
            })
        };
        whole.or_else(|_| bare()).map_err(|_| {
            "write an address, with a port or without, as in 192.0.2.7, 192.0.2.7:80 or \
             [2001:db8::7]:80"
                .to_owned()
        })
    }
}

/// Reads IP:PORT.
pub(super) fn endpoint(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "write an address and a port, as in 192.0.2.7:80 or [2001:db8::7]:80".to_owned()
    })
}

/// Reads IP.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| "write an address, as in 192.0.2.7 or 2001:db8::7".to_owned())
}

/// Reads a time.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    span(text).ok_or_else(|| format!("{text:?} is not a time as in 90s, 15m or 2h, up to 31d"))
}

/// Reads a number.
pub(super) fn number<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let read = text.parse::<u64>();
    let number = read.map_err(|_| "write a number, as in 100".to_owned())?;
    T::try_from(number).map_err(|_| format!("{number} is too large"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::command::Line;

    #[test]
    fn ends_are_read_with_and_without_a_port() {
        for (text, address, port) in [
            ("192.0.2.7", "192.0.2.7", None),
            ("192.0.2.7:40112", "192.0.2.7", Some(40112)),
            ("2001:db8::7", "2001:db8::7", None),
            ("[2001:db8::7]:40112", "2001:db8::7", Some(40112)),
        ] {
            let address = address.parse().unwrap();
            let end = End { address, port };
            assert_eq!(text.parse(), Ok(end), "{text}");
            let whole = SocketAddr::new(address, port.unwrap_or(80));
            assert_eq!(end.or_port(80), whole, "{text}");
        }
        assert!("example.org".parse::<End>().is_err());
    }

    /// clap's own text for a value that it cannot read says what failed, not what to write.
    #[test]
    fn what_cannot_be_read_is_answered_by_what_to_write() {
        let endpoint = "write an address and a port, as in 192.0.2.7:80";
        let end = "write an address, with a port or without, as in 192.0.2.7";
        let address = "write an address, as in 192.0.2.7";
        let number = "write a number, as in 100";
        let limit = "filter limit a --of syns --per source --rate";
        for (line, want) in [
            ("drain -t 192.0.2.10 -r 10.0.0.5", endpoint),
            ("drain -t 192.0.2.10:http -r 10.0.0.5:80", endpoint),
            ("drain -t 192.0.2.10:80 -r web", end),
            ("drain -t 192.0.2.10:80 -r 10.0.0.5:http", end),
            ("drain -f x -r 10.0.0.5", "write a mark, 1 to 4294967295"),
            ("drain -f 0 -r 10.0.0.5", "write a mark, 1 to 4294967295"),
            ("forget -t 192.0.2.10:80 -r web", end),
            ("forget -t 192.0.2.10:80 --from foo", address),
            ("close -t 192.0.2.10:80 --from foo", end),
            ("explain -t 192.0.2.10:http --from 10.9.9.9:1", endpoint),
            ("explain -u 192.0.2.10 --from 10.9.9.9:1", endpoint),
            ("explain --sctp-service x --from 10.9.9.9:1", endpoint),
            ("explain -t 192.0.2.10:80 --from 10.9.9.9", endpoint),
            ("events --since x", number),
            ("sources --limit x", number),
            ("sources --limit 4294967296", "4294967296 is too large"),
            ("mark add x", number),
            ("mark remove x", number),
            (&format!("{limit} x"), number),
            (&format!("{limit} 5 --burst x"), number),
            (&format!("{limit} 5 --prefix-v4 x"), number),
            (&format!("{limit} 5 --prefix-v6 256"), "256 is too large"),
            (&format!("{limit} 5 --ban-over x"), number),
            ("filter connections a --most x", number),
            ("filter region a --asns x", number),
        ] {
            let words = std::iter::once("bulwark").chain(line.split(' '));
            let told = Line::try_parse_from(words).unwrap_err().to_string();
            assert!(told.contains(&format!("': {want}")), "{line}: {told}");
        }
    }
}
