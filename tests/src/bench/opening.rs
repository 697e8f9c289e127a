//! Opening many flows before they are measured: the first packets of each, slowly enough that none
//! is lost.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::floor;
use crate::generator::{Flows, Generator, Kind};
use crate::namespace::Namespace;

/// How often flows are opened before too few are open.
const PASSES: u32 = 5;

/// How many frames are under way at most. A call that sends frames sleeps most of its time, so several
/// callers take turns.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    callers: usize,
    few: u32,
}

impl Pace {
    /// Fewer than a director's rings hold by default.
    pub const DEFAULT: Self = Self {
        callers: 6,
        few: 256,
    };
    /// Fewer than [`WIDE_RING`].
    pub const WIDE: Self = Self {
        callers: 8,
        few: 1024,
    };

    /// For a director that could not follow.
    fn slower(self) -> Self {
        Self {
            callers: (self.callers / 2).max(1),
            ..self
        }
    }
}

/// Slots of the rings of a director whose speed in user space is not measured.
pub const WIDE_RING: i64 = 1 << 14;

/// Flows that a generator opens.
pub struct Opening<'a> {
    /// Where they come from.
    pub client: &'a Namespace,
    /// They.
    pub flows: &'a Flows,
    /// The CPU of all callers: the programs of the generator keep count without locks.
    pub cpu: usize,
    /// How many at once.
    pub pace: Pace,
}

impl Opening<'_> {
    /// Opens all flows, then aims at what they carry.
    ///
    /// # Errors
    /// When frames cannot be sent.
    pub fn open(&self, generator: &mut Generator) -> Result<()> {
        self.open_at(self.pace, generator)
    }

    /// Opens all flows, and what was lost on the way again, until `is_open` says that nearly all
    /// are.
    ///
    /// # Errors
    /// As [`Opening::open`], or when there are still too few.
    pub fn open_until(
        &self,
        generator: &mut Generator,
        is_open: impl Fn() -> Result<u64>,
    ) -> Result<()> {
        let count = self.flows.count;
        let enough = (u64::from(count) * 999).div_ceil(1000);
        let mut pace = self.pace;
        for _ in 0..PASSES {
            self.open_at(pace, generator)?;
            if is_open()? >= enough {
                return Ok(());
            }
            pace = pace.slower();
        }
        bail!("{} of {count} flows are open", is_open()?);
    }

    fn open_at(&self, pace: Pace, generator: &mut Generator) -> Result<()> {
        for &kind in steps(self.flows.kind) {
            generator.aim(&Flows {
                kind,
                ..*self.flows
            })?;
            self.trickle(pace, generator)?;
        }
        generator.aim(self.flows)
    }

    fn trickle(&self, pace: Pace, generator: &Generator) -> Result<()> {
        let left = AtomicU32::new(self.flows.count);
        let take = |left: u32| (left > 0).then(|| left.saturating_sub(pace.few));
        let send = || {
            self.client.enter(|| {
                floor::pin_to_cpu(self.cpu)?;
                while let Ok(before) = left.fetch_update(Relaxed, Relaxed, take) {
                    generator.send_here(before.min(pace.few))?;
                }
                Ok(())
            })
        };
        thread::scope(|scope| {
            let callers: Vec<_> = (0..pace.callers).map(|_| scope.spawn(send)).collect();
            callers
                .into_iter()
                .try_for_each(|caller| caller.join().ok().context("a caller panicked")?)
        })
    }
}

/// What a flow's packets are before it carries `kind`: of TCP the handshake, of UDP a question that
/// the far end answers; and more, which show that the client has heard the other end.
const fn steps(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::Udp | Kind::UdpQuestion => &[Kind::UdpQuestion, Kind::Udp, Kind::Udp],
        Kind::TcpSyn | Kind::SpoofedSyn | Kind::TcpData | Kind::TcpMore => {
            &[Kind::TcpSyn, Kind::TcpData, Kind::TcpMore, Kind::TcpData]
        }
    }
}
