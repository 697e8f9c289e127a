//! The gate in the place of another director's.
//!
//! ```text
//!  same mode     the link gets another program, in one step
//!  other mode    the kernel has programs in one mode only:
//!                  hold everything back  ->  old one off  ->  new one on  ->  let go
//! ```

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
        let loaded = load(instance, next, maps);
        Some(loaded.map(|program| {
            let successor = Self {
                mode,
                link,
                program,
            };
            (next, successor)
        }))
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
        let former = bpf_link::program_of(self.link.as_fd()).map_err(GateError::Successor)?;
        bpf_link::detach(self.link.as_fd()).map_err(GateError::Successor)?;
        let attach = |program: &OwnedFd, mode: XdpMode| {
            bpf_link::attach(program.as_fd(), interface.index, Hook::Xdp(mode.flags()))
        };
        attach(&self.program, next).map_err(|refusal| {
            let back = attach(&former, self.mode).map_err(GateError::Successor);
            let back =
                back.and_then(|link| pins.put_back(interface.index, self.mode, link.as_fd()));
            if let Err(error) = back {
                error!(%error, "the gate that was on {} has gone", interface.name);
            }
            explain(interface, next, refusal)
        })
    }
}
