//! Where a server says that it listens, and how that is said of another place.

use std::ops::Range;

use super::line::{line, number, numbers, port};
use crate::wire::{Addr, Endpoint};

/// Reply codes (RFC 959 §4.2, RFC 2428 §3).
const PASSIVE: &str = "227 ";
const EXTENDED: &str = "229 ";

/// Where a server listens for a data connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The address, if the reply names one; else it is that of the control connection.
    pub addr: Option<Addr>,
    /// The port.
    pub port: u16,
    /// Where they stand in the reply, with the parentheses.
    pub words: Range<usize>,
}

impl Offer {
    /// The offer that a segment of a server begins with.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let line = line(payload)?;
        let (open, close) = (line.find('(')?, line.find(')')?);
        let inside = line.get(open + 1..close)?;
        let words = open..close + 1;
        if line.starts_with(PASSIVE) {
            let Endpoint { addr, port } = numbers(inside)?;
            let addr = Some(addr);
            return Some(Self { addr, port, words });
        }
        let port = port(bars(inside)?)?;
        let addr = None;
        line.starts_with(EXTENDED)
            .then_some(Self { addr, port, words })
    }

    /// The words that offer `to` in the same form; none if that cannot name it.
    pub fn naming(&self, to: Endpoint) -> Option<String> {
        match (self.addr, to.addr.to_v4()) {
            (None, _) => Some(format!("(|||{}|)", to.port)),
            (Some(_), Some([a, b, c, d])) => {
                let [high, low] = to.port.to_be_bytes();
                Some(format!("({a},{b},{c},{d},{high},{low})"))
            }
            (Some(_), None) => None,
        }
    }
}

/// `|||6446|`, with any character for the bar.
fn bars(inside: &str) -> Option<u16> {
    let bar = inside.chars().next().filter(char::is_ascii_punctuation)?;
    let mut parts = inside.split(bar);
    let empty = (&mut parts).take(3).all(str::is_empty);
    let port = parts.next()?;
    let end = parts.next() == Some("");
    (empty && end).then(|| number(port))?
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use proptest::prelude::*;

    fn rewritten(text: &str, to: &str) -> Option<String> {
        let to: SocketAddr = to.parse().unwrap();
        let offer = Offer::read(text.as_bytes())?;
        let mut text = text.to_owned();
        text.replace_range(offer.words.clone(), &offer.naming(to.into())?);
        Some(text)
    }

    #[test]
    fn replies_say_something_else() {
        for (text, to, expected) in [
            (
                "227 Entering Passive Mode (1,1,1,1,4,1)\r\n",
                "192.168.100.200:61001",
                Some("227 Entering Passive Mode (192,168,100,200,238,73)\r\n"),
            ),
            (
                "227 Mode (192,168,100,200,238,73).\r\n150 x\r\n",
                "1.1.1.1:61001",
                Some("227 Mode (1,1,1,1,238,73).\r\n150 x\r\n"),
            ),
            (
                "227 (1,1,1,1,4,1)\r\n",
                "192.168.100.200:61001",
                Some("227 (192,168,100,200,238,73)\r\n"),
            ),
            (
                "229 Entering Extended Passive Mode (|||4000|)\r\n",
                "[fd00::1]:61001",
                Some("229 Entering Extended Passive Mode (|||61001|)\r\n"),
            ),
            ("227 Mode (1,1,1,1,4,1)\r\n", "[fd00::1]:61001", None),
            ("227 Mode (1,1,1,1,3,255)\r\n", "10.9.9.9:61001", None),
            ("229 Mode (|||22|)\r\n", "10.9.9.9:61001", None),
            ("229 Mode (||4000|)\r\n", "10.9.9.9:61001", None),
            ("227 Mode (1,1,1,1,4,1)", "10.9.9.9:61001", None),
            ("227-Mode (1,1,1,1,4,1)\r\n", "10.9.9.9:61001", None),
            ("227 Mode )1,1,1,1,4,1(\r\n", "10.9.9.9:61001", None),
            ("226 Mode (1,1,1,1,4,1)\r\n", "10.9.9.9:61001", None),
        ] {
            assert_eq!(rewritten(text, to).as_deref(), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in "[A-Za-z ]{0,30}", a: [u8; 4], b: [u8; 4], port in 1024u16..) {
            let [c, d, e, f] = a;
            let said = format!("227 {text}({c},{d},{e},{f},4,0).\r\n");
            let to = SocketAddr::from((b, port));
            let read = Offer::read(rewritten(&said, &to.to_string()).unwrap().as_bytes()).unwrap();
            prop_assert_eq!((read.addr, read.port), (Some(Addr::v4(b)), port));
        }

        #[test]
        fn any_bytes_are_survived(text in "22[79][ -~]{0,60}\r\n", port: u16) {
            if let Some(offer) = Offer::read(text.as_bytes()) {
                offer.naming(Endpoint::new(Addr::v4([1; 4]), port));
            }
        }
    }
}
