//! Where FTP is followed: the ports that its data connections may have, and the real servers that
//! open some.

use std::sync::Arc;

use super::Pool;
use crate::ftp;
use crate::service::{Real, Service};
use crate::wire::{Addr, Endpoint};

impl Pool {
    /// The ports of control connections at `vip`.
    fn controls(&self, vip: Addr) -> impl Iterator<Item = u16> {
        let [first, last] = [0, u16::MAX].map(|port| Endpoint::new(vip, port));
        self.controls.range(first..=last).map(|at| at.port)
    }

    /// Whether control connections of FTP are followed there.
    pub fn is_control(&self, vip: Endpoint) -> bool {
        self.controls.contains(&vip)
    }

    /// Whether data connections of FTP have `endpoint`.
    pub fn takes_data(&self, endpoint: Endpoint) -> bool {
        let of = |control| ftp::data_port(control) == endpoint.port;
        let mut controls = self.controls(endpoint.addr);
        match ftp::DATA_PORTS.contains(&endpoint.port) {
            true => controls.next().is_some(),
            false => controls.any(of),
        }
    }

    pub(super) fn open_data_ports(&mut self, service: &Service) {
        self.data_ports += u32::from(service.takes_ftp_data());
        if let (true, Some(vip)) = (service.is_ftp(), service.key.vip()) {
            self.controls.insert(vip);
        }
    }

    pub(super) fn close_data_ports(&mut self, service: &Service) {
        self.data_ports -= u32::from(service.takes_ftp_data());
        if let (true, Some(vip)) = (service.is_ftp(), service.key.vip()) {
            self.controls.remove(&vip);
        }
    }

    /// Has the new connections to all real servers of `service` followed as it says.
    pub(super) fn help(&mut self, service: &mut Service) {
        let is_ftp = service.is_ftp();
        let its = self.reals().filter(|real| real.service == service.key);
        for real in its.cloned().collect::<Vec<_>>() {
            let real = self.helped(&real, is_ftp);
            let sorry = service.sorry.as_mut();
            match sorry.filter(|sorry| sorry.id == real.id) {
                Some(sorry) => *sorry = real,
                None if service
                    .reals
                    .find(real.endpoint)
                    .is_some_and(|r| r.id == real.id) =>
                {
                    service.reals.replace(real);
                }
                None => {}
            }
        }
    }

    /// The same real server, whose new connections are control connections of FTP, or are not.
    pub(super) fn helped(&mut self, real: &Arc<Real>, is_ftp: bool) -> Arc<Real> {
        if real.is_ftp == is_ftp {
            return Arc::clone(real);
        }
        self.uncount(real);
        let real = Real {
            is_ftp,
            ..Real::clone(real)
        };
        self.count(&real);
        self.put(real)
    }
}
