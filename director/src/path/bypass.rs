//! A connection that no real server is there for: with `cache_bypass` it goes on to where the
//! client has sent it, as `ip_vs_leave` lets it.

use adminapi::sysctl::Sysctl;

use super::exit::Departure;
use super::refusal::Refusal;
use super::view::View;
use super::visitor::Guest;
use crate::drops::Cause;
use crate::flow::{Place, Shard};
use crate::neighbour::Hop;
use crate::service::{Real, Service};
use crate::wire::{Layout, Transport, Tuple};

impl<'s> View<'s> {
    /// What stands for the destinations of a service's packets when it has no real server for
    /// them. Who has come with a cookie has spoken with the director, and nobody goes on from there.
    pub(super) fn way_past(
        &self,
        service: &'s Service,
        guest: &Guest,
    ) -> Result<&'s Real, Refusal<'s>> {
        if guest.is_vouched() {
            return Err(unserved(service, guest));
        }
        let bypass = service.bypass.as_deref();
        bypass
            .filter(|_| self.sysctls.is_on(Sysctl::CacheBypass))
            .ok_or_else(|| Refusal::from(Cause::NoReal).of_service(service))
    }

    /// Opens a connection past the real servers, if that is wanted.
    #[inline(never)]
    pub(super) fn bypass(
        &self,
        mut shard: Shard<'_>,
        frame: &mut [u8],
        packet: &Transport,
        place: &Place,
        service: &'s Service,
        guest: &Guest,
    ) -> Result<Departure, Refusal<'s>> {
        let real = self.way_past(service, guest)?;
        if service.handling.is_once(packet.tuple.protocol) {
            drop(shard);
            return self.once(frame, packet, real);
        }
        let entry = self.entry(&packet.tuple, real, guest);
        let admitted = self.take_in(&mut shard, frame, packet, place, real, entry)?;
        drop(shard);
        let (to, hop) = admitted.map_err(|refusal| refusal.of_real(real))?;
        Ok(self.forward(frame, packet, real, guest, (&to, &hop)))
    }

    /// The next hop to a packet's own destination.
    #[inline(never)]
    pub(super) fn hop_by_bypass(
        &self,
        frame: &[u8],
        layout: &Layout,
        to: &Tuple,
    ) -> Result<Hop, Refusal<'s>> {
        let [_, dst] = layout.addrs(frame).ok_or(Cause::NoRoute)?;
        self.exit(frame, layout, dst, to)
    }
}

/// What a client with a cookie is told that no real server can have: the agents of those that would have
/// it are to blame, if there are any and nobody asks them after it.
#[cold]
fn unserved<'s>(service: &'s Service, guest: &Guest) -> Refusal<'s> {
    let is_willing = service.reals.iter().any(|real| real.is_willing());
    let cause = match is_willing && guest.proof.is_none() {
        true => Cause::NoAgent,
        false => Cause::NoReal,
    };
    Refusal {
        is_open: true,
        ..Refusal::from(cause).of_service(service)
    }
}
