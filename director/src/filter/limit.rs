//! Limits, as the gate takes them.

use crate::region::Regions;
use crate::wire::{Addr, Endpoint, Protocol};

const NANOS: u64 = 1_000_000_000;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Of {
    /// Packets that the director gets.
    Packets = 0,
    /// SYNs.
    Syns = 1,
}

/// What has a share of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Per {
    /// A source.
    Source = 0,
    /// A service.
    Service = 1,
}

/// How much may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What it counts.
    pub of: Of,
    /// What has a share of its own.
    pub per: Per,
    /// So many a second, not 0.
    pub rate: u32,
    /// So many at once.
    pub burst: u32,
    /// How many bits of 32 make a source.
    pub bits_v4: u8,
    /// How many bits of 128 make one.
    pub bits_v6: u8,
    /// The service that it is for; every one if none.
    pub service: Option<(Protocol, Endpoint)>,
    /// The regions that it is for; every source if none.
    pub region: Regions,
}

impl Limit {
    /// Bytes of `struct limit` in `bpf/limit.h`.
    pub const BYTES: usize = 80;

    /// As `bpf/limit.h` has it.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let share = NANOS / u64::from(self.rate.max(1));
        let ahead = share * u64::from(self.burst.max(1) - 1);
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&share.to_ne_bytes());
        bytes[8..16].copy_from_slice(&ahead.to_ne_bytes());
        if let Some((protocol, end)) = self.service {
            bytes[16..32].copy_from_slice(end.addr.octets());
            bytes[32..34].copy_from_slice(&end.port.to_be_bytes());
            bytes[34] = protocol.number();
        }
        let mask = |bits| Addr::v6([0xff; 16]).masked(bits);
        bytes[36..52].copy_from_slice(mask(96 + self.bits_v4.min(32)).octets());
        bytes[52..68].copy_from_slice(mask(self.bits_v6).octets());
        bytes[68..72].copy_from_slice(&(self.of as u32).to_ne_bytes());
        bytes[72..76].copy_from_slice(&(self.per as u32).to_ne_bytes());
        bytes[76..80].copy_from_slice(&self.region.0.to_ne_bytes());
        bytes
    }
}
