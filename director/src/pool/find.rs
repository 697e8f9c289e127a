//! What the packet path and the control plane look up in a pool.

use std::sync::Arc;

use super::Pool;
use crate::region::Geography;
use crate::service::{FTP_PORT, Real, RealId, Service, ServiceKey};
use crate::wire::{Addr, Endpoint, Protocol, Tuple};
use crate::{ftp, marks};

impl Pool {
    /// The service with this name.
    #[inline]
    pub fn service(&self, key: &ServiceKey) -> Option<&Arc<Service>> {
        self.services.get(key)
    }

    /// The service that a packet of this tuple is for, which comes in through `port`: that of its
    /// mark, else that of its address.
    #[inline]
    pub fn service_for(&self, tuple: &Tuple, port: u16) -> Option<&Arc<Service>> {
        match self.marks.is_empty() {
            true => self.service_at(tuple),
            false => self.marked(tuple, port).or_else(|| self.service_at(tuple)),
        }
    }

    /// Whether the gate takes a packet from a client for a service's: one that has come in through
    /// `port`, to a service or to where data connections of FTP go, announced or not.
    pub fn takes(&self, tuple: &Tuple, port: u16) -> bool {
        let is_data = || tuple.protocol == Protocol::Tcp && self.takes_data(tuple.dst);
        self.service_for(tuple, port).is_some() || is_data()
    }

    #[inline(never)]
    fn marked(&self, tuple: &Tuple, port: u16) -> Option<&Arc<Service>> {
        let mark = marks::mark_of(&self.marks, tuple, port, &self.geography)?;
        let family = marks::family_of(tuple.dst.addr);
        self.service(&ServiceKey::Mark { mark, family })
    }

    /// The mark by which another service takes some of what is for `vip`, if one does.
    pub fn overlaid_by(&self, protocol: Protocol, vip: Endpoint) -> Option<u32> {
        let family = marks::family_of(vip.addr);
        let takes = |rule: &&marks::Rule| {
            let mark = rule.mark;
            rule.may_fit(protocol, vip)
                && self.service(&ServiceKey::Mark { mark, family }).is_some()
        };
        self.marks.iter().find(takes).map(|rule| rule.mark)
    }

    /// Where sources are, for the rules that ask.
    pub const fn geography(&self) -> &Geography {
        &self.geography
    }

    /// The rules that mark packets.
    pub const fn marks(&self) -> &Arc<[marks::Rule]> {
        &self.marks
    }

    /// Whether any endpoint that the gate has to know is every port of an address.
    pub const fn is_wide(&self) -> bool {
        self.catch_alls + self.data_ports + self.answering.wide > 0
    }

    /// The service at the address that a packet of this tuple goes to: that of its port, else a persistent one of
    /// FTP if it may be data of it, else one for every port (`ip_vs_service_find`).
    #[inline]
    pub fn service_at(&self, tuple: &Tuple) -> Option<&Arc<Service>> {
        let exact = self.service(&ServiceKey::at(tuple.protocol, tuple.dst));
        match exact {
            None if self.catch_alls + self.data_ports > 0 => self.wide(tuple),
            exact => exact,
        }
    }

    #[inline(never)]
    fn wide(&self, tuple: &Tuple) -> Option<&Arc<Service>> {
        let at = |port| {
            let vip = Endpoint::new(tuple.dst.addr, port);
            self.service(&ServiceKey::at(tuple.protocol, vip))
        };
        let is_data = tuple.dst.port == ftp::DATA_PORT || tuple.dst.port >= ftp::LOWEST_PORT;
        let ftp = (is_data && self.data_ports > 0)
            .then(|| at(FTP_PORT))
            .flatten();
        let ftp = ftp.filter(|service| service.takes_ftp_data());
        ftp.or_else(|| at(0))
    }

    /// Whether a service of `protocol` at `vip` takes the data connections of FTP too.
    pub fn takes_ftp_data(&self, protocol: Protocol, vip: Addr) -> bool {
        let control = self.service(&ServiceKey::at(protocol, Endpoint::new(vip, FTP_PORT)));
        control.is_some_and(|service| service.takes_ftp_data())
    }

    /// Whether a service takes packets to `endpoint`; with port 0, to any port there.
    pub fn serves_within(&self, protocol: Protocol, endpoint: Endpoint) -> bool {
        let to_it = |port| {
            let key = ServiceKey::at(protocol, Endpoint::new(endpoint.addr, port));
            self.services.contains_key(&key)
        };
        let at_address = |key: &ServiceKey| {
            key.has(protocol) && key.vip().is_some_and(|vip| vip.addr == endpoint.addr)
        };
        match endpoint.port {
            0 => self.has_vip(endpoint.addr) && self.services.keys().any(at_address),
            port => to_it(port) || to_it(0),
        }
    }

    /// The real server in this slot.
    #[inline]
    pub fn real(&self, id: RealId) -> Option<&Arc<Real>> {
        self.slots.get(id.0 as usize)?.as_ref()
    }

    /// Whether a real server answers from `endpoint` through the director.
    #[inline]
    pub fn answers(&self, protocol: Protocol, endpoint: Endpoint) -> bool {
        self.answering.has(protocol, endpoint)
    }

    /// The real server that answers from `endpoint` through the director, if only one does.
    pub fn sole(&self, protocol: Protocol, endpoint: Endpoint) -> Option<&Arc<Real>> {
        self.real(self.answering.sole(protocol, endpoint)?)
    }

    /// The configured real servers with this endpoint; those that were removed do not count.
    pub fn present(
        &self,
        protocol: Protocol,
        endpoint: Endpoint,
    ) -> impl Iterator<Item = &Arc<Real>> {
        self.listed(endpoint, endpoint)
            .filter(move |real| real.service.has(protocol))
    }

    /// Whether a configured real server, or a sorry server, gets packets at `endpoint`; with port 0, at
    /// any port. One that is its service itself does not count: this host serves it.
    pub fn has_real_within(&self, protocol: Protocol, endpoint: Endpoint) -> bool {
        let at = |port| Endpoint::new(endpoint.addr, port);
        let (first, last) = match endpoint.port {
            0 => (at(0), at(u16::MAX)),
            _ => (endpoint, endpoint),
        };
        self.is_sent_to(protocol, first, last) || self.is_sent_to(protocol, at(0), at(0))
    }

    /// Whether a service sends packets to another place from one of these endpoints to another.
    fn is_sent_to(&self, protocol: Protocol, first: Endpoint, last: Endpoint) -> bool {
        let listed = self.listed(first, last);
        let mut sent = listed
            .map(|real| (real.endpoint, real.service))
            .chain(self.aside(first, last))
            .chain(self.sorries(first, last));
        sent.any(|(endpoint, key)| key.has(protocol) && key.vip() != Some(endpoint))
    }

    /// The listed real servers from one endpoint to another.
    fn listed(&self, first: Endpoint, last: Endpoint) -> impl Iterator<Item = &Arc<Real>> {
        let range = (first, RealId(0))..=(last, RealId(u32::MAX));
        let listed = self.listed.range(range);
        listed.filter_map(|(_, id)| self.real(*id))
    }

    /// All services, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// How many services there are.
    pub fn service_count(&self) -> usize {
        self.services.len()
    }

    /// All services, in the order in which they were added.
    pub fn services(&self) -> Vec<Arc<Service>> {
        let mut all: Vec<_> = self.services.values().cloned().collect();
        all.sort_by_key(|service| service.serial);
        all
    }

    /// All real servers, removed ones that still have connections included.
    pub fn reals(&self) -> impl Iterator<Item = &Arc<Real>> {
        self.slots.iter().flatten()
    }

    /// The addresses of all real servers.
    pub fn rips(&self) -> Vec<Addr> {
        self.known.addrs.keys().copied().collect()
    }

    /// Whether a real server that is listed no more is still remembered.
    pub fn has_unlisted(&self) -> bool {
        !self.unlisted.is_empty()
    }

    /// Whether any service has this VIP.
    pub fn has_vip(&self, vip: Addr) -> bool {
        self.vips.contains_key(&vip)
    }

    /// Whether this is a VIP: that of a service, or one that a rule names alone, by whose mark a
    /// service takes packets.
    pub fn is_vip(&self, addr: Addr) -> bool {
        let family = marks::family_of(addr);
        let is_taken = |mark| self.service(&ServiceKey::Mark { mark, family }).is_some();
        let names_it = |rule: &marks::Rule| rule.names(addr) && is_taken(rule.mark);
        self.has_vip(addr) || self.marks.iter().any(names_it)
    }

    /// Whether any real server answers from this address through the director.
    pub fn address_answers(&self, rip: Addr) -> bool {
        self.answering.addrs.contains_key(&rip)
    }
}
