//! How real servers meet new TCP connections: what their health is judged by, beside checks.
//!
//! Only where their answers pass here: elsewhere anyone could say a SYN twice and blame it on them.

use super::view::View;
use crate::flow::Direction;
use crate::service::Real;
use crate::tcp;
use crate::time::{Tick, Ticks};
use crate::wire::tcp::{Flags, Segment};

/// How long a real server has to answer a SYN before its repetition counts; a client waits a
/// second (RFC 6298, 2.1).
const PATIENCE: Ticks = Ticks(5);

impl View<'_> {
    /// Takes note of a segment of a connection that nobody has agreed to when it came. `expires` is
    /// when the connection would have expired without it.
    #[inline(never)]
    pub(super) fn note_handshake(
        &self,
        segment: &Segment,
        way: Direction,
        real: &Real,
        expires: Tick,
        tracking: &tcp::Tracking,
    ) {
        if real.method.is_one_way() {
            return;
        }
        let traffic = real.traffic.of(self.worker);
        let (syn, ack) = (segment.flags.has(Flags::SYN), segment.flags.has(Flags::ACK));
        match way {
            Direction::Reply if syn && ack => traffic.answered.add(1),
            Direction::Reply if tracking.state == tcp::State::Close => traffic.refused.add(1),
            Direction::Original if segment.flags.opens() && !tracking.is_answered() => {
                let lifetime = self.on_probation(real, tcp::State::SynRecv);
                let Ticks(left) = self.now.until(expires);
                if lifetime.0.saturating_sub(left) >= PATIENCE.0 {
                    traffic.silent.add(1);
                }
            }
            _ => {}
        }
    }
}
