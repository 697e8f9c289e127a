//! `bench flood`.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::floor;

use super::{Mixture, Pace, Peer, Trial, Way, measure, print};

/// The longest time without the flood that it is compared with.
const CALM: Duration = Duration::from_secs(20);

/// What is flooded, how fast and for how long.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Length of each flood.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What is sent, one after the other.
    #[arg(long, value_delimiter = ',', default_value = "syn")]
    mixtures: Vec<Mixture>,
    /// Frames a second, or max: generator and director share cores.
    #[arg(long, default_value = "50000", value_parser = rate)]
    rate: Rate,
    /// How they come.
    #[arg(long, default_value = "shared")]
    way: Way,
    /// Mbit/s of the download that began before the flood.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    stream: u64,
    /// Seconds of little flood against directors whose levels change fast: shows that it works,
    /// measures nothing.
    #[arg(long)]
    quick: bool,
    /// Who is flooded, in this order.
    #[arg(long, value_delimiter = ',', default_values_t = Peer::ALL)]
    flooded: Vec<Peer>,
}

/// Frames a second; none: no limit.
#[derive(Clone, Copy, Debug)]
struct Rate(Option<u64>);

impl Options {
    /// Floods one after the other and prints what came of it.
    ///
    /// # Errors
    /// When a part of the testbed does not come up.
    pub fn run(&self) -> Result<()> {
        leave_last_cpu()?;
        for &mixture in &self.mixtures {
            let trial = self.trial(mixture);
            let mut outcomes = Vec::new();
            for &peer in &self.flooded {
                eprintln!("flooding {}: {}", peer.name(), mixture.name());
                outcomes.push((peer, measure(peer, &trial).with_context(|| peer.name())?));
            }
            print(&trial, &outcomes);
        }
        Ok(())
    }

    fn trial(&self, mixture: Mixture) -> Trial {
        let stream = self.stream * 1_000_000 / 8;
        if self.quick {
            return Trial {
                mixture,
                way: self.way,
                stream,
                ..Trial::QUICK
            };
        }
        let flood = Duration::from_secs(self.seconds.max(1));
        Trial {
            flood,
            calm: flood.min(CALM),
            mixture,
            rate: self.rate.0,
            way: self.way,
            stream,
            pace: Pace::Default,
        }
    }
}

/// Has all that is begun from now on leave the last CPU to the generator: who is woken there waits for
/// it, and that time is nobody's whom it floods.
fn leave_last_cpu() -> Result<()> {
    match floor::last_cpu() {
        0 => Ok(()),
        last => Ok(floor::keep_to_cpus(0..last)?),
    }
}

fn rate(text: &str) -> Result<Rate> {
    if text == "max" {
        return Ok(Rate(None));
    }
    let number: u64 = text.parse().context("a number or max")?;
    anyhow::ensure!(number >= 1000, "at least 1000");
    Ok(Rate(Some(number)))
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = clap::ValueEnum::to_possible_value(self);
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}
