//! A packet that opens a connection: the scheduler, then the table, last of all the rewrite.

use super::exit::Departure;
use super::view::{self, Refusal, View};
use crate::defence::{Posture, Share};
use crate::drops::Cause;
use crate::flow::{Class, Departed, Direction, Entry, Place, Refused, Shard};
use crate::neighbour::Hop;
use crate::sched::Newcomer;
use crate::service::{Real, Service};
use crate::tcp::Tracking;
use crate::wire::tcp::Segment;
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
        if self.pool.speakers().has(packet.tuple.src.addr) {
            return Err(Refusal::from(Cause::ForgedSource).of_service(service));
        }
        let refused = |refusal: Refusal<'s>| refusal.of_service(service);
        let tracking = opening(frame, packet).map_err(|cause| refused(cause.into()))?;
        if self.is_drawn(service, packet, tracking.as_ref()) {
            return Err(refused(Cause::DefenceRate.into()));
        }
        let handling = &service.handling;
        if let Some(persistence) = &handling.persistence {
            return self.sticky(shard, frame, packet, place, service, persistence, tracking);
        }
        let first = self
            .pick(service, packet)
            .map_err(|cause| refused(cause.into()))?;
        if handling.is_once(packet.tuple.protocol) {
            drop(shard);
            return self.once(frame, packet, first);
        }
        let mut why = Cause::TupleTaken;
        for real in candidates(service, first) {
            let entry = self.entry(packet, real, tracking);
            match self.admit(&mut shard, frame, packet, place, real, entry)? {
                Err(cause) => why = cause,
                Ok((to, hop)) => {
                    drop(shard);
                    return Ok(self.forward(frame, packet, real, &to, &hop));
                }
            }
        }
        Err(refused(why.into()))
    }

    /// The real server that the scheduler picks.
    pub(super) fn pick(&self, service: &'s Service, packet: &Transport) -> Result<&'s Real, Cause> {
        let newcomer = Newcomer {
            tuple: &packet.tuple,
            now: self.now,
            flags: service.flags,
        };
        let picked = service.scheduler.pick(&service.reals, &newcomer);
        picked.map(|real| &**real).ok_or(Cause::NoReal)
    }

    /// Takes a connection to `real` into the table, and says what its packet becomes, or why this
    /// real server cannot have it.
    pub(super) fn admit(
        &self,
        shard: &mut Shard<'_>,
        frame: &[u8],
        packet: &Transport,
        place: &Place,
        real: &'s Real,
        mut entry: Entry,
    ) -> Result<std::result::Result<(Tuple, Hop), Cause>, Refusal<'s>> {
        let lead = match self.lead(shard, packet, place, real, entry.class()) {
            Ok(lead) => lead,
            Err(cause) => return Ok(Err(cause)),
        };
        let hop = self.hop_by(frame, &packet.layout, real.method, &lead.to);
        let hop = hop.map_err(|refusal| refusal.of_real(real))?;
        self.make_way(shard, &lead);
        lead.note(&mut entry);
        let gone = &mut |gone: &Entry, _: Departed| self.departed(gone);
        match shard.insert(entry, place, lead.reply.as_ref(), gone) {
            Ok(_) => {}
            Err(Refused::ReplyTaken) => return Ok(Err(Cause::TupleTaken)),
            Err(full) => return Err(Refusal::from(Cause::from(full)).of_real(real)),
        }
        // Under the lock: whoever finds the connection may already take it off again.
        self.entered(real, &entry);
        Ok(Ok((lead.to, hop)))
    }

    /// Sends a packet that has opened a connection.
    pub(super) fn forward(
        &self,
        frame: &mut [u8],
        packet: &Transport,
        real: &Real,
        to: &Tuple,
        hop: &Hop,
    ) -> Departure {
        self.opened(real, packet);
        self.send(frame, packet, real.method, to, hop)
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

    pub(super) fn entry(
        &self,
        packet: &Transport,
        real: &Real,
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
        let port = real.destination(packet.tuple.dst).port;
        let mut entry = Entry::new(&packet.tuple, real.id, port, class, expires);
        entry.tracking = tracking.unwrap_or_default();
        entry.count_packet();
        entry
    }

    fn entered(&self, real: &Real, entry: &Entry) {
        real.enter(view::phase_of(entry));
        self.pool.speakers().enter(entry);
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
    let segment = Segment::parse(packet.layout.segment(frame)).map_err(|_| Cause::TcpFlags)?;
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
