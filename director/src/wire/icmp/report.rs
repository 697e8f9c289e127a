//! Errors as the host hears them: about any packet, whatever it carried.

use super::{LEN, Repr, header, v4, v6};
use crate::wire::{Addr, Version, checksum, ipv4, ipv6};

/// What someone reports of a packet that this host has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report<'m> {
    /// ICMP or ICMPv6 type.
    pub icmp_type: u8,
    /// Code.
    pub code: u8,
    /// What the way takes, bytes, where that is what is reported.
    pub mtu: Option<u32>,
    /// Who sent the packet.
    pub src: Addr,
    /// Whom it was for.
    pub dst: Addr,
    /// IANA number of what it carried.
    pub protocol: u8,
    /// The beginning of that.
    pub payload: &'m [u8],
}

impl<'m> Report<'m> {
    /// Reads an ICMP message, if it is an error; the checksum of an ICMPv6 one is left to whoever has
    /// its addresses.
    pub fn read(version: Version, message: &'m [u8]) -> Option<Self> {
        let error = header(message).filter(|header| header.is_error(version))?;
        let (icmp_type, code, mtu) = (error.icmp_type(), error.code(), error.mtu(version));
        let quote = message.get(LEN..)?;
        match version {
            Version::V4 => {
                let ip = ipv4::header(quote)?;
                let is_readable = checksum::Sum::default().bytes(message).is_valid();
                let payload = quote.get(ip.header_len().ok()?..)?;
                (is_readable && !ip.is_later_fragment()).then_some(Self {
                    icmp_type,
                    code,
                    mtu,
                    src: ip.src(),
                    dst: ip.dst(),
                    protocol: ip.protocol(),
                    payload,
                })
            }
            Version::V6 => {
                let ip = ipv6::header(quote)?;
                let payload = quote.get(ipv6::LEN..)?;
                (ip.version() == 6).then_some(Self {
                    icmp_type,
                    code,
                    mtu,
                    src: ip.src(),
                    dst: ip.dst(),
                    protocol: ip.next_header(),
                    payload,
                })
            }
        }
    }

    /// What the sender of a datagram of `inner` that was in the packet has to know: that it has not
    /// arrived. The same type and code; of the other version those that come next to it (RFC 4213 §3.4).
    pub fn for_sender(&self, inner: Version) -> Option<Repr> {
        let outer = self.dst.version();
        let is_unreachable = match outer {
            Version::V4 => {
                self.icmp_type == v4::UNREACHABLE && self.code != v4::FRAGMENTATION_NEEDED
            }
            Version::V6 => self.icmp_type == v6::UNREACHABLE,
        };
        let has_expired = match outer {
            Version::V4 => self.icmp_type == v4::TIME_EXCEEDED,
            Version::V6 => self.icmp_type == v6::TIME_EXCEEDED,
        };
        if !is_unreachable && !has_expired {
            return None;
        }
        let (icmp_type, code) = match (inner, is_unreachable) {
            _ if inner == outer => (self.icmp_type, self.code),
            (Version::V4, true) => (v4::UNREACHABLE, v4::HOST_UNREACHABLE),
            (Version::V6, true) => (v6::UNREACHABLE, v6::ADDRESS_UNREACHABLE),
            (Version::V4, false) => (v4::TIME_EXCEEDED, self.code),
            (Version::V6, false) => (v6::TIME_EXCEEDED, self.code),
        };
        Some(Repr {
            icmp_type,
            code,
            rest: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outer: Version, icmp_type: u8, code: u8) -> Report<'static> {
        let addr = match outer {
            Version::V4 => Addr::v4([10, 0, 0, 1]),
            Version::V6 => Addr::v6([0x20; 16]),
        };
        Report {
            icmp_type,
            code,
            mtu: None,
            src: addr,
            dst: addr,
            protocol: 4,
            payload: &[],
        }
    }

    #[test]
    fn a_sender_hears_only_that_its_datagram_has_not_arrived() {
        use Version::{V4, V6};
        for (outer, said, inner, told) in [
            (V4, (3, 2), V4, Some((3, 2))),
            (V4, (3, 13), V4, Some((3, 13))),
            (V4, (11, 0), V4, Some((11, 0))),
            (V4, (3, 4), V4, None),
            (V4, (4, 0), V4, None),
            (V4, (12, 0), V4, None),
            (V4, (3, 2), V6, Some((1, 3))),
            (V4, (11, 1), V6, Some((3, 1))),
            (V6, (1, 4), V6, Some((1, 4))),
            (V6, (3, 0), V6, Some((3, 0))),
            (V6, (2, 0), V6, None),
            (V6, (4, 1), V6, None),
            (V6, (1, 0), V4, Some((3, 1))),
            (V6, (3, 0), V4, Some((11, 0))),
        ] {
            let (icmp_type, code) = said;
            let repr = report(outer, icmp_type, code).for_sender(inner);
            let repr = repr.map(|repr| (repr.icmp_type, repr.code));
            assert_eq!(repr, told, "{said:?} of {outer:?} for {inner:?}");
        }
    }
}
