//! What the director itself says to a packet that it drops: RST and ICMP errors, at a bounded
//! rate. An answer is built in the frame of the packet and goes back the way it came.

use super::allowance::Allowance;
use super::reading::Reading;
use super::refusal::{Owner, Refusal};
use crate::drops::{Cause, DropReason};
use crate::forward::reply::{Problem, error, reset};
use crate::time::Tick;
use crate::wire::{self, Protocol, Transport};
use crate::xsk::{Frame, Umem};

impl Allowance {
    /// Turns the frame of a refused packet into an answer to it. False when there is nothing to
    /// say, or no more to be said for now.
    pub(super) fn answer(
        &mut self,
        umem: &Umem,
        frame: &mut Frame,
        reading: &Reading,
        refusal: &Refusal<'_>,
        now: Tick,
    ) -> bool {
        let first = |frame: &Frame| wire::fragment(umem.packet(frame)).ok()?.first();
        let fragment = match reading {
            Reading::Fragment => first(frame),
            _ => None,
        };
        let packet = match (reading, &fragment) {
            (Reading::Packet { packet, .. }, _) | (_, Some(packet)) => packet,
            _ => return false,
        };
        if refusal.reason == Cause::Challenged.into() {
            return challenge(umem, frame, packet, refusal);
        }
        let Some(say) = say(refusal, packet) else {
            return false;
        };
        if !self.take(now) {
            return false;
        }
        let length = say(umem.room_mut(frame), packet);
        frame.set_len(length.unwrap_or(0));
        length.is_some()
    }
}

/// Answers a SYN with a cookie, as often as it comes: it is no larger than the SYN, about, and costs
/// nothing that is kept.
fn challenge(umem: &Umem, frame: &mut Frame, packet: &Transport, refusal: &Refusal<'_>) -> bool {
    let Owner::Service(service) = refusal.owner else {
        return false;
    };
    let recipe = service.cookies.recipe();
    let length = recipe.and_then(|recipe| recipe.answer(umem.room_mut(frame), packet));
    frame.set_len(length.unwrap_or(0));
    length.is_some()
}

/// What there is to say, as a function from the packet to the length of the answer.
fn say(
    refusal: &Refusal<'_>,
    packet: &Transport,
) -> Option<impl Fn(&mut [u8], &Transport) -> Option<usize>> {
    let DropReason::Path(cause) = refusal.reason else {
        return None;
    };
    let is_tcp = packet.tuple.protocol == Protocol::Tcp;
    let problem = match cause {
        Cause::NoConnection | Cause::ReplyRefused if is_tcp => None,
        _ if refusal.is_open && is_tcp => None,
        Cause::NoReal => Some(Problem::PortUnreachable),
        Cause::ReplyWithoutConnection if refusal.vip.is_some() => Some(Problem::PortUnreachable),
        Cause::NoRoute => Some(Problem::NoRoute),
        Cause::Unreachable | Cause::NeighbourSilent => Some(Problem::HostUnreachable),
        Cause::TtlExceeded => Some(Problem::TimeExceeded),
        Cause::TooBig => Some(Problem::TooBig {
            mtu: u16::try_from(refusal.mtu).unwrap_or(u16::MAX),
        }),
        _ => return None,
    };
    let vip = refusal.vip;
    Some(move |buffer: &mut [u8], packet: &Transport| match problem {
        None => reset(buffer, packet),
        Some(problem) => error(
            buffer,
            packet,
            problem,
            vip.unwrap_or(packet.tuple.dst.addr),
        ),
    })
}
