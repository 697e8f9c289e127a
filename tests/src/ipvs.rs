//! The kernel's IPVS in the director's place, where a kernel has it.

use adminapi::model::{Protocol, Service, ServiceId};
use anyhow::Result;

use crate::namespace::Namespace;

/// The services of IPVS, by NAT; gone when dropped.
#[derive(Debug)]
pub struct Ipvs<'a> {
    director: &'a Namespace,
}

impl<'a> Ipvs<'a> {
    /// Adds `services`, round robin.
    ///
    /// # Errors
    /// When ipvsadm is missing, or the kernel has no IPVS.
    pub fn start(director: &'a Namespace, services: &[Service]) -> Result<Self> {
        let ipvs = Self { director };
        for service in services {
            let ServiceId::Address { protocol, vip } = service.id else {
                continue;
            };
            let kind = if protocol == Protocol::Udp {
                "-u"
            } else {
                "-t"
            };
            let vip_text = vip.to_string();
            director.run("ipvsadm", &["-A", kind, &vip_text, "-s", "rr"])?;
            for real in &service.reals {
                let port = real.port.unwrap_or(vip.port());
                let real = std::net::SocketAddr::new(real.address, port).to_string();
                director.run("ipvsadm", &["-a", kind, &vip_text, "-r", &real, "-m"])?;
            }
        }
        Ok(ipvs)
    }
}

impl Drop for Ipvs<'_> {
    fn drop(&mut self) {
        let _ = self.director.run("ipvsadm", &["-C"]);
    }
}
