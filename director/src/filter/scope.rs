//! Whom a limit is for, and who shares what it allows.

use crate::wire::{Addr, Endpoint, Net, Protocol, Tuple};

/// What has a share of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Per {
    /// A source.
    Source = 0,
    /// A service.
    Service = 1,
}

/// Whom a limit is for, and what it takes for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// What has a share of its own.
    pub per: Per,
    /// How many bits of 32 make a source.
    pub bits_v4: u8,
    /// How many bits of 128 make one.
    pub bits_v6: u8,
    /// The service that it is for; every one if none.
    pub service: Option<(Protocol, Endpoint)>,
}

/// Who shares what a limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sharer {
    /// A source, by its first address.
    Source(Addr),
    /// A service.
    Service(Protocol, Endpoint),
}

impl Scope {
    /// Whether it is for a connection that a client opens with `tuple`. A service with port 0 is every
    /// port of its address.
    pub fn concerns(&self, tuple: &Tuple) -> bool {
        self.service.is_none_or(|(protocol, end)| {
            protocol == tuple.protocol
                && end.addr == tuple.dst.addr
                && (end.port == 0 || end.port == tuple.dst.port)
        })
    }

    /// Who shares a limit that concerns `tuple`. The ports of the service that it names share it,
    /// others each have their own.
    pub fn sharer(&self, tuple: &Tuple) -> Sharer {
        match self.per {
            Per::Source => Sharer::Source(self.source(tuple.src.addr).addr),
            Per::Service => {
                let (protocol, end) = self.service.unwrap_or((tuple.protocol, tuple.dst));
                Sharer::Service(protocol, end)
            }
        }
    }

    /// The source that `addr` belongs to.
    pub fn source(&self, addr: Addr) -> Net {
        let bits = match addr.is_v4() {
            true => Net::V4_BITS + self.bits_v4.min(32),
            false => self.bits_v6,
        };
        Net::new(addr, bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Scope = Scope {
        per: Per::Service,
        bits_v4: 32,
        bits_v6: 64,
        service: None,
    };

    fn tuple(port: u16) -> Tuple {
        Tuple {
            protocol: Protocol::Tcp,
            src: Endpoint::new(Addr::v4([10, 0, 0, 1]), 4000),
            dst: Endpoint::new(Addr::v4([192, 0, 2, 1]), port),
        }
    }

    #[test]
    fn the_ports_of_a_named_service_share_and_others_do_not() {
        assert_ne!(ALL.sharer(&tuple(80)), ALL.sharer(&tuple(81)));
        let every_port = Endpoint::new(tuple(80).dst.addr, 0);
        let named = Scope {
            service: Some((Protocol::Tcp, every_port)),
            ..ALL
        };
        assert!(named.concerns(&tuple(80)) && named.concerns(&tuple(81)));
        assert_eq!(named.sharer(&tuple(80)), named.sharer(&tuple(81)));
        let udp = Tuple {
            protocol: Protocol::Udp,
            ..tuple(80)
        };
        assert!(!named.concerns(&udp));
    }
}
