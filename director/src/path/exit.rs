//! How a packet leaves: what is done to it on its way, and through which port.

use super::course::Sent;
use super::refusal::Refusal;
use super::view::View;
use super::ways::flow_of;
use crate::drops::Cause;
use crate::forward::{self, Cuts, Outer, Speech, Tunnel, Word};
use crate::fragment::Name;
use crate::neighbour::Hop;
use crate::service::Method;
use crate::wire::{Addr, Layout, Mac, Piece, Protocol, Transport, Tuple, Version};
use crate::wire::{ipv4, ipv6, tcp};
use crate::worker::Outbox;
use crate::xsk::{Frame, Umem};

/// How a packet leaves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Departure {
    /// As it is, through this port.
    Plain(u16),
    /// To the kernel of this host.
    Home(Layout),
    /// From this host, which sends it itself: it is no answer of a real server.
    Back,
    /// When it has been made another.
    Remade(Remake),
    /// When it says something else, through this port.
    Saying(u16, Speech),
    /// As a word of the director's own, which goes there.
    Instead(Word, Hop),
    /// Later, when the first fragment of its datagram has shown the way.
    Held(Name),
}

impl Departure {
    /// The same, of a packet that is to say something else.
    pub(super) fn saying(self, speech: Speech) -> Self {
        match self {
            Self::Plain(port) => Self::Saying(port, speech),
            other => other,
        }
    }
}

/// What is to be made of a packet that needs more than the place that it came with: it is wrapped,
/// cut into fragments, or both.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remake {
    layout: Layout,
    hop: Hop,
    outer: Option<Outer>,
}

impl<'s> View<'s> {
    /// The next hop of a packet that goes to the address `to`, by `method`.
    #[inline]
    pub(super) fn hop_by(
        &self,
        frame: &[u8],
        layout: &Layout,
        method: Method,
        to: &Tuple,
    ) -> Result<Hop, Refusal<'s>> {
        let hop = match method {
            Method::Nat | Method::Dr | Method::FullNat => self.exit(frame, layout, to.dst.addr, to),
            Method::Tun(tunnel) => self.hop_by_tunnel(frame, layout, tunnel, to),
            Method::Bypass => self.hop_by_bypass(frame, layout, to),
        };
        self.or_home(hop, frame, layout, method, to.dst.addr)
    }

    // Not inlined, as all that only tunnels need: it would crowd the way of NAT.
    #[inline(never)]
    fn hop_by_tunnel(
        &self,
        frame: &[u8],
        layout: &Layout,
        tunnel: Tunnel,
        to: &Tuple,
    ) -> Result<Hop, Refusal<'s>> {
        let dst = to.dst.addr;
        let hop = self.exit_wrapped(frame, layout, dst, to, tunnel.overhead(dst))?;
        match self.source(&hop, dst) {
            Some(_) => Ok(hop),
            None => Err(Cause::NoSource.into()),
        }
    }

    /// An address of the director's own to speak from to `dst`.
    pub(super) fn source(&self, hop: &Hop, dst: Addr) -> Option<Addr> {
        self.ways.source(hop, dst)
    }

    /// Does to a packet what `method` asks for, as far as it can be done in its place; NAT makes
    /// its tuple `to`.
    #[inline]
    pub(super) fn send(
        &self,
        frame: &mut [u8],
        packet: &Transport,
        method: Method,
        to: &Tuple,
        hop: &Hop,
    ) -> Departure {
        if packet.layout.piece == Piece::First {
            self.sent.set(Some(Sent {
                method,
                to: *to,
                real: None,
            }));
        }
        match method {
            Method::Nat | Method::FullNat => forward::translate(frame, packet, to),
            Method::Tun(_) if *hop == Hop::HOME => {}
            Method::Dr | Method::Bypass => {}
            Method::Tun(tunnel) => {
                if self.policy.clamp_mss {
                    clamp(frame, packet, tunnel.overhead(to.dst.addr), hop);
                }
                return self.enter_tunnel(frame, &packet.layout, tunnel, to, hop);
            }
        }
        self.depart(frame, &packet.layout, hop)
    }

    /// Sends a packet that has been rewritten on its way: one hop less to live, and the next
    /// hop's stations, unless it has arrived.
    #[inline]
    pub(super) fn depart(&self, frame: &mut [u8], layout: &Layout, hop: &Hop) -> Departure {
        if *hop == Hop::HOME {
            return Departure::Home(*layout);
        }
        // `exit` has found a hop left, so this cannot refuse.
        let _ = forward::decrement_ttl(frame, layout);
        forward::set_ethernet(frame, Mac(hop.src_mac), Mac(hop.dst_mac));
        match u32::from(layout.datagram_len()) > hop.mtu {
            true => Departure::Remade(Remake {
                layout: *layout,
                hop: *hop,
                outer: None,
            }),
            false => Departure::Plain(hop.port),
        }
    }

    /// Has a packet leave through a tunnel to the address of `to`: one hop less to live, and an
    /// outer header to be.
    #[inline(never)]
    pub(super) fn enter_tunnel(
        &self,
        frame: &mut [u8],
        layout: &Layout,
        tunnel: Tunnel,
        to: &Tuple,
        hop: &Hop,
    ) -> Departure {
        let _ = forward::decrement_ttl(frame, layout);
        let dst = to.dst.addr;
        let outer = Outer {
            tunnel,
            // `hop_by` has found one, in the same snapshots.
            src: self.source(hop, dst).unwrap_or_default(),
            dst,
            entropy: entropy_of(to),
            keeps_df: self.keeps_df(),
            ident: self.next_ident(),
        };
        Departure::Remade(Remake {
            layout: *layout,
            hop: *hop,
            outer: Some(outer),
        })
    }

    /// Makes of a packet what leaves; returns the port. Of fragments, `frame` is the first.
    #[inline(never)]
    pub(super) fn remake(
        &self,
        umem: &Umem,
        frame: &mut Frame,
        remake: &Remake,
        out: &mut Outbox,
    ) -> Result<u16, Cause> {
        let Remake { hop, outer, .. } = remake;
        let mut layout = remake.layout;
        let overhead = outer.map_or(0, |outer| outer.overhead());
        let room = hop.mtu.saturating_sub(overhead.into());
        if u32::from(layout.datagram_len()) > room {
            if outer.is_some_and(|outer| !outer.keeps_df) {
                let ident = self.next_ident();
                forward::lift_dont_fragment(umem.packet_mut(frame), &layout, ident);
            }
            // `exit` has found that it may be cut: it is too long for a link that takes nothing.
            let cuts = Cuts::of(umem.packet(frame), &layout, room);
            let cuts = cuts.ok_or(Cause::FragmentNoRoom)?;
            self.send_rest(umem, frame, &cuts, remake, out)?;
            layout = cuts.keep_first(umem.packet_mut(frame));
            frame.set_len(layout.end.into());
        }
        let fits = outer.is_none_or(|outer| self.wrap(umem, frame, &outer, hop, &layout));
        fits.then_some(hop.port).ok_or(Cause::NoHeadroom)
    }

    /// Sends all fragments of a datagram but the first, in frames of their own.
    fn send_rest(
        &self,
        umem: &Umem,
        whole: &Frame,
        cuts: &Cuts,
        remake: &Remake,
        out: &mut Outbox,
    ) -> Result<(), Cause> {
        if out.spare() < cuts.count() {
            return Err(Cause::FragmentNoRoom);
        }
        for n in 1..cuts.count() {
            let mut piece = out.blank().ok_or(Cause::FragmentNoRoom)?;
            let layout = cuts.write(n, umem.packet(whole), umem.room_mut(&mut piece));
            piece.set_len(layout.end.into());
            if let Some(outer) = remake.outer {
                let ident = self.next_ident();
                let outer = Outer { ident, ..outer };
                // A spare frame has the headroom.
                self.wrap(umem, &mut piece, &outer, &remake.hop, &layout);
            }
            out.answer(remake.hop.port, piece);
        }
        Ok(())
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
fn clamp(frame: &mut [u8], packet: &Transport, overhead: u16, hop: &Hop) {
    let is_whole = packet.layout.piece == Piece::Whole;
    if packet.tuple.protocol != Protocol::Tcp || !is_whole {
        return;
    }
    let header = match packet.layout.version {
        Version::V4 => ipv4::LEN,
        Version::V6 => ipv6::LEN,
    };
    let around = u32::from(overhead) + (header + tcp::LEN) as u32;
    let most = hop.mtu.saturating_sub(around).min(u16::MAX.into());
    forward::clamp_mss(packet.layout.segment_mut(frame), most as u16);
}

/// A hash of a connection for those who spread packets by an outer header. It has nothing of what picks
/// the next hop as long as all links are up: who gets one share of the connections here spreads them, too.
pub(super) fn entropy_of(tuple: &Tuple) -> u32 {
    (flow_of(tuple) >> 32) as u32
}
