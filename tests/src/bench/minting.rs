//! `bench minting`: SYN+ACKs a second that come back from a flood of SYNs, beside a program that sends each
//! frame back as it is, and the kernel's SYN proxy; in turns, from one generator.

use std::time::Duration;

use adminapi::model::{CookiePolicy, ForwardingMethod, Service};
use anyhow::{Context, Result, ensure};
use clap::Args;
use libbpf_rs::{Link, Object};

use super::load::Load;
use super::report::{Report, Table, median, ratio};
use crate::bpf::{self, Source};
use crate::director::{Director, by};
use crate::generator::{Flows, Generator, Kind, Sink};
use crate::nftables::Rules;
use crate::scene::Family;
use crate::topology::{CLIENT_SIDE, HOST_SIDE, Plan, Topology};
use crate::wait;

const LOAD: Load = Load {
    flows: 1 << 15,
    frame: 60,
    services: 1,
    reals: 3,
};
/// Where SYNs are from: nobody has these addresses.
const SPOOFED: &str = "44.0.0.0/8";
const FIRST_SPOOFED: &str = "44.0.0.0:1024";
const CLIENT: &str = "10.0.1.1";
/// Frames that tell how long a frame takes.
const PROBE: u32 = 1 << 17;
/// Frames that show that they are answered at all.
const FEW: u32 = 64;
/// Percent of the answers that have to be the gate's.
const NEARLY_ALL: f64 = 99.0;
const PATIENCE: Duration = Duration::from_secs(15);

/// `bench minting`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Measurements of each peer; the median is shown.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a measurement, in milliseconds.
    #[arg(long, default_value_t = 600)]
    milliseconds: u64,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    /// An XDP program that sends every frame back.
    Bounce,
    /// The gate, with cookies.
    Cookies,
    /// The gate, so that clients reset it.
    Resets,
    /// The kernel's SYN proxy.
    Synproxy,
}

impl Peer {
    const ALL: [Self; 4] = [Self::Bounce, Self::Cookies, Self::Resets, Self::Synproxy];

    const fn name(self) -> &'static str {
        match self {
            Self::Bounce => "bare XDP_TX of the frame",
            Self::Cookies => "bulwark NAT, cookies",
            Self::Resets => "bulwark DR, resets",
            Self::Synproxy => "nftables SYNPROXY",
        }
    }

    /// What is sent: the far end would answer a SYN that comes back as it was. To make one or the other
    /// takes the generator as long.
    const fn kind(self) -> Kind {
        match self {
            Self::Bounce => Kind::SpoofedAck,
            _ => Kind::SpoofedSyn,
        }
    }

    const fn method(self) -> ForwardingMethod {
        match self {
            Self::Resets => ForwardingMethod::Dr,
            _ => ForwardingMethod::Nat,
        }
    }
}

/// Ends when it is dropped.
enum Answerer<'a> {
    Bounce { _link: Link, _object: Object },
    Bulwark(Box<Director>),
    Synproxy { _rules: Rules<'a> },
}

impl Answerer<'_> {
    /// Answers that the gate has given.
    fn by_gate(&self) -> Result<u64> {
        match self {
            Self::Bulwark(director) => Ok(director.api().stats()?.total.answered),
            _ => Ok(0),
        }
    }
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
struct Figure {
    /// Million answers a second.
    mpps: f64,
    /// Percent of the frames sent that were answered.
    answered: f64,
}

impl Options {
    /// Measures all of them.
    ///
    /// # Errors
    /// When a part of the testbed does not come up, or a worker answers in the gate's place.
    pub fn run(&self) -> Result<Report> {
        let method = format!(
            "60-byte frames over veth, one core generates them, runs the XDP programs and counts what comes \
             back; {} rounds of {} ms, the median",
            self.rounds, self.milliseconds
        );
        let bench = Bench::new(self)?;
        let mut figures = Peer::ALL.map(|peer| (peer, Vec::new()));
        for _ in 0..self.rounds {
            for (peer, of_peer) in &mut figures {
                of_peer.push(bench.measure(*peer).with_context(|| peer.name())?);
            }
        }
        let mut report = Report::new("minting", method);
        report.tables.push(table(&figures));
        Ok(report)
    }
}

struct Bench<'a> {
    options: &'a Options,
    topology: Topology,
    cpu: usize,
}

impl<'a> Bench<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        let topology = Topology::build(Plan::default())?;
        let director = &topology.director;
        director.ip(&format!("route add {SPOOFED} via {CLIENT}\n"))?;
        for interface in topology.interfaces() {
            director.run("ethtool", &["-K", &interface, "gro", "on"])?;
        }
        topology.meet_neighbours()?;
        Ok(Self {
            options,
            topology,
            cpu: std::thread::available_parallelism()?.get() - 1,
        })
    }

    fn measure(&self, peer: Peer) -> Result<Figure> {
        let client = &self.topology.client;
        let sink = Sink::new(client, HOST_SIDE)?;
        let answerer = self.start(peer)?;
        let flows = Flows {
            kind: peer.kind(),
            source: FIRST_SPOOFED.parse()?,
            destination: Family::V4.http(),
            count: 0,
            frame: LOAD.frame,
        };
        let generator = Generator::beside(client, &flows)?;
        wait::until("answers", PATIENCE, || {
            let before = sink.sunk()?;
            generator.send(client, FEW)?;
            ensure!(sink.sunk()? > before, "none");
            Ok(())
        })?;
        let pace = generator.send_from(client, self.cpu, PROBE)?;
        let length = Duration::from_millis(self.options.milliseconds);
        let count = (length.as_nanos() / pace.as_nanos().max(1)) as u32;
        let before = (sink.sunk()?, answerer.by_gate()?);
        let took = generator.send_from(client, self.cpu, count)? * count;
        let answered = (sink.sunk()? - before.0) as f64;
        let by_gate = (answerer.by_gate()? - before.1) as f64;
        ensure!(
            !matches!(answerer, Answerer::Bulwark(_)) || by_gate * 100.0 >= answered * NEARLY_ALL,
            "{by_gate} of {answered} answers are of the gate"
        );
        Ok(Figure {
            mpps: answered / took.as_secs_f64() / 1e6,
            answered: answered * 100.0 / f64::from(count),
        })
    }

    fn start(&self, peer: Peer) -> Result<Answerer<'_>> {
        let director = &self.topology.director;
        match peer {
            Peer::Bounce => {
                let object = bpf::load(Source::Peers)?;
                let link = director.enter(|| bpf::attach(&object, "bounce", CLIENT_SIDE))?;
                Ok(Answerer::Bounce {
                    _link: link,
                    _object: object,
                })
            }
            Peer::Cookies | Peer::Resets => self.start_bulwark(peer),
            Peer::Synproxy => {
                let services = LOAD.services(&self.topology, Family::V4, Kind::TcpSyn);
                let _rules = Rules::load_behind_synproxy(director, &services)?;
                Ok(Answerer::Synproxy { _rules })
            }
        }
    }

    fn start_bulwark(&self, peer: Peer) -> Result<Answerer<'_>> {
        let services = LOAD.services(&self.topology, Family::V4, Kind::TcpSyn);
        let configuration = LOAD.configuration(&self.topology).fast_path(true);
        let configuration = services.into_iter().fold(configuration, |all, service| {
            all.service(Service {
                cookies: CookiePolicy::Always,
                ..by(service, peer.method(), None)
            })
        });
        let director = Director::start(&self.topology.director, &configuration)?;
        wait::until("the gate to send", PATIENCE, || {
            let status = director.api().status()?;
            let client_side = status.interfaces.iter().find(|i| i.name == CLIENT_SIDE);
            let lane = client_side.context("no interface")?;
            ensure!(lane.fast_path, "{:?}", lane.slow_because);
            Ok(())
        })?;
        Ok(Answerer::Bulwark(Box::new(director)))
    }
}

fn table(figures: &[(Peer, Vec<Figure>)]) -> Table {
    let columns = [
        ("M/s", 3),
        ("least", 3),
        ("most", 3),
        ("answered %", 0),
        ("of XDP_TX", 2),
        ("of SYNPROXY", 1),
    ];
    let of = |peer: Peer| {
        let of_peer = figures.iter().filter(|(one, _)| *one == peer);
        median(of_peer.flat_map(|(_, all)| all.iter().map(|figure| figure.mpps)))
    };
    let (bounce, synproxy) = (of(Peer::Bounce), of(Peer::Synproxy));
    let mut table = Table::new("SYN+ACKs", &columns);
    for (peer, all) in figures {
        let each = || all.iter().map(|figure| figure.mpps);
        let figure = median(each());
        table.add(
            peer.name(),
            [
                Some(figure),
                Some(each().fold(f64::INFINITY, f64::min)),
                Some(each().fold(0.0, f64::max)),
                Some(median(all.iter().map(|figure| figure.answered))),
                ratio(figure, bounce),
                ratio(figure, synproxy),
            ],
        );
    }
    table
}
