//! Real servers that nothing can get to: there is no route, the link is down, or nobody has answered
//! the kernel at their address. Others serve their clients as long as there are any.
//!
//! One whose Ethernet address is only being asked for is none of these: its packets wait.

use std::sync::Arc;

use super::refusal::Refusal;
use super::sticky::once;
use super::view::View;
use super::visitor::Guest;
use crate::service::{Choice, Newcomer, Real, Service};
use crate::wire::{Transport, Tuple};

impl<'s> View<'s> {
    /// Whether no way leads to `real` for a packet that would open a connection.
    #[inline]
    pub(super) fn is_cut_off(&self, frame: &[u8], packet: &Transport, real: &Real) -> bool {
        let to = once(packet, real);
        let hop = self.hop_by(frame, &packet.layout, real.method, &to);
        hop.is_err_and(|refusal| refusal.cuts_off())
    }

    /// Whether a way leads to `real` for a word of the director's own that opens a connection there for
    /// `original`.
    pub(super) fn leads_to(&self, real: &Real, original: &Tuple) -> bool {
        let to = Tuple {
            dst: real.destination(original.dst),
            ..*original
        };
        let way = self.way_to(to.dst.addr, &to).map_err(Refusal::from);
        !way.is_err_and(|refusal| refusal.cuts_off())
    }

    /// The one that was picked for a packet that would open a connection, or whom the scheduler picks
    /// instead when that one cannot be reached and another can.
    #[inline]
    pub(super) fn in_reach(
        &self,
        service: &'s Service,
        frame: &[u8],
        packet: &Transport,
        guest: &Guest,
        picked: &'s Real,
        scheduler: impl Fn(&Newcomer<'_>) -> Option<&'s Arc<Real>>,
    ) -> &'s Real {
        let other = || self.stand_in(service, frame, packet, guest, scheduler);
        match self.is_cut_off(frame, packet, picked) {
            true => other().unwrap_or(picked),
            false => picked,
        }
    }

    /// Whom the scheduler chooses of those that can be reached. Nobody stands in for the sorry server.
    #[cold]
    pub(super) fn stand_in(
        &self,
        service: &'s Service,
        frame: &[u8],
        packet: &Transport,
        guest: &Guest,
        scheduler: impl Fn(&Newcomer<'_>) -> Option<&'s Arc<Real>>,
    ) -> Option<&'s Real> {
        let lost = self.ways.lost(service);
        if service.sorry.is_some() || lost.is_all() {
            return None;
        }
        let is_near = |real: &Real| !lost.has(real) && !self.is_cut_off(frame, packet, real);
        let may = |real: &Real| guest.suits(real) && is_near(real);
        let newcomer = Newcomer {
            choice: Choice::Of(&may),
            ..self.newcomer(service, packet)
        };
        scheduler(&newcomer).map(|real| &**real)
    }

    /// Whether a client that sticks to `real` goes on doing so: that this cannot be reached sends it
    /// away only where another can.
    pub(super) fn stays(
        &self,
        service: &'s Service,
        frame: &[u8],
        packet: &Transport,
        guest: &Guest,
        real: &Real,
    ) -> bool {
        let peek = |newcomer: &Newcomer<'_>| service.scheduler.peek(&service.reals, newcomer);
        let other = || self.stand_in(service, frame, packet, guest, peek);
        !self.is_cut_off(frame, packet, real) || other().is_none()
    }
}
