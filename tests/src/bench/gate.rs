//! `bench gate`: what the gate costs a packet, by class, beside the cheapest program that does NAT at
//! all; net of a program that does nothing.

use std::os::fd::{AsFd, OwnedFd};

use adminapi::model::{FilterList, Listed, TunnelType};
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use libbpf_rs::Program;

use super::cheapest;
use super::drive::{Border, Drive, Driven};
use super::load::{Load, SOURCES, route_sources};
use super::opening::Opening;
use super::ours::{cached, forwarded};
use super::peer::Method;
use super::report::{Report, Table, median, ratio};
use crate::bpf::{self, Source};
use crate::director::{Configuration, Director};
use crate::floor;
use crate::generator::{Flows, Generator, Kind, Sink};
use crate::scene::Family;
use crate::topology::{CLIENT_SIDE, Plan, Topology};

const UPLINK: &str = "uplink";
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;
const XDP_REDIRECT: u32 = 4;
/// Frames of a measurement at least; more where there are more flows.
const FRAMES: u32 = 1 << 20;
/// A port that no service has.
const NO_SERVICE: u16 = 9;

/// `bench gate`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Measurements of each program; the median is shown.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Established flows.
    #[arg(long, value_delimiter = ',', default_value = "1,32768,262144,1048576", value_parser = clap::value_parser!(u32).range(1..))]
    flows: Vec<u32>,
    /// Classes of packets.
    #[arg(long, value_delimiter = ',', default_values_t = Class::ALL)]
    classes: Vec<Class>,
}

/// What a packet is to the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Class {
    /// TCP, established, by NAT.
    Nat,
    /// The same of IPv6.
    Nat6,
    /// UDP by NAT.
    NatUdp,
    /// TCP, established, by direct routing.
    Dr,
    /// TCP, established, IP in IP.
    Ipip,
    /// IPv6 in IPv6.
    Ipip6,
    /// For the service and of no connection: the director's.
    Miss,
    /// For none of the services: the kernel's.
    Pass,
    /// From a network on the list `deny`.
    Deny,
}

impl Class {
    const ALL: [Self; 9] = [
        Self::Nat,
        Self::Nat6,
        Self::NatUdp,
        Self::Dr,
        Self::Ipip,
        Self::Ipip6,
        Self::Miss,
        Self::Pass,
        Self::Deny,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Nat => "established, NAT",
            Self::Nat6 => "established, NAT, IPv6",
            Self::NatUdp => "established, NAT, UDP",
            Self::Dr => "established, DR",
            Self::Ipip => "established, TUN, ipip",
            Self::Ipip6 => "established, TUN, IPv6 in IPv6",
            Self::Miss => "miss, to the director",
            Self::Pass => "pass, to the kernel",
            Self::Deny => "drop, a network denied",
        }
    }

    const fn family(self) -> Family {
        match self {
            Self::Nat6 | Self::Ipip6 => Family::V6,
            _ => Family::V4,
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::NatUdp => Kind::Udp,
            Self::Deny => Kind::TcpSyn,
            _ => Kind::TcpData,
        }
    }

    const fn method(self) -> Method {
        match self {
            Self::Dr => Method::Dr,
            Self::Ipip | Self::Ipip6 => Method::Tun(TunnelType::Ipip),
            _ => Method::Nat,
        }
    }

    /// What is to become of its packets.
    const fn verdict(self) -> u32 {
        match self {
            Self::Pass => XDP_PASS,
            Self::Deny => XDP_DROP,
            _ => XDP_REDIRECT,
        }
    }

    /// The program that it is held against; those without are held against that of NAT.
    const fn peer(self) -> Option<Peer> {
        match self {
            Self::Nat => Some(Peer::Cheapest),
            Self::Deny => Some(Peer::Denied),
            _ => None,
        }
    }

    const fn is_established(self) -> bool {
        !matches!(self, Self::Miss | Self::Pass | Self::Deny)
    }

    /// Its packets.
    fn flows(self, load: Load) -> Result<Flows> {
        let mut flows = load.flows(self.family(), self.kind())?;
        if self == Self::Pass {
            flows.destination.set_port(NO_SERVICE);
        }
        Ok(flows)
    }
}

/// A program that does the least of what the gate does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    /// Reads, finds a flow and rewrites for NAT.
    Cheapest,
    /// Finds the source on a list of networks, and drops.
    Denied,
}

impl Peer {
    const fn name(self) -> &'static str {
        match self {
            Self::Cheapest => "the cheapest NAT",
            Self::Denied => "XDP_DROP after one LPM look-up",
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Cheapest => "cheapest",
            Self::Denied => "denied",
        }
    }

    const fn verdict(self) -> u32 {
        match self {
            Self::Cheapest => XDP_TX,
            Self::Denied => XDP_DROP,
        }
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

impl Options {
    /// Measures all classes with each number of flows.
    ///
    /// # Errors
    /// When a part of the testbed does not come up, or the gate does something else with a packet
    /// than its class says.
    pub fn run(&self) -> Result<Report> {
        let method = format!(
            "BPF_PROG_TEST_RUN, 60-byte frames (IPv6: 80) of all flows in turn, far from one another; \
             {} rounds, the median, less that of a program that does nothing",
            self.rounds
        );
        let mut report = Report::new("gate", method);
        for &flows in &self.flows {
            report.tables.push(self.table(flows)?);
        }
        Ok(report)
    }

    fn table(&self, flows: u32) -> Result<Table> {
        let load = Load {
            flows,
            frame: 60,
            services: 1,
            reals: 3,
        };
        let mut rows = Vec::new();
        for &class in &self.classes {
            let times = Bench::build(class, load)
                .and_then(|bench| bench.measure(self.rounds))
                .with_context(|| class.name())?;
            eprintln!("{}, {flows} flows: {:?}", class.name(), times.gate);
            rows.push((class, times));
        }
        let columns = [
            ("ns", 0),
            ("least", 0),
            ("most", 0),
            ("of cheapest", 2),
            ("of LPM drop", 2),
        ];
        let mut table = Table::new(format!("{flows} flows"), &columns);
        let of = |peer: Peer| {
            let times = rows.iter().filter(|(class, _)| class.peer() == Some(peer));
            median(times.flat_map(|(_, times)| times.peer.iter().copied()))
        };
        let (cheapest, lpm) = (of(Peer::Cheapest), of(Peer::Denied));
        let mut add = |name: &str, times: &[f64]| {
            let time = median(times.iter().copied());
            let least = times.iter().copied().fold(f64::INFINITY, f64::min);
            let most = times.iter().copied().fold(0.0, f64::max);
            let ratios = [ratio(time, cheapest), ratio(time, lpm)];
            let values = [Some(time), Some(least), Some(most), ratios[0], ratios[1]];
            table.add(name, values);
        };
        for (class, times) in &rows {
            if let Some(peer) = class.peer() {
                add(peer.name(), &times.peer);
            }
            add(class.name(), &times.gate);
        }
        Ok(table)
    }
}

/// Net nanoseconds a frame, round by round.
#[derive(Default)]
struct Times {
    /// Of the class's peer, if it has one.
    peer: Vec<f64>,
    gate: Vec<f64>,
}

/// A director with the flows of a class.
struct Bench {
    class: Class,
    load: Load,
    director: Director,
    topology: Topology,
    cpu: usize,
}

impl Bench {
    fn build(class: Class, load: Load) -> Result<Self> {
        let topology = Topology::build(Plan::default())?;
        route_sources(&topology)?;
        for interface in topology.interfaces() {
            let on = ["-K", &interface, "gro", "on"];
            topology.director.run("ethtool", &on)?;
        }
        topology.meet_neighbours()?;
        let services = load.services(&topology, class.family(), class.kind());
        let configuration = load.configuration(&topology).fast_path(true);
        let configuration: Configuration = configuration.services(
            services
                .into_iter()
                .map(|service| class.method().applied(service)),
        );
        let bench = Self {
            class,
            load,
            director: Director::start(&topology.director, &configuration)?,
            topology,
            cpu: std::thread::available_parallelism()?.get() - 1,
        };
        bench.prepare()?;
        Ok(bench)
    }

    /// Brings the gate to where packets of the class meet what they are to meet.
    fn prepare(&self) -> Result<()> {
        if self.class == Class::Deny {
            return self.deny();
        }
        if !self.class.is_established() {
            return Ok(());
        }
        let client = &self.topology.client;
        let flows = self.class.flows(self.load)?;
        let bridge = self.topology.bridge.as_ref().context("no bridge")?;
        let sink = Sink::new(bridge, UPLINK)?;
        let mut generator = Generator::new(client, &flows)?;
        let opening = Opening {
            client,
            flows: &flows,
            sink: &sink,
            cpu: self.cpu,
        };
        opening.open_until(&mut generator, || cached(&self.director))
    }

    fn deny(&self) -> Result<()> {
        let listing = Listed {
            network: SOURCES.parse()?,
            list: FilterList::Deny,
            seconds: None,
            why: None,
        };
        let api = self.director.api();
        api.call(async |api| api.put_network(&listing).await.map(drop))
    }

    /// All programs in turns.
    fn measure(&self, rounds: usize) -> Result<Times> {
        let flows = self.class.flows(self.load)?;
        let drive = Drive::new(&flows, Border::Front)?;
        let gate = self.gate()?;
        let peers = bpf::load_sized(Source::Peers, &[("targets", flows.count)])?;
        match self.class.peer() {
            Some(Peer::Cheapest) => cheapest::fill(&peers, &flows)?,
            Some(Peer::Denied) => cheapest::deny(&peers, SOURCES.parse()?)?,
            None => {}
        }
        let count = FRAMES.max(flows.count.saturating_mul(2));
        self.topology.director.enter(|| {
            floor::pin_to_cpu(self.cpu)?;
            let mut times = Times::default();
            for _ in 0..rounds {
                let nothing = drive.run(bpf::program(&peers, "nothing")?.as_fd(), count)?;
                if let Some(peer) = self.class.peer() {
                    let driven = drive.run(bpf::program(&peers, peer.program())?.as_fd(), count)?;
                    ensure!(driven.verdict == peer.verdict(), "{peer:?} misses");
                    times.peer.push(driven.nanoseconds - nothing.nanoseconds);
                }
                let driven = self.run_gate(&drive, &gate, count)?;
                times.gate.push(driven.nanoseconds - nothing.nanoseconds);
            }
            Ok(times)
        })
    }

    /// It must have done with all frames what it is to do.
    fn run_gate(&self, drive: &Drive, gate: &OwnedFd, count: u32) -> Result<Driven> {
        let before = forwarded(&self.director)?;
        let driven = drive.run(gate.as_fd(), count)?;
        let forwarded = forwarded(&self.director)? - before;
        ensure!(
            driven.verdict == self.class.verdict(),
            "the verdict is {}",
            driven.verdict
        );
        let expected = if self.class.is_established() {
            count
        } else {
            0
        };
        ensure!(
            forwarded * 100 >= u64::from(expected) * 97 && forwarded <= u64::from(expected),
            "{forwarded} of {count} forwarded by the gate"
        );
        Ok(driven)
    }

    /// The program on the interface that the packets come in by.
    fn gate(&self) -> Result<OwnedFd> {
        let shown = ["-j", "link", "show", "dev", CLIENT_SIDE];
        let shown = self.topology.director.run("ip", &shown)?;
        let links: serde_json::Value = serde_json::from_str(&shown)?;
        let number = links[0]["xdp"]["prog"]["id"].as_u64();
        Ok(Program::fd_from_id(number.context("no gate")? as u32)?)
    }
}
