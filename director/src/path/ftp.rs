//! FTP: the data connections that control connections speak of go to the same real server.

use std::sync::Arc;

use super::exit::Departure;
use super::judge::segment_of;
use super::refusal::Refusal;
use super::view::View;
use super::voice::Lead;
use crate::drops::Cause;
use crate::flow::{Class, Direction, Entry, Handle, Place, Shard, Tracked};
use crate::ftp::{DATA_PORTS, Expected};
use crate::neighbour::Hop;
use crate::service::{Method, Real, Service, Standing};
use crate::tcp::{State, Tracking};
use crate::wire::{Endpoint, Protocol, Transport, Tuple};

mod control;

/// A data connection to be.
pub(super) struct Data<'s> {
    pub(super) real: &'s Real,
    pub(super) entry: Entry,
    /// Of its first packet.
    way: Direction,
    /// Those of its original and of its reply tuple.
    places: [Place; 2],
    /// What the tuple of its first packet becomes.
    to: Tuple,
    /// How it is led to the real server, when the client opens it.
    lead: Option<Lead>,
}

impl<'s> View<'s> {
    /// The service that `packet` opens a connection to; none when it is the data connection that its client was
    /// told to open. That goes where its control connection does, whatever takes its port.
    pub(super) fn service_opened(
        &self,
        frame: &[u8],
        packet: &Transport,
    ) -> Option<&'s Arc<Service>> {
        let service = self.service_of(&packet.tuple)?;
        let is_data = DATA_PORTS.contains(&packet.tuple.dst.port) && self.is_told_of(frame, packet);
        (!is_data).then_some(service)
    }

    #[inline(never)]
    fn is_told_of(&self, frame: &[u8], packet: &Transport) -> bool {
        let Transport { tuple, .. } = packet;
        self.pool.takes_data(tuple.dst)
            && self.opening_of_data(frame, packet).is_some()
            && self.expectations.peek_passive(tuple, self.now).is_some()
    }

    /// A packet from a client that no service is there for: the data connection that it was told
    /// to open, or nothing.
    #[inline(never)]
    pub(super) fn opened_by_client(
        &self,
        shard: Shard<'_>,
        frame: &mut [u8],
        packet: &Transport,
        place: &Place,
    ) -> Result<Departure, Refusal<'s>> {
        let opening = self.opening_of_data(frame, packet);
        let tracked = opening.ok_or(Cause::NoService)?;
        let opened = self
            .expectations
            .fulfil_passive(&packet.tuple, self.now, |expected| {
                let data = self.data_by_client(&shard, packet, place, expected, tracked)?;
                self.admit_data(shard, frame, packet, &data)
            });
        opened.unwrap_or_else(|| Err(Cause::NoService.into()))
    }

    /// The data connection that such a packet would open, if it is expected.
    pub(super) fn awaited_from_client(
        &self,
        shard: &Shard<'_>,
        frame: &[u8],
        packet: &Transport,
        place: &Place,
    ) -> Option<Result<Data<'s>, Refusal<'s>>> {
        let tracked = self.opening_of_data(frame, packet)?;
        let expected = self.expectations.peek_passive(&packet.tuple, self.now)?;
        Some(self.data_by_client(shard, packet, place, &expected, tracked))
    }

    fn data_by_client(
        &self,
        shard: &Shard<'_>,
        packet: &Transport,
        place: &Place,
        expected: &Expected,
        tracked: Tracked,
    ) -> Result<Data<'s>, Refusal<'s>> {
        let real = self.expecting(expected)?;
        let mut entry = self.data_entry(&packet.tuple, expected, tracked);
        let to = Tuple {
            dst: Endpoint::new(real.endpoint.addr, expected.port),
            ..packet.tuple
        };
        let lead = self.lead_to(shard, to, place, real, entry.class());
        let lead = lead.map_err(|cause| Refusal::from(cause).of_real(real))?;
        let reply = lead.reply.ok_or(Cause::NoService)?;
        lead.note(&mut entry);
        Ok(Data {
            real,
            entry,
            way: Direction::Original,
            places: [*place, reply],
            to: lead.to,
            lead: Some(lead),
        })
    }

    /// A packet from a real server that belongs to no connection: the data connection that it was
    /// told to open, or a stray.
    pub(super) fn of_nobody(
        &self,
        shard: Shard<'_>,
        frame: &mut [u8],
        packet: &Transport,
        place: &Place,
    ) -> Result<Departure, Refusal<'s>> {
        let opening = self.opening_of_data(frame, packet);
        let opened = opening.and_then(|tracked| {
            self.expectations
                .fulfil_active(&packet.tuple, self.now, |expected| {
                    let data = self.data_by_real(packet, place, expected, tracked)?;
                    self.open_by_real(shard, frame, packet, &data)
                })
        });
        opened.unwrap_or_else(|| self.stray(frame, packet))
    }

    /// The data connection that such a packet would open, if it is expected.
    pub(super) fn awaited_from_real(
        &self,
        frame: &[u8],
        packet: &Transport,
        place: &Place,
    ) -> Option<Result<Data<'s>, Refusal<'s>>> {
        let tracked = self.opening_of_data(frame, packet)?;
        let expected = self.expectations.peek_active(&packet.tuple, self.now)?;
        Some(self.data_by_real(packet, place, &expected, tracked))
    }

    fn data_by_real(
        &self,
        packet: &Transport,
        place: &Place,
        expected: &Expected,
        tracked: Tracked,
    ) -> Result<Data<'s>, Refusal<'s>> {
        let real = self.expecting(expected)?;
        let to = Tuple {
            src: expected.vip,
            ..packet.tuple
        };
        let mut entry = self.data_entry(&to.reversed(), expected, tracked);
        entry.set_by_real();
        let original = self.table.locate(Direction::Original, &to.reversed());
        Ok(Data {
            real,
            entry,
            way: Direction::Reply,
            places: [original, *place],
            to,
            lead: None,
        })
    }

    fn open_by_real(
        &self,
        mut shard: Shard<'_>,
        frame: &mut [u8],
        packet: &Transport,
        data: &Data<'s>,
    ) -> Result<Departure, Refusal<'s>> {
        // The client listens where it did before, for another real server.
        if let Some(last) = last_of(&shard, data).filter(|last| is_over(shard.entry(*last))) {
            self.forget(&mut shard, last);
        }
        self.admit_data(shard, frame, packet, data)
    }

    fn opening_of_data(&self, frame: &[u8], packet: &Transport) -> Option<Tracked> {
        if packet.tuple.protocol != Protocol::Tcp {
            return None;
        }
        let Transport { layout, .. } = packet;
        let segment = segment_of(layout.segment(frame), layout.piece).ok()?;
        let tracked = || Tracked::Tcp(Tracking::opening(&segment));
        segment.flags.opens().then(tracked)
    }

    fn expecting(&self, expected: &Expected) -> Result<&'s Real, Cause> {
        let real: &Real = self.pool.real(expected.real).ok_or(Cause::RealRemoved)?;
        match real.standing {
            Standing::Removed => Err(self.why_removed(real)),
            _ => Ok(real),
        }
    }

    fn data_entry(&self, original: &Tuple, expected: &Expected, tracked: Tracked) -> Entry {
        let lifetime = self.timeouts.tcp(State::SynRecv);
        let expires = self.now.after(lifetime);
        let class = Class::HalfOpen;
        let mut entry = Entry::new(original, expected.real, expected.port, class, expires);
        entry.tracked = tracked;
        entry
    }

    /// Takes a data connection into the table, and sends its first packet on.
    fn admit_data(
        &self,
        mut shard: Shard<'_>,
        frame: &mut [u8],
        packet: &Transport,
        data: &Data<'s>,
    ) -> Result<Departure, Refusal<'s>> {
        let Data { real, to, .. } = data;
        let [original, reply] = &data.places;
        let hop = self.way_of_data(frame, packet, data)?;
        if let Some(lead) = &data.lead {
            self.make_way(&mut shard, lead);
        }
        let gone = &mut |gone: &Entry, _| self.departed(gone);
        let taken = shard.insert(data.entry, original, Some(reply), gone);
        taken.map_err(|refused| Refusal::from(Cause::from(refused)).of_real(real))?;
        self.entered(real, &data.entry);
        drop(shard);
        self.opened(real, packet, data.way);
        Ok(self.send(frame, packet, Method::Nat, to, &hop))
    }

    /// The next hop of the first packet of a data connection.
    pub(super) fn way_of_data(
        &self,
        frame: &[u8],
        packet: &Transport,
        data: &Data<'s>,
    ) -> Result<Hop, Refusal<'s>> {
        let hop = self.hop_by(frame, &packet.layout, Method::Nat, &data.to);
        hop.map_err(|refusal| refusal.of_real(data.real))
    }
}

impl<'s> Data<'s> {
    /// Whether the table would take it.
    pub(super) fn would_be_seated(&self, shard: &Shard<'_>) -> Result<(), Refusal<'s>> {
        let [original, reply] = &self.places;
        let reply = match &self.lead {
            Some(lead) => lead.reply_to_take(),
            None => Some(reply),
        };
        let seated = shard.would_take(&self.entry, original, reply);
        seated.map_err(|refused| Refusal::from(Cause::from(refused)).of_real(self.real))
    }
}

/// The connection that has the ends of a data connection to be.
fn last_of(shard: &Shard<'_>, data: &Data<'_>) -> Option<Handle> {
    let original = data.entry.original();
    shard.find(&data.places[0], |old| old.matches_original(&original))
}

fn is_over(entry: &Entry) -> bool {
    matches!(&entry.tracked, Tracked::Tcp(tcp) if tcp.state.is_over())
}

/// Whether a connection that is not over has the ends of one that a real server opens.
pub(super) fn is_taken(shard: &Shard<'_>, data: &Data<'_>) -> bool {
    let is_held = || last_of(shard, data).is_some_and(|last| !is_over(shard.entry(last)));
    data.way == Direction::Reply && is_held()
}
