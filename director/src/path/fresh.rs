//! A packet that opens a connection: the scheduler, then the table, last of all the rewrite.

use std::sync::Arc;

use adminapi::sysctl::Sysctl;

use super::exit::Departure;
use super::judge::segment_of;
use super::openings::LIFETIME;
use super::refusal::Refusal;
use super::view::View;
use super::visitor::Guest;
use super::voice::Lead;
use crate::defence::{Posture, Share, Strays};
use crate::drops::Cause;
use crate::filter::Per;
use crate::flow::{Class, Departed, Direction, Entry, Place, Refused, Shard, Tracked};
use crate::neighbour::Hop;
use crate::service::{Choice, Newcomer, Real, Service};
use crate::wire::{Piece, Protocol, Transport, Tuple};
use crate::{sctp, tcp};

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
        let Some(service) = self.service_opened(frame, packet) else {
            return self.opened_by_client(shard, frame, packet, place);
        };
        let service: &Service = service;
        let guest = self.greet(service, frame, packet)?;
        let refused = |refusal: Refusal<'s>| refusal.of_service(service);
        if self.is_drawn(service, packet, &guest) {
            return Err(refused(Cause::DefenceRate.into()));
        }
        let admitted = self.pool.crowds().admit(&packet.tuple);
        admitted.map_err(|per| refused(crowded(per).into()))?;
        let handling = &service.handling;
        if !handling.is_once(packet.tuple.protocol) {
            self.keep_pace(packet).map_err(refused)?;
        }
        if let Some(persistence) = &handling.persistence {
            return self.sticky(shard, frame, packet, place, service, persistence, &guest);
        }
        let scheduler = picking(service);
        let Some(first) = self.choose(service, packet, &guest, &scheduler) else {
            return self.bypass(shard, frame, packet, place, service, &guest);
        };
        if handling.is_once(packet.tuple.protocol) {
            drop(shard);
            let real = self.in_reach(service, frame, packet, &guest, first, scheduler);
            return self.once(frame, packet, real);
        }
        let ask = |real| {
            let entry = self.entry(&packet.tuple, real, &guest);
            self.take_in(&mut shard, frame, packet, place, real, entry)
        };
        let taken = self.take_in_by(service, first, frame, packet, &guest, scheduler, ask);
        drop(shard);
        let (real, (to, hop)) = taken?;
        Ok(self.forward(frame, packet, real, &guest, (&to, &hop)))
    }

    /// Whether the limits of their rate let `packet` open one more connection.
    #[inline]
    fn keep_pace(&self, packet: &Transport) -> Result<(), Refusal<'s>> {
        let taken = (self.pool.paces()).take(&packet.tuple, self.pool.geography());
        taken.map_err(|per| hasty(per).into())
    }

    /// Asks the real server that the scheduler has picked to take a connection, or else the one that
    /// stands in for it, or any other: for the rare client whose replies could not be
    /// told apart there, or whose own way there is cut off. Says who has taken it, and what that says.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn take_in_by<T>(
        &self,
        service: &'s Service,
        first: &'s Real,
        frame: &[u8],
        packet: &Transport,
        guest: &Guest,
        scheduler: impl Fn(&Newcomer<'_>) -> Option<&'s Arc<Real>>,
        mut ask: impl FnMut(&'s Real) -> Taken<'s, T>,
    ) -> Result<(&'s Real, T), Refusal<'s>> {
        let refusal = match ask(first)? {
            Err(refusal) => refusal.within(service),
            Ok(taken) => return Ok((first, taken)),
        };
        let pick = || self.stand_in(service, frame, packet, guest, &scheduler);
        let is_cut_off = self.is_cut_off(frame, packet, first);
        let stand_in = is_cut_off.then(|| pick().ok_or(refusal)).transpose()?;
        let lost = self.ways.lost(service);
        let others = others(service, guest).filter(|real| real.id != first.id && !lost.has(real));
        for real in stand_in.into_iter().chain(others) {
            if let Ok(taken) = ask(real)? {
                return Ok((real, taken));
            }
        }
        // Of the one that was chosen, whatever the others have said.
        Err(refusal)
    }

    /// The real server of a connection of which so much is known already.
    pub(super) fn choose(
        &self,
        service: &'s Service,
        packet: &Transport,
        guest: &Guest,
        scheduler: impl Fn(&Newcomer<'_>) -> Option<&'s Arc<Real>>,
    ) -> Option<&'s Real> {
        match guest.is_vouched() {
            true => self.pick_suiting(service, packet, guest, scheduler),
            false => self.pick(service, packet, scheduler),
        }
    }

    /// The real server that the scheduler picks; the sorry server while that takes all.
    pub(super) fn pick(
        &self,
        service: &'s Service,
        packet: &Transport,
        scheduler: impl Fn(&Newcomer<'_>) -> Option<&'s Arc<Real>>,
    ) -> Option<&'s Real> {
        if let Some(sorry) = &service.sorry {
            return Some(sorry);
        }
        scheduler(&self.newcomer(service, packet)).map(|real| &**real)
    }

    /// Takes a connection to `real` into the table, and says what its packet becomes, or why this
    /// real server cannot have it, which another may.
    pub(super) fn take_in(
        &self,
        shard: &mut Shard<'_>,
        frame: &[u8],
        packet: &Transport,
        place: &Place,
        real: &'s Real,
        entry: Entry,
    ) -> Taken<'s, (Tuple, Hop)> {
        let lead = self.lead(shard, packet, place, real, entry.class());
        self.led_in(frame, packet, real, lead, |lead| {
            self.seat(shard, place, real, lead, entry)
        })
    }

    /// Has a connection that is led to `real` in this way seated, if a way leads there. Says what its packet
    /// becomes.
    #[inline]
    pub(super) fn led_in(
        &self,
        frame: &[u8],
        packet: &Transport,
        real: &'s Real,
        lead: Result<Lead, Cause>,
        seat: impl FnOnce(&Lead) -> Result<Result<(), Cause>, Refusal<'s>>,
    ) -> Taken<'s, (Tuple, Hop)> {
        let lead = match lead {
            Ok(lead) => lead,
            Err(cause) => return Ok(Err(cause.into())),
        };
        let hop = self.hop_by(frame, &packet.layout, real.method, &lead.to);
        let hop = match hop.map_err(|refusal| refusal.of_real(real)) {
            Err(refusal) if refusal.cuts_off() => return Ok(Err(refusal)),
            hop => hop?,
        };
        let seated = seat(&lead)?;
        Ok(seated.map(|()| (lead.to, hop)).map_err(Refusal::from))
    }

    /// Takes a connection that is led to `real` into the table.
    pub(super) fn seat(
        &self,
        shard: &mut Shard<'_>,
        place: &Place,
        real: &'s Real,
        lead: &Lead,
        mut entry: Entry,
    ) -> Result<Result<(), Cause>, Refusal<'s>> {
        self.make_way(shard, lead);
        lead.note(&mut entry);
        let gone = &mut |gone: &Entry, _: Departed| self.departed(gone);
        let seated = shard.insert(entry, place, lead.reply.as_ref(), gone);
        // Under the lock: whoever finds the connection may already take it off again.
        if seated.is_ok() {
            self.entered(real, &entry);
        }
        told_of_seat(seated.map(|_| ()), real)
    }

    /// What [`View::seat`] would say; nobody is seated.
    pub(super) fn would_seat(
        &self,
        shard: &Shard<'_>,
        place: &Place,
        real: &'s Real,
        lead: &Lead,
        mut entry: Entry,
    ) -> Result<Result<(), Cause>, Refusal<'s>> {
        lead.note(&mut entry);
        let seated = shard.would_take(&entry, place, lead.reply_to_take());
        told_of_seat(seated, real)
    }

    /// Sends a packet that has opened a connection.
    pub(super) fn forward(
        &self,
        frame: &mut [u8],
        packet: &Transport,
        real: &Real,
        guest: &Guest,
        (to, hop): (&Tuple, &Hop),
    ) -> Departure {
        self.opened(real, packet, Direction::Original);
        if guest.is_vouched() {
            real.service_traffic.of(self.worker).shown.add(1);
        }
        match &guest.proof {
            Some(proof) => self.ask_real(frame, packet, real, proof, (to, hop)),
            None => self.send(frame, packet, real.method, to, hop),
        }
    }

    /// A client is not told that it has no connection while that may come back.
    fn told(&self, cause: Cause) -> Cause {
        match (cause, self.orders.strays()) {
            (Cause::NoConnection, Strays::Resurrect) => Cause::NoConnectionYet,
            _ => cause,
        }
    }

    /// What is tracked of a connection to `service` that `packet` opens, if it may open one.
    #[inline]
    pub(super) fn admit(
        &self,
        service: &'s Service,
        frame: &[u8],
        packet: &Transport,
    ) -> Result<Tracked, Refusal<'s>> {
        let tracked = self.opening(frame, packet);
        tracked.map_err(|cause| Refusal::from(self.told(cause)).of_service(service))
    }

    /// What the scheduler is told of a connection to be.
    #[inline]
    pub(super) fn newcomer<'p>(&self, service: &Service, packet: &'p Transport) -> Newcomer<'p> {
        Newcomer {
            tuple: &packet.tuple,
            now: self.now,
            flags: service.flags,
            choice: Choice::All,
        }
    }

    /// Whether a packet that would open a connection is among those that the defence drops.
    pub(super) fn is_drawn(&self, service: &Service, packet: &Transport, guest: &Guest) -> bool {
        if guest.is_vouched() {
            return false;
        }
        let Posture { syns, all, .. } = service.stance.posture();
        let (share, isn) = match &guest.tracked {
            Tracked::Tcp(tcp) => (syns.max(all), tcp.client_isn()),
            Tracked::Sctp(_) => (syns.max(all), 0),
            Tracked::Udp | Tracked::Call(_) => (all, 0),
        };
        share > Share::NONE && share.has(self.lottery.draw(&packet.tuple, isn, self.now))
    }

    /// What is tracked of a connection that `packet` opens.
    fn opening(&self, frame: &[u8], packet: &Transport) -> Result<Tracked, Cause> {
        let segment = packet.layout.segment(frame);
        match packet.tuple.protocol {
            Protocol::Tcp => self
                .opening_tcp(segment, packet.layout.piece)
                .map(Tracked::Tcp),
            Protocol::Sctp => self.opening_sctp(segment).map(Tracked::Sctp),
            Protocol::Udp => Ok(Tracked::Udp),
        }
    }

    fn opening_tcp(&self, segment: &[u8], piece: Piece) -> Result<tcp::Tracking, Cause> {
        let segment = segment_of(segment, piece)?;
        if segment.flags.is_nonsense() {
            return Err(Cause::TcpFlags);
        }
        let tracking = match segment.flags.opens() {
            true => Some(tcp::Tracking::opening(&segment)),
            false if self.sysctls.is_on(Sysctl::SloppyTcp) => tcp::Tracking::midway(&segment),
            false => None,
        };
        tracking.ok_or(Cause::NoConnection)
    }

    fn opening_sctp(&self, packet: &[u8]) -> Result<sctp::Tracking, Cause> {
        let packet = sctp::Packet::read(packet)?;
        match packet.event {
            sctp::Event::Init => Ok(sctp::Tracking::opening(&packet)?),
            _ if self.sysctls.is_on(Sysctl::SloppySctp) => Ok(sctp::Tracking::midway(&packet)?),
            _ => Err(Cause::NoConnection),
        }
    }

    pub(super) fn entry(&self, original: &Tuple, real: &Real, guest: &Guest) -> Entry {
        let (class, lifetime) = match &guest.tracked {
            // It is proved that its client is there: no flood can displace it.
            Tracked::Tcp(tcp) if tcp.is_spliced() => (Class::Established, LIFETIME),
            Tracked::Tcp(tcp) if tcp.is_proved() => {
                (Class::Established, self.timeouts.tcp(tcp.state))
            }
            Tracked::Tcp(tcp) => {
                let posture = real.stance.posture();
                let lifetime = posture.lifetime(self.timeouts, tcp.state);
                (Class::HalfOpen, lifetime)
            }
            Tracked::Sctp(sctp) => (Class::HalfOpen, sctp.state.timeout()),
            Tracked::Udp | Tracked::Call(_) => {
                let lifetime = real.stance.posture().udp_lifetime(self.timeouts, 1);
                (Class::Unverified, lifetime)
            }
        };
        let expires = self.now.after(lifetime);
        let port = real.destination(original.dst).port;
        let mut entry = Entry::new(original, real.id, port, class, expires);
        entry.tracked = guest.tracked;
        if real.follows_ftp() && real.service.port() == Some(original.dst.port) {
            entry.set_ftp();
        }
        entry.count_packet();
        let clocks = guest.proof.and_then(|proof| proof.timestamps);
        if let Some(said) = clocks {
            entry.set_clock(said.echo);
        }
        entry
    }

    pub(super) fn entered(&self, real: &Real, entry: &Entry) {
        if entry.is_ftp() {
            self.shifts.forget(&entry.original());
        }
        real.enter(entry.tracked.phase());
        self.watch(entry);
        self.pool.speakers().enter(entry);
        self.pool.enrol(entry);
    }

    pub(super) fn opened(&self, real: &Real, packet: &Transport, way: Direction) {
        self.count_connection(real);
        self.count(real, &packet.layout, way);
    }

    pub(super) fn count_connection(&self, real: &Real) {
        for traffic in [&real.traffic, &real.service_traffic] {
            traffic.of(self.worker).connections.add(1);
        }
    }
}

/// Why what has as many connections as it may have gets no more.
pub(super) const fn crowded(per: Per) -> Cause {
    match per {
        Per::Source => Cause::SourceConnections,
        Per::Service => Cause::ServiceConnections,
    }
}

/// Why what has opened as many connections as it may in so short a time gets no more.
pub(super) const fn hasty(per: Per) -> Cause {
    match per {
        Per::Source => Cause::SourceLimit,
        Per::Service => Cause::ServiceLimit,
    }
}

/// What became of a connection that a real server was to take: what it has, or why this one cannot have
/// it, which another may; or why none can.
pub(super) type Taken<'s, T> = Result<Result<T, Refusal<'s>>, Refusal<'s>>;

/// Whom the scheduler of `service` picks.
pub(super) fn picking<'s>(service: &'s Service) -> impl Fn(&Newcomer<'_>) -> Option<&'s Arc<Real>> {
    |newcomer| service.scheduler.pick(&service.reals, newcomer)
}

/// What the table has said to a connection to `real`: that it cannot have it, or that none can.
fn told_of_seat<'s>(
    seated: Result<(), Refused>,
    real: &'s Real,
) -> Result<Result<(), Cause>, Refusal<'s>> {
    match seated {
        Ok(()) => Ok(Ok(())),
        Err(Refused::ReplyTaken) => Ok(Err(Cause::TupleTaken)),
        Err(full) => Err(Refusal::from(Cause::from(full)).of_real(real)),
    }
}

/// The real servers that may have a connection which the chosen one cannot have; nobody stands in
/// for the sorry server.
fn others<'s>(service: &'s Service, guest: &Guest) -> impl Iterator<Item = &'s Real> {
    let all = service.reals.iter().map(|real| &**real);
    let all = all.filter(|_| service.sorry.is_none());
    all.filter(|real| real.is_willing() && guest.suits(real))
}
