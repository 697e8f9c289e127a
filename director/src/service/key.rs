//! The names of virtual services.

use adminapi::model::Family;

use crate::wire::{Endpoint, Protocol};

/// The port of FTP's control connections (RFC 959), unless a service says otherwise.
pub const FTP_PORT: u16 = 21;

/// What names a virtual service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    /// Packets to an address.
    Address {
        /// Transport protocol.
        protocol: Protocol,
        /// VIP and port; port 0 is every port that no other service of the VIP has.
        vip: Endpoint,
    },
    /// Packets that a rule has marked.
    Mark {
        /// The mark.
        mark: u32,
        /// Of packets of this family.
        family: Family,
    },
}

impl ServiceKey {
    /// The service of `protocol` at `vip`.
    #[inline]
    pub const fn at(protocol: Protocol, vip: Endpoint) -> Self {
        Self::Address { protocol, vip }
    }

    /// VIP and port; a mark has none.
    pub const fn vip(&self) -> Option<Endpoint> {
        match self {
            Self::Address { vip, .. } => Some(*vip),
            Self::Mark { .. } => None,
        }
    }

    /// Its port, 0 for every port; a mark has none.
    pub const fn port(&self) -> Option<u16> {
        match self {
            Self::Address { vip, .. } => Some(vip.port),
            Self::Mark { .. } => None,
        }
    }

    /// Whether its packets may be of this protocol.
    pub fn has(&self, protocol: Protocol) -> bool {
        match self {
            Self::Address { protocol: own, .. } => *own == protocol,
            Self::Mark { .. } => true,
        }
    }

    /// Whether it is at the port that FTP is controlled at.
    pub const fn is_at_ftp(&self) -> bool {
        matches!(
            self,
            Self::Address {
                protocol: Protocol::Tcp,
                vip,
            } if vip.port == FTP_PORT
        )
    }

    /// The protocols of its packets.
    pub fn protocols(&self) -> impl Iterator<Item = Protocol> + use<> {
        let this = *self;
        let all = Protocol::ALL.into_iter();
        all.filter(move |protocol| this.has(*protocol))
    }
}
