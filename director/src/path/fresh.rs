//! A packet that opens a connection: the scheduler, then the table, last of all the rewrite.

use super::exit::Departure;
use super::known::segment_of;
use super::view::{self, Refusal, View};
use crate::defence::{Posture, Share};
use crate::drops::Cause;
use crate::flow::{Class, Direction, Entry, Place, Refused, Shard};
use crate::sched::Newcomer;
use crate::service::{Real, Service};
use crate::tcp::Tracking;
use crate::wire::{Protocol, Transport, Tuple};

impl<'s> View<'s> {
    /// Opens a connection for `packet`, if it may open one. The shard stays locked until the
    /// connection is in it, so that a copy of the packet on another queue finds it.
    pub(super) fn fresh(
        &self,
        mut shard: Shard<'_>,
        frame: &mut [u8],
        packet: &Transport,
        place: &Place,
    ) -> Result<Departure, Refusal<'s>> {
        let service: &Service = self.service_of(&packet.tuple).ok_or(Cause::NoService)?;
        let refused = |refusal: Refusal<'s>| refusal.of_service(service);
        let tracking = opening(frame, packet).map_err(|cause| refused(cause.into()))?;
        if self.is_drawn(service, packet, tracking.as_ref()) {
            return Err(refused(Cause::DefenceRate.into()));
        }
        let newcomer = Newcomer {
            tuple: &packet.tuple,
            now: self.now,
            flags: service.flags,
        };
        let picked = service.scheduler.pick(&service.reals, &newcomer);
        let first = picked.ok_or_else(|| refused(Cause::NoReal.into()))?;

        for real in candidates(service, first) {
            let to = Tuple {
                dst: real.destination(packet.tuple.dst),
                ..packet.tuple
            };
            let hop = self.hop_by(frame, &packet.layout, real.method, &to);
            let hop = hop.map_err(|refusal| refusal.of_real(real))?;
            let two_way = !real.method.is_one_way();
            let reply = two_way.then(|| self.table.locate(Direction::Reply, &to.reversed()));
            let entry = self.entry(packet, real, to.dst.port, tracking);
            match shard.insert(entry, place, reply.as_ref(), &mut |gone, _| {
                self.departed(gone)
            }) {
                Ok(_) => {}
                Err(Refused::ReplyTaken) => continue,
                Err(full) => return Err(Refusal::from(Cause::from(full)).of_real(real)),
            }
            // Under the lock: whoever finds the connection may already take it off again.
            real.enter(view::phase_of(&entry));
            drop(shard);
            self.opened(real, packet);
            return Ok(self.send(frame, packet, real.method, &to, &hop));
        }
        Err(refused(Cause::TupleTaken.into()))
    }

    /// Whether a packet that would open a connection is among those that the defence drops.
    fn is_drawn(&self, service: &Service, packet: &Transport, tracking: Option<&Tracking>) -> bool {
        let Posture { syns, all, .. } = service.stance.posture();
        let share = match tracking {
            Some(_) => syns.max(all),
            None => all,
        };
        let isn = tracking.map_or(0, Tracking::client_isn);
        share > Share::NONE && share.has(self.lottery.draw(&packet.tuple, isn, self.now))
    }

    fn entry(
        &self,
        packet: &Transport,
        real: &Real,
        port: u16,
        tracking: Option<Tracking>,
    ) -> Entry {
        let (class, lifetime) = match tracking {
            Some(tracking) => {
                let posture = real.stance.posture();
                let lifetime = posture.lifetime(self.timeouts, tracking.state);
                (Class::HalfOpen, lifetime)
            }
            None => (Class::Unverified, self.timeouts.udp()),
        };
        let expires = self.now.after(lifetime);
        let mut entry = Entry::new(&packet.tuple, real.id, port, class, expires);
        entry.tracking = tracking.unwrap_or_default();
        entry.count_packet();
        entry
    }

    fn opened(&self, real: &Real, packet: &Transport) {
        for traffic in [&real.traffic, &real.service_traffic] {
            traffic.of(self.worker).connections.add(1);
        }
        self.count(real, &packet.layout, Direction::Original);
    }
}

/// The tracking of a connection that `packet` opens; none for UDP.
fn opening(frame: &[u8], packet: &Transport) -> Result<Option<Tracking>, Cause> {
    if packet.tuple.protocol == Protocol::Udp {
        return Ok(None);
    }
    let segment = segment_of(frame, packet)?;
    if segment.flags.is_nonsense() {
        return Err(Cause::TcpFlags);
    }
    match segment.flags.opens() {
        true => Ok(Some(Tracking::opening(&segment))),
        false => Err(Cause::NoConnection),
    }
}

/// The real server that the scheduler has picked, then the others, for the rare client whose
/// replies could not be told apart there.
fn candidates<'s>(service: &'s Service, first: &'s Real) -> impl Iterator<Item = &'s Real> {
    let others = service.reals.iter().map(|real| &**real);
    std::iter::once(first).chain(others.filter(|real| real.id != first.id && real.is_willing()))
}
