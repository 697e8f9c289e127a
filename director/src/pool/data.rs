//! Where FTP is followed: the ports that its data connections may have, and the real servers that
//! open some.

use std::sync::Arc;

use super::Pool;
use crate::ftp;
use crate::service::{Ftp, Real, Service};
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

    /// Has all real servers of `service` meet FTP as it says.
    pub(super) fn help(&mut self, service: &mut Service) {
        let ftp = service.ftp();
        let its = self.reals().filter(|real| real.service == service.key);
        for real in its.cloned().collect::<Vec<_>>() {
            let real = self.helped(&real, ftp);
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

    /// The same real server, whose service has this to do with FTP.
    pub(super) fn helped(&mut self, real: &Arc<Real>, ftp: Ftp) -> Arc<Real> {
        if real.ftp == ftp {
            return Arc::clone(real);
        }
        self.uncount(real);
        let real = Real {
            ftp,
            ..Real::clone(real)
        };
        self.count(&real);
        self.put(real)
    }
}
