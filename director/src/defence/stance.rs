//! What the defence of a service is at this moment, as its packets see it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::tcp::{PEACE, SIEGE, State, Tables, Timeouts};
use crate::time::Ticks;

/// A share of the new connections, from none to all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// None.
    pub const NONE: Self = Self(0);
    /// All.
    pub const ALL: Self = Self(1 << Self::BITS);
    /// A draw has so many bits.
    const BITS: u32 = 30;
    const MASK: u64 = (1 << (Self::BITS + 1)) - 1;

    /// `share` between 0.0 and 1.0; beyond that, and what is no number, the nearest of the two.
    pub fn of(share: f64) -> Self {
        Self((share.clamp(0.0, 1.0) * f64::from(Self::ALL.0)).round() as u32)
    }

    /// Between 0.0 and 1.0.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / f64::from(Self::ALL.0)
    }

    /// Whether a draw, all of whose bits are random, is among this share.
    #[inline]
    pub const fn has(self, draw: u32) -> bool {
        draw >> (u32::BITS - Self::BITS) < self.0
    }
}

/// How new connections of a service are met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Posture {
    /// Handshakes are judged by the tables for attacks.
    pub wary: bool,
    /// Handshakes live briefly, and UDP of which the client was heard only once.
    pub brief: bool,
    /// The share of the SYNs that is dropped.
    pub syns: Share,
    /// The share that is dropped of whatever opens a connection, by any protocol.
    pub all: Share,
}

impl Posture {
    /// The tables in force.
    pub const fn tables(&self) -> &'static Tables {
        match self.wary {
            true => &SIEGE,
            false => &PEACE,
        }
    }

    /// How long a connection lives in `state` as long as it is not proved.
    pub fn lifetime(&self, timeouts: &Timeouts, state: State) -> Ticks {
        match self.brief {
            true => timeouts.on_brief_probation(state),
            false => timeouts.on_probation(state),
        }
    }

    /// How long a UDP connection lives whose client has sent so many packets.
    #[inline]
    pub const fn udp_lifetime(&self, timeouts: &Timeouts, packets: u32) -> Ticks {
        match self.takes_for_stranger(packets) {
            true => timeouts.udp_once(),
            false => timeouts.udp(),
        }
    }

    /// Whether a UDP client that has sent so many packets may be one who forges his address: then
    /// the answer of a real server speaks for nobody.
    #[inline]
    pub const fn takes_for_stranger(&self, packets: u32) -> bool {
        self.brief && packets < 2
    }
}

const WARY: u64 = 1 << 63;
const BRIEF: u64 = 1 << 62;

/// The posture of a service: written by the control side, read by every worker in one load.
#[derive(Debug, Default)]
pub struct Stance(AtomicU64);

impl Stance {
    /// As it is now.
    #[inline]
    pub fn posture(&self) -> Posture {
        let bits = self.0.load(Relaxed);
        Posture {
            wary: bits & WARY != 0,
            brief: bits & BRIEF != 0,
            syns: Share((bits & Share::MASK) as u32),
            all: Share((bits >> (Share::BITS + 1) & Share::MASK) as u32),
        }
    }

    /// Takes another posture.
    pub fn take(&self, posture: Posture) {
        let Posture {
            wary,
            brief,
            syns,
            all,
        } = posture;
        let shares = u64::from(all.0) << (Share::BITS + 1) | u64::from(syns.0);
        let modes = if wary { WARY } else { 0 } | if brief { BRIEF } else { 0 };
        self.0.store(modes | shares, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_share_has_its_share_of_the_draws() {
        for (share, has) in [(0.0, 0), (0.25, 64), (0.5, 128), (1.0, 256)] {
            let draws = (0..256u32).map(|n| n << 24 | 0x00ff_ffff);
            let among = draws.filter(|&draw| Share::of(share).has(draw)).count();
            assert_eq!(among, has, "{share}");
            assert_eq!(Share::of(share).as_f64(), share);
        }
        assert!(Share::ALL.has(u32::MAX));
        assert_eq!(Share::of(f64::NAN), Share::NONE);
        assert_eq!(Share::of(7.0), Share::ALL);
    }

    proptest! {
        #[test]
        fn what_is_taken_is_read(wary: bool, brief: bool, syns in 0.0..=1.0, all in 0.0..=1.0) {
            let posture = Posture { wary, brief, syns: Share::of(syns), all: Share::of(all) };
            let stance = Stance::default();
            stance.take(posture);
            prop_assert_eq!(stance.posture(), posture);
        }
    }
}
