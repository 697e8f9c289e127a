//! A new connection of a persistent service, and a datagram that is scheduled by itself: the rare
//! ways to open one.

use std::sync::Arc;

use super::course::Sent;
use super::exit::Departure;
use super::fresh::picking;
use super::refusal::Refusal;
use super::view::View;
use super::visitor::Guest;
use crate::drops::Cause;
use crate::flow::{Direction, Entry, Place, Shard};
use crate::neighbour::Hop;
use crate::service::{Newcomer, Persistence, Real, Service};
use crate::sip;
use crate::wire::{Piece, Transport, Tuple, udp};

impl<'s> View<'s> {
    /// Opens a connection to the real server that the client sticks to, which the scheduler
    /// chooses the first time. No other one will do, unless this one cannot be reached and another
    /// can.
    #[inline(never)]
    #[allow(clippy::too_many_arguments)]
    pub(super) fn sticky(
        &self,
        mut shard: Shard<'_>,
        frame: &mut [u8],
        packet: &Transport,
        place: &Place,
        service: &'s Service,
        persistence: &Persistence,
        guest: &Guest,
    ) -> Result<Departure, Refusal<'s>> {
        let client = {
            let call_id = || call_id(frame, packet);
            let client = (self.templates).client(&service.key, persistence, &packet.tuple, call_id);
            client.map_err(|cause| Refusal::from(cause).of_service(service))?
        };
        let scheduler = picking(service);
        let choose = || self.choose_in_reach(service, frame, packet, guest, scheduler);
        let takes = |real: &Real| self.keeps(service, frame, packet, guest, real);
        let held = (self.templates).hold(self.pool, &client, self.now, takes, choose);
        let real = match held {
            Ok(real) => real,
            Err(Cause::NoReal) => {
                return self.bypass(shard, frame, packet, place, service, guest);
            }
            Err(cause) => return Err(Refusal::from(cause).of_service(service)),
        };
        let guest = &Guest {
            tracked: client.tracked(guest.tracked),
            ..*guest
        };
        let mut entry = self.entry(&packet.tuple, real, guest);
        entry.control(persistence.prefix);
        if service.handling.is_once(packet.tuple.protocol) {
            drop(shard);
            self.templates.release(self.pool, &entry);
            return self.once(frame, packet, real);
        }
        let admitted = self.take_in(&mut shard, frame, packet, place, real, entry);
        if guest.tracked.is_proved() && matches!(admitted, Ok(Ok(_))) {
            // Its agent has answered the client already. Under the lock: see `seat`.
            self.templates.assure(self.pool, &entry);
        }
        drop(shard);
        match admitted {
            Ok(Ok((to, hop))) => Ok(self.forward(frame, packet, real, guest, (&to, &hop))),
            Ok(Err(refusal)) | Err(refusal) => {
                self.templates.release(self.pool, &entry);
                Err(refusal.of_real(real))
            }
        }
    }

    /// The one that a client comes to stick to.
    fn choose_in_reach(
        &self,
        service: &'s Service,
        frame: &[u8],
        packet: &Transport,
        guest: &Guest,
        scheduler: impl Fn(&Newcomer<'_>) -> Option<&'s Arc<Real>>,
    ) -> Option<&'s Real> {
        let picked = self.choose(service, packet, guest, &scheduler)?;
        Some(self.in_reach(service, frame, packet, guest, picked, scheduler))
    }

    /// Whether a client that sticks to `real` goes there with its next connection.
    fn keeps(
        &self,
        service: &'s Service,
        frame: &[u8],
        packet: &Transport,
        guest: &Guest,
        real: &Real,
    ) -> bool {
        real.keeps_clients(self.sysctls)
            && guest.suits(real)
            && self.stays(service, frame, packet, guest, real)
    }

    /// Sends a datagram that leaves no connection behind.
    #[inline(never)]
    pub(super) fn once(
        &self,
        frame: &mut [u8],
        packet: &Transport,
        real: &'s Real,
    ) -> Result<Departure, Refusal<'s>> {
        let (to, hop) = self.way_once(frame, packet, real)?;
        self.opened(real, packet, Direction::Original);
        let departure = self.send(frame, packet, real.method, &to, &hop);
        self.sent.set(self.sent.get().map(|sent| Sent {
            real: Some(real.id),
            ..sent
        }));
        Ok(departure)
    }

    /// How such a datagram leaves, and what it becomes.
    pub(super) fn way_once(
        &self,
        frame: &[u8],
        packet: &Transport,
        real: &'s Real,
    ) -> Result<(Tuple, Hop), Refusal<'s>> {
        let to = once(packet, real);
        let hop = self.hop_by(frame, &packet.layout, real.method, &to);
        Ok((to, hop.map_err(|refusal| refusal.of_real(real))?))
    }

    /// What [`View::sticky`] finds of the client that has sent `packet`: its template if that leads
    /// somewhere, and its real server. Nothing is remembered of it.
    pub(super) fn held(
        &self,
        service: &'s Service,
        persistence: &Persistence,
        frame: &[u8],
        packet: &Transport,
        guest: &Guest,
        scheduler: impl Fn(&Newcomer<'_>) -> Option<&'s Arc<Real>>,
    ) -> Result<(Option<Entry>, &'s Real), Cause> {
        let call_id = || call_id(frame, packet);
        let (key, tuple) = (&service.key, &packet.tuple);
        let client = self.templates.client(key, persistence, tuple, call_id)?;
        let choose = || self.choose_in_reach(service, frame, packet, guest, scheduler);
        let takes = |real: &Real| self.keeps(service, frame, packet, guest, real);
        self.templates
            .held(self.pool, &client, self.now, takes, choose)
    }
}

/// The Call-ID in a datagram.
fn call_id<'a>(frame: &'a [u8], packet: &Transport) -> Option<&'a str> {
    let layout = &packet.layout;
    let begins = layout.piece != Piece::Later;
    let payload = layout.segment(frame).get(udp::LEN..).filter(|_| begins);
    payload.and_then(sip::call_id)
}

/// What a datagram becomes that is scheduled by itself.
pub(super) fn once(packet: &Transport, real: &Real) -> Tuple {
    Tuple {
        dst: real.destination(packet.tuple.dst),
        ..packet.tuple
    }
}
