//! Clients of a service with cookies: their SYNs are answered and forgotten, and who comes back
//! with a cookie has a connection at once. The gate does the first, and lets by only the second;
//! what it could not read is met here, in the same way. Where nobody knows cookies, the client of a SYN
//! has to have shown by a RST that it is there.

use std::sync::Arc;

use adminapi::sysctl::Sysctl;

use super::judge::segment_of;
use super::refusal::Refusal;
use super::view::View;
use crate::cookie::{self, Proof, Recipe};
use crate::direction::Direction;
use crate::drops::Cause;
use crate::flow::Tracked;
use crate::forward;
use crate::service::{Newcomer, Real, Service};
use crate::tcp::{Agreement, Judgement, NORMAL, Tracking};
use crate::wire::tcp::{Flags, Segment};
use crate::wire::{Piece, Protocol, Transport, Tuple, is_intact};

/// Who opens a connection.
#[derive(Clone, Copy)]
pub(super) struct Guest {
    /// What is tracked of it.
    pub(super) tracked: Tracked,
    /// What a client has shown whose real server is yet to be asked.
    pub(super) proof: Option<Proof>,
}

impl From<Tracked> for Guest {
    fn from(tracked: Tracked) -> Self {
        Self {
            tracked,
            proof: None,
        }
    }
}

impl Guest {
    /// Whether a cookie speaks for it.
    pub(super) const fn is_vouched(&self) -> bool {
        self.tracked.is_proved() || self.proof.is_some()
    }

    /// Whether `real` can have it: one who has a cookie goes where cookies are known, or where the
    /// director hears both ends.
    pub(super) fn suits(&self, real: &Real) -> bool {
        match (&self.proof, self.tracked.is_proved()) {
            (Some(_), _) => !real.method.is_one_way(),
            (None, true) => real.load.takes_cookies(),
            (None, false) => true,
        }
    }
}

impl<'s> View<'s> {
    /// Who opens a connection to `service` with `packet`, if it may open one.
    pub(super) fn greet(
        &self,
        service: &'s Service,
        frame: &[u8],
        packet: &Transport,
    ) -> Result<Guest, Refusal<'s>> {
        self.believe(service, packet)?;
        match self.visit(service, frame, packet) {
            None => self.admit(service, frame, packet).map(Guest::from),
            Some(Ok(guest)) => Ok(guest),
            Some(Err(cause)) => Err(Refusal::from(cause).of_service(service)),
        }
    }

    /// What the cookies of `service` say of a segment, if they have a say.
    #[inline]
    fn visit(
        &self,
        service: &Service,
        frame: &[u8],
        packet: &Transport,
    ) -> Option<Result<Guest, Cause>> {
        let is_whole = packet.layout.piece == Piece::Whole;
        if packet.tuple.protocol != Protocol::Tcp || !is_whole {
            return None;
        }
        let recipe = service.cookies.recipe()?;
        let bytes = packet.layout.segment(frame);
        let segment = match segment_of(bytes, packet.layout.piece) {
            Ok(segment) => segment,
            Err(cause) => return Some(Err(cause)),
        };
        if recipe.resets && self.hears(&packet.tuple, &segment, &recipe) {
            return Some(Err(Cause::ResetHeard));
        }
        if segment.flags.opens() {
            let goes_on = !recipe.answers() || self.has_reset(service, packet, &segment, &recipe);
            return (!goes_on).then_some(Err(Cause::Challenged));
        }
        match recipe.verify(packet.tuple.src, &segment, bytes) {
            // Others are made of this one, which nobody would find damaged.
            Some(_) if !is_intact(frame, packet) => Some(Err(Cause::BadCookie)),
            Some(proof) => Some(vouched(service, &recipe, proof, &segment)),
            None => self.wants_cookie(&recipe).then_some(Err(Cause::BadCookie)),
        }
    }

    /// Whether what opens nothing has to bring a cookie.
    fn wants_cookie(&self, recipe: &Recipe) -> bool {
        recipe.answers() && !self.sysctls.is_on(Sysctl::SloppyTcp)
    }

    /// Refuses a segment to `service` that opens nothing if it had to bring a cookie: it brings none.
    pub(super) fn bring(
        &self,
        service: &Service,
        frame: &[u8],
        packet: &Transport,
    ) -> Result<(), Cause> {
        let recipe = match packet.tuple.protocol {
            Protocol::Tcp => service.cookies.recipe(),
            _ => None,
        };
        let Some(recipe) = recipe else {
            return Ok(());
        };
        let segment = segment_of(packet.layout.segment(frame), packet.layout.piece)?;
        match !segment.flags.opens() && self.wants_cookie(&recipe) {
            true => Err(Cause::BadCookie),
            false => Ok(()),
        }
    }

    /// Who opens a connection to `service` when the SYN in `packet` is answered with a cookie and its
    /// client brings that back; none when no cookies are made, or it is no SYN.
    pub(super) fn returning(
        &self,
        service: &Service,
        frame: &[u8],
        packet: &Transport,
    ) -> Option<Result<Guest, Cause>> {
        let is_tcp = packet.tuple.protocol == Protocol::Tcp;
        let recipe = service.cookies.recipe().filter(|it| is_tcp && it.mints)?;
        let bytes = packet.layout.segment(frame);
        let syn = segment_of(bytes, packet.layout.piece);
        let syn = syn.ok().filter(|syn| syn.flags.opens())?;
        let minted = recipe.mint(packet.tuple.src, &syn, bytes)?;
        let proof = Proof {
            offer: minted.offer,
            isn: syn.seq,
            told: minted.sequence,
            timestamps: None,
        };
        let ack = Segment {
            seq: syn.seq.wrapping_add(1),
            ack: minted.sequence.wrapping_add(1),
            flags: Flags(Flags::ACK),
            window: syn.window,
            ..Segment::default()
        };
        Some(vouched(service, &recipe, proof, &ack))
    }

    /// Keeps a RST by which a client shows that it is there.
    fn hears(&self, tuple: &Tuple, segment: &Segment, recipe: &Recipe) -> bool {
        let shows = segment.flags.has(Flags::RST) && recipe.is_bait(segment.seq, tuple.src);
        if shows {
            self.resets.note(tuple, segment.seq);
        }
        shows
    }

    /// Whether the client of a SYN has shown that it is there.
    fn has_reset(
        &self,
        service: &Service,
        packet: &Transport,
        segment: &Segment,
        recipe: &Recipe,
    ) -> bool {
        let Tuple { src: client, .. } = packet.tuple;
        let last = self.resets.last(&packet.tuple).filter(|_| recipe.resets);
        let shows = last.is_some_and(|number| recipe.is_shown_by(number, client, segment.seq));
        if shows {
            service.traffic.of(self.worker).shown.add(1);
        }
        shows
    }

    /// The real server of a connection that a cookie speaks for: the one that the scheduler picks,
    /// or, if that cannot have it, the one with the least to do of those that can.
    #[inline(never)]
    pub(super) fn pick_suiting(
        &self,
        service: &'s Service,
        packet: &Transport,
        guest: &Guest,
        scheduler: impl Fn(&Newcomer<'_>) -> Option<&'s Arc<Real>>,
    ) -> Option<&'s Real> {
        let picked = self.pick(service, packet, scheduler)?;
        match guest.suits(picked) {
            true => Some(picked),
            false => least_loaded(service, |real| guest.suits(real)),
        }
    }
}

/// Whether the real server of a client with a cookie has to be asked. The sorry server has no agent,
/// mostly.
fn is_asked_later(service: &Service, recipe: &Recipe) -> bool {
    let sorry = service.sorry.as_ref();
    recipe.splices || sorry.is_some_and(|sorry| !sorry.load.takes_cookies())
}

/// The client that brings back a cookie in `segment`.
fn vouched(
    service: &Service,
    recipe: &Recipe,
    proof: Proof,
    segment: &Segment,
) -> Result<Guest, Cause> {
    match is_asked_later(service, recipe) {
        true => Ok(asking(proof, opening_window(&proof, segment))),
        false => taken_in(&proof, segment),
    }
}

/// The willing real server with the least to do for its weight, of those that are `fit`.
pub(super) fn least_loaded(service: &Service, fit: impl Fn(&Real) -> bool) -> Option<&Real> {
    let all = service.reals.iter().map(|real| &**real);
    let fit = all.filter(|real| real.is_willing() && fit(real));
    fit.min_by_key(|real| u64::from(real.load.connections()) * (1 << 32) / u64::from(real.weight))
}

/// The connection that a client with a cookie has, its first segment taken in.
fn taken_in(proof: &Proof, segment: &Segment) -> Result<Guest, Cause> {
    let offer = &proof.offer;
    let mut tracking = Tracking::agreed(&Agreement {
        isn: [segment.seq.wrapping_sub(1), segment.ack.wrapping_sub(1)],
        scales: offer.scale.map(|scale| [scale, cookie::SCALE]),
        window: cookie::WINDOW,
    });
    match tracking.judge(Direction::Original, segment, &NORMAL) {
        Judgement::Invalid(invalid) => Err(invalid.into()),
        _ => Ok(Tracked::Tcp(tracking).into()),
    }
}

/// The connection that it will have when its real server agrees. `window` is that of its SYN.
pub(super) fn asking(proof: Proof, window: u16) -> Guest {
    let syn = Segment {
        seq: proof.isn,
        flags: Flags(Flags::SYN),
        window,
        scale: proof.offer.scale,
        ..Segment::default()
    };
    Guest {
        tracked: Tracked::Tcp(Tracking::spliced(&syn, proof.told)),
        proof: Some(proof),
    }
}

/// The window of a client's `segment` as its SYN says it: without a scale (RFC 7323 §2.2).
pub(super) fn opening_window(proof: &Proof, segment: &Segment) -> u16 {
    forward::rescaled(segment.window, [proof.offer.scale.unwrap_or(0), 0])
}
