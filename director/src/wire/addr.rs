//! Addresses, endpoints and tuples: the vocabulary that every layer above shares.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An IPv4 or IPv6 address in 128 bits; IPv4 is held in its mapped form, `::ffff:a.b.c.d`
/// (RFC 4291 §2.5.5.2), so that one key serves both families.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Addr([u8; 16]);

impl Addr {
    /// An IPv4 address from its four bytes on the wire.
    pub const fn v4(octets: [u8; 4]) -> Self {
        let [a, b, c, d] = octets;
        Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
    }

    /// An IPv6 address from its sixteen bytes on the wire.
    pub const fn v6(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// The sixteen bytes, IPv4 in its mapped form.
    pub const fn octets(&self) -> &[u8; 16] {
        &self.0
    }

    /// The four bytes of an IPv4 address.
    #[inline]
    pub fn to_v4(self) -> Option<[u8; 4]> {
        self.is_v4().then_some((self.bits() as u32).to_be_bytes())
    }

    /// Whether this is an IPv4 address.
    #[inline]
    pub const fn is_v4(self) -> bool {
        self.bits() >> 32 == 0xffff
    }

    /// The IP version of packets from or to it.
    pub const fn version(self) -> Version {
        match self.is_v4() {
            true => Version::V4,
            false => Version::V6,
        }
    }

    /// The address as one number.
    #[inline]
    const fn bits(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    /// The address as four numbers, IPv4 in the last.
    #[inline]
    pub fn words(self) -> [u32; 4] {
        [96, 64, 32, 0].map(|shift| (self.bits() >> shift) as u32)
    }

    /// The words of the address as programs in the kernel read them from memory, where they stand in
    /// network order.
    #[inline]
    pub fn raw_words(self) -> [u32; 4] {
        self.words().map(u32::to_be)
    }

    /// Those words in one, which two addresses of one family share by chance only.
    #[inline]
    pub fn folded(self) -> u32 {
        self.raw_words().into_iter().fold(0, |all, word| all ^ word)
    }

    /// Whether this is an IPv6 address of one link only, `fe80::/10`.
    pub const fn is_link_local(self) -> bool {
        self.bits() >> 118 == 0xfe80 >> 6
    }

    /// The address that stands for all that share its first `bits`, of 128.
    pub const fn masked(self, bits: u8) -> Self {
        let host = 128u32.saturating_sub(bits as u32);
        let mask = match u128::MAX.checked_shl(host) {
            Some(mask) => mask,
            None => 0,
        };
        Self((self.bits() & mask).to_be_bytes())
    }

    /// How many leading bits both have in common.
    pub const fn common_prefix(self, other: Self) -> u32 {
        (self.bits() ^ other.bits()).leading_zeros()
    }

    /// Whether this names one host beyond this one, so that it can be answered
    /// (RFC 1122 §3.2.2, RFC 4443 §2.4 e): neither unspecified, loopback, multicast,
    /// broadcast nor reserved.
    pub fn is_host(self) -> bool {
        match IpAddr::from(self) {
            IpAddr::V4(v4) => !matches!(v4.octets()[0], 0 | 127 | 224..),
            IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_loopback() && !v6.is_multicast(),
        }
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self::v6(v6.octets()),
        }
    }
}

impl From<Addr> for IpAddr {
    fn from(addr: Addr) -> Self {
        match addr.to_v4() {
            Some(v4) => Ipv4Addr::from(v4).into(),
            None => Ipv6Addr::from(addr.0).into(),
        }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        IpAddr::from(*self).fmt(f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An address and a port (host byte order).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Endpoint {
    /// The address.
    pub addr: Addr,
    /// The port; for ICMP echo, the identifier.
    pub port: u16,
}

impl Endpoint {
    /// An endpoint from its parts.
    pub const fn new(addr: Addr, port: u16) -> Self {
        Self { addr, port }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(socket: SocketAddr) -> Self {
        Self::new(socket.ip().into(), socket.port())
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(endpoint: Endpoint) -> Self {
        Self::new(endpoint.addr.into(), endpoint.port)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The IP version of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Version {
    /// RFC 791.
    V4 = 4,
    /// RFC 8200.
    V6 = 6,
}

/// The transport protocols that a virtual service can have (IANA numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Protocol {
    /// RFC 9293.
    Tcp = 6,
    /// RFC 768.
    Udp = 17,
    /// RFC 9260.
    Sctp = 132,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The protocol with this IANA number, if a service can have it.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            132 => Some(Self::Sctp),
            _ => None,
        }
    }

    /// The IANA protocol number.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// What a packet says of itself: protocol, source and destination as they stand on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Source endpoint.
    pub src: Endpoint,
    /// Destination endpoint.
    pub dst: Endpoint,
}

impl Tuple {
    /// Source and destination address.
    #[inline]
    pub const fn addrs(&self) -> [Addr; 2] {
        [self.src.addr, self.dst.addr]
    }

    /// Source and destination port.
    #[inline]
    pub const fn ports(&self) -> [u16; 2] {
        [self.src.port, self.dst.port]
    }

    /// The tuple of a packet that goes the other way.
    pub const fn reversed(self) -> Self {
        Self {
            protocol: self.protocol,
            src: self.dst,
            dst: self.src,
        }
    }
}
