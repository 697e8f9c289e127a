//! The gate on one interface: what holds it there, and whose place it takes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;

use super::maps::Maps;
use super::pins::Pins;
use super::program::{self, Instance};
use super::succession::Successor;
use super::{GateError, Interface, XdpMode};

/// An instance of the gate, on its interface.
#[derive(Debug)]
pub(super) struct Attachment {
    pub(super) interface: Interface,
    pub(super) mode: XdpMode,
    /// What holds it there; not yet, while another director's program is there.
    pub(super) link: OnceLock<OwnedFd>,
    pub(super) successor: Option<Successor>,
    /// Receive queues that it is on, the first ones.
    pub(super) covered: AtomicU32,
}

impl Attachment {
    /// Attaches an instance; where `pins` hold another director's, it waits.
    pub(super) fn make(
        instance: Instance<'_>,
        interface: &Interface,
        wanted: Option<XdpMode>,
        maps: &Maps,
        pins: Option<&Pins>,
    ) -> Result<Self, GateError> {
        let successor =
            pins.and_then(|pins| Successor::load(instance, interface, wanted, maps, pins));
        let (mode, link, successor) = match successor.transpose()? {
            Some((mode, successor)) => (mode, OnceLock::new(), Some(successor)),
            None => {
                let (mode, link) = program::attach(instance, interface, wanted, maps)?;
                (mode, link.into(), None)
            }
        };
        Ok(Self {
            interface: interface.clone(),
            mode,
            link,
            successor,
            covered: AtomicU32::new(interface.queues.receive),
        })
    }

    pub(super) fn take_over(&self, pins: &Pins) -> Result<(), GateError> {
        let Some(successor) = &self.successor else {
            return Ok(());
        };
        if let Some(link) = successor.take_over(&self.interface, self.mode, pins)? {
            // It is taken over once.
            let _ = self.link.set(link);
        }
        Ok(())
    }

    pub(super) fn link(&self) -> Option<BorrowedFd<'_>> {
        let former = || self.successor.as_ref().map(Successor::former);
        self.link.get().map(AsFd::as_fd).or_else(former)
    }
}
