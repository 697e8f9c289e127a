//! Limits, as the gate takes them and the workers.

use super::{BanPolicy, Scope};
use crate::region::Regions;
use crate::wire::{Addr, Net, Protocol, Tuple};

const NANOS: u64 = 1_000_000_000;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Of {
    /// Packets that the director gets.
    Packets = 0,
    /// SYNs.
    Syns = 1,
    /// Connections that are opened. The gate knows of none: its workers count them.
    Connections = 2,
}

/// How much may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What it counts.
    pub of: Of,
    /// So many a second, not 0.
    pub rate: u32,
    /// So many at once.
    pub burst: u32,
    /// Whom it is for, and who shares it.
    pub scope: Scope,
    /// The regions that it is for; every source if none.
    pub region: Regions,
    /// What is done about sources that are over it too often.
    pub ban: Option<BanPolicy>,
}

/// The figures of a limit's token buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Nanoseconds of one token.
    pub share: u64,
    /// Nanoseconds that may be ahead.
    pub ahead: u64,
    /// Nanoseconds in which a sharer may be over it,
    pub within: u64,
    /// less often than this; 0: as often as it likes.
    pub over: u32,
}

impl Limit {
    /// Bytes of `struct limit` in `bpf/limit.h`.
    pub const BYTES: usize = 96;

    /// Whether the gate holds it.
    pub const fn is_of_gate(&self) -> bool {
        !matches!(self.of, Of::Connections)
    }

    /// Whether the gate counts a packet that opens a connection with `tuple`, from a source in `regions`.
    pub fn counts(&self, tuple: &Tuple, regions: Regions) -> bool {
        let is_of = self.of == Of::Packets || tuple.protocol == Protocol::Tcp;
        let is_there = self.region.is_none() || self.region.meets(regions);
        is_of && is_there && self.scope.concerns(tuple)
    }

    /// The source that `addr` belongs to.
    pub fn source(&self, addr: Addr) -> Net {
        self.scope.source(addr)
    }

    /// The figures of its buckets.
    pub fn pace(&self) -> Pace {
        let share = NANOS / u64::from(self.rate.max(1));
        let ban = self.ban.as_ref();
        Pace {
            share,
            ahead: share * u64::from(self.burst.max(1) - 1),
            within: ban.map_or(0, |ban| NANOS * u64::from(ban.within)),
            over: ban.map_or(0, |ban| ban.over),
        }
    }

    /// As `bpf/limit.h` has it, with the buckets of a `series`.
    pub fn to_bytes(&self, series: u32) -> [u8; Self::BYTES] {
        let Pace {
            share,
            ahead,
            within,
            over,
        } = self.pace();
        let scope = &self.scope;
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&share.to_ne_bytes());
        bytes[8..16].copy_from_slice(&ahead.to_ne_bytes());
        bytes[16..24].copy_from_slice(&within.to_ne_bytes());
        bytes[24..28].copy_from_slice(&over.to_ne_bytes());
        if let Some((protocol, end)) = scope.service {
            bytes[28..44].copy_from_slice(end.addr.octets());
            bytes[44..46].copy_from_slice(&end.port.to_be_bytes());
            bytes[46] = protocol.number();
        }
        let mask = |bits| Addr::v6([0xff; 16]).masked(bits);
        bytes[48..64].copy_from_slice(mask(96 + scope.bits_v4.min(32)).octets());
        bytes[64..80].copy_from_slice(mask(scope.bits_v6).octets());
        bytes[80..84].copy_from_slice(&(self.of as u32).to_ne_bytes());
        bytes[84..88].copy_from_slice(&(scope.per as u32).to_ne_bytes());
        bytes[88..92].copy_from_slice(&self.region.0.to_ne_bytes());
        bytes[92..].copy_from_slice(&series.to_ne_bytes());
        bytes
    }
}
