//! How much the director says by itself: no more than so many answers a second.

use crate::time::{Tick, Ticks};

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
