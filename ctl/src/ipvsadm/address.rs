//! `host[:port]` as ipvsadm reads and writes it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::grammar::Transport;
use super::inet::loose_ipv4;
use super::names::Names;
use super::value::number;

/// An address that a line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostPort {
    /// The host.
    pub(crate) address: IpAddr,
    /// The port, if one was given.
    pub(crate) port: Option<u16>,
}

/// Reads `192.0.2.1`, `192.0.2.1:80`, `name:http`, `2001:db8::1` or `[2001:db8::1]:80`.
/// Brackets require a port, which ipvsadm drops unless they hold IPv6; a name is looked up as IPv4
/// only; digits alone are no host. Ports have no names as long as nobody knows of which transport they
/// are.
pub(crate) fn parse(
    text: &str,
    transport: Option<Transport>,
    names: &dyn Names,
) -> Option<HostPort> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (host, behind) = bracketed(text)?;
    let (address, rest) = match host.parse::<Ipv6Addr>() {
        Ok(address) => (address.into(), behind),
        Err(_) => {
            let (host, rest) = split(host);
            (ipv4(host, names)?.into(), rest)
        }
    };
    let port = match rest {
        Some(rest) => Some(port(rest, transport, names)?),
        None => None,
    };
    Some(HostPort { address, port })
}

/// What brackets hold, and the port behind them; without brackets all of it.
fn bracketed(text: &str) -> Option<(&str, Option<&str>)> {
    let Some(text) = text.strip_prefix('[') else {
        return Some((text, None));
    };
    let (host, behind) = text.split_once(']')?;
    Some((host, Some(behind.strip_prefix(':')?)))
}

fn split(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, rest)) => (host, Some(rest)),
        None => (text, None),
    }
}

fn port(text: &str, transport: Option<Transport>, names: &dyn Names) -> Option<u16> {
    let literal = number(text, 0..=u16::MAX.into()).and_then(|port| port.try_into().ok());
    literal.or_else(|| names.port(text, transport?))
}

fn ipv4(host: &str, names: &dyn Names) -> Option<Ipv4Addr> {
    let is_name = !host.is_empty() && !host.contains('\0');
    loose_ipv4(host).or_else(|| is_name.then(|| names.host(host)).flatten())
}

/// How addresses are written.
#[derive(Clone, Copy)]
pub(crate) enum Style<'a> {
    /// As numbers.
    Numeric,
    /// As names where there are any.
    Named(&'a dyn Names),
}

/// `address:port` is cut to this many characters.
const LONGEST: usize = 59;

impl Style<'_> {
    /// `host:port`, or `[host]:port` for IPv6. Without a transport ports have no names.
    pub(crate) fn text(self, at: SocketAddr, transport: Option<Transport>) -> String {
        let (host, port) = match self {
            Self::Numeric => (None, None),
            Self::Named(names) => (
                names.host_name(at.ip()),
                transport.and_then(|transport| names.port_name(at.port(), transport)),
            ),
        };
        let host = host.unwrap_or_else(|| numeric_host(at.ip()));
        let port = port.unwrap_or_else(|| at.port().to_string());
        let text = match at {
            SocketAddr::V4(_) => format!("{host}:{port}"),
            SocketAddr::V6(_) => format!("[{host}]:{port}"),
        };
        text.chars().take(LONGEST).collect()
    }
}

/// The number as C's `inet_ntop` writes it: unlike Rust's, `::192.0.2.1` stays dotted.
fn numeric_host(address: IpAddr) -> String {
    let IpAddr::V6(v6) = address else {
        return address.to_string();
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            format!(
                "::{}",
                Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
            )
        }
        _ => v6.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::names::fake::FakeNames;
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, read) in [
            ("192.0.2.10:80", Some(("192.0.2.10", Some(80)))),
            ("192.0.2.10", Some(("192.0.2.10", None))),
            ("www:http", Some(("192.0.2.10", Some(80)))),
            ("2001:db8::5:80", Some(("2001:db8::5:80", None))),
            ("[2001:DB8:0:0:0:0:0:1]:80", Some(("2001:db8::1", Some(80)))),
            ("[2001:db8::8]:http", Some(("2001:db8::8", Some(80)))),
            (
                "[::ffff:192.0.2.1]:80",
                Some(("::ffff:192.0.2.1", Some(80))),
            ),
            ("[192.0.2.10]:80", Some(("192.0.2.10", None))),
            ("[10.1]:x", Some(("10.0.0.1", None))),
            ("[www]:80", Some(("192.0.2.10", None))),
            ("[192.0.2.10:81]:80", Some(("192.0.2.10", Some(81)))),
            ("[192.0.2.10]", None),
            ("[nobody]:80", None),
            ("[]:80", None),
            ("[2001:db8::3]", None),
            ("[2001:db8::4]:", None),
            ("[2001:db8::6:80", None),
            ("2001:db8::7]:80", None),
            ("[fe80::1%eth0]:80", None),
            ("192.0.2.10:", None),
            ("192.0.2.10:99999", None),
            ("192.0.2.10:-1", None),
            ("\"192.0.2.13:80\"", None),
            ("3221225994:80", Some(("192.0.2.10", Some(80)))),
            ("3221225994", None),
            ("10.1:80", Some(("10.0.0.1", Some(80)))),
            ("192.0.2:81", Some(("192.0.0.2", Some(81)))),
            ("0x0a000001:82", Some(("10.0.0.1", Some(82)))),
            ("192.0.2.010:83", Some(("192.0.2.8", Some(83)))),
            ("192.0.2.256:83", None),
            ("192.0.65536:83", None),
            ("1.2.3.4.5:83", None),
            ("192.0.2.10: 85", Some(("192.0.2.10", Some(85)))),
            ("192.0.2.10:+86", Some(("192.0.2.10", Some(86)))),
            ("www6:80", None),
            (":80", None),
            ("", None),
        ] {
            let want = read.map(|(host, port)| HostPort {
                address: host.parse().unwrap(),
                port,
            });
            assert_eq!(
                parse(text, Some(Transport::Tcp), &FakeNames),
                want,
                "{text}"
            );
        }
    }

    #[test]
    fn addresses_are_written() {
        for (at, numeric, named) in [
            ("192.0.2.10:80", "192.0.2.10:80", "www:http"),
            ("192.0.2.11:81", "192.0.2.11:81", "192.0.2.11:81"),
            ("[2001:db8::1]:0", "[2001:db8::1]:0", "[www6]:0"),
            ("[::192.0.2.1]:80", "[::192.0.2.1]:80", "[::192.0.2.1]:http"),
            ("[::1]:22", "[::1]:22", "[::1]:ssh"),
        ] {
            let at = at.parse().unwrap();
            assert_eq!(Style::Numeric.text(at, Some(Transport::Tcp)), numeric);
            assert_eq!(
                Style::Named(&FakeNames).text(at, Some(Transport::Tcp)),
                named
            );
        }
    }
}
