//! Real servers that are this host itself: what goes to them, and what they answer by NAT.
//!
//! ```text
//!   client -> gate -> worker -> rewritten -> door -> kernel -> program
//!   client <- tx ring <- worker <- door <- tc egress of the way out <- program's answer
//!   client <- kernel <- door, given back <------- what is no answer
//! ```

use std::net::IpAddr;

use super::Path;
use super::refusal::Refusal;
use super::view::View;
use crate::door::Door;
use crate::drops::Cause;
use crate::neighbour::{Hop, NoHop};
use crate::service::Method;
use crate::time::Tick;
use crate::wire::{self, Addr, Layout, Tuple, ethernet};
use crate::worker::{BATCH, Outbox, Walk as _};
use crate::xsk::{Frame, Umem};

/// The port that packets of this host itself come in on.
pub(super) const HERE: u16 = Hop::HOME.port;

/// The one worker that listens at the door, so that answers keep their order.
const LISTENER: usize = 0;

impl Path {
    /// Where answers of real servers on this host come out, if they do and this worker takes them.
    pub(super) fn listened_door(&self) -> Option<&Door> {
        let door = self.sight.shared.door.get();
        door.filter(|door| self.sight.worker == LISTENER && door.is_listened_at())
    }

    /// Walks what real servers on this host answer; returns how many packets.
    pub(super) fn walk_answers(
        &mut self,
        umem: &Umem,
        batch: &mut Vec<Frame>,
        out: &mut Outbox,
        now: Tick,
    ) -> usize {
        let Some(door) = self.listened_door() else {
            return 0;
        };
        while batch.len() < BATCH {
            match next(door, umem, out) {
                Some(frame) => batch.push(frame),
                None => break,
            }
        }
        let taken = batch.len();
        if taken > 0 {
            self.sight.stats.received.add(taken as u64);
            self.sight.stats.from_host.add(taken as u64);
            self.walk(umem, HERE, batch, out, now);
        }
        taken
    }
}

/// The next packet that comes out of the door, with an Ethernet header that says nothing but what
/// follows.
fn next(door: &Door, umem: &Umem, out: &mut Outbox) -> Option<Frame> {
    let mut frame = out.blank()?;
    while let Some(length) = read(door, umem.room_mut(&mut frame)) {
        frame.set_len(length);
        let to = wire::destination(umem.packet(&frame));
        // The kernel looks for others behind each of its devices: there is nobody.
        if !to.is_some_and(|to| IpAddr::from(to).is_multicast()) {
            return Some(frame);
        }
    }
    out.discard(umem.reset(frame));
    None
}

fn read(door: &Door, room: &mut [u8]) -> Option<usize> {
    let (header, datagram) = room.split_at_mut_checked(ethernet::LEN)?;
    let length = door.take(datagram)?;
    let ethertype = match datagram.first()? >> 4 {
        4 => ethernet::IPV4,
        _ => ethernet::IPV6,
    };
    header.fill(0);
    ethernet::header_mut(header)?.set_ethertype(ethertype);
    Some(ethernet::LEN + length)
}

impl<'s> View<'s> {
    /// Whether the packets at hand come from programs of this host.
    #[inline]
    pub(super) const fn is_from_here(&self) -> bool {
        self.port == HERE
    }

    /// By direct routing and through a tunnel this host itself can be the real server, if it has the
    /// VIP: what is for it needs no wrapping. By NAT it can at any address but those of loopback, which
    /// the kernel takes from no other interface.
    #[inline]
    pub(super) fn or_home(
        &self,
        hop: Result<Hop, Refusal<'s>>,
        frame: &[u8],
        layout: &Layout,
        method: Method,
        to: Addr,
    ) -> Result<Hop, Refusal<'s>> {
        match hop {
            Err(refusal) if refusal.reason == Cause::LocalDestination.into() => {
                match self.is_served_here(frame, layout, method, to) {
                    true => Ok(Hop::HOME),
                    false => Err(refusal),
                }
            }
            hop => hop,
        }
    }

    #[inline(never)]
    fn is_served_here(&self, frame: &[u8], layout: &Layout, method: Method, to: Addr) -> bool {
        let has_vip = || {
            let vip = layout.addrs(frame).map(|[_, dst]| dst);
            vip.is_some_and(|vip| self.fib.next_hop(vip, 0) == Err(NoHop::Local))
        };
        self.door.is_some()
            && match method {
                Method::Nat => !IpAddr::from(to).is_loopback(),
                Method::Dr | Method::Tun(_) => has_vip(),
                Method::FullNat | Method::Bypass => false,
            }
    }

    /// The way of a packet of the director's own making to a real server, or to a client.
    pub(super) fn way_to(&self, to: Addr, flow: &Tuple) -> Result<Hop, NoHop> {
        match self.ways.next_hop(to, flow) {
            Err(NoHop::Local) if self.door.is_some() => Ok(Hop::HOME),
            hop => hop,
        }
    }

    /// Sends what the director itself has to say.
    pub(super) fn utter(&self, umem: &Umem, frame: Frame, hop: &Hop, out: &mut Outbox) {
        if *hop != Hop::HOME {
            return out.answer(hop.port, frame);
        }
        if self.enters(umem.packet(&frame)) {
            self.stats.answered.add(1);
        }
        out.discard(umem.reset(frame));
    }

    /// Sends a word of the director's own in the place of a packet.
    pub(super) fn speak(&self, umem: &Umem, frame: Frame, hop: &Hop, out: &mut Outbox) {
        if *hop != Hop::HOME {
            return out.forward(hop.port, frame);
        }
        match self.enters(umem.packet(&frame)) {
            true => self.stats.sent.add(1),
            false => self.stats.drops.of(Cause::HostRefused.into()).add(1),
        }
        out.discard(umem.reset(frame));
    }

    /// Hands a packet to the kernel of this host; false when that does not take it.
    #[inline(never)]
    pub(super) fn hand_home(&self, frame: &[u8], layout: &Layout) -> bool {
        let taken = (self.door).is_some_and(|door| door.hand(layout.datagram(frame)));
        self.stats.sent.add(taken.into());
        taken
    }

    /// The same of a packet that the director has made, without padding.
    pub(super) fn enters(&self, frame: &[u8]) -> bool {
        let datagram = frame.get(ethernet::LEN..).unwrap_or_default();
        self.door.is_some_and(|door| door.hand(datagram))
    }

    /// Lets this host send what it has sent and is no answer of a real server.
    #[inline(never)]
    pub(super) fn give_back(&self, frame: &[u8]) -> bool {
        let back = || {
            let to = wire::destination(frame)?;
            Some(self.door?.give_back(frame.get(ethernet::LEN..)?, to))
        };
        let sent = back().unwrap_or(false);
        self.stats.sent.add(sent.into());
        self.stats.routed.add(sent.into());
        sent
    }
}
