//! A packet that goes no further: why, whose drop it is, and what its sender is told.

use crate::drops::{Cause, DropReason};
use crate::neighbour::{Ask, NoHop};
use crate::service::{Real, Service};
use crate::wire::Addr;

/// Whose drop it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Owner<'a> {
    Nobody,
    Service(&'a Service),
    Real(&'a Real),
}

/// A packet that goes no further.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal<'a> {
    pub(super) reason: DropReason,
    pub(super) owner: Owner<'a>,
    /// The neighbour whose Ethernet address is missing.
    pub(super) ask: Option<Ask>,
    /// With [`Cause::TooBig`]: what would have gone, bytes.
    pub(super) mtu: u32,
    /// The address to answer from, when it is not the packet's destination.
    pub(super) vip: Option<Addr>,
    /// Whether its sender takes the connection for open: then only a RST ends it.
    pub(super) is_open: bool,
}

impl<T: Into<DropReason>> From<T> for Refusal<'_> {
    fn from(reason: T) -> Self {
        Self {
            reason: reason.into(),
            owner: Owner::Nobody,
            ask: None,
            mtu: 0,
            vip: None,
            is_open: false,
        }
    }
}

impl From<NoHop> for Refusal<'_> {
    fn from(no_hop: NoHop) -> Self {
        Self {
            ask: Ask::to_mend(no_hop),
            ..Cause::from(no_hop).into()
        }
    }
}

impl<'a> Refusal<'a> {
    /// The same, counted for a real server.
    pub(super) fn of_real(self, real: &'a Real) -> Self {
        Self {
            owner: Owner::Real(real),
            ..self
        }
    }

    /// The same, counted for a service if it is nobody's.
    pub(super) fn within(self, service: &'a Service) -> Self {
        match self.owner {
            Owner::Nobody => self.of_service(service),
            Owner::Service(_) | Owner::Real(_) => self,
        }
    }

    /// The same, counted for a service.
    pub(super) fn of_service(self, service: &'a Service) -> Self {
        Self {
            owner: Owner::Service(service),
            ..self
        }
    }

    /// Whether it says that its real server cannot be reached, whatever the packet is like.
    pub(super) fn cuts_off(&self) -> bool {
        let DropReason::Path(cause) = self.reason else {
            return false;
        };
        matches!(
            cause,
            Cause::NoRoute
                | Cause::Unreachable
                | Cause::LocalDestination
                | Cause::OtherInterface
                | Cause::InterfaceDown
                | Cause::NeighbourSilent
                | Cause::NoSource
        )
    }
}
