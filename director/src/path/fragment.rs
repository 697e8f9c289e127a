//! Fragments: the first one of a datagram goes as a packet does, and the others after it.

use super::course::{Course, Sent};
use super::exit::Departure;
use super::held::Held;
use super::reading::Reading;
use super::refusal::Refusal;
use super::refused::Refused;
use super::view::View;
use crate::drops::Cause;
use crate::flow::{Direction, Place};
use crate::fragment::{Name, Way};
use crate::service::Method;
use crate::wire::{self, Fragment, Transport, Tuple};
use crate::worker::Outbox;
use crate::xsk::Umem;

/// Fragments that are looked at again in one round.
const LOOKS: usize = 32;

impl<'s> View<'s> {
    /// A fragment of a TCP segment or UDP datagram.
    #[inline(never)]
    pub(super) fn fragment(&self, frame: &mut [u8]) -> Result<Departure, Refusal<'s>> {
        let fragment = match wire::fragment(frame) {
            Err(_) if self.is_from_here() => return Ok(Departure::Back),
            fragment => fragment?,
        };
        let name = self.fragments.name(&fragment);
        match fragment.first() {
            Some(packet) => self.first(frame, &fragment, &packet, &name),
            None => self.later(frame, &fragment, &name),
        }
    }

    fn first(
        &self,
        frame: &mut [u8],
        fragment: &Fragment,
        packet: &Transport,
        name: &Name,
    ) -> Result<Departure, Refusal<'s>> {
        self.fragments.open(name, self.now).map_err(Cause::from)?;
        self.sent.set(None);
        let (way, place) = self.locate_fragment(&packet.tuple);
        let departure = self.packet(frame, packet, way, &place);
        match &departure {
            Ok(_) => {
                let course = self.course(packet, way, &place);
                self.fragments
                    .follow(name, &fragment.span, course, self.now);
            }
            // It is going to be tried again.
            Err(refusal) if refusal.ask.is_some() => self.fragments.forget(name),
            Err(_) => self.fragments.refuse(name, self.now),
        }
        departure
    }

    /// The gate has only addresses to go by, so that all comes here which a real server sends in
    /// fragments: what is no answer is routed as it is.
    fn locate_fragment(&self, tuple: &Tuple) -> (Direction, Place) {
        let from_real = self.pool.address_answers(tuple.src.addr);
        match from_real && self.service_of(tuple).is_none() {
            true => (Direction::Reply, self.place(Direction::Reply, tuple)),
            false => self.locate(tuple),
        }
    }

    /// The way that a first fragment has just gone.
    fn course(&self, packet: &Transport, way: Direction, place: &Place) -> Course {
        let tuple = packet.tuple;
        // What belongs to no connection has been routed as it is, as DR does it.
        let Sent { method, to, real } = self.sent.take().unwrap_or(Sent {
            method: Method::Dr,
            to: tuple,
            real: None,
        });
        let shard = self.table.lock(place);
        let its = || {
            let found = shard.find(place, |entry| self.is_of(entry, way, &tuple));
            found.map(|handle| shard.entry(handle).real())
        };
        Course {
            tuple,
            to,
            method,
            owner: real.or_else(its).map(|real| (real, way)),
        }
    }

    fn later(
        &self,
        frame: &mut [u8],
        fragment: &Fragment,
        name: &Name,
    ) -> Result<Departure, Refusal<'s>> {
        let course = match self.fragments.way(name, self.now) {
            Way::Known(course) if self.is_from_here() && course.owner.is_none() => {
                return Ok(Departure::Back);
            }
            Way::Known(course) => course,
            Way::Unknown => return Ok(Departure::Held(*name)),
            Way::Refused => return Err(Cause::FragmentOrphan.into()),
        };
        let Course {
            tuple, method, to, ..
        } = course;
        let layout = fragment.layout;
        let hop = self.hop_by(frame, &layout, method, &to)?;
        let passed = self.fragments.pass(name, &fragment.span, self.now);
        passed.map_err(Cause::from)?;
        let owner = course
            .owner
            .and_then(|(real, way)| Some((self.pool.real(real)?, way)));
        if let Some((real, way)) = owner {
            self.count(real, &layout, way);
        }
        Ok(self.send(frame, &Transport { layout, tuple }, method, &to, &hop))
    }

    /// Lets those of the fragments go that were kept, a bounded number at once, whose way is known
    /// now or whose time is up.
    pub(super) fn release(&mut self, umem: &Umem, refused: &mut Refused, out: &mut Outbox) {
        for _ in 0..refused.held().len().min(LOOKS) {
            let due = refused.held().next(|name, arrival| {
                !Held::is_patient(arrival, self.now)
                    || !matches!(self.fragments.way(name, self.now), Way::Unknown)
            });
            if let Some(arrival) = due {
                self.port = arrival.port;
                self.pass(umem, arrival, &Reading::Fragment, refused, out);
            }
        }
    }
}
