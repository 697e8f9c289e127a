//! How a packet leaves: what is done to it on its way, and through which port.

use super::view::{Refusal, View, flow_of};
use crate::drops::Cause;
use crate::forward::{self, Outer, Tunnel};
use crate::neighbour::Hop;
use crate::service::{Method, Real};
use crate::wire::{Addr, Layout, Mac, Protocol, Transport, Tuple, Version};
use crate::wire::{ipv4, ipv6, tcp};
use crate::xsk::{Frame, Umem};

/// What is done to a packet on its way.
#[derive(Clone, Copy, Debug)]
pub(super) enum Treatment {
    /// It gets this tuple.
    Translate(Tuple),
    /// Nothing: it is for the VIP still.
    Keep,
    /// It gets this around it.
    Wrap(Outer),
}

/// How a packet leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exit {
    pub(super) treatment: Treatment,
    pub(super) hop: Hop,
}

/// A packet that is ready to leave.
#[derive(Clone, Copy, Debug)]
pub(super) enum Departure {
    /// As it is, through this port.
    Plain(u16),
    /// When it has been wrapped: it needs more room than it came with.
    Wrapped {
        outer: Outer,
        hop: Hop,
        inner: Layout,
    },
}

impl<'s> View<'s> {
    /// The way out for a packet of a client to `real`; `to` is what NAT makes of its tuple.
    #[inline]
    pub(super) fn exit_to_real(
        &self,
        frame: &[u8],
        layout: &Layout,
        real: &Real,
        to: &Tuple,
    ) -> Result<Exit, Refusal<'s>> {
        let treatment = match real.method {
            Method::Nat => Treatment::Translate(*to),
            Method::Dr => Treatment::Keep,
            Method::Tun(tunnel) => return self.exit_by_tunnel(frame, layout, tunnel, to),
        };
        let hop = self.exit(frame, layout, to.dst.addr, flow_of(to), 0)?;
        Ok(Exit { treatment, hop })
    }

    // Not inlined, as all that only tunnels need: it would crowd the way of NAT.
    #[inline(never)]
    fn exit_by_tunnel(
        &self,
        frame: &[u8],
        layout: &Layout,
        tunnel: Tunnel,
        to: &Tuple,
    ) -> Result<Exit, Refusal<'s>> {
        let dst = to.dst.addr;
        let overhead = tunnel.overhead(dst);
        let hop = self.exit(frame, layout, dst, flow_of(to), overhead)?;
        let is_vip = |addr| self.pool.has_vip(addr);
        let src = self.fib.source(hop.port, dst, is_vip);
        let outer = Outer {
            tunnel,
            src: src.ok_or(Cause::NoSource)?,
            dst,
            entropy: entropy_of(to),
            ident: self.next_ident(),
        };
        Ok(Exit {
            treatment: Treatment::Wrap(outer),
            hop,
        })
    }

    /// Does to a packet what can be done in its place.
    #[inline]
    pub(super) fn send(&self, frame: &mut [u8], packet: &Transport, exit: &Exit) -> Departure {
        match &exit.treatment {
            Treatment::Translate(to) => forward::translate(frame, packet, to),
            Treatment::Keep => {}
            Treatment::Wrap(outer) => clamp(frame, packet, outer, &exit.hop),
        }
        self.depart(frame, &packet.layout, exit)
    }

    /// Sends a packet that has been rewritten on its way: one hop less to live, and the next
    /// hop's stations.
    #[inline]
    pub(super) fn depart(&self, frame: &mut [u8], layout: &Layout, exit: &Exit) -> Departure {
        // `exit` has found a hop left, so this cannot refuse.
        let _ = forward::decrement_ttl(frame, layout);
        let hop = exit.hop;
        if let Treatment::Wrap(outer) = &exit.treatment {
            return Departure::Wrapped {
                outer: *outer,
                hop,
                inner: *layout,
            };
        }
        forward::set_ethernet(frame, Mac(hop.src_mac), Mac(hop.dst_mac));
        Departure::Plain(hop.port)
    }

    /// Wraps a packet, its Ethernet padding left behind; false when its frame has no room.
    #[inline(never)]
    pub(super) fn wrap(
        &self,
        umem: &Umem,
        frame: &mut Frame,
        outer: &Outer,
        hop: &Hop,
        inner: &Layout,
    ) -> bool {
        frame.set_len(inner.end.into());
        if !frame.grow_front(outer.overhead().into()) {
            return false;
        }
        let bytes = umem.packet_mut(frame);
        outer.wrap(bytes, inner);
        forward::set_ethernet(bytes, Mac(hop.src_mac), Mac(hop.dst_mac));
        true
    }

    fn next_ident(&self) -> u16 {
        let ident = self.ident.get();
        self.ident.set(ident.wrapping_add(1));
        ident
    }
}

/// Has the ends of a tunnelled connection agree on segments that fit the tunnel.
#[inline(never)]
fn clamp(frame: &mut [u8], packet: &Transport, outer: &Outer, hop: &Hop) {
    if packet.tuple.protocol != Protocol::Tcp {
        return;
    }
    let header = match packet.layout.version {
        Version::V4 => ipv4::LEN,
        Version::V6 => ipv6::LEN,
    };
    let around = u32::from(outer.overhead()) + (header + tcp::LEN) as u32;
    let most = hop.mtu.saturating_sub(around).min(u16::MAX.into());
    forward::clamp_mss(packet.layout.segment_mut(frame), most as u16);
}

/// A hash of a connection for those who spread packets by an outer header: it must be even, and
/// need not be secret.
fn entropy_of(tuple: &Tuple) -> u32 {
    let words = |addr: Addr| addr.words().into_iter();
    let hash = words(tuple.src.addr)
        .chain(words(tuple.dst.addr))
        .chain([flow_of(tuple) as u32])
        .fold(0u64, |hash, word| {
            (hash.rotate_left(5) ^ u64::from(word)).wrapping_mul(0x517c_c1b7_2722_0a95)
        });
    (hash >> 32) as u32
}
