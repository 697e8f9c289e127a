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
    /// The beginning of that, without what the error tells beside it.
    pub payload: &'m [u8],
}

impl<'m> Report<'m> {
    /// Reads an ICMP message, if it is an error; the checksum of an ICMPv6 one is left to whoever has
    /// its addresses.
    pub fn read(version: Version, message: &'m [u8]) -> Option<Self> {
        let error = header(message).filter(|header| header.is_error(version))?;
        let (icmp_type, code, mtu) = (error.icmp_type(), error.code(), error.mtu(version));
        let quote = message.get(LEN..)?;
        // A short packet is filled up before extensions.
        let end = |length: usize| {
            let end = error.quoted(version).map(|quoted| quoted.min(length));
            end.unwrap_or(usize::MAX).min(quote.len())
        };
        match version {
            Version::V4 => {
                let ip = ipv4::header(quote)?;
                let is_readable = checksum::Sum::default().bytes(message).is_valid();
                let payload = quote.get(ip.header_len().ok()?..end(ip.total_len()))?;
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
                let payload = quote.get(ipv6::LEN..end(ipv6::LEN + ip.payload_len()))?;
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

    /// A datagram of so many bytes, in a message that tells a label of MPLS behind it (RFC 4950).
    fn extended(version: Version, datagram: usize, room: usize) -> Vec<u8> {
        let (header, mut quote) = match version {
            Version::V4 => ([11, 0, 0, 0, 0, (room / 4) as u8, 0, 0], vec![0x45, 0]),
            Version::V6 => ([3, 0, 0, 0, (room / 8) as u8, 0, 0, 0], vec![0x60, 0, 0, 0]),
        };
        let length = match version {
            Version::V4 => datagram,
            Version::V6 => datagram - ipv6::LEN,
        };
        quote.extend((length as u16).to_be_bytes());
        quote.resize(room, 0);
        let label = [0x20, 0, 0xdb, 0xfe, 0, 8, 1, 1, 0, 1, 1, 1];
        let mut message = [&header[..], &quote, &label].concat();
        let sum = checksum::Sum::default().bytes(&message).checksum();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        message
    }

    #[test]
    fn what_is_told_beside_the_packet_is_none_of_it() {
        use Version::{V4, V6};
        for (version, datagram, room, payload) in [
            (V4, 1400, 128, 108),
            (V4, 60, 128, 40),
            (V6, 1400, 128, 88),
            (V6, 80, 128, 40),
        ] {
            let message = extended(version, datagram, room);
            let report = Report::read(version, &message).unwrap();
            assert_eq!(report.payload.len(), payload, "{version:?} {datagram}");
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
