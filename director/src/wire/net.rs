//! Networks: the addresses that share their first bits.

use std::fmt;

use super::Addr;

/// The addresses that share their first `bits`, of 128; with 0 all of both families.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Net {
    /// The first of them.
    pub addr: Addr,
    /// How many bits they share.
    pub bits: u8,
}

impl Net {
    /// Bits that all IPv4 addresses share, in their mapped form.
    pub const V4_BITS: u8 = 96;

    /// The network of `addr` with so many bits of 128.
    pub const fn new(addr: Addr, bits: u8) -> Self {
        Self {
            addr: addr.masked(bits),
            bits,
        }
    }

    /// Whether an address is one of them.
    #[inline]
    pub fn has(&self, addr: Addr) -> bool {
        self.addr.common_prefix(addr) >= self.bits.into()
    }

    /// The first address behind them, if there is one.
    pub const fn next(&self) -> Option<Addr> {
        let last = u128::from_be_bytes(*self.addr.octets())
            | match u128::MAX.checked_shr(self.bits as u32) {
                Some(host) => host,
                None => 0,
            };
        match last.checked_add(1) {
            Some(next) => Some(Addr::v6(next.to_be_bytes())),
            None => None,
        }
    }

    /// Whether they are IPv4 addresses.
    pub const fn is_v4(&self) -> bool {
        self.bits >= Self::V4_BITS && self.addr.is_v4()
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outer = if self.is_v4() { Self::V4_BITS } else { 0 };
        write!(f, "{}/{}", self.addr, self.bits - outer)
    }
}
