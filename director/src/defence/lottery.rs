//! Which attempts to connect are dropped: by lot, but an attempt has one lot.
//!
//! The lot is a keyed hash of the attempt (the tuple, and the initial sequence number of TCP) and
//! of a span of time. A SYN that comes again at once fares as the first one did, so that sending
//! each one twice wins nothing; a client that comes back seconds later draws anew, so that no
//! client is shut out for good. What has been let through has its connection in the table and
//! draws no more: no client ever sees two real servers.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::time::{Tick, Ticks};
use crate::wire::{Endpoint, Tuple};

/// How long an attempt keeps its lot: longer than the first wait of a client (1 s, RFC 6298 §2),
/// shorter than the second one.
const SPAN: Ticks = Ticks::seconds(2);

/// Draws lots, under a key of its own.
#[derive(Clone, Copy)]
pub struct Lottery {
    start: SipHasher13,
}

impl Lottery {
    /// With a random key.
    pub fn random() -> Self {
        Self::with_key(rand::random())
    }

    fn with_key([k0, k1]: [u64; 2]) -> Self {
        Self {
            start: SipHasher13::new_with_keys(k0, k1),
        }
    }

    /// The lot of an attempt at `now`, all bits random.
    pub fn draw(&self, tuple: &Tuple, isn: u32, now: Tick) -> u32 {
        let mut attempt = self.start;
        for Endpoint { addr, port } in [tuple.src, tuple.dst] {
            attempt.write(addr.octets());
            attempt.write_u16(port);
        }
        attempt.write_u8(tuple.protocol.number());
        attempt.write_u32(isn);
        // Each attempt's spans begin at another moment, or all would draw anew together.
        let offset = attempt.finish() as u32 % SPAN.0;
        attempt.write_u32(now.after(Ticks(offset)).0 / SPAN.0);
        attempt.finish() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defence::Share;
    use crate::wire::{Addr, Protocol};

    fn tuple(port: u16) -> Tuple {
        let endpoint =
            |last, port| Endpoint::new(Addr::from(std::net::IpAddr::from([192, 0, 2, last])), port);
        Tuple {
            protocol: Protocol::Tcp,
            src: endpoint(1, port),
            dst: endpoint(2, 80),
        }
    }

    #[test]
    fn lots_are_even_and_independent() {
        let lottery = Lottery::with_key([1, 2]);
        let half = Share::of(0.5);
        let loses =
            |port, isn, second: u32| half.has(lottery.draw(&tuple(port), isn, Tick(second * 10)));
        let mut lost = [0; 4];
        for port in 0..10_000u16 {
            lost[0] += u32::from(loses(port, 0, 0));
            lost[1] += u32::from(loses(1, u32::from(port), 0));
            // Among those that lose, half lose the next time.
            if loses(port, 0, 0) {
                lost[2] += u32::from(loses(port, 0, 4));
                lost[3] += u32::from(loses(port, 1, 0));
            }
        }
        for (n, expected) in lost.into_iter().zip([5000u32, 5000, 2500, 2500]) {
            assert!(n.abs_diff(expected) < 300, "{lost:?}");
        }
    }

    #[test]
    fn an_attempt_keeps_its_lot_for_a_while() {
        let lottery = Lottery::with_key([1, 2]);
        let mut changes = 0;
        for port in 0..1000 {
            let lot = |tick| lottery.draw(&tuple(port), 7, Tick(tick));
            assert!(
                (0..SPAN.0)
                    .map(lot)
                    .filter(|&l| l != lot(0))
                    .all(|l| l == lot(SPAN.0 - 1))
            );
            changes += u32::from(lot(0) != lot(1));
        }
        assert!(
            (10..200).contains(&changes),
            "{changes} of 1000 spans end at the same tick"
        );
    }

    #[test]
    fn another_director_draws_other_lots() {
        let draw = |key| Lottery::with_key(key).draw(&tuple(1), 0, Tick(0));
        assert_ne!(draw([1, 2]), draw([1, 3]));
    }
}
