//! `bench cookies`: what the gate takes to answer a SYN with a cookie, and to refuse an ACK without one,
//! beside a program that sends the frame back as it is.

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Result, ensure};
use clap::Args;
use director::cookie::{Abilities, Key, Recipe};
use director::gate::{Roles, Trial};
use director::wire::{Endpoint, Mac, Protocol};

use super::drive::{Border, Drive};
use super::load::Load;
use super::report::{Report, Table, median, ratio};
use crate::bpf::{self, Source};
use crate::floor;
use crate::generator::Kind;
use crate::packet;
use crate::scene::Family;

const FRAMES: u32 = 1 << 18;
/// Connections that a gate has room for.
const ROOM: usize = 1 << 20;
/// Sources of the ACKs that are refused; SYNs come from everywhere.
const LOAD: Load = Load {
    flows: 1 << 16,
    frame: 60,
    services: 1,
    reals: 1,
};
const XDP_DROP: u32 = 1;
const XDP_TX: u32 = 3;

/// Answers all SYNs to a service whose real servers take cookies.
pub const COOKIES: Recipe = Recipe {
    slot: 1,
    service: 1,
    keys: [Some(Key([1; 16])), Some(Key([2; 16]))],
    parity: 0,
    mints: true,
    resets: false,
    mss: 1460,
    abilities: Abilities::ALL,
    lenient: false,
    splices: false,
    shared: false,
};
const RESETS: Recipe = Recipe {
    mints: false,
    resets: true,
    ..COOKIES
};

/// `bench cookies`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Measurements of each program; the median is shown.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
}

impl Options {
    /// Measures both families.
    ///
    /// # Errors
    /// When the kernel refuses a program, or one does something else than it should.
    pub fn run(&self) -> Result<Report> {
        let method = format!(
            "BPF_PROG_TEST_RUN, SYNs without options from sources at random; {} rounds, the median, \
             less that of a program that does nothing",
            self.rounds
        );
        let mut report = Report::new("cookies", method);
        for family in Family::BOTH {
            report.tables.push(self.table(family)?);
        }
        Ok(report)
    }

    fn table(&self, family: Family) -> Result<Table> {
        let gate = gate(family, &COOKIES, ROOM)?;
        let provoking = self::gate(family, &RESETS, ROOM)?;
        let peers = bpf::load(Source::Peers)?;
        let bounce = bpf::program(&peers, "bounce")?;
        let subjects = [
            ("frame sent back", bounce.as_fd(), Kind::SpoofedSyn, XDP_TX),
            ("SYN answered", gate.program(), Kind::SpoofedSyn, XDP_TX),
            (
                "SYN answered so that it is reset",
                provoking.program(),
                Kind::SpoofedSyn,
                XDP_TX,
            ),
            ("ACK refused", gate.program(), Kind::TcpData, XDP_DROP),
        ];
        let nothing = bpf::program(&peers, "nothing")?;
        let columns = [("ns", 0), ("least", 0), ("most", 0), ("of the first", 1)];
        let mut table = Table::new(format!("{family:?}"), &columns);
        let mut first = 0.0;
        for (name, program, kind, verdict) in subjects {
            let drive = Drive::new(&LOAD.flows(family, kind)?, Border::End)?;
            let times = self.times(&drive, program, nothing.as_fd(), verdict)?;
            let time = median(times.iter().copied());
            if first == 0.0 {
                first = time;
            }
            let least = times.iter().copied().fold(f64::INFINITY, f64::min);
            let most = times.iter().copied().fold(0.0, f64::max);
            table.add(
                name,
                [Some(time), Some(least), Some(most), ratio(time, first)],
            );
        }
        Ok(table)
    }

    fn times(
        &self,
        drive: &Drive,
        program: BorrowedFd<'_>,
        nothing: BorrowedFd<'_>,
        verdict: u32,
    ) -> Result<Vec<f64>> {
        floor::pin_to_cpu(std::thread::available_parallelism()?.get() - 1)?;
        let one = |_| {
            let base = drive.run(nothing, FRAMES)?;
            let driven = drive.run(program, FRAMES)?;
            ensure!(driven.verdict == verdict, "{driven:?}");
            Ok(driven.nanoseconds - base.nanoseconds)
        };
        (0..self.rounds).map(one).collect()
    }
}

/// A gate with room for so many connections, that answers all SYNs to the service by `recipe`.
///
/// # Errors
/// When the kernel refuses it.
pub fn gate(family: Family, recipe: &Recipe, connections: usize) -> Result<Trial> {
    let trial = Trial::new(connections)?;
    trial.set_station(Mac(packet::Mac::of_host(1, 0xfe).0))?;
    let vip = Endpoint::from(family.http());
    trial
        .endpoints()
        .set_roles(Protocol::Tcp, vip, Roles::SERVICE)?;
    trial.endpoints().set_recipe(vip, Some(recipe))?;
    Ok(trial)
}
