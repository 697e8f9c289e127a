//! What a flood is made of.

use std::net::SocketAddr;

use clap::ValueEnum;

use crate::generator::{Flows, Kind};

/// What a flood is made of: all of it from nobody, to one address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mixture {
    /// SYNs.
    Syn,
    /// ACKs of connections that there have never been.
    Ack,
    /// Datagrams to a UDP service, whose real servers do not listen.
    Udp,
    /// Half SYNs, a quarter ACKs, a quarter datagrams.
    Mix,
}

impl Mixture {
    /// As a table shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syn => "spoofed SYNs",
            Self::Ack => "spoofed ACKs of no connection",
            Self::Udp => "spoofed datagrams",
            Self::Mix => "spoofed frames: half SYNs, a quarter ACKs, a quarter datagrams",
        }
    }

    /// Whether there has to be a UDP service for it.
    pub(super) const fn has_datagrams(self) -> bool {
        matches!(self, Self::Udp | Self::Mix)
    }

    /// What is sent, of each as many frames.
    const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Syn => &[Kind::SpoofedSyn],
            Self::Ack => &[Kind::SpoofedAck],
            Self::Udp => &[Kind::Udp],
            Self::Mix => &[
                Kind::SpoofedSyn,
                Kind::SpoofedAck,
                Kind::SpoofedSyn,
                Kind::Udp,
            ],
        }
    }

    /// The same as flows of frames that are `frame` bytes long, the first of which comes from `source`.
    pub(super) fn flows(
        self,
        source: SocketAddr,
        destination: SocketAddr,
        frame: usize,
    ) -> impl Iterator<Item = Flows> {
        let kinds = self.kinds().iter();
        kinds.map(move |&kind| Flows {
            kind,
            source,
            destination,
            count: 0,
            frame,
        })
    }
}
