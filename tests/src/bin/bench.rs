//! How many packets a second: the director against the kernel's NAT and against what AF_XDP itself
//! can do, in one topology, from one generator, in turns. A figure alone means little, least of
//! all on a machine with neighbours: read the ratios.

use std::net::SocketAddr;
use std::time::Duration;

use adminapi::model::{ForwardingMethod, Protocol, Scheduler, Service, Tunnel, TunnelType};
use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use testbed::command_line;
use testbed::director::{Configuration, Director, by, service};
use testbed::flood;
use testbed::generator::{Flows, Generator, Kind, Pass, Sink};
use testbed::growth;
use testbed::l2fwd::L2Forward;
use testbed::nftables::Rules;
use testbed::scene::Family;
use testbed::topology::{CLIENT_SIDE, Plan, REAL_SIDE, RealHost, Topology};

const PORT: u16 = 80;
/// Ethernet's least, without the frame check sequence.
const FRAME_V4: usize = 60;
/// Ethernet, IPv6 and TCP, which is as little as the generator sends.
const FRAME_V6: usize = 74;
const SOURCES: &str = "172.16.0.0/12";
const FIRST_SOURCE_V4: &str = "172.16.0.0:1024";
const FIRST_SOURCE_V6: &str = "[fd00:16::ac10:0]:1024";
const UPLINK: &str = "uplink";
/// Frames that tell how long a frame takes.
const PROBE: u32 = 1 << 17;
/// Frames at once while flows are established: fewer than a director's rings hold.
const OPENING: u32 = 1024;

/// Measures forwarding in network namespaces. Needs root.
#[derive(Debug, Parser)]
struct Options {
    /// Measurements of each forwarder; the median is shown.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of a measurement, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    milliseconds: u64,
    /// Established flows.
    #[arg(long, default_value_t = 32_768)]
    flows: u32,
    /// Who forwards, in this order.
    #[arg(long, value_delimiter = ',', default_values_t = Peer::ALL)]
    peers: Vec<Peer>,
    /// What it costs to add a real server to a service that has many, instead.
    #[arg(long)]
    growth: bool,
    /// What a flood of spoofed SYNs does to users, instead.
    #[command(flatten)]
    flood: flood::Options,
    /// How long the command line takes, instead.
    #[command(flatten)]
    command_line: command_line::Options,
}

/// Who forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Peer {
    Limit,
    L2Forward,
    Nftables,
    Nat,
    Dr,
    Ipip,
    Gre,
    Gue,
    /// IPv6 in IPv6.
    Ipip6,
}

impl Peer {
    const ALL: [Self; 9] = [
        Self::Limit,
        Self::L2Forward,
        Self::Nftables,
        Self::Nat,
        Self::Dr,
        Self::Ipip,
        Self::Gre,
        Self::Gue,
        Self::Ipip6,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Limit => "generator alone, dropped by XDP",
            Self::L2Forward => "bare AF_XDP l2fwd, no parsing",
            Self::Nftables => "nftables DNAT, conntrack",
            Self::Nat => "bulwark NAT",
            Self::Dr => "bulwark DR",
            Self::Ipip => "bulwark TUN, ipip",
            Self::Gre => "bulwark TUN, gre",
            Self::Gue => "bulwark TUN, gue",
            Self::Ipip6 => "bulwark TUN, IPv6 in IPv6",
        }
    }

    /// The family of its packets, inside and outside.
    const fn family(self) -> Family {
        match self {
            Self::Ipip6 => Family::V6,
            _ => Family::V4,
        }
    }

    /// The service that it is measured with.
    fn service(self, service: Service) -> Service {
        let tun = |kind| {
            let kind = Tunnel {
                kind,
                ..Tunnel::default()
            };
            (ForwardingMethod::Tun, Some(kind))
        };
        let (method, tun) = match self {
            Self::Limit | Self::L2Forward | Self::Nftables | Self::Nat => return service,
            Self::Dr => (ForwardingMethod::Dr, None),
            Self::Ipip | Self::Ipip6 => tun(TunnelType::Ipip),
            Self::Gre => tun(TunnelType::Gre),
            Self::Gue => tun(TunnelType::Gue),
        };
        by(service, method, tun)
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// One measurement.
#[derive(Clone, Copy, Debug, Default)]
struct Figure {
    /// Million packets a second that arrived.
    mpps: f64,
    /// Part of the frames sent that arrived.
    arrived: f64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if options.flood.is_wanted() {
        return options.flood.run();
    }
    if options.growth {
        return growth::run();
    }
    if options.command_line.is_wanted() {
        return options.command_line.run();
    }
    let cpus = std::thread::available_parallelism()?.get();
    println!(
        "1 service, 3 real servers, {} established flows, {FRAME_V4}-byte frames (IPv6: {FRAME_V6}), {} rounds of {} ms, {cpus} CPUs",
        options.flows, options.rounds, options.milliseconds
    );
    let bench = Bench::new(options, cpus)?;
    for kind in [Kind::Udp, Kind::TcpData] {
        let figures = bench.measure_all(kind)?;
        print_table(kind, &figures);
    }
    Ok(())
}

struct Bench {
    options: Options,
    topology: Topology,
    generator_cpu: usize,
}

impl Bench {
    fn new(options: Options, cpus: usize) -> Result<Self> {
        let topology = Topology::build(Plan::default())?;
        let director = &topology.director;
        director.ip(&format!("route add {SOURCES} via 10.0.1.1\n"))?;
        for interface in topology.interfaces() {
            // As NICs have it; and veth passes XDP frames to a far end with NAPI only.
            director.run("ethtool", &["-K", &interface, "gro", "on"])?;
        }
        director.sysctl(&["net.ipv4.conf.all.send_redirects=0"])?;
        topology.meet_neighbours()?;
        Ok(Self {
            options,
            topology,
            generator_cpu: cpus - 1,
        })
    }

    /// All peers in turns, so that a slow minute of the machine meets all of them.
    fn measure_all(&self, kind: Kind) -> Result<Vec<(Peer, Vec<Figure>)>> {
        let peers = self.options.peers.iter();
        let mut figures: Vec<_> = peers.map(|&peer| (peer, Vec::new())).collect();
        for _ in 0..self.options.rounds {
            for (peer, of_peer) in &mut figures {
                let figure = self.measure(*peer, kind);
                of_peer.push(figure.with_context(|| peer.name())?);
            }
        }
        Ok(figures)
    }

    fn measure(&self, peer: Peer, kind: Kind) -> Result<Figure> {
        let director = &self.topology.director;
        let service = peer.service(self.service(peer.family(), kind));
        let bridge = self.topology.bridge.as_ref().context("no bridge")?;
        let far_end = || Sink::new(bridge, UPLINK);
        match peer {
            Peer::Limit => self.run(peer, kind, &Sink::new(director, CLIENT_SIDE)?),
            Peer::L2Forward => {
                let _forwarder = L2Forward::start(director, 0)?;
                self.run(peer, kind, &far_end()?)
            }
            Peer::Nftables => {
                // What the far end answers with XDP_TX would wait in the ring for good: GRO
                // alone does not wake the receiver of XDP_TX.
                let _pass = Pass::new(director, REAL_SIDE)?;
                let _rules = Rules::load(director, &[service])?;
                self.run(peer, kind, &far_end()?)
            }
            Peer::Nat | Peer::Dr | Peer::Ipip | Peer::Gre | Peer::Gue | Peer::Ipip6 => {
                let configuration = Configuration::new(self.topology.interfaces());
                let _director = Director::start(director, &configuration.service(service))?;
                self.run(peer, kind, &far_end()?)
            }
        }
    }

    fn service(&self, family: Family, kind: Kind) -> Service {
        let protocol = if kind == Kind::Udp {
            Protocol::Udp
        } else {
            Protocol::Tcp
        };
        let reals = self.topology.reals.iter();
        let rip = |real: &RealHost| SocketAddr::new(real.address(family.vip()), PORT);
        let reals = reals.map(|real| (rip(real), 1));
        let vip = SocketAddr::new(family.vip(), PORT);
        service(protocol, vip, Scheduler::Rr, reals)
    }

    /// Establishes the flows, then counts what arrives while the generator runs.
    fn run(&self, peer: Peer, kind: Kind, sink: &Sink) -> Result<Figure> {
        let client = &self.topology.client;
        let (source, frame) = match peer.family() {
            Family::V4 => (FIRST_SOURCE_V4, FRAME_V4),
            Family::V6 => (FIRST_SOURCE_V6, FRAME_V6),
        };
        let flows = Flows {
            kind,
            source: source.parse()?,
            destination: SocketAddr::new(peer.family().vip(), PORT),
            count: self.options.flows,
            frame,
        };
        let mut generator = Generator::new(client, &flows)?;
        self.establish(&mut generator, &flows)?;
        let pace = generator.send_from(client, self.generator_cpu, PROBE)?;
        let length = Duration::from_millis(self.options.milliseconds);
        let count = (length.as_nanos() / pace.as_nanos().max(1)) as u32;
        let before = sink.sunk()?;
        let took = generator.send_from(client, self.generator_cpu, count)? * count;
        let arrived = (sink.sunk()? - before) as f64;
        Ok(Figure {
            mpps: arrived / took.as_secs_f64() / 1e6,
            arrived: arrived / f64::from(count),
        })
    }

    /// Each flow's first packets, slowly enough that none is lost: for TCP a SYN, which the far
    /// end answers, and the ACK.
    fn establish(&self, generator: &mut Generator, flows: &Flows) -> Result<()> {
        let opening = match flows.kind {
            Kind::Udp => vec![Kind::Udp],
            Kind::TcpSyn | Kind::SpoofedSyn | Kind::TcpData => vec![Kind::TcpSyn, Kind::TcpData],
        };
        for kind in opening {
            generator.aim(&Flows { kind, ..*flows })?;
            let mut left = flows.count;
            while left > 0 {
                let few = left.min(OPENING);
                generator.send(&self.topology.client, few)?;
                left -= few;
            }
        }
        generator.aim(flows)
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn print_table(kind: Kind, figures: &[(Peer, Vec<Figure>)]) {
    let of = |peer: Peer| {
        figures
            .iter()
            .find(|(one, _)| *one == peer)
            .map_or(0.0, |(_, figures)| {
                median(figures.iter().map(|figure| figure.mpps))
            })
    };
    println!(
        "\n{:32} {:>6} {:>15} {:>9} {:>9} {:>11}",
        if kind == Kind::Udp {
            "UDP"
        } else {
            "TCP, established"
        },
        "Mpps",
        "least..most",
        "arrived",
        "of l2fwd",
        "of nftables"
    );
    for (peer, of_peer) in figures {
        let mpps = of(*peer);
        let least = of_peer.iter().map(|f| f.mpps).fold(f64::INFINITY, f64::min);
        let most = of_peer.iter().map(|f| f.mpps).fold(0.0, f64::max);
        println!(
            "{:32} {mpps:>6.3} {:>15} {:>8.0}% {:>9.2} {:>11.2}",
            peer.name(),
            format!("{least:.3}..{most:.3}"),
            median(of_peer.iter().map(|f| f.arrived)) * 100.0,
            mpps / of(Peer::L2Forward),
            mpps / of(Peer::Nftables),
        );
    }
}
