//! Frames made and read by hand, with checksums computed in full: an oracle that shares no
//! code with the director.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address that the testbed gives to a host of a network: `02:00:0a:00:NET:HOST`.
    pub const fn of_host(network: u8, host: u8) -> Self {
        Self([2, 0, 10, 0, network, host])
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

/// IP protocol numbers (IANA).
pub mod protocol {
    /// RFC 792.
    pub const ICMP: u8 = 1;
    /// RFC 2003.
    pub const IPIP: u8 = 4;
    /// RFC 9293.
    pub const TCP: u8 = 6;
    /// RFC 768.
    pub const UDP: u8 = 17;
    /// RFC 4213.
    pub const IPV6: u8 = 41;
    /// RFC 8200 4.5.
    pub const FRAGMENT: u8 = 44;
    /// RFC 2784.
    pub const GRE: u8 = 47;
    /// RFC 4443.
    pub const ICMPV6: u8 = 58;
    /// RFC 9260.
    pub const SCTP: u8 = 132;
}

/// TCP flags (RFC 9293, 3.1).
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement field counts.
    pub const ACK: u8 = 0x10;
}

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const IPV6: usize = 40;
/// Hop limit of what is made here.
pub const HOP_LIMIT: u8 = 64;

/// A frame that carries `packet`, an IP packet.
pub fn ethernet(source: Mac, destination: Mac, packet: &[u8]) -> Vec<u8> {
    let kind: u16 = match packet.first().map(|byte| byte >> 4) {
        Some(6) => 0x86dd,
        _ => 0x0800,
    };
    [
        &destination.0[..],
        &source.0[..],
        &kind.to_be_bytes(),
        packet,
    ]
    .concat()
}

/// An IP packet that carries `payload` of `protocol`. The addresses are of one family.
///
/// # Panics
/// When the families differ.
pub fn ip(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let length = (IPV4 + payload.len()) as u16;
            let mut header = vec![0x45, 0];
            header.extend(length.to_be_bytes());
            header.extend([0x12, 0x34, 0x40, 0, HOP_LIMIT, protocol, 0, 0]);
            header.extend(source.octets());
            header.extend(destination.octets());
            let sum = checksum(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            [&header[..], payload].concat()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend((payload.len() as u16).to_be_bytes());
            header.extend([protocol, HOP_LIMIT]);
            header.extend(source.octets());
            header.extend(destination.octets());
            [&header[..], payload].concat()
        }
        _ => panic!("{source} and {destination} are not of one family"),
    }
}

/// The fragment of an IP packet, without options, that holds the bytes `part` of its payload.
/// `more` says whether others follow.
///
/// # Panics
/// When it does not begin at a multiple of eight bytes within the payload.
pub fn fragment(packet: &[u8], ident: u32, part: std::ops::Range<usize>, more: bool) -> Vec<u8> {
    assert!(part.start % 8 == 0);
    let (offset, more) = (part.start as u16, u16::from(more));
    if packet[0] >> 4 == 4 {
        let mut header = packet[..IPV4].to_vec();
        let length = (IPV4 + part.len()) as u16;
        header[2..4].copy_from_slice(&length.to_be_bytes());
        header[4..6].copy_from_slice(&(ident as u16).to_be_bytes());
        header[6..8].copy_from_slice(&((more << 13) | (offset / 8)).to_be_bytes());
        header[10..12].fill(0);
        let sum = checksum(&[&header]);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        return [&header[..], &packet[IPV4..][part]].concat();
    }
    let mut header = packet[..IPV6].to_vec();
    let length = (8 + part.len()) as u16;
    header[4..6].copy_from_slice(&length.to_be_bytes());
    let next = std::mem::replace(&mut header[6], protocol::FRAGMENT);
    header.extend([next, 0]);
    header.extend((offset | more).to_be_bytes());
    header.extend(ident.to_be_bytes());
    [&header[..], &packet[IPV6..][part]].concat()
}

/// An IP packet with a UDP datagram.
pub fn udp(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    let mut datagram = ports(source, destination);
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    let sum = transport_checksum(source.ip(), destination.ip(), protocol::UDP, &datagram);
    let sum = if sum == 0 { 0xffff } else { sum };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    ip(source.ip(), destination.ip(), protocol::UDP, &datagram)
}

/// A SIP message that begins a call.
pub fn invite(call_id: &str) -> Vec<u8> {
    format!("INVITE sip:b@example.net SIP/2.0\r\nCall-ID: {call_id}\r\n\r\n").into_bytes()
}

/// What a TCP segment says besides its ports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment<'a> {
    /// Flags, of [`flag`].
    pub flags: u8,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
    /// Data.
    pub payload: &'a [u8],
}

/// An IP packet with a TCP segment without options; its window is 65,535.
pub fn tcp(source: SocketAddr, destination: SocketAddr, segment: Segment<'_>) -> Vec<u8> {
    let mut bytes = ports(source, destination);
    bytes.extend(segment.sequence.to_be_bytes());
    bytes.extend(segment.acknowledgement.to_be_bytes());
    bytes.extend([0x50, segment.flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(segment.payload);
    let sum = transport_checksum(source.ip(), destination.ip(), protocol::TCP, &bytes);
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    ip(source.ip(), destination.ip(), protocol::TCP, &bytes)
}

/// An SCTP packet with this verification tag and these chunks: type, flags, value.
pub fn sctp(
    source: SocketAddr,
    destination: SocketAddr,
    tag: u32,
    chunks: &[(u8, u8, &[u8])],
) -> Vec<u8> {
    let mut bytes = ports(source, destination);
    bytes.extend(tag.to_be_bytes());
    bytes.extend([0; 4]);
    for (kind, flags, value) in chunks {
        bytes.extend([*kind, *flags]);
        bytes.extend((4 + value.len() as u16).to_be_bytes());
        bytes.extend(*value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let sum = crc32c(&bytes);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
    ip(source.ip(), destination.ip(), protocol::SCTP, &bytes)
}

/// What an INIT or INIT ACK says (RFC 9260 3.3.2): the tag that its sender wants, a window of
/// 65,535, ten streams each way.
pub fn init(tag: u32) -> Vec<u8> {
    let [a, b, c, d] = tag.to_be_bytes();
    vec![a, b, c, d, 0, 0, 0xff, 0xff, 0, 10, 0, 10, 0, 0, 0, 1]
}

/// The checksum of SCTP (RFC 9260 appendix A), most significant bit first and reflected at the
/// end: not how the director does it.
pub fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x1edc_6f41;
    let bits = bytes
        .iter()
        .flat_map(|byte| (0..8).map(move |bit| u32::from(byte >> bit & 1)));
    let rest = bits.fold(!0u32, |rest, bit| {
        let carry = rest >> 31 ^ bit;
        (rest << 1) ^ (carry * POLYNOMIAL)
    });
    !rest.reverse_bits()
}

/// An ICMP or ICMPv6 message, by the family of the addresses. `rest` is the second word of the
/// header (RFC 792, RFC 4443).
pub fn icmp(
    source: IpAddr,
    destination: IpAddr,
    (kind, code, rest): (u8, u8, u32),
    body: &[u8],
) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend(rest.to_be_bytes());
    message.extend(body);
    let (protocol, sum) = match source {
        IpAddr::V4(_) => (protocol::ICMP, checksum(&[&message])),
        IpAddr::V6(_) => (
            protocol::ICMPV6,
            transport_checksum(source, destination, protocol::ICMPV6, &message),
        ),
    };
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ip(source, destination, protocol, &message)
}

fn ports(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    [
        source.port().to_be_bytes(),
        destination.port().to_be_bytes(),
    ]
    .concat()
}

/// The checksum over the pseudo header and `segment` (RFC 9293 3.1, RFC 8200 8.1); the
/// checksum field inside has to be zero, or the result is zero for a correct one.
pub fn transport_checksum(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    segment: &[u8],
) -> u16 {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let tail = [
        &(segment.len() as u32).to_be_bytes()[..],
        &[0, 0, 0, protocol],
    ]
    .concat();
    checksum(&[&octets(source), &octets(destination), &tail, segment])
}

/// The internet checksum (RFC 1071) of the parts, each but the last of even length.
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let sum: u64 = parts
        .iter()
        .flat_map(|part| part.chunks(2))
        .map(|pair| {
            u64::from(u16::from_be_bytes([
                pair[0],
                pair.get(1).copied().unwrap_or(0),
            ]))
        })
        .sum();
    let folded = (0..3).fold(sum, |sum, _| (sum & 0xffff) + (sum >> 16));
    !(folded as u16)
}

/// An IP packet taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub hops: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    /// What follows the header; of a packet quoted in an ICMP error, its beginning.
    pub payload: Vec<u8>,
    /// Whether the IPv4 header checksum is right; true for IPv6.
    pub header_intact: bool,
}

impl Packet {
    /// Reads the IP packet in an Ethernet frame.
    pub fn in_frame(frame: &[u8]) -> Option<Self> {
        Self::read(frame.get(ETHERNET..)?)
    }

    /// Reads an IP packet, whole or cut off.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => Self::read_v4(bytes),
            6 => Self::read_v6(bytes),
            _ => None,
        }
    }

    fn read_v4(bytes: &[u8]) -> Option<Self> {
        let header = usize::from(bytes[0] & 15) * 4;
        let address = |at: usize| Some(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?.into());
        let total = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
        Some(Self {
            source: address(12)?,
            destination: address(16)?,
            hops: bytes[8],
            protocol: bytes[9],
            payload: bytes.get(header..total.min(bytes.len()))?.to_vec(),
            header_intact: checksum(&[bytes.get(..header)?]) == 0,
        })
    }

    fn read_v6(bytes: &[u8]) -> Option<Self> {
        let address = |at: usize| Some(<[u8; 16]>::try_from(bytes.get(at..at + 16)?).ok()?.into());
        let total = IPV6 + usize::from(u16::from_be_bytes([*bytes.get(4)?, *bytes.get(5)?]));
        Some(Self {
            source: address(8)?,
            destination: address(24)?,
            hops: bytes[7],
            protocol: bytes[6],
            payload: bytes.get(IPV6..total.min(bytes.len()))?.to_vec(),
            header_intact: true,
        })
    }

    /// Source and destination with the ports of TCP or UDP.
    pub fn sockets(&self) -> Option<(SocketAddr, SocketAddr)> {
        let port = |at: usize| {
            let bytes = self.payload.get(at..at + 2)?;
            Some(u16::from_be_bytes([bytes[0], bytes[1]]))
        };
        Some((
            SocketAddr::new(self.source, port(0)?),
            SocketAddr::new(self.destination, port(2)?),
        ))
    }

    /// Type and code, if it is an ICMP or ICMPv6 message.
    pub fn icmp(&self) -> Option<(u8, u8)> {
        let is_icmp = matches!(self.protocol, protocol::ICMP | protocol::ICMPV6);
        is_icmp.then(|| Some((*self.payload.first()?, *self.payload.get(1)?)))?
    }

    /// The packet that an ICMP error is about.
    pub fn quoted(&self) -> Option<Self> {
        self.icmp()?;
        Self::read(self.payload.get(8..)?)
    }

    /// Whether the checksum of its TCP, UDP, SCTP, ICMP or ICMPv6 is right.
    pub fn payload_intact(&self) -> bool {
        if self.protocol == protocol::ICMP {
            return checksum(&[&self.payload]) == 0;
        }
        if self.protocol == protocol::SCTP {
            let mut bytes = self.payload.clone();
            let sum: Vec<u8> = bytes.splice(8..12, [0; 4]).collect();
            return crc32c(&bytes).to_le_bytes() == sum[..];
        }
        transport_checksum(self.source, self.destination, self.protocol, &self.payload) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_rfc_1071() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&[&bytes]), !0xddf2);
    }

    #[test]
    fn a_checksum_of_rfc_3720() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn what_is_made_is_read_back() {
        let pairs = [
            ("10.0.1.1:1000", "10.9.9.9:80"),
            ("[fd00:1::1]:1000", "[fd00:9::9]:80"),
        ];
        for (source, destination) in pairs {
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            let made = [
                udp(source, destination, b"odd"),
                tcp(
                    source,
                    destination,
                    Segment {
                        flags: flag::SYN,
                        ..Segment::default()
                    },
                ),
                sctp(source, destination, 7, &[(0, 3, b"odd")]),
            ];
            for bytes in made {
                let packet = Packet::read(&bytes).unwrap();
                assert_eq!(packet.sockets(), Some((source, destination)));
                assert!(packet.header_intact && packet.payload_intact());
                let error = icmp(source.ip(), destination.ip(), (3, 1, 0), &bytes);
                let error = Packet::read(&error).unwrap();
                assert!(error.header_intact && error.payload_intact());
                assert_eq!(error.quoted(), Some(packet));
            }
        }
    }
}
