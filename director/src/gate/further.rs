//! The gate on queues that come. A driver that makes its rings anew gives all of them the program; veth
//! does not: what comes by its new queues passes the gate by, until the interface gets another program
//! (`veth_set_channels`, `veth_enable_xdp`). Another instance is one.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;

use super::attachment::Attachment;
use super::program::{self, Instance};
use super::{Gate, GateError, XdpMode};
use crate::bpf_link;

impl Attachment {
    /// Whether none of so many receive queues passes the gate by.
    fn covers(&self, queues: u32) -> bool {
        let is_everywhere = self.interface.is_device || self.mode == XdpMode::Generic;
        is_everywhere || queues <= self.covered.load(Relaxed)
    }
}

impl Gate {
    /// Sees to it that the gate is on all of the `queues` receive queues of `port`. To be called whenever
    /// their number may have changed.
    ///
    /// # Errors
    /// When the kernel does not load or take another instance.
    pub fn cover(&self, port: usize, queues: u32) -> Result<(), GateError> {
        let attachment = &self.links[port];
        if !attachment.covers(queues) {
            self.renew(port, attachment)?;
        }
        attachment.covered.store(queues, Relaxed);
        Ok(())
    }

    fn renew(&self, port: usize, attachment: &Attachment) -> Result<(), GateError> {
        let Some(link) = attachment.link() else {
            return Ok(());
        };
        let instance = Instance {
            port: port as u32,
            flows: self.flows,
            roll: &self.plan,
        };
        let program = program::load(instance, attachment.mode, &self.maps)?;
        let updated = bpf_link::update(link, program.as_fd());
        updated.map_err(|error| GateError::Further {
            name: attachment.interface.name.clone(),
            error,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;
    use crate::gate::{Interface, Queues};

    #[test]
    fn only_without_a_device_do_queues_pass_the_gate_by() {
        let covers = |is_device, mode, queues| {
            let interface = Interface {
                name: "eth0".to_owned(),
                index: 1,
                queues: Queues::ONE,
                is_device,
            };
            let attachment = Attachment {
                interface,
                mode,
                link: OnceLock::new(),
                successor: None,
                covered: 2.into(),
            };
            attachment.covers(queues)
        };
        assert!(covers(false, XdpMode::Native, 2));
        assert!(!covers(false, XdpMode::Native, 3));
        assert!(covers(true, XdpMode::Native, 3));
        assert!(covers(false, XdpMode::Generic, 3));
    }
}
