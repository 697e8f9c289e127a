//! Tunnels: the outer headers that carry a datagram to a real server.
//!
//! ```text
//!  IP in IP   Ethernet | IP 4 or 41                    | datagram
//!  GRE        Ethernet | IP 47 | GRE                   | datagram
//!  GUE        Ethernet | IP 17 | UDP | GUE, variant 0  | datagram
//! ```
//!
//! DSCP and ECN are copied to the outer header (RFC 6040 §4.1, normal mode), and so are the hops
//! left and the don't-fragment flag, as IPVS has it. IPv6 in IPv4 may be fragmented on its way
//! (RFC 4213 §3.2.1), as there.

use super::from;
use crate::wire::checksum::{self, Sum};
use crate::wire::{Addr, Layout, Version};
use crate::wire::{ethernet, ipv4, ipv6, udp};

/// What datagrams are wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// IP in IP (RFC 2003, RFC 2473, RFC 4213).
    Ipip,
    /// GRE (RFC 2784).
    Gre {
        /// Whether the header has a checksum.
        checksum: bool,
    },
    /// GUE (draft-ietf-intarea-gue-09).
    Gue {
        /// The receiver's UDP port.
        port: u16,
        /// The outer checksum.
        checksum: GueChecksum,
    },
}

/// The checksum of GUE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GueChecksum {
    /// None: zero in the UDP header (over IPv6: RFC 6935).
    None,
    /// That of the UDP header.
    Own,
    /// The same, and the inner one is left for the receiver where the sender has left it open.
    /// No packet that is forwarded has, so on the wire it is [`GueChecksum::Own`].
    Remote,
}

/// A tunnel header to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outer {
    /// What it is.
    pub tunnel: Tunnel,
    /// An address of the director.
    pub src: Addr,
    /// The real server.
    pub dst: Addr,
    /// A hash of the flow, for those who spread packets: the flow label of IPv6, the source
    /// port of GUE.
    pub entropy: u32,
    /// Whether it may not be fragmented where the datagram inside may not.
    pub keeps_df: bool,
    /// Identification of a datagram that may be fragmented.
    pub ident: u16,
}

const GRE_LEN: u16 = 4;
const GRE_SUM_LEN: u16 = 4;
const GRE_HAS_SUM: u8 = 0x80;
const GUE_LEN: u16 = 4;

/// IANA protocol numbers.
mod protocol {
    pub(super) const IPV4: u8 = 4;
    pub(super) const UDP: u8 = 17;
    pub(super) const IPV6: u8 = 41;
    pub(super) const GRE: u8 = 47;
}

/// First of the ports that carry entropy: the dynamic ones (RFC 6335 §6).
const DYNAMIC_PORTS: u16 = 0xc000;

impl Tunnel {
    /// Bytes between the outer IP header and the datagram.
    const fn shim(self) -> u16 {
        match self {
            Self::Ipip => 0,
            Self::Gre { checksum: false } => GRE_LEN,
            Self::Gre { checksum: true } => GRE_LEN + GRE_SUM_LEN,
            Self::Gue { .. } => udp::LEN as u16 + GUE_LEN,
        }
    }

    /// By how many bytes a datagram grows on its way to `dst`.
    pub const fn overhead(self, dst: Addr) -> u16 {
        let header = if dst.is_v4() { ipv4::LEN } else { ipv6::LEN };
        header as u16 + self.shim()
    }

    /// Whether an outer datagram of this `protocol`, whose payload begins with `payload`, can be
    /// one that it has made.
    pub fn makes(self, protocol: u8, payload: &[u8]) -> bool {
        match self {
            Self::Ipip => matches!(protocol, protocol::IPV4 | protocol::IPV6),
            Self::Gre { .. } => protocol == protocol::GRE,
            Self::Gue { port, .. } => {
                let ports = udp::header(payload).map(|header| header.ports());
                let is_to = |[from, to]: [u16; 2]| from >= DYNAMIC_PORTS && to == port;
                protocol == protocol::UDP && ports.is_some_and(is_to)
            }
        }
    }

    /// The datagram, or the beginning of it, in such a payload that it [makes](Self::makes). There may be
    /// less of it than a header.
    pub fn inside(self, payload: &[u8]) -> Option<&[u8]> {
        let shim = match self {
            Self::Gre { .. } => {
                let checksum = payload.first()? & GRE_HAS_SUM != 0;
                Self::Gre { checksum }.shim()
            }
            Self::Ipip | Self::Gue { .. } => self.shim(),
        };
        payload.get(shim.into()..)
    }

    const fn protocol(self, inner: Version) -> u8 {
        match (self, inner) {
            (Self::Ipip, Version::V4) => protocol::IPV4,
            (Self::Ipip, Version::V6) => protocol::IPV6,
            (Self::Gre { .. }, _) => protocol::GRE,
            (Self::Gue { .. }, _) => protocol::UDP,
        }
    }
}

impl Outer {
    /// By how many bytes a datagram grows.
    pub const fn overhead(&self) -> u16 {
        self.tunnel.overhead(self.dst)
    }

    /// Writes Ethernet type and outer headers before the datagram of a frame that has been made
    /// [`Outer::overhead`] bytes longer at its front; `inner` is the layout that it had before.
    /// The stations are left to the caller. Without room for the headers nothing is written.
    pub fn wrap(&self, frame: &mut [u8], inner: &Layout) {
        let start = inner.network + self.overhead();
        let Some(what) = Inner::read(frame, start, inner) else {
            return;
        };
        let ethertype = match self.dst.is_v4() {
            true => ethernet::IPV4,
            false => ethernet::IPV6,
        };
        if let Some(mut header) = ethernet::header_mut(frame) {
            header.set_ethertype(ethertype);
        }
        self.write_ip(from(frame, inner.network), &what);
        self.write_shim(from(frame, start - self.tunnel.shim()), &what);
    }

    fn write_ip(&self, bytes: &mut [u8], inner: &Inner) {
        let protocol = self.tunnel.protocol(inner.version);
        let payload = inner.length + self.tunnel.shim();
        match self.dst.is_v4() {
            true => {
                let may_fragment = inner.may_fragment || !self.keeps_df;
                let repr = ipv4::Repr {
                    src: self.src,
                    dst: self.dst,
                    protocol,
                    tos: inner.class,
                    ttl: inner.hops,
                    payload,
                    ident: may_fragment.then_some(self.ident),
                };
                if let Some(header) = bytes.first_chunk_mut() {
                    repr.write(header);
                }
            }
            false => {
                let repr = ipv6::Repr {
                    src: self.src,
                    dst: self.dst,
                    next_header: protocol,
                    hop_limit: inner.hops,
                    payload,
                    class: inner.class,
                    flow: self.entropy,
                };
                if let Some(header) = bytes.first_chunk_mut() {
                    repr.write(header);
                }
            }
        }
    }

    /// What stands between the outer IP header and the datagram; `bytes` go on to the end of it.
    fn write_shim(&self, bytes: &mut [u8], inner: &Inner) {
        let length = inner.length + self.tunnel.shim();
        let Some(bytes) = bytes.get_mut(..length.into()) else {
            return;
        };
        match self.tunnel {
            Tunnel::Ipip => {}
            Tunnel::Gre { checksum } => write_gre(bytes, inner.version, checksum),
            Tunnel::Gue { port, checksum } => self.write_gue(bytes, inner.version, port, checksum),
        }
    }

    fn write_gue(&self, bytes: &mut [u8], inner: Version, port: u16, checksum: GueChecksum) {
        let repr = udp::Repr {
            src_port: DYNAMIC_PORTS | self.entropy as u16,
            dst_port: port,
            length: bytes.len() as u16,
        };
        if let Some((header, rest)) = bytes.split_first_chunk_mut() {
            repr.write(header);
            if let Some(gue) = rest.first_chunk_mut() {
                // Version 0, data, header length 0; the protocol; no flags.
                *gue = [0, Tunnel::Ipip.protocol(inner), 0, 0];
            }
        }
        if checksum == GueChecksum::None {
            return;
        }
        let version = self.dst.version();
        let sum = checksum::transport(version, self.src, self.dst, protocol::UDP, bytes);
        if let Some(mut header) = udp::header_mut(bytes) {
            // Zero means none (RFC 768).
            header.set_checksum(match sum.checksum() {
                0 => 0xffff,
                sum => sum,
            });
        }
    }
}

/// The header of RFC 2784 at the start of `bytes`, which go on to the end of the datagram.
fn write_gre(bytes: &mut [u8], inner: Version, checksum: bool) {
    let [high, low] = match inner {
        Version::V4 => ethernet::IPV4,
        Version::V6 => ethernet::IPV6,
    }
    .to_be_bytes();
    let flags = if checksum { GRE_HAS_SUM } else { 0 };
    if let Some(header) = bytes.first_chunk_mut() {
        *header = [flags, 0, high, low];
    }
    if !checksum {
        return;
    }
    // Checksum and reserved.
    if let Some(field) = bytes.get_mut(4..8) {
        field.fill(0);
    }
    let sum = Sum::default().bytes(bytes).checksum();
    if let Some(field) = bytes.get_mut(4..6) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}

/// What the outer header takes from the datagram.
struct Inner {
    version: Version,
    length: u16,
    class: u8,
    hops: u8,
    may_fragment: bool,
}

impl Inner {
    /// Reads the datagram that now begins at `start`.
    fn read(frame: &[u8], start: u16, layout: &Layout) -> Option<Self> {
        let bytes = frame.get(start.into()..)?;
        let length = layout.datagram_len();
        let version = layout.version;
        Some(match version {
            Version::V4 => {
                let header = ipv4::header(bytes)?;
                Self {
                    version,
                    length,
                    class: header.tos(),
                    hops: header.ttl(),
                    may_fragment: !header.dont_fragment(),
                }
            }
            Version::V6 => {
                let header = ipv6::header(bytes)?;
                Self {
                    version,
                    length,
                    class: header.traffic_class(),
                    hops: header.hop_limit(),
                    may_fragment: true,
                }
            }
        })
    }
}

#[cfg(test)]
mod tests;
