//! Opening many flows before they are measured: the first packets of each, slowly enough that none
//! is lost.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::floor;
use crate::generator::{Flows, Generator, Kind, Sink};
use crate::namespace::Namespace;

/// How often flows are opened before too few are open.
const PASSES: u32 = 5;
/// Percent that have to be open.
const ENOUGH: u64 = 97;
/// A call that sends frames sleeps most of its time, so several callers take turns.
const CALLERS: usize = 16;
/// Frames of a call: what a veth takes before its receiver has run.
const FEW: u32 = 192;
/// What has not arrived by then is lost.
const PATIENCE: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_micros(200);

/// Frames that may be under way: fewer than a director's rings hold by default.
const WINDOW: u64 = 1024;

/// Flows that are opened together: so few that none is forgotten before its last step.
const TOGETHER: u32 = 1 << 16;

/// Flows that a generator opens.
pub struct Opening<'a> {
    /// Where they come from.
    pub client: &'a Namespace,
    /// They.
    pub flows: &'a Flows,
    /// Where they arrive.
    pub sink: &'a Sink,
    /// The CPU of all callers: the programs of the generator keep count without locks.
    pub cpu: usize,
}

impl Opening<'_> {
    /// Opens all flows, then aims at what they carry.
    ///
    /// # Errors
    /// When frames cannot be sent.
    pub fn open(&self, generator: &mut Generator) -> Result<()> {
        for first in (0..self.flows.count).step_by(TOGETHER as usize) {
            let some = first..self.flows.count.min(first + TOGETHER);
            for &kind in steps(self.flows.kind) {
                let flows = Flows {
                    kind,
                    ..*self.flows
                };
                generator.aim_at(&flows, some.clone())?;
                self.trickle(generator, some.len() as u32)?;
            }
        }
        generator.aim(self.flows)
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
        let enough = (u64::from(count) * ENOUGH).div_ceil(100);
        for _ in 0..PASSES {
            self.open(generator)?;
            if is_open()? >= enough {
                return Ok(());
            }
        }
        bail!("{} of {count} flows are open", is_open()?);
    }

    fn trickle(&self, generator: &Generator, count: u32) -> Result<()> {
        let left = AtomicU32::new(count);
        let way = UnderWay::to(self.sink)?;
        let send = || {
            self.client.enter(|| {
                floor::pin_to_cpu(self.cpu)?;
                while let Ok(before) = left.fetch_update(Relaxed, Relaxed, take) {
                    way.wait()?;
                    let count = before.min(FEW);
                    way.sent.fetch_add(count.into(), Relaxed);
                    generator.send_here(count)?;
                }
                Ok(())
            })
        };
        thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(send)).collect();
            callers
                .into_iter()
                .try_for_each(|caller| caller.join().ok().context("a caller panicked")?)
        })
    }
}

fn take(left: u32) -> Option<u32> {
    (left > 0).then(|| left.saturating_sub(FEW))
}

/// Frames between the generator and the sink.
struct UnderWay<'a> {
    sink: &'a Sink,
    before: u64,
    sent: AtomicU64,
    lost: AtomicU64,
}

impl<'a> UnderWay<'a> {
    fn to(sink: &'a Sink) -> Result<Self> {
        Ok(Self {
            sink,
            before: sink.sunk()? + sink.answered()?,
            sent: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        })
    }

    /// Until there are few, or those there are will not come any more.
    fn wait(&self) -> Result<()> {
        let began = Instant::now();
        while self.missing()?.saturating_sub(self.lost.load(Relaxed)) > WINDOW {
            if began.elapsed() > PATIENCE {
                self.lost.fetch_max(self.missing()?, Relaxed);
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn missing(&self) -> Result<u64> {
        let arrived = self.sink.sunk()? + self.sink.answered()? - self.before;
        Ok(self.sent.load(Relaxed).saturating_sub(arrived))
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
