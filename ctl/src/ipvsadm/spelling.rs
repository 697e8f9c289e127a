//! How `-S` writes where services and real servers are.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use adminapi::model::Protocol;
use adminapi::table::{Naming, Style};

use super::address::{HostPort, parse};
use super::names::Names;

/// How an address and its port are written.
#[derive(Clone, Copy)]
pub(crate) enum Spelling<'a> {
    /// As numbers.
    Numeric,
    /// With names, cut where ipvsadm cuts.
    Cut(&'a dyn Naming),
    /// With names where `-R` reads the same of them, else as numbers.
    Restorable(&'a Certain<'a>),
}

impl Spelling<'_> {
    /// `host:port`, or `[host]:port` for IPv6. Without a protocol ports have no names.
    pub(super) fn text(self, at: SocketAddr, protocol: Option<Protocol>) -> String {
        match self {
            Self::Numeric => Style::Numeric.text(at, protocol),
            Self::Cut(naming) => Style::Named(naming).text(at, protocol),
            Self::Restorable(names) => {
                let named = Style::Named(names.naming()).text(at, protocol);
                let meant = HostPort {
                    address: at.ip(),
                    port: Some(at.port()),
                };
                match parse(&named, protocol, names) {
                    Some(read) if read == meant => named,
                    _ => Style::Numeric.text(at, protocol),
                }
            }
        }
    }
}

/// Names as they are read, without hosts of several addresses: which of them comes first may change.
/// Remembers what it was told, since what is saved has the same names again and again.
pub(crate) struct Certain<'a> {
    names: &'a dyn Names,
    hosts: RefCell<HashMap<String, Vec<Ipv4Addr>>>,
    ports: RefCell<HashMap<(String, Protocol), Option<u16>>>,
}

impl<'a> Certain<'a> {
    /// Those of `names`.
    pub(super) fn of(names: &'a dyn Names) -> Self {
        Self {
            names,
            hosts: RefCell::default(),
            ports: RefCell::default(),
        }
    }
}

impl Names for Certain<'_> {
    fn hosts(&self, name: &str) -> Vec<Ipv4Addr> {
        let ask = || {
            let mut found = self.names.hosts(name);
            found.sort_unstable();
            found.dedup();
            match found.len() {
                1 => found,
                _ => Vec::new(),
            }
        };
        let mut known = self.hosts.borrow_mut();
        known.entry(name.to_owned()).or_insert_with(ask).clone()
    }

    fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        let mut known = self.ports.borrow_mut();
        let asked = known.entry((name.to_owned(), protocol));
        *asked.or_insert_with(|| self.names.port(name, protocol))
    }

    fn naming(&self) -> &dyn Naming {
        self
    }
}

impl Naming for Certain<'_> {
    fn host_name(&self, address: IpAddr) -> Option<String> {
        self.names.host_name(address)
    }

    fn port_name(&self, port: u16, protocol: Protocol) -> Option<String> {
        self.names.port_name(port, protocol)
    }
}
