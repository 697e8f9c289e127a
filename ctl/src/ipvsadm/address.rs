//! `host[:port]` as ipvsadm reads it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use adminapi::model::Protocol;

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
/// only; digits alone are no host. Ports have no names as long as nobody knows of which protocol they
/// are.
pub(crate) fn parse(text: &str, protocol: Option<Protocol>, names: &dyn Names) -> Option<HostPort> {
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
        Some(rest) => Some(port(rest, protocol, names)?),
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

fn port(text: &str, protocol: Option<Protocol>, names: &dyn Names) -> Option<u16> {
    let literal = number(text, 0..=u16::MAX.into()).and_then(|port| port.try_into().ok());
    literal.or_else(|| names.port(text, protocol?))
}

fn ipv4(host: &str, names: &dyn Names) -> Option<Ipv4Addr> {
    let is_name = !host.is_empty() && !host.contains('\0');
    loose_ipv4(host).or_else(|| is_name.then(|| names.host(host)).flatten())
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
            assert_eq!(parse(text, Some(Protocol::Tcp), &FakeNames), want, "{text}");
        }
    }
}
