//! The network of one trial: client, real servers with nginx, and who is flooded between them.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use adminapi::model::{ForwardingMethod, Protocol, Scheduler, Service, Tunnel, TunnelType};
use anyhow::{Context, Result, bail};

use super::{Mixture, Pace, Peer, Trial, Way};
use crate::agent::Agent;
use crate::director::{Configuration, Director, by, service};
use crate::generator::{Generator, Sink};
use crate::namespace::Namespace;
use crate::nftables::Rules;
use crate::process::{Signal, output_with_input, resident};
use crate::scene::Family;
use crate::servers::{HTTP_PORT, Nginx};
use crate::topology::{HOST_SIDE, Plan, STRANGERS_NETWORK, Topology};

/// Nobody has these; who answers them gets no answer, not even a RST.
const SPOOFED: &str = "44.0.0.0/8";
const FIRST_SPOOFED: &str = "44.0.0.0:1024";
const FRAME: usize = 60;
/// Counts what comes to a real server from there.
const STRANGERS: &str = "table ip strangers {\n chain input {\n  type filter hook input priority -200;\n  \
     ip saddr 44.0.0.0/8 counter\n }\n}\n";
/// The client on the links of the director and, for direct routing, of the real servers.
const CLIENT_AT_DIRECTOR: &str = "10.0.1.1";
const STRANGER_AT_DIRECTOR: &str = "10.0.9.1";
const CLIENT_AT_REALS: &str = "10.0.2.200";
const AGENT: &str = "[agent]\ninterface = \"eth0\"\n";
const FEW_HALF_OPEN: i64 = 2000;

/// What the peer holds, and what it does about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    /// The level of defence; 0 where there is none.
    pub level: u8,
    /// The share of SYNs dropped by it.
    pub drop_rate: f64,
    /// Half-open connections; of conntrack: all entries.
    pub entries: u64,
    /// Memory: of the daemon, or of the machine's conntrack entries.
    pub bytes: u64,
}

impl Held {
    pub(crate) fn or_more(self, other: Self) -> Self {
        Self {
            level: self.level.max(other.level),
            drop_rate: self.drop_rate.max(other.drop_rate),
            entries: self.entries.max(other.entries),
            bytes: self.bytes.max(other.bytes),
        }
    }
}

pub(crate) struct Stage {
    forwarder: Forwarder,
    _agents: Vec<Agent>,
    _web: Vec<Nginx>,
    _sink: Option<Sink>,
    topology: Topology,
}

/// Ends before the network does.
enum Forwarder {
    Bulwark(Box<Bulwark>),
    Kernel,
}

struct Bulwark {
    /// Of the director.
    process: u32,
    director: Director,
    configuration: Configuration,
}

impl Bulwark {
    fn start(namespace: &Namespace, configuration: Configuration) -> Result<Self> {
        let mut director = Director::start(namespace, &configuration)?;
        Ok(Self {
            process: director.process().id(),
            director,
            configuration,
        })
    }
}

impl Stage {
    pub(crate) fn set(peer: Peer, trial: &Trial) -> Result<Self> {
        Self::set_with(peer, trial.way, trial.mixture, |bare| match trial.pace {
            Pace::Default => bare,
            Pace::Brisk => brisk(bare),
        })
    }

    /// With a director that is configured as `shape` says.
    pub(crate) fn set_with(
        peer: Peer,
        way: Way,
        mixture: Mixture,
        shape: impl FnOnce(Configuration) -> Configuration,
    ) -> Result<Self> {
        let mut topology = Topology::build(Plan::default())?;
        let back = match way {
            Way::Shared => CLIENT_AT_DIRECTOR,
            Way::Apart => {
                topology.add_stranger()?;
                STRANGER_AT_DIRECTOR
            }
        };
        let director = &topology.director;
        director.ip(&format!("route add {SPOOFED} via {back}\n"))?;
        for interface in topology.interfaces() {
            // As NICs have it; and veth passes XDP frames to a far end with NAPI only.
            director.run("ethtool", &["-K", &interface, "gro", "on"])?;
        }
        if matches!(peer, Peer::Dr | Peer::Ipip) {
            topology.bypass_director()?;
            for real in &topology.reals {
                let way = format!("route add {SPOOFED} via {CLIENT_AT_REALS}\n");
                real.namespace.ip(&way)?;
            }
        }
        let web = topology.reals.iter().map(Nginx::start);
        let web = web.collect::<Result<_>>()?;
        let agents = match peer {
            Peer::Ipip => {
                let reals = topology.reals.iter();
                let agents = reals.map(|real| Agent::start(&real.namespace, AGENT));
                agents.collect::<Result<_>>()?
            }
            _ => Vec::new(),
        };
        topology.meet_neighbours()?;
        Ok(Self {
            forwarder: forwarder(peer, mixture, shape, &topology)?,
            _agents: agents,
            _web: web,
            _sink: sink(&topology)?,
            topology,
        })
    }

    pub(crate) fn client(&self) -> &Namespace {
        &self.topology.client
    }

    /// Where the flood comes from.
    pub(crate) fn flooder(&self) -> &Namespace {
        self.topology.stranger.as_ref().unwrap_or(self.client())
    }

    pub(crate) fn vip(&self) -> SocketAddr {
        Family::V4.http()
    }

    /// Sources of a flood to the service.
    pub(crate) fn generators(&self, mixture: Mixture) -> Result<Vec<Generator>> {
        let mut generators = Vec::new();
        for flows in mixture.flows(FIRST_SPOOFED.parse()?, self.vip(), FRAME) {
            generators.push(match &self.topology.stranger {
                Some(stranger) => Generator::in_network(STRANGERS_NETWORK, stranger, &flows)?,
                None if generators.is_empty() => Generator::new(self.client(), &flows)?,
                None => Generator::beside(self.client(), &flows)?,
            });
        }
        Ok(generators)
    }

    /// Segments of TCP that the real servers have sent again.
    pub(crate) fn sent_again(&self) -> Result<u64> {
        let reals = self.topology.reals.iter();
        reals
            .map(|real| retransmitted(&real.namespace.run("cat", &["/proc/net/snmp"])?))
            .sum()
    }

    /// Begins to count the spoofed SYNs that get to real servers.
    pub(crate) fn count_strangers(&self) -> Result<()> {
        for real in &self.topology.reals {
            let mut nft = real.namespace.command("nft");
            output_with_input(nft.args(["-f", "-"]), STRANGERS)?;
        }
        Ok(())
    }

    /// How many have got there since.
    pub(crate) fn strangers(&self) -> Result<u64> {
        let reals = self.topology.reals.iter();
        let list = ["list", "table", "ip", "strangers"];
        reals
            .map(|real| counted(&real.namespace.run("nft", &list)?))
            .sum()
    }

    /// Ends the director by a signal and starts another one at once; when the first was gone.
    ///
    /// # Errors
    /// When one of them does not do as told, or the kernel stands in its place.
    pub(crate) fn restart(&mut self, signal: Signal) -> Result<Instant> {
        let Forwarder::Bulwark(bulwark) = &mut self.forwarder else {
            bail!("there is no director");
        };
        bulwark.director.end_by(signal)?;
        let gone = Instant::now();
        let configuration = bulwark.configuration.clone();
        **bulwark = Bulwark::start(&self.topology.director, configuration)?;
        Ok(gone)
    }

    pub(crate) fn held(&self) -> Result<Held> {
        match &self.forwarder {
            Forwarder::Bulwark(bulwark) => {
                let defense = bulwark.director.api().defense(None)?;
                Ok(Held {
                    level: defense.level,
                    drop_rate: defense.drop_rate,
                    entries: defense.half_open,
                    bytes: resident(bulwark.process)?,
                })
            }
            Forwarder::Kernel => {
                let file = "/proc/sys/net/netfilter/nf_conntrack_count";
                let entries = self.topology.director.run("cat", &[file])?;
                Ok(Held {
                    entries: entries.trim().parse()?,
                    bytes: conntrack_slab()?,
                    ..Held::default()
                })
            }
        }
    }
}

/// Takes the answers to a flood that comes by an interface of its own: those who are named as its
/// senders are far away.
fn sink(topology: &Topology) -> Result<Option<Sink>> {
    let stranger = topology.stranger.as_ref();
    stranger.map(|host| Sink::new(host, HOST_SIDE)).transpose()
}

fn forwarder(
    peer: Peer,
    mixture: Mixture,
    shape: impl FnOnce(Configuration) -> Configuration,
    topology: &Topology,
) -> Result<Forwarder> {
    let protocols: &[Protocol] = match mixture.has_datagrams() {
        true => &[Protocol::Tcp, Protocol::Udp],
        false => &[Protocol::Tcp],
    };
    let services = protocols
        .iter()
        .map(|&protocol| nat_service(topology, protocol));
    let services: Vec<_> = services.map(|service| with_method(peer, service)).collect();
    match peer {
        Peer::Nat | Peer::Dr | Peer::Ipip => {
            let configuration = shape(Configuration::new(topology.interfaces()));
            let bulwark = Bulwark::start(&topology.director, configuration.services(services))?;
            Ok(Forwarder::Bulwark(Box::new(bulwark)))
        }
        Peer::Nftables => {
            Rules::load(&topology.director, &services)?.keep();
            Ok(Forwarder::Kernel)
        }
        Peer::Synproxy => {
            Rules::load_behind_synproxy(&topology.director, &services)?.keep();
            Ok(Forwarder::Kernel)
        }
    }
}

/// Levels that change within seconds, and few places for half-open connections.
fn brisk(configuration: Configuration) -> Configuration {
    configuration
        .limit("half_open", FEW_HALF_OPEN)
        .defense("dwell", 1)
        .defense("syn_recv", 1)
        .defense("syn_ack", 2)
}

fn nat_service(topology: &Topology, protocol: Protocol) -> Service {
    let rip = |address: IpAddr| (SocketAddr::new(address, HTTP_PORT), 1);
    let reals = topology.reals.iter().map(|real| rip(real.v4.into()));
    service(protocol, Family::V4.http(), Scheduler::Rr, reals)
}

fn with_method(peer: Peer, service: Service) -> Service {
    match peer {
        Peer::Nat | Peer::Nftables | Peer::Synproxy => service,
        Peer::Dr => by(service, ForwardingMethod::Dr, None),
        Peer::Ipip => {
            let tunnel = Tunnel {
                kind: TunnelType::Ipip,
                ..Tunnel::default()
            };
            by(service, ForwardingMethod::Tun, Some(tunnel))
        }
    }
}

/// What the only counter of a table of nft has counted.
fn counted(table: &str) -> Result<u64> {
    let (_, rest) = table.split_once("packets ").context("no counter")?;
    let count = rest.split(' ').next().context("no count")?;
    Ok(count.parse()?)
}

/// `RetransSegs` of `/proc/net/snmp`.
fn retransmitted(snmp: &str) -> Result<u64> {
    let mut tcp = snmp.lines().filter(|line| line.starts_with("Tcp: "));
    let (names, values) = tcp.next().zip(tcp.next()).context("no TCP in snmp")?;
    let mut columns = names.split(' ').zip(values.split(' '));
    let (_, value) = columns
        .find(|(name, _)| *name == "RetransSegs")
        .context("no RetransSegs in snmp")?;
    Ok(value.parse()?)
}

/// Memory of the conntrack entries of the whole machine.
fn conntrack_slab() -> Result<u64> {
    slab(&fs::read_to_string("/proc/slabinfo")?).context("no nf_conntrack in /proc/slabinfo")
}

/// `name <active_objs> <num_objs> <objsize> ...`
fn slab(slabinfo: &str) -> Option<u64> {
    let line = slabinfo
        .lines()
        .find_map(|line| line.strip_prefix("nf_conntrack "))?;
    let mut numbers = line.split_whitespace().skip(1).map(str::parse::<u64>);
    Some(numbers.next()?.ok()? * numbers.next()?.ok()?)
}

#[cfg(test)]
mod tests {
    use super::{retransmitted, slab};

    #[test]
    fn what_was_sent_again_stands_under_its_name() {
        let snmp =
            "Ip: Forwarding\nIp: 1\nTcp: OutSegs RetransSegs InErrs\nTcp: 7 3 1\nUdp: a\nUdp: 1\n";
        assert_eq!(retransmitted(snmp).ok(), Some(3));
        assert!(retransmitted("Tcp: OutSegs\nTcp: 7\n").is_err());
    }

    #[test]
    fn a_slab_is_its_objects_times_their_size() {
        let info = "slabinfo - version: 2.1\nnf_conntrack_expect 0 0 208 19\nnf_conntrack  10 32 256 16 1 : tunables\n";
        assert_eq!(slab(info), Some(32 * 256));
        assert_eq!(slab("slabinfo - version: 2.1\n"), None);
    }
}
