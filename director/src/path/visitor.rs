//! Clients of a service with cookies: their SYNs are answered and forgotten, and who comes back
//! with a cookie has a connection at once. The gate does the first, and lets by only the second;
//! what it could not read is met here, in the same way.

use adminapi::sysctl::Sysctl;

use super::judge::segment_of;
use super::view::{Refusal, View};
use crate::cookie::{self, Proof};
use crate::direction::Direction;
use crate::drops::Cause;
use crate::flow::Tracked;
use crate::service::{Real, Service};
use crate::tcp::{Agreement, Judgement, NORMAL, Tracking};
use crate::wire::tcp::Segment;
use crate::wire::{Piece, Protocol, Transport};

impl<'s> View<'s> {
    /// What is tracked of a connection to `service` that `packet` opens, if it may open one.
    pub(super) fn greet(
        &self,
        service: &'s Service,
        frame: &[u8],
        packet: &Transport,
    ) -> Result<Tracked, Refusal<'s>> {
        match self.visit(service, frame, packet) {
            None => self.admit(service, frame, packet),
            Some(Ok(tracking)) => Ok(Tracked::Tcp(tracking)),
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
    ) -> Option<Result<Tracking, Cause>> {
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
        let proof = || recipe.verify(packet.tuple.src, &segment, bytes);
        match (segment.flags.opens(), recipe.mints) {
            (true, true) => Some(Err(Cause::Challenged)),
            (true, false) => None,
            (false, mints) => match proof() {
                Some(proof) => Some(taken_in(&proof, &segment)),
                None => (mints && !self.sysctls.is_on(Sysctl::SloppyTcp))
                    .then_some(Err(Cause::BadCookie)),
            },
        }
    }

    /// The real server of a connection that a cookie has proved: the one that the scheduler picks,
    /// or, if that does not know cookies, the one with the least to do of those that do.
    #[inline(never)]
    pub(super) fn pick_for_cookie(
        &self,
        service: &'s Service,
        packet: &Transport,
    ) -> Option<&'s Real> {
        let picked = self.pick(service, packet)?;
        if picked.load.takes_cookies() {
            return Some(picked);
        }
        let able = service.reals.iter().map(|real| &**real);
        let able = able.filter(|real| real.is_willing() && real.load.takes_cookies());
        able.min_by_key(|real| {
            u64::from(real.load.connections()) * (1 << 32) / u64::from(real.weight)
        })
    }
}

/// The connection that a client with a cookie has, its first segment taken in.
fn taken_in(proof: &Proof, segment: &Segment) -> Result<Tracking, Cause> {
    let offer = &proof.offer;
    let mut tracking = Tracking::agreed(&Agreement {
        isn: [segment.seq.wrapping_sub(1), segment.ack.wrapping_sub(1)],
        scales: offer.scale.map(|scale| [scale, cookie::SCALE]),
        window: cookie::WINDOW,
    });
    match tracking.judge(Direction::Original, segment, &NORMAL) {
        Judgement::Invalid(invalid) => Err(invalid.into()),
        _ => Ok(tracking),
    }
}
