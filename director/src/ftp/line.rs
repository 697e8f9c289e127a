//! What a client says.

use std::net::IpAddr;
use std::str::FromStr;

use super::LOWEST_PORT;
use crate::wire::{Addr, Endpoint};

/// The longest line that is looked at, bytes: more than any of these commands and replies needs.
const LONGEST: usize = 256;

/// A command about a data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The server is to say where it listens: PASV, EPSV.
    Passive,
    /// The server is to connect to the client there: PORT, EPRT.
    Active(Endpoint),
}

/// The command that a segment of a client begins with, if it is about a data connection.
pub fn command(payload: &[u8]) -> Option<Command> {
    let line = line(payload)?;
    let (word, rest) = line.split_at_checked(4)?;
    let rest = rest.trim_ascii();
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    if is("PASV") || is("EPSV") && !rest.eq_ignore_ascii_case("all") {
        Some(Command::Passive)
    } else if is("PORT") {
        numbers(rest).map(Command::Active)
    } else if is("EPRT") {
        extended(rest).map(Command::Active)
    } else {
        None
    }
}

/// The line that a segment begins with, without its end; none if that is not in it.
pub(super) fn line(payload: &[u8]) -> Option<&str> {
    let head = payload.get(..LONGEST).unwrap_or(payload);
    let end = head.windows(2).position(|pair| pair == b"\r\n")?;
    std::str::from_utf8(&head[..end]).ok()
}

/// `h1,h2,h3,h4,p1,p2`.
pub(super) fn numbers(text: &str) -> Option<Endpoint> {
    let mut bytes = [0u8; 6];
    let mut parts = text.split(',');
    for byte in &mut bytes {
        *byte = number(parts.next()?)?;
    }
    let [a, b, c, d, high, low] = bytes;
    let port = port(u16::from_be_bytes([high, low]))?;
    let end = parts.next().is_none();
    end.then(|| Endpoint::new(Addr::v4([a, b, c, d]), port))
}

/// `|1|10.0.0.1|6275|`, with any character for the bar.
fn extended(text: &str) -> Option<Endpoint> {
    let bar = text.chars().next().filter(char::is_ascii_punctuation)?;
    let mut parts = text.split(bar).skip(1);
    let (family, address, port) = (parts.next()?, parts.next()?, parts.next()?);
    let address: IpAddr = address.parse().ok()?;
    let is_right = matches!(
        (family, address),
        ("1", IpAddr::V4(_)) | ("2", IpAddr::V6(_))
    );
    let port = self::port(number(port)?)?;
    is_right.then(|| Endpoint::new(address.into(), port))
}

/// Digits alone: `parse` would take a sign.
pub(super) fn number<T: FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// A port that a data connection may go to.
pub(super) fn port(port: u16) -> Option<u16> {
    (port >= LOWEST_PORT).then_some(port)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use proptest::prelude::*;

    fn active(end: &str) -> Option<Command> {
        let end: SocketAddr = end.parse().unwrap();
        Some(Command::Active(end.into()))
    }

    #[test]
    fn commands_are_read_and_nothing_else() {
        for (text, expected) in [
            ("PASV\r\n", Some(Command::Passive)),
            ("pasv\r\nLIST\r\n", Some(Command::Passive)),
            ("EPSV\r\n", Some(Command::Passive)),
            ("EPSV 2\r\n", Some(Command::Passive)),
            ("EPSV ALL\r\n", None),
            ("PORT 10,0,1,1,156,64\r\n", active("10.0.1.1:40000")),
            ("port 10,0,1,1,4,0\r\n", active("10.0.1.1:1024")),
            ("PORT 10,0,1,1,3,255\r\n", None),
            ("PORT 10,0,1,256,156,64\r\n", None),
            ("PORT 10,0,1,1,156\r\n", None),
            ("PORT 10,0,1,1,156,64,1\r\n", None),
            ("PORT 10,0,1,+1,156,64\r\n", None),
            ("PORT 10,0,1,1,156,64", None),
            ("EPRT |1|10.0.1.1|40000|\r\n", active("10.0.1.1:40000")),
            ("EPRT |2|fd00:1::1|40000|\r\n", active("[fd00:1::1]:40000")),
            ("EPRT |1|fd00:1::1|40000|\r\n", None),
            ("EPRT |2|fd00:1::1|22|\r\n", None),
            ("EPRT |2|fd00:1::1|70000|\r\n", None),
            ("RETR PASV\r\n", None),
            ("", None),
        ] {
            assert_eq!(command(text.as_bytes()), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            command(&bytes);
        }

        #[test]
        fn any_line_is_survived(text in "(PORT|EPRT|EPSV)[ |,.:0-9a-z]{0,40}\r\n") {
            command(text.as_bytes());
        }
    }
}
