//! Ethernet II frames.

use std::borrow::{Borrow, BorrowMut};
use std::fmt;

use super::bytes::{array_at, put, put_u16, u16_at};
use super::view;

/// Length of the header, bytes.
pub const LEN: usize = 14;

/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;

mod field {
    pub(super) const DST: usize = 0;
    pub(super) const SRC: usize = 6;
    pub(super) const ETHERTYPE: usize = 12;
}

/// A 48-bit station address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All stations.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether this names a group of stations: multicast or broadcast.
    #[inline]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl From<[u8; 6]> for Mac {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

view::header! {
    /// A view of the header.
}

impl<T: Borrow<[u8; LEN]>> Header<T> {
    /// Destination station.
    #[inline]
    pub fn dst(&self) -> Mac {
        Mac(array_at(self.0.borrow(), field::DST))
    }

    /// Source station.
    #[inline]
    pub fn src(&self) -> Mac {
        Mac(array_at(self.0.borrow(), field::SRC))
    }

    /// EtherType, or the length of an IEEE 802.3 frame when below 0x0600.
    #[inline]
    pub fn ethertype(&self) -> u16 {
        u16_at(self.0.borrow(), field::ETHERTYPE)
    }
}

impl<T: BorrowMut<[u8; LEN]>> Header<T> {
    /// Sets the destination station.
    #[inline]
    pub fn set_dst(&mut self, mac: Mac) {
        put(self.0.borrow_mut(), field::DST, mac.0);
    }

    /// Sets the source station.
    #[inline]
    pub fn set_src(&mut self, mac: Mac) {
        put(self.0.borrow_mut(), field::SRC, mac.0);
    }

    /// Sets the EtherType.
    #[inline]
    pub fn set_ethertype(&mut self, ethertype: u16) {
        put_u16(self.0.borrow_mut(), field::ETHERTYPE, ethertype);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_reads_as_people_write_it() {
        let mac = Mac([0x02, 0, 0, 0xab, 0xcd, 0x0f]);
        assert_eq!(mac.to_string(), "02:00:00:ab:cd:0f");
        assert!(!mac.is_group());
        assert!(Mac::BROADCAST.is_group());
        assert!(Mac([0x33, 0x33, 0, 0, 0, 1]).is_group());
    }
}
