//! What would become of a packet, by the steps that packets take, but without a trace: nothing is
//! opened, counted, or remembered by a scheduler.

use std::sync::Arc;

use super::Shared;
use super::bystander::Bystander;
use super::fresh::{Taken, crowded, hasty};
use super::ftp::{Data, is_taken};
use super::reading::Reading;
use super::refusal::{Owner, Refusal};
use super::view::View;
use super::visitor::Guest;
use super::voice::Lead;
use crate::drops::{Cause, DropReason};
use crate::flow::{Direction, Entry, Place, Shard, Tracked};
use crate::neighbour::Hop;
use crate::pool::Pool;
use crate::service::{Newcomer, Real, Service, ServiceKey};
use crate::tcp;
use crate::time::Tick;
use crate::wire::tcp::header;
use crate::wire::{Protocol, Transport, Tuple};

mod becoming;
mod probe;

pub use probe::Probe;

/// What would become of a packet.
#[derive(Debug)]
pub struct Explanation {
    /// The services and real servers that were looked at.
    pub pool: Arc<Pool>,
    /// The service that it is for.
    pub service: Option<ServiceKey>,
    /// The connection that it belongs to.
    pub connection: Option<Entry>,
    /// The state of that after it, if it is one of TCP.
    pub becomes: Option<tcp::State>,
    /// The one of its ends that it leaves behind.
    pub left: Option<Entry>,
    /// What the service remembers of the client.
    pub template: Option<Entry>,
    /// Whether it would be scheduled by itself.
    pub one_packet: bool,
    /// Whether it would open a data connection that FTP has announced.
    pub expected: bool,
    /// The real server that it would go to, or is from.
    pub real: Option<Real>,
    /// The port there.
    pub port: Option<u16>,
    /// How it would leave.
    pub hop: Option<Hop>,
    /// Why it would not.
    pub refused: Option<DropReason>,
    /// The number of the limit of connections by which it would not.
    pub crowded: Option<usize>,
    /// The number of the limit of rates by which it would not.
    pub hasty: Option<usize>,
}

impl Shared {
    /// What would become of a packet that comes in through `port`.
    pub fn explain(&self, probe: &Probe<'_>, port: u16, now: Tick) -> Explanation {
        let bystander = Bystander::of(self);
        let mut found = Explanation {
            pool: Arc::clone(bystander.pool()),
            service: None,
            connection: None,
            becomes: None,
            left: None,
            template: None,
            one_packet: false,
            expected: false,
            real: None,
            port: None,
            hop: None,
            refused: None,
            crowded: None,
            hasty: None,
        };
        let view = bystander.view(port, now);
        let frame = probe::frame(probe);
        let done = match view.read(&frame) {
            Reading::Packet { packet, way, place } => {
                view.explain(&frame, &packet, way, &place, &mut found)
            }
            Reading::Unreadable(malformed) => Err(DropReason::from(malformed).into()),
            _ => Ok(()),
        };
        if let Err(refusal) = done {
            match refusal.owner {
                Owner::Nobody => {}
                Owner::Service(service) => found.service = Some(service.key),
                Owner::Real(real) => found.real = Some(real.clone()),
            }
            found.refused = Some(refusal.reason);
        }
        found
    }
}

impl<'s> View<'s> {
    fn explain(
        &self,
        frame: &[u8],
        packet: &Transport,
        way: Direction,
        place: &Place,
        found: &mut Explanation,
    ) -> Result<(), Refusal<'s>> {
        let shard = self.table.lock(place);
        let known = shard.find(place, |entry| self.is_of(entry, way, &packet.tuple));
        let known = known.map(|handle| *shard.entry(handle));
        let stays = known.map(|entry| self.explain_known(frame, packet, way, &entry, found));
        match (stays.transpose()?, way) {
            (Some(true), _) => Ok(()),
            (_, Direction::Original) => self.explain_fresh(shard, frame, packet, place, found),
            (_, Direction::Reply) => match self.awaited_from_real(frame, packet, place) {
                Some(data) => self.explain_data(&shard, frame, packet, data, found),
                None => self.explain_unknown(frame, packet, found),
            },
        }
    }

    /// What opens a connection, when the one that it leaves behind has gone.
    fn explain_fresh(
        &self,
        shard: Shard<'_>,
        frame: &[u8],
        packet: &Transport,
        place: &Place,
        found: &mut Explanation,
    ) -> Result<(), Refusal<'s>> {
        let Some(service) = self.service_opened(frame, packet) else {
            let data = self.awaited_from_client(&shard, frame, packet, place);
            let data = data.ok_or(Cause::NoService)?;
            return self.explain_data(&shard, frame, packet, data, found);
        };
        let service: &Service = service;
        let taken = self.taken_by(service, frame, packet);
        taken.map_err(|cause| Refusal::from(cause).of_service(service))?;
        self.believe(service, packet)?;
        let guest = match self.returning(service, frame, packet) {
            Some(guest) => guest.map_err(|cause| Refusal::from(cause).of_service(service))?,
            None => self.admit(service, frame, packet).map(Guest::from)?,
        };
        found.service = Some(service.key);
        let barred = self.is_barred(service, packet, &guest, found);
        let led = self.explain_led(&shard, frame, packet, place, service, &guest, found);
        match barred {
            Some(cause) => Err(Refusal::from(cause).of_service(service)),
            None => led,
        }
    }

    /// Refuses what does not even come to open a connection to `service`. The gate does not judge what a
    /// real server says.
    fn taken_by(&self, service: &Service, frame: &[u8], packet: &Transport) -> Result<(), Cause> {
        if !self.pool.address_answers(packet.tuple.src.addr) {
            sensible(frame, packet)?;
        }
        self.bring(service, frame, packet)
    }

    /// Why `guest` may open no connection, whatever real server it would get.
    fn is_barred(
        &self,
        service: &Service,
        packet: &Transport,
        guest: &Guest,
        found: &mut Explanation,
    ) -> Option<Cause> {
        if self.is_drawn(service, packet, guest) {
            return Some(Cause::DefenceRate);
        }
        let left = found.left.is_some().into();
        if let Some((number, per)) = self.pool.crowds().full(&packet.tuple, left) {
            found.crowded = Some(number);
            return Some(crowded(per));
        }
        if service.handling.is_once(packet.tuple.protocol) {
            return None;
        }
        let used_up = (self.pool.paces()).used_up(&packet.tuple, self.pool.geography());
        let (number, per) = used_up?;
        found.hasty = Some(number);
        Some(hasty(per))
    }

    /// Where a connection to `service` is led, if the one that it leaves behind has gone.
    #[allow(clippy::too_many_arguments)]
    fn explain_led(
        &self,
        shard: &Shard<'_>,
        frame: &[u8],
        packet: &Transport,
        place: &Place,
        service: &'s Service,
        guest: &Guest,
        found: &mut Explanation,
    ) -> Result<(), Refusal<'s>> {
        let left = found.left;
        let scheduler = |newcomer: &Newcomer<'_>| self.peek(service, newcomer, left.as_ref());
        let choice = self.foresee(service, frame, packet, guest, scheduler, found)?;
        let (Foreseen::Only(first) | Foreseen::First(first)) = choice;
        found.goes_to(first, packet);
        found.one_packet = service.handling.is_once(packet.tuple.protocol);
        let ask =
            |real| self.would_take_in(shard, frame, packet, place, real, guest, left.as_ref());
        let (real, (_, hop)) = match (choice, found.one_packet) {
            (Foreseen::Only(real), true) => (real, self.way_once(frame, packet, real)?),
            (Foreseen::First(first), true) => {
                let real = self.in_reach(service, frame, packet, guest, first, scheduler);
                (real, self.way_once(frame, packet, real)?)
            }
            (Foreseen::Only(real), false) => {
                (real, ask(real)?.map_err(|refusal| refusal.of_real(real))?)
            }
            (Foreseen::First(first), false) => {
                self.take_in_by(service, first, frame, packet, guest, scheduler, ask)?
            }
        };
        found.goes_to(real, packet);
        found.hop = Some(hop);
        Ok(())
    }

    /// The real server that is asked first for a new connection.
    fn foresee(
        &self,
        service: &'s Service,
        frame: &[u8],
        packet: &Transport,
        guest: &Guest,
        scheduler: impl Fn(&Newcomer<'_>) -> Option<&'s Arc<Real>>,
        found: &mut Explanation,
    ) -> Result<Foreseen<'s>, Refusal<'s>> {
        let Some(persistence) = &service.handling.persistence else {
            return match self.choose(service, packet, guest, scheduler) {
                Some(first) => Ok(Foreseen::First(first)),
                None => self.way_past(service, guest).map(Foreseen::Only),
            };
        };
        match self.held(service, persistence, frame, packet, guest, scheduler) {
            Ok((template, real)) => {
                found.template = template;
                Ok(Foreseen::Only(real))
            }
            Err(Cause::NoReal) => self.way_past(service, guest).map(Foreseen::Only),
            Err(cause) => Err(Refusal::from(cause).of_service(service)),
        }
    }

    /// What [`View::take_in`] would say if the connection `left` had gone.
    #[allow(clippy::too_many_arguments)]
    fn would_take_in(
        &self,
        shard: &Shard<'_>,
        frame: &[u8],
        packet: &Transport,
        place: &Place,
        real: &'s Real,
        guest: &Guest,
        left: Option<&Entry>,
    ) -> Taken<'s, (Tuple, Hop)> {
        let entry = self.entry(&packet.tuple, real, guest);
        let lead = self.lead(shard, packet, place, real, entry.class());
        let lead = lead.or_else(|cause| self.led_again(left, real, cause));
        self.led_in(frame, packet, real, lead, |lead| {
            self.would_seat(shard, place, real, lead, entry)
        })
    }

    /// Whom the scheduler would pick if the connection `left` had gone.
    fn peek(
        &self,
        service: &'s Service,
        newcomer: &Newcomer<'_>,
        left: Option<&Entry>,
    ) -> Option<&'s Arc<Real>> {
        let had = left.and_then(|left| Some((self.pool.real(left.real())?, left)));
        let Some((had, left)) = had else {
            return service.scheduler.peek(&service.reals, newcomer);
        };
        let reals = service.reals.relieved(had, left.tracked.phase());
        let picked = service.scheduler.peek(&reals, newcomer)?.id;
        self.pool.real(picked)
    }

    /// What a connection to `real` becomes for which there is a port only when the one `left` has gone.
    fn led_again(&self, left: Option<&Entry>, real: &Real, cause: Cause) -> Result<Lead, Cause> {
        let frees = |left: &&Entry| {
            cause == Cause::NoLocalPort && left.local_port != 0 && left.real() == real.id
        };
        let left = left.filter(frees).ok_or(cause)?;
        let to = self.translated(left, real, Direction::Original);
        Ok(Lead::known(to))
    }

    /// What opens a data connection.
    fn explain_data(
        &self,
        shard: &Shard<'_>,
        frame: &[u8],
        packet: &Transport,
        data: Result<Data<'s>, Refusal<'s>>,
        found: &mut Explanation,
    ) -> Result<(), Refusal<'s>> {
        found.expected = true;
        let data = data?;
        found.service = Some(data.real.service);
        found.real = Some(data.real.clone());
        found.port = Some(data.entry.real_port());
        found.hop = Some(self.way_of_data(frame, packet, &data)?);
        match is_taken(shard, &data) {
            true => Err(Refusal::from(Cause::TupleTaken).of_real(data.real)),
            false => data.would_be_seated(shard),
        }
    }

    /// What a real server sends and no connection is known for: of one that was lost, or by itself.
    fn explain_unknown(
        &self,
        frame: &[u8],
        packet: &Transport,
        found: &mut Explanation,
    ) -> Result<(), Refusal<'s>> {
        match self.resumed(frame, packet) {
            Some((_, entry)) => {
                let way = Direction::Reply;
                self.explain_known(frame, packet, way, &entry, found)
                    .map(drop)
            }
            None => self.explain_stray(frame, packet, found),
        }
    }

    /// What a real server sends by itself. What is for this host the gate leaves to the kernel.
    fn explain_stray(
        &self,
        frame: &[u8],
        packet: &Transport,
        found: &mut Explanation,
    ) -> Result<(), Refusal<'s>> {
        let local = DropReason::from(Cause::LocalDestination);
        let hop = self.way_of_stray(frame, packet);
        found.hop = Some(hop.map_err(|refusal| match refusal.reason == local {
            true => Cause::NoService.into(),
            false => refusal,
        })?);
        Ok(())
    }

    /// What belongs to the connection `entry`; false when it leaves that behind.
    fn explain_known(
        &self,
        frame: &[u8],
        packet: &Transport,
        way: Direction,
        entry: &Entry,
        found: &mut Explanation,
    ) -> Result<bool, Refusal<'s>> {
        let Some(real) = self.pool.real(entry.real()) else {
            found.connection = Some(*entry);
            return Err(Cause::RealRemoved.into());
        };
        let real: &'s Real = real;
        if let Err(cause) = sensible(frame, packet) {
            found.belongs_to(entry, real);
            return Err(Refusal::from(cause).of_real(real));
        }
        let to = self.translated(entry, real, way);
        let hop = self.leads_on(entry, real, frame, packet, way, &to);
        let waits = way == Direction::Original && is_opening(entry);
        let stays = match &hop {
            Ok(Some(_)) => waits || !self.reopens(entry, real, frame, packet, way),
            Ok(None) => false,
            Err(_) => true,
        };
        if !stays {
            found.left = Some(*entry);
            return Ok(false);
        }
        found.belongs_to(entry, real);
        found.hop = hop.map_err(|refusal| refusal.of_real(real))?;
        let becomes = match waits {
            true => Err(Cause::NotYetOpen),
            false => self.becomes(frame, packet, way, entry, real),
        };
        found.becomes = becomes.map_err(|cause| Refusal::from(cause).of_real(real))?;
        Ok(true)
    }
}

impl Explanation {
    fn belongs_to(&mut self, entry: &Entry, real: &Real) {
        self.connection = Some(*entry);
        self.service = Some(real.service);
        self.real = Some(real.clone());
        self.port = Some(entry.real_port());
    }

    fn goes_to(&mut self, real: &Real, packet: &Transport) {
        self.real = Some(Real::clone(real));
        self.port = Some(real.destination(packet.tuple.dst).port);
    }
}

/// The real server that is asked for a new connection.
#[derive(Clone, Copy)]
enum Foreseen<'s> {
    /// The one that it is for, and no other.
    Only(&'s Real),
    /// Others after it.
    First(&'s Real),
}

/// Whether the real server of a spliced connection has yet to answer: until then its client waits.
fn is_opening(entry: &Entry) -> bool {
    matches!(&entry.tracked, Tracked::Tcp(tcp) if tcp.told().is_some())
}

/// Refuses TCP flags that nobody sends together, as the gate does before anything is known of a segment.
fn sensible(frame: &[u8], packet: &Transport) -> Result<(), Cause> {
    let header = header(packet.layout.segment(frame));
    let is_nonsense = header.is_some_and(|header| header.flags().is_nonsense());
    match packet.tuple.protocol == Protocol::Tcp && is_nonsense {
        true => Err(Cause::TcpFlags),
        false => Ok(()),
    }
}

/// The protocols that a probe can be made of.
const fn length(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Tcp => 20,
        Protocol::Udp => 8,
        Protocol::Sctp => 32,
    }
}

#[cfg(test)]
mod tests;
