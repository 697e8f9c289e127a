//! Opening many flows before they are measured: the first packets of each, no faster than they arrive, so
//! that none is lost.
//!
//! ```text
//!  some flows:  SYN -> all there? -> ACK with data -> all there? -> ...        then the next flows
//!                ^         | no, too many are missing
//!                `---------' again
//! ```

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::generator::{Flows, Generator, Kind, Sink};
use crate::namespace::Namespace;

/// How often flows are opened before too few are open.
const PASSES: u32 = 3;
/// Percent that have to be open.
const ENOUGH: u64 = 97;
/// Flows that are opened together: so few that none is forgotten before its last step.
const TOGETHER: u32 = 1 << 16;
/// How often a step is made of which too much is lost.
const TRIES: u32 = 3;
/// One frame in so many may be.
const FEW: u64 = 1000;
/// Frames that may be under way: fewer than a director's rings hold by default.
const WINDOW: u64 = 1024;
/// What is still under way when nothing has arrived for so long is lost.
const PATIENCE: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_micros(200);

/// Flows that a generator opens.
pub struct Opening<'a> {
    /// Where they come from.
    pub client: &'a Namespace,
    /// They.
    pub flows: &'a Flows,
    /// Where they arrive.
    pub sink: &'a Sink,
    /// The CPU that they are sent from.
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
                self.step(generator, some.len() as u32)?;
            }
        }
        generator.keep_within(None, self.sink)?;
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

    /// Sends one packet of each flow; all of them again when some do not arrive: to who has seen it, it is
    /// one that was sent twice.
    fn step(&self, generator: &Generator, count: u32) -> Result<()> {
        for _ in 0..TRIES {
            let before = self.sink.arrived()?;
            generator.keep_within(Some(WINDOW), self.sink)?;
            generator.send_from(self.client, self.cpu, count)?;
            if self.missing(before + u64::from(count))? <= u64::from(count) / FEW {
                break;
            }
        }
        Ok(())
    }

    /// What is missing of `all` when no more arrives.
    fn missing(&self, all: u64) -> Result<u64> {
        let (mut arrived, mut since) = (self.sink.arrived()?, Instant::now());
        while arrived < all && since.elapsed() < PATIENCE {
            thread::sleep(LOOK);
            let now = self.sink.arrived()?;
            if now != arrived {
                (arrived, since) = (now, Instant::now());
            }
        }
        Ok(all.saturating_sub(arrived))
    }
}

/// What a flow's packets are before it carries `kind`: of TCP the handshake, of UDP a question that
/// the far end answers; and more, which show that the client has heard the other end.
const fn steps(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::Udp | Kind::UdpQuestion => &[Kind::UdpQuestion, Kind::Udp, Kind::Udp],
        Kind::TcpSyn | Kind::SpoofedSyn | Kind::SpoofedAck | Kind::TcpData | Kind::TcpMore => {
            &[Kind::TcpSyn, Kind::TcpData, Kind::TcpMore, Kind::TcpData]
        }
    }
}
