//! What the director itself says to a packet that it drops: RST and ICMP errors, at a bounded
//! rate. An answer is built in the frame of the packet and goes back the way it came.

use super::reading::Reading;
use super::view::{Owner, Refusal};
use crate::drops::{Cause, DropReason};
use crate::forward::reply::{Problem, error, reset};
use crate::time::{Tick, Ticks};
use crate::wire::{self, Protocol, Transport};
use crate::xsk::{Frame, Umem};

/// Answers a second, of each worker: as many as Linux sends ICMP errors
/// (`net.ipv4.icmp_msgs_per_sec`).
const RATE: u32 = 1000;

/// Answers that may go at once (`net.ipv4.icmp_msgs_burst`).
const BURST: u32 = 50;

/// How many answers may still be sent: a token bucket, so that a flood is not answered by a
/// flood.
#[derive(Debug)]
pub(super) struct Allowance {
    tokens: u32,
    filled: Tick,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            tokens: BURST,
            filled: Tick::default(),
        }
    }
}

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

    /// Whether one more may be sent.
    pub(super) fn take(&mut self, now: Tick) -> bool {
        let Ticks(passed) = self.filled.until(now);
        let earned = passed.saturating_mul(RATE / Ticks::PER_SECOND);
        self.tokens = self
            .tokens
            .saturating_add(earned)
            .min(BURST.max(RATE / Ticks::PER_SECOND));
        self.filled = now;
        let granted = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        granted
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
    let problem = match cause {
        Cause::NoConnection | Cause::ReplyRefused | Cause::NoAgent
            if packet.tuple.protocol == Protocol::Tcp =>
        {
            None
        }
        Cause::NoReal => Some(Problem::PortUnreachable),
        Cause::ReplyWithoutConnection if refusal.vip.is_some() => Some(Problem::PortUnreachable),
        Cause::NoRoute => Some(Problem::NoRoute),
        Cause::Unreachable => Some(Problem::HostUnreachable),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_gives_a_burst_and_then_the_rate() {
        let mut allowance = Allowance::default();
        let granted =
            |allowance: &mut Allowance, now| (0..1000).filter(|_| allowance.take(now)).count();
        assert_eq!(granted(&mut allowance, Tick(0)), BURST as usize);
        assert_eq!(granted(&mut allowance, Tick(0)), 0);
        let per_tick = (RATE / Ticks::PER_SECOND) as usize;
        assert_eq!(granted(&mut allowance, Tick(1)), per_tick);
        assert_eq!(
            granted(&mut allowance, Tick(1000)),
            per_tick.max(BURST as usize)
        );
    }
}
