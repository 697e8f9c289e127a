//! Names of hosts and ports, through the system's resolver (`/etc/hosts`, DNS, `/etc/services`).

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use adminapi::model::Protocol;
use adminapi::table::Naming;
use dns_lookup::{AddrInfoHints, getaddrinfo, getnameinfo};

use super::value::BLANKS;

/// Turns names into numbers and back.
pub(crate) trait Names: Naming {
    /// The IPv4 addresses of a host.
    fn hosts(&self, name: &str) -> Vec<Ipv4Addr>;
    /// The first of them.
    fn host(&self, name: &str) -> Option<Ipv4Addr> {
        self.hosts(name).first().copied()
    }
    /// The port of a service.
    fn port(&self, name: &str, protocol: Protocol) -> Option<u16>;
    /// The way back.
    fn naming(&self) -> &dyn Naming;
}

/// The system's resolver. Remembers what it was told of an address or a port, since a listing
/// has the same ones again and again.
#[derive(Debug, Default)]
pub(crate) struct SystemNames {
    hosts: RefCell<HashMap<IpAddr, Option<String>>>,
    ports: RefCell<HashMap<(u16, i32), Option<String>>>,
    sctp: OnceCell<Vec<(String, u16)>>,
}

/// Where the system keeps the names of ports.
const SERVICES: &str = "/etc/services";

/// The names of SCTP ports in a file as [`SERVICES`] (services(5)), the official one of each first: the
/// resolver knows those of TCP and UDP only.
fn sctp_ports(services: &str) -> Vec<(String, u16)> {
    let named = services.lines().flat_map(|line| {
        let mut words = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        let name = words.next();
        let port = words
            .next()
            .and_then(|at| at.strip_suffix("/sctp")?.parse().ok());
        let names = name.into_iter().chain(words);
        port.map(|port| names.map(move |name| (name.to_owned(), port)))
    });
    named.flatten().collect()
}

impl SystemNames {
    fn sctp(&self) -> &[(String, u16)] {
        self.sctp
            .get_or_init(|| sctp_ports(&fs::read_to_string(SERVICES).unwrap_or_default()))
    }
}

/// Whether C's `strtoul` reads all of it, which the resolver asks before it looks for a name.
fn is_number(name: &str) -> bool {
    let unsigned = name.trim_start_matches(BLANKS);
    let digits = unsigned.strip_prefix(['+', '-']).unwrap_or(unsigned);
    let has_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    has_digits || name.is_empty()
}

const fn socket_type(protocol: Protocol) -> i32 {
    match protocol {
        Protocol::Udp => libc::SOCK_DGRAM,
        Protocol::Tcp | Protocol::Sctp => libc::SOCK_STREAM,
    }
}

const fn datagram_flag(protocol: Protocol) -> i32 {
    match protocol {
        Protocol::Udp => libc::NI_DGRAM,
        Protocol::Tcp | Protocol::Sctp => 0,
    }
}

impl Names for SystemNames {
    fn hosts(&self, name: &str) -> Vec<Ipv4Addr> {
        let hints = AddrInfoHints {
            address: libc::AF_INET,
            socktype: libc::SOCK_STREAM,
            ..AddrInfoHints::default()
        };
        let Ok(found) = getaddrinfo(Some(name), None, Some(hints)) else {
            return Vec::new();
        };
        let address = |one: dns_lookup::AddrInfo| match one.sockaddr.ip() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        };
        found.filter_map(Result::ok).filter_map(address).collect()
    }

    fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        if is_number(name) {
            return None; // the resolver would take it, modulo 65536
        }
        if protocol == Protocol::Sctp {
            let known = self.sctp().iter().find(|(known, _)| known == name);
            return known.map(|(_, port)| *port);
        }
        let hints = AddrInfoHints {
            address: libc::AF_INET,
            socktype: socket_type(protocol),
            ..AddrInfoHints::default()
        };
        let found = getaddrinfo(None, Some(name), Some(hints)).ok()?;
        let first = found.filter_map(Result::ok).next()?;
        Some(first.sockaddr.port())
    }

    fn naming(&self) -> &dyn Naming {
        self
    }
}

impl Naming for SystemNames {
    fn host_name(&self, address: IpAddr) -> Option<String> {
        let ask = || {
            let flags = libc::NI_NAMEREQD | libc::NI_NUMERICSERV;
            let found = getnameinfo(&SocketAddr::new(address, 0), flags).ok();
            found.map(|(host, _)| host)
        };
        let mut known = self.hosts.borrow_mut();
        known.entry(address).or_insert_with(ask).clone()
    }

    fn port_name(&self, port: u16, protocol: Protocol) -> Option<String> {
        if protocol == Protocol::Sctp {
            let known = self.sctp().iter().find(|(_, known)| *known == port);
            return known.map(|(name, _)| name.clone());
        }
        let flag = datagram_flag(protocol);
        let ask = || {
            let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
            let found = getnameinfo(&any, libc::NI_NUMERICHOST | flag).ok();
            let name = found.map(|(_, service)| service);
            name.filter(|name| *name != port.to_string())
        };
        let mut known = self.ports.borrow_mut();
        known.entry((port, flag)).or_insert_with(ask).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_sctp_have_names_of_their_own() {
        let services = "# comment\nssh 22/tcp\ndomain\t53/udp\nssh 22/sctp # not in use\n\
                        m3ua 2905/sctp m3 \nbad 70000/sctp\nlonely\n";
        let named = |name: &str, port| (name.to_owned(), port);
        assert_eq!(
            sctp_ports(services),
            [named("ssh", 22), named("m3ua", 2905), named("m3", 2905)]
        );
    }

    #[test]
    fn numbers_are_no_names_of_ports() {
        for number in [
            "", "80", "65616", "+65616", "-65456", " 80", "\t+80", "00080",
        ] {
            assert!(is_number(number), "{number:?}");
            let found = SystemNames::default().port(number, Protocol::Tcp);
            assert_eq!(found, None, "{number:?}");
        }
        for name in [
            "9pfs",
            "3com-tsmux",
            "-",
            "+",
            " ",
            "80 ",
            "+-80",
            "http",
            "0x50",
        ] {
            assert!(!is_number(name), "{name:?}");
        }
    }

    #[test]
    fn the_system_knows_itself_and_no_numbers() {
        let names = SystemNames::default();
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        if !hosts.contains("localhost") {
            eprintln!("SKIPPED: /etc/hosts of this machine does not name localhost");
            return;
        }
        assert_eq!(names.host("localhost"), Some(Ipv4Addr::LOCALHOST));
        assert_eq!(names.port("80", Protocol::Tcp), None);
        assert_eq!(names.port("", Protocol::Udp), None);
        assert_eq!(names.port_name(65_533, Protocol::Tcp), None);
        for _ in 0..2 {
            let name = names.host_name(Ipv4Addr::LOCALHOST.into());
            assert!(name.is_some_and(|name| name.starts_with("localhost")));
        }
    }
}

#[cfg(test)]
pub(super) mod fake {
    use super::*;

    /// The names that the transcripts use.
    #[derive(Debug)]
    pub(crate) struct FakeNames;

    const HOSTS: [(&str, &str); 10] = [
        ("real1", "10.0.0.11"),
        ("real2.example.com", "10.0.0.12"),
        ("www", "192.0.2.10"),
        ("a-very-long-virtual-host-name.example.com", "192.0.2.20"),
        ("www6", "2001:db8::1"),
        // What is cut, by a port or within it, and what is not: 56, 60 and 53 characters.
        (
            "r56-2345678-2345678-2345678-2345678-2345678-2345.example",
            "10.0.0.77",
        ),
        (
            "r60-2345678-2345678-2345678-2345678-2345678-23456789.example",
            "10.0.0.78",
        ),
        (
            "r53-2345678-2345678-2345678-2345678-2345678-2.example",
            "10.0.0.79",
        ),
        ("pool", "10.0.0.98"),
        ("pool", "10.0.0.99"),
    ];

    const PORTS: [(&str, u16, &str); 10] = [
        ("ssh", 22, "tcp"),
        ("domain", 53, "tcp"),
        ("domain", 53, "udp"),
        ("http", 80, "tcp"),
        ("https", 443, "tcp"),
        ("https", 443, "udp"),
        ("sip", 5060, "tcp"),
        ("sip", 5060, "udp"),
        ("http-alt", 8080, "tcp"),
        // The name leads to another port.
        ("domain", 5353, "tcp"),
    ];

    impl Names for FakeNames {
        fn hosts(&self, name: &str) -> Vec<Ipv4Addr> {
            let found = HOSTS.iter().filter(|(host, _)| *host == name);
            found.filter_map(|(_, at)| at.parse().ok()).collect()
        }

        fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
            let known = |row: &&(&str, u16, &str)| row.0 == name && row.2 == protocol.name();
            PORTS.iter().find(known).map(|row| row.1)
        }

        fn naming(&self) -> &dyn Naming {
            self
        }
    }

    impl Naming for FakeNames {
        fn host_name(&self, address: IpAddr) -> Option<String> {
            let found = HOSTS.iter().find(|row| row.1.parse() == Ok(address))?;
            Some(found.0.to_owned())
        }

        fn port_name(&self, port: u16, protocol: Protocol) -> Option<String> {
            let known = |row: &&(&str, u16, &str)| row.1 == port && row.2 == protocol.name();
            PORTS.iter().find(known).map(|row| row.0.to_owned())
        }
    }
}
