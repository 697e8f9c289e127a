//! A packet that opens a connection: the scheduler, then the table, last of all the rewrite.

use adminapi::sysctl::Sysctl;

use super::exit::Departure;
use super::view::{self, Refusal, View};
use crate::drops::Cause;
use crate::flow::{Class, Departed, Direction, Entry, Place, Refused, Shard};
use crate::neighbour::Hop;
use crate::sched::Newcomer;
use crate::service::{Real, Service};
use crate::tcp::Tracking;
use crate::templates::Client;
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
        let refused = |refusal: Refusal<'s>| refusal.of_service(service);
        let tracking = opening(frame, packet).map_err(|cause| refused(cause.into()))?;
        if !service.handling.is_plain() {
            return self.special(shard, frame, packet, place, service, tracking);
        }
        let first = self
            .pick(service, packet)
            .map_err(|cause| refused(cause.into()))?;

        for real in candidates(service, first) {
            let admitted = self.admit(&mut shard, frame, packet, place, real, tracking, None)?;
            if let Some((to, hop)) = admitted {
                drop(shard);
                return Ok(self.forward(frame, packet, real, &to, &hop));
            }
        }
        Err(refused(Cause::TupleTaken.into()))
    }

    /// What a service does that is no ordinary one.
    #[inline(never)]
    fn special(
        &self,
        mut shard: Shard<'_>,
        frame: &mut [u8],
        packet: &Transport,
        place: &Place,
        service: &'s Service,
        tracking: Option<Tracking>,
    ) -> Result<Departure, Refusal<'s>> {
        let Some(persistence) = &service.handling.persistence else {
            drop(shard);
            let real = self.pick(service, packet);
            let real = real.map_err(|cause| Refusal::from(cause).of_service(service))?;
            return self.once(frame, packet, real);
        };
        let client = Client::of(&service.key, persistence, &packet.tuple);
        let choose = || self.pick(service, packet).ok();
        let real = self.templates.hold(
            self.pool,
            &client,
            self.now,
            |real| self.keeps(real),
            choose,
        );
        let real = real.map_err(|cause| Refusal::from(cause).of_service(service))?;
        let one_packet = service.handling.one_packet && packet.tuple.protocol == Protocol::Udp;
        let controlled = self.entry(
            packet,
            real,
            real.destination(packet.tuple.dst).port,
            tracking,
            Some(persistence.prefix),
        );
        if one_packet {
            drop(shard);
            self.templates.release(self.pool, &controlled);
            return self.once(frame, packet, real);
        }
        let prefix = Some(persistence.prefix);
        let admitted = self.admit(&mut shard, frame, packet, place, real, tracking, prefix);
        drop(shard);
        match admitted {
            Ok(Some((to, hop))) => Ok(self.forward(frame, packet, real, &to, &hop)),
            failed => {
                self.templates.release(self.pool, &controlled);
                let taken = Refusal::from(Cause::TupleTaken).of_real(real);
                Err(failed.err().unwrap_or(taken))
            }
        }
    }

    /// Sends a datagram without a connection of its own.
    fn once(
        &self,
        frame: &mut [u8],
        packet: &Transport,
        real: &'s Real,
    ) -> Result<Departure, Refusal<'s>> {
        let (to, hop) = self.way_to(frame, packet, real)?;
        Ok(self.forward(frame, packet, real, &to, &hop))
    }

    /// Whether a client that sticks to `real` goes there with its next connection: a weight of 0
    /// does not send it away, unless `expire_quiescent_template` says so.
    fn keeps(&self, real: &Real) -> bool {
        real.weight > 0 || !self.sysctls.is_on(Sysctl::ExpireQuiescentTemplate)
    }

    /// The real server that the scheduler picks.
    fn pick(&self, service: &'s Service, packet: &Transport) -> Result<&'s Real, Cause> {
        let newcomer = Newcomer {
            tuple: &packet.tuple,
            now: self.now,
            flags: service.flags,
        };
        let picked = service.scheduler.pick(&service.reals, &newcomer);
        picked.map(|real| &**real).ok_or(Cause::NoReal)
    }

    /// What a packet becomes on its way to `real`, and the next hop.
    fn way_to(
        &self,
        frame: &[u8],
        packet: &Transport,
        real: &'s Real,
    ) -> Result<(Tuple, Hop), Refusal<'s>> {
        let to = Tuple {
            dst: real.destination(packet.tuple.dst),
            ..packet.tuple
        };
        let hop = self.hop_by(frame, &packet.layout, real.method, &to);
        Ok((to, hop.map_err(|refusal| refusal.of_real(real))?))
    }

    /// Takes a connection to `real` into the table, and says what its packet becomes; nothing when
    /// its replies could not be told from another's.
    #[allow(clippy::too_many_arguments)]
    fn admit(
        &self,
        shard: &mut Shard<'_>,
        frame: &[u8],
        packet: &Transport,
        place: &Place,
        real: &'s Real,
        tracking: Option<Tracking>,
        controlled_by: Option<u8>,
    ) -> Result<Option<(Tuple, Hop)>, Refusal<'s>> {
        let (to, hop) = self.way_to(frame, packet, real)?;
        let two_way = !real.method.is_one_way();
        let reply = two_way.then(|| self.table.locate(Direction::Reply, &to.reversed()));
        let entry = self.entry(packet, real, to.dst.port, tracking, controlled_by);
        let gone = &mut |gone: &Entry, _: Departed| self.departed(gone);
        match shard.insert(entry, place, reply.as_ref(), gone) {
            Ok(_) => {}
            Err(Refused::ReplyTaken) => return Ok(None),
            Err(full) => return Err(Refusal::from(Cause::from(full)).of_real(real)),
        }
        // Under the lock: whoever finds the connection may already take it off again.
        real.enter(view::is_active(&entry));
        Ok(Some((to, hop)))
    }

    /// Sends a packet that has opened a connection.
    fn forward(
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

    fn entry(
        &self,
        packet: &Transport,
        real: &Real,
        port: u16,
        tracking: Option<Tracking>,
        controlled_by: Option<u8>,
    ) -> Entry {
        let (class, lifetime) = match tracking {
            Some(tracking) => (Class::HalfOpen, self.timeouts.tcp(tracking.state)),
            None => (Class::Unverified, self.timeouts.udp()),
        };
        let expires = self.now.after(lifetime);
        let mut entry = Entry::new(&packet.tuple, real.id, port, class, expires);
        entry.tracking = tracking.unwrap_or_default();
        entry.count_packet();
        if let Some(prefix) = controlled_by {
            entry.control(prefix);
        }
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
