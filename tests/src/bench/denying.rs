//! `bench denying`: packets a second of a denied network that one core takes from a veth and drops, in turns with
//! a program that looks the source up in one list and drops, and with one that drops at once.

use std::time::Duration;

use adminapi::model::{FilterList, Listed};
use anyhow::{Context, Result, ensure};
use clap::Args;
use libbpf_rs::{Link, Object};

use super::cheapest;
use super::load::{Load, SOURCES};
use super::report::{Report, Table, median, ratio};
use crate::bpf::{self, Source};
use crate::director::Director;
use crate::generator::{Generator, Kind};
use crate::scene::Family;
use crate::topology::{CLIENT_SIDE, Plan, Topology};

const LOAD: Load = Load {
    flows: 1 << 15,
    frame: 60,
    services: 1,
    reals: 3,
};
/// Frames that tell how long a frame takes.
const PROBE: u32 = 1 << 17;
/// Percent of the frames that have to be dropped as denied.
const NEARLY_ALL: u64 = 99;

/// `bench denying`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Measurements of each peer; the median is shown.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a measurement, in milliseconds.
    #[arg(long, default_value_t = 400)]
    milliseconds: u64,
}

/// Who drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    /// A program that drops everything.
    Nothing,
    /// A program that looks the source up first.
    Lpm,
    /// The gate, whose list denies the source.
    Gate,
}

impl Peer {
    const ALL: [Self; 3] = [Self::Nothing, Self::Lpm, Self::Gate];

    const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "bare XDP_DROP",
            Self::Lpm => "XDP_DROP after one LPM look-up",
            Self::Gate => "bulwark, a network denied",
        }
    }
}

/// Ends when it is dropped.
enum Dropper {
    Program { _link: Link, _object: Object },
    Bulwark(Box<Director>),
}

impl Dropper {
    /// Packets that the gate has denied.
    fn denied(&self) -> Result<Option<u64>> {
        let Self::Bulwark(director) = self else {
            return Ok(None);
        };
        let drops = director.api().stats()?.drops;
        Ok(Some(drops.get("denied").copied().unwrap_or(0)))
    }
}

impl Options {
    /// Measures all of them.
    ///
    /// # Errors
    /// When a part of the testbed does not come up, or the gate does not drop what it should.
    pub fn run(&self) -> Result<Report> {
        let method = format!(
            "60-byte SYNs over veth, one core generates them and runs the XDP programs; {} rounds of {} ms, \
             the median",
            self.rounds, self.milliseconds
        );
        let topology = Topology::build(Plan::default())?;
        topology.meet_neighbours()?;
        let mut figures = Peer::ALL.map(|peer| (peer, Vec::new()));
        for _ in 0..self.rounds {
            for (peer, of_peer) in &mut figures {
                of_peer.push(
                    self.measure(&topology, *peer)
                        .with_context(|| peer.name())?,
                );
            }
        }
        let mut report = Report::new("denying", method);
        report.tables.push(table(&figures));
        Ok(report)
    }

    /// Nanoseconds a frame, its making included.
    fn measure(&self, topology: &Topology, peer: Peer) -> Result<f64> {
        let client = &topology.client;
        let dropper = start(topology, peer)?;
        let flows = LOAD.flows(Family::V4, Kind::TcpSyn)?;
        let generator = Generator::new(client, &flows)?;
        let cpu = std::thread::available_parallelism()?.get() - 1;
        let pace = generator.send_from(client, cpu, PROBE)?;
        let length = Duration::from_millis(self.milliseconds);
        let count = (length.as_nanos() / pace.as_nanos().max(1)) as u32;
        let before = dropper.denied()?;
        let took = generator.send_from(client, cpu, count)?;
        if let (Some(before), Some(after)) = (before, dropper.denied()?) {
            let denied = after - before;
            ensure!(
                denied * 100 >= u64::from(count) * NEARLY_ALL,
                "{denied} of {count} were denied"
            );
        }
        Ok(took.as_nanos() as f64)
    }
}

fn start(topology: &Topology, peer: Peer) -> Result<Dropper> {
    let name = match peer {
        Peer::Nothing => "nothing",
        Peer::Lpm => "denied",
        Peer::Gate => return deny(topology),
    };
    let object = bpf::load(Source::Peers)?;
    cheapest::deny(&object, SOURCES.parse()?)?;
    let attach = || bpf::attach(&object, name, CLIENT_SIDE);
    Ok(Dropper::Program {
        _link: topology.director.enter(attach)?,
        _object: object,
    })
}

fn deny(topology: &Topology) -> Result<Dropper> {
    let services = LOAD.services(topology, Family::V4, Kind::TcpSyn);
    let configuration = LOAD.configuration(topology).fast_path(true);
    let configuration = services
        .into_iter()
        .fold(configuration, |all, one| all.service(one));
    let director = Director::start(&topology.director, &configuration)?;
    let listing = Listed {
        network: SOURCES.parse()?,
        list: FilterList::Deny,
        seconds: None,
        why: None,
    };
    let api = director.api();
    api.call(async |api| api.put_network(&listing).await.map(drop))?;
    Ok(Dropper::Bulwark(Box::new(director)))
}

fn table(figures: &[(Peer, Vec<f64>)]) -> Table {
    let columns = [
        ("ns", 0),
        ("least", 0),
        ("most", 0),
        ("Mpps", 2),
        ("of LPM drop", 2),
    ];
    let of = |peer: Peer| {
        let of_peer = figures.iter().filter(|(one, _)| *one == peer);
        median(of_peer.flat_map(|(_, all)| all.iter().copied()))
    };
    let mut table = Table::new("denied", &columns);
    for (peer, all) in figures {
        let time = of(*peer);
        table.add(
            peer.name(),
            [
                Some(time),
                Some(all.iter().copied().fold(f64::INFINITY, f64::min)),
                Some(all.iter().copied().fold(0.0, f64::max)),
                Some(1e3 / time),
                ratio(time, of(Peer::Lpm)),
            ],
        );
    }
    table
}
