//! Addresses as ipvsadm writes them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::model::Protocol;

/// What addresses and ports are called.
pub trait Naming {
    /// The name of an address.
    fn host_name(&self, address: IpAddr) -> Option<String>;
    /// The name of a port.
    fn port_name(&self, port: u16, protocol: Protocol) -> Option<String>;
}

/// How addresses are written.
#[derive(Clone, Copy)]
pub enum Style<'a> {
    /// As numbers.
    Numeric,
    /// As names where there are any.
    Named(&'a dyn Naming),
}

/// `address:port` is cut to this many characters.
const LONGEST: usize = 59;

impl Style<'_> {
    /// `host:port`, or `[host]:port` for IPv6. Without a protocol ports have no names.
    pub fn text(self, at: SocketAddr, protocol: Option<Protocol>) -> String {
        let (host, port) = match self {
            Self::Numeric => (None, None),
            Self::Named(names) => (
                names.host_name(at.ip()),
                protocol.and_then(|protocol| names.port_name(at.port(), protocol)),
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
    use super::*;

    struct Known;

    impl Naming for Known {
        fn host_name(&self, address: IpAddr) -> Option<String> {
            match address.to_string().as_str() {
                "192.0.2.10" => Some("www".into()),
                "2001:db8::1" => Some("www6".into()),
                _ => None,
            }
        }

        fn port_name(&self, port: u16, protocol: Protocol) -> Option<String> {
            match (port, protocol) {
                (22, Protocol::Tcp) => Some("ssh".into()),
                (80, Protocol::Tcp) => Some("http".into()),
                _ => None,
            }
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
            assert_eq!(Style::Numeric.text(at, Some(Protocol::Tcp)), numeric);
            assert_eq!(Style::Named(&Known).text(at, Some(Protocol::Tcp)), named);
        }
    }
}
