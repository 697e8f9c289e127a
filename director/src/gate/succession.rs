//! The gate in the place of another director's.
//!
//! ```text
//!  same mode     the link gets another program, in one step
//!  other mode    the kernel has programs in one mode only:
//!                  hold everything back  ->  old one off  ->  new one on  ->  let go
//!                                                           `-> refused: in the old mode
//! ```

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use tracing::{error, info, warn};

use super::hold::Hold;
use super::program::{Instance, explain, load};
use super::{GateError, Interface, Maps, Pins, XdpMode};
use crate::bpf_link::{self, Hook};

/// What is to take the place of another director's program.
#[derive(Debug)]
pub(super) struct Successor {
    /// The mode of the one that is there, and what holds it.
    mode: XdpMode,
    link: OwnedFd,
    program: OwnedFd,
    /// The same in the mode of the one that is there, for an interface that refuses another.
    spare: Option<OwnedFd>,
}

impl Successor {
    /// Loads one for what `pins` hold on the interface. Says in which mode it is to be.
    pub(super) fn load(
        instance: Instance<'_>,
        interface: &Interface,
        wanted: Option<XdpMode>,
        maps: &Maps,
        pins: &Pins,
    ) -> Option<Result<(XdpMode, Self), GateError>> {
        let (mode, link) = pins.link(interface.index)?;
        let next = wanted.unwrap_or(mode);
        let load = || {
            let program = load(instance, next, maps)?;
            let spare = (next != mode).then(|| load(instance, mode, maps));
            let successor = Self {
                mode,
                link,
                program,
                spare: spare.transpose()?,
            };
            Ok((next, successor))
        };
        Some(load())
    }

    /// What holds the program that is there until then.
    pub(super) fn former(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }

    /// Puts the program in its place, in the mode `next`; what holds it then, if that is another link.
    pub(super) fn take_over(
        &self,
        interface: &Interface,
        next: XdpMode,
        pins: &Pins,
    ) -> Result<Option<OwnedFd>, GateError> {
        if next == self.mode {
            let updated = bpf_link::update(self.link.as_fd(), self.program.as_fd());
            return updated.map(|()| None).map_err(GateError::Successor);
        }
        let hold = Hold::on(interface.index);
        if let Err(error) = &hold {
            let name = &interface.name;
            warn!(%error, "what comes in by {name} while its gate changes its mode is left to the kernel");
        }
        let link = self.change_mode(interface, next, pins)?;
        let packets = hold.map_or(0, |hold| hold.held());
        info!(
            interface = interface.name,
            mode = next.name(),
            packets_held = packets,
            "mode changed"
        );
        Ok(Some(link))
    }

    fn change_mode(
        &self,
        interface: &Interface,
        next: XdpMode,
        pins: &Pins,
    ) -> Result<OwnedFd, GateError> {
        bpf_link::detach(self.link.as_fd()).map_err(GateError::Successor)?;
        attach(&self.program, interface, next).map_err(|refusal| {
            if let Err(error) = self.fall_back(interface, pins) {
                error!(%error, "the gate that was on {} has gone", interface.name);
            }
            explain(interface, next, refusal)
        })
    }

    fn fall_back(&self, interface: &Interface, pins: &Pins) -> Result<(), GateError> {
        let Some(spare) = &self.spare else {
            return Ok(());
        };
        let link = attach(spare, interface, self.mode).map_err(GateError::Successor)?;
        pins.put_back(interface.index, self.mode, link.as_fd())
    }
}

fn attach(program: &OwnedFd, interface: &Interface, mode: XdpMode) -> io::Result<OwnedFd> {
    bpf_link::attach(program.as_fd(), interface.index, Hook::Xdp(mode.flags()))
}
