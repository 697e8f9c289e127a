//! How many packets a second: all peers in one topology, from one generator, in turns, so that a slow
//! minute of the machine meets all of them. What arrives behind the director is counted there.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use super::load::{Load, Loads, route_sources};
use super::opening::Opening;
use super::ours::{cached, forwarded};
use super::peer::{Kind, Path, Peer, usual};
use super::redirect::Redirect;
use super::report::{Report, Table, median, ratio};
use crate::director::Director;
use crate::generator::{self, Flows, Generator, Pass, Sink};
use crate::ipvs::Ipvs;
use crate::l2fwd::L2Forward;
use crate::nftables::Rules;
use crate::scene::Family;
use crate::topology::{CLIENT_SIDE, Plan, REAL_SIDE, Topology};

const UPLINK: &str = "uplink";
/// Frames that tell how long a frame takes.
const PROBE: u32 = 1 << 17;
/// Tunnels have room on the links for what they add to 1,500 bytes.
const MTU: u16 = 1600;

/// `bench forwarding`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Measurements of each peer; the median is shown.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a measurement, in milliseconds.
    #[arg(long, default_value_t = 600)]
    milliseconds: u64,
    /// Who forwards, in this order.
    #[arg(long, value_delimiter = ',', value_parser = Peer::named, default_values = usual())]
    peers: Vec<Peer>,
    /// What the flows carry.
    #[arg(long, value_delimiter = ',', default_value = "udp,tcp")]
    carry: Vec<Carry>,
    #[command(flatten)]
    loads: Loads,
}

/// What flows carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Carry {
    /// Datagrams.
    Udp,
    /// Segments with data.
    Tcp,
}

/// One measurement.
#[derive(Clone, Copy, Debug, Default)]
struct Figure {
    /// Million packets a second that arrived.
    mpps: f64,
    /// Part of the frames sent that arrived.
    arrived: f64,
    /// Part of the frames sent that the gate forwarded by itself.
    fast: f64,
}

impl Options {
    /// Measures all peers under all loads.
    ///
    /// # Errors
    /// When a part of the testbed does not come up.
    pub fn run(&self) -> Result<Report> {
        let method = format!(
            "one core generates and runs the XDP programs, a director's worker has the other; \
             {} rounds of {} ms, the median",
            self.rounds, self.milliseconds
        );
        let mut report = Report::new("forwarding", method);
        let bench = Bench::new(self)?;
        for load in self.loads.all() {
            for &carry in &self.carry {
                let figures = bench.measure_all(carry, load)?;
                report.tables.push(table(carry, load, &figures));
            }
        }
        Ok(report)
    }
}

impl Carry {
    const fn kind(self) -> generator::Kind {
        match self {
            Self::Udp => generator::Kind::Udp,
            Self::Tcp => generator::Kind::TcpData,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }
}

struct Bench<'a> {
    options: &'a Options,
    topology: Topology,
    generator_cpu: usize,
}

impl<'a> Bench<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        let topology = Topology::build(Plan {
            mtu: MTU,
            ..Plan::default()
        })?;
        let director = &topology.director;
        route_sources(&topology)?;
        for interface in topology.interfaces() {
            // As NICs have it; and veth passes XDP frames to a far end with NAPI only.
            director.run("ethtool", &["-K", &interface, "gro", "on"])?;
        }
        director.sysctl(&["net.ipv4.conf.all.send_redirects=0"])?;
        topology.meet_neighbours()?;
        Ok(Self {
            options,
            topology,
            generator_cpu: std::thread::available_parallelism()?.get() - 1,
        })
    }

    fn measure_all(&self, carry: Carry, load: Load) -> Result<Vec<(Peer, Vec<Figure>)>> {
        let peers = self.options.peers.iter();
        let mut figures: Vec<_> = peers.map(|&peer| (peer, Vec::new())).collect();
        for _ in 0..self.options.rounds {
            for (peer, of_peer) in &mut figures {
                let figure = self.measure(*peer, carry, load);
                of_peer.push(figure.with_context(|| peer.name)?);
            }
        }
        Ok(figures)
    }

    fn measure(&self, peer: Peer, carry: Carry, load: Load) -> Result<Figure> {
        let director = &self.topology.director;
        let services = load.services(&self.topology, peer.family, carry.kind());
        let bridge = self.topology.bridge.as_ref().context("no bridge")?;
        let far_end = || Sink::new(bridge, UPLINK);
        let flows = load.flows(peer.family, carry.kind())?;
        match peer.kind {
            Kind::Generator => self.run(&flows, &Sink::new(director, CLIENT_SIDE)?, nothing),
            Kind::Redirect => {
                let _forwarder = Redirect::start(director)?;
                self.run(&flows, &far_end()?, nothing)
            }
            Kind::L2Forward => {
                let _forwarder = L2Forward::start(director, 0)?;
                self.run(&flows, &far_end()?, nothing)
            }
            Kind::Nftables => {
                // What the far end answers with XDP_TX would wait in the ring for good: GRO
                // alone does not wake the receiver of XDP_TX.
                let _pass = Pass::new(director, REAL_SIDE)?;
                let _rules = Rules::load(director, &services)?;
                self.run(&flows, &far_end()?, nothing)
            }
            Kind::Ipvs => {
                let _pass = Pass::new(director, REAL_SIDE)?;
                let _ipvs = Ipvs::start(director, &services)?;
                self.run(&flows, &far_end()?, nothing)
            }
            Kind::Bulwark(_, path) => {
                let configuration = load
                    .configuration(&self.topology)
                    .fast_path(path == Path::Fast);
                let services = services.into_iter().map(|one| peer.service(one));
                let configuration = services.fold(configuration, |all, one| all.service(one));
                let director = Director::start(director, &configuration)?;
                let sink = far_end()?;
                if path == Path::Fast {
                    self.open_fast(&flows, &sink, &director)?;
                }
                self.run(&flows, &sink, || forwarded(&director))
            }
        }
    }

    /// Until the gate has the flows.
    fn open_fast(&self, flows: &Flows, sink: &Sink, director: &Director) -> Result<()> {
        let mut generator = Generator::new(&self.topology.client, flows)?;
        let opening = self.opening(flows, sink);
        opening.open_until(&mut generator, || cached(director))
    }

    fn opening<'b>(&'b self, flows: &'b Flows, sink: &'b Sink) -> Opening<'b> {
        Opening {
            client: &self.topology.client,
            flows,
            sink,
            cpu: self.generator_cpu,
        }
    }

    /// Opens the flows, then counts what arrives while the generator runs, and what of it `forwarded`
    /// says that the gate has forwarded by itself.
    fn run(
        &self,
        flows: &Flows,
        sink: &Sink,
        forwarded: impl Fn() -> Result<u64>,
    ) -> Result<Figure> {
        let client = &self.topology.client;
        let mut generator = Generator::new(client, flows)?;
        self.opening(flows, sink).open(&mut generator)?;
        let pace = generator.send_from(client, self.generator_cpu, PROBE)?;
        let length = Duration::from_millis(self.options.milliseconds);
        let count = (length.as_nanos() / pace.as_nanos().max(1)) as u32;
        let before = (sink.sunk()?, forwarded()?);
        let took = generator.send_from(client, self.generator_cpu, count)? * count;
        let arrived = (sink.sunk()? - before.0) as f64;
        let fast = (forwarded()? - before.1) as f64;
        Ok(Figure {
            mpps: arrived / took.as_secs_f64() / 1e6,
            arrived: arrived / f64::from(count),
            fast: fast / f64::from(count),
        })
    }
}

fn nothing() -> Result<u64> {
    Ok(0)
}

fn table(carry: Carry, load: Load, figures: &[(Peer, Vec<Figure>)]) -> Table {
    let of = |figures: &[Figure], what: fn(&Figure) -> f64| median(figures.iter().map(what));
    let mpps = |figures: &[Figure]| of(figures, |figure| figure.mpps);
    let peer = |kind: Kind, family: Family| {
        let found = figures
            .iter()
            .find(|(peer, _)| peer.kind == kind && peer.family == family);
        found.map_or(0.0, |(_, figures)| mpps(figures))
    };
    let title = format!("{}, {}", carry.name(), load.describe());
    let columns = [
        ("Mpps", 3),
        ("least", 3),
        ("most", 3),
        ("arrived %", 0),
        ("by gate %", 0),
        ("of redirect", 2),
        ("of l2fwd", 2),
        ("of nft", 2),
        ("of ipvs", 2),
    ];
    let mut table = Table::new(title, &columns);
    for (one, all) in figures {
        let figure = mpps(all);
        let each = || all.iter().map(|figure| figure.mpps);
        let is_ours = matches!(one.kind, Kind::Bulwark(..));
        table.add(
            one.name,
            [
                Some(figure),
                Some(each().fold(f64::INFINITY, f64::min)),
                Some(each().fold(0.0, f64::max)),
                Some(of(all, |figure| figure.arrived) * 100.0),
                is_ours.then(|| of(all, |figure| figure.fast) * 100.0),
                ratio(figure, peer(Kind::Redirect, Family::V4)),
                ratio(figure, peer(Kind::L2Forward, Family::V4)),
                ratio(figure, peer(Kind::Nftables, one.family)),
                ratio(figure, peer(Kind::Ipvs, one.family)),
            ],
        );
    }
    table
}
