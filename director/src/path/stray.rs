//! What a real server sends and belongs to no connection: it is a host like others, which may be
//! asked directly, and ask others itself. Such a packet is routed as it is, as IPVS leaves it to
//! the kernel's forwarding; what is for this host itself never comes here (`is_ours` in
//! bpf/gate.bpf.c).

use adminapi::sysctl::Sysctl;

use super::exit::Departure;
use super::refusal::Refusal;
use super::view::View;
use crate::defence::Strays;
use crate::drops::Cause;
use crate::neighbour::Hop;
use crate::wire::tcp::{self, Flags};
use crate::wire::{Addr, IcmpError, Protocol, Transport};

impl<'s> View<'s> {
    /// A TCP segment or UDP datagram from a real server.
    #[inline(never)]
    pub(super) fn stray(
        &self,
        frame: &mut [u8],
        packet: &Transport,
    ) -> Result<Departure, Refusal<'s>> {
        let layout = &packet.layout;
        if self.is_from_here() {
            return Ok(Departure::Back);
        }
        let hop = self.way_of_stray(frame, packet)?;
        self.stats.routed.add(1);
        Ok(self.depart(frame, layout, &hop))
    }

    /// How such a segment or datagram leaves.
    pub(super) fn way_of_stray(
        &self,
        frame: &[u8],
        packet: &Transport,
    ) -> Result<Hop, Refusal<'s>> {
        let Transport { layout, tuple } = packet;
        if self.sysctls.is_on(Sysctl::NatIcmpSend) && !is_reset(frame, packet) {
            return Err(self.told_from_here(Cause::ReplyWithoutConnection.into(), tuple.src.addr));
        }
        match self.orders.strays() {
            Strays::Route | Strays::Resurrect => {}
            Strays::Answer => return Err(Cause::ReplyRefused.into()),
            Strays::Drop => return Err(Cause::ReplyWithoutConnection.into()),
        }
        let hop = self.exit(frame, layout, tuple.dst.addr, tuple);
        hop.map_err(|refusal| self.told_from_here(refusal, tuple.src.addr))
    }

    /// An ICMP error about a packet to a real server or from a service.
    #[inline(never)]
    pub(super) fn stray_error(
        &self,
        frame: &mut [u8],
        error: &IcmpError,
    ) -> Result<Departure, Refusal<'s>> {
        if self.is_from_here() {
            return Ok(Departure::Back);
        }
        if matches!(self.orders.strays(), Strays::Answer | Strays::Drop) {
            return Err(Cause::ErrorWithoutConnection.into());
        }
        let answer = error.quote.tuple.reversed();
        let hop = match self.exit(frame, &error.layout, answer.dst.addr, &answer) {
            // To a VIP that stands on this host, which knows no such packet either.
            Err(refusal) if refusal.reason == Cause::LocalDestination.into() => {
                return Err(Cause::ErrorWithoutConnection.into());
            }
            hop => hop?,
        };
        self.stats.routed.add(1);
        Ok(self.depart(frame, &error.layout, &hop))
    }

    /// The same refusal, to be told from an address of the director that the sender can reach,
    /// since the packet names none. Without one it is not told.
    fn told_from_here(&self, refusal: Refusal<'s>, sender: Addr) -> Refusal<'s> {
        let hop = self.fib.next_hop(sender, 0);
        match hop.ok().and_then(|hop| self.source(&hop, sender)) {
            None if refusal.ask.is_none() => Cause::ReplyWithoutConnection.into(),
            source => Refusal {
                vip: source,
                ..refusal
            },
        }
    }
}

fn is_reset(frame: &[u8], packet: &Transport) -> bool {
    let header = tcp::header(packet.layout.segment(frame));
    packet.tuple.protocol == Protocol::Tcp && header.is_some_and(|h| h.flags().has(Flags::RST))
}
