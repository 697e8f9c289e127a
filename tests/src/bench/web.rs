//! `bench web`: what users of a web service have of it. New connections a second (a page each, without
//! keep-alive), how long connecting takes at half of that, and the throughput of one connection.
//!
//! Client and servers share the CPUs with who stands between, and have most of them. So what all of them
//! together spend on a connection is taken, too, and what they spend where the kernel routes it there,
//! and nobody balances: what is more than that is the cost of who stands between.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use adminapi::model::{Protocol, Scheduler, Service};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use super::busy::Busy;
use super::peer::Path;
use super::redirect::Routed;
use super::report::{Report, Table, median, ratio};
use crate::director::{Configuration, Director, service};
use crate::flood::visitors::{self, Crowd, Visits};
use crate::haproxy::HaProxy;
use crate::namespace::Namespace;
use crate::nftables::Rules;
use crate::process::Process;
use crate::scene::Family;
use crate::servers::{HTTP_PORT, Nginx};
use crate::topology::{Plan, Topology};
use crate::wait;

const IPERF_PORT: u16 = 5201;
const PATIENCE: Duration = Duration::from_secs(10);
/// The director's own address towards the servers.
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 254);
/// Where the kernel routes to all servers alike: an address that each of them has.
const SHARED: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 10);
/// Users side by side at half load.
const VISITORS: u32 = 64;

/// `bench web`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Measurements of each peer; the median is shown.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Length of each, in seconds.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Connections at once.
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Who stands between.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "routed,redirect,nft,haproxy,nat,nat-slow"
    )]
    peers: Vec<Peer>,
}

/// Who stands between users and servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Peer {
    /// Nobody: the kernel routes, over as many ways as there are servers.
    Routed,
    /// Nobody: an XDP program redirects as the kernel routes.
    Redirect,
    /// The kernel's DNAT with conntrack.
    Nft,
    /// A proxy.
    Haproxy,
    /// The director, NAT.
    Nat,
    /// The same without its fast path.
    NatSlow,
    /// Nobody: the servers are the director's host.
    Host,
    /// The director, NAT to its own host.
    Home,
}

impl Peer {
    const fn name(self) -> &'static str {
        match self {
            Self::Routed => "nobody: routed, by ECMP",
            Self::Redirect => "nobody: redirected by XDP, by ECMP",
            Self::Nft => "nftables DNAT, conntrack",
            Self::Haproxy => "HAProxy, TCP mode",
            Self::Nat => "bulwark NAT",
            Self::NatSlow => "bulwark NAT, slow path",
            Self::Host => "servers on the director's host, asked directly",
            Self::Home => "bulwark NAT to its own host",
        }
    }

    /// Where its users go for pages.
    fn pages(self) -> SocketAddr {
        match self {
            Self::Routed | Self::Redirect => SocketAddr::new(SHARED.into(), HTTP_PORT),
            _ => Family::V4.http(),
        }
    }

    /// Where they go for the stream.
    fn stream(self, bed: &Bed) -> IpAddr {
        match self {
            Self::Routed | Self::Redirect => bed.topology.reals[0].v4.into(),
            _ => Family::V4.vip(),
        }
    }
}

/// What was measured of a peer in a round.
#[derive(Clone, Copy, Debug, Default)]
struct Figure {
    /// Connections a second.
    connections: f64,
    /// Microseconds of a CPU that all together spent on each.
    cost: f64,
    /// Gigabits a second.
    throughput: f64,
    /// Milliseconds to connect, at half load.
    half: [f64; 2],
}

/// In place until it is dropped.
#[allow(dead_code, reason = "they are held, not asked")]
enum Forwarder<'a> {
    Routes(Routes<'a>, Option<Routed>),
    Rules(Rules<'a>),
    Proxy(HaProxy),
    Director(Box<Director>),
    Host(Servers, Option<Box<Director>>),
}

/// Where pages and streams come from on one host.
type Servers = (Nginx, Process);

impl Options {
    /// Measures all peers in turns.
    ///
    /// # Errors
    /// When a part of the testbed does not come up.
    pub fn run(&self) -> Result<Report> {
        let method = format!(
            "3 nginx; wrk with {} connections, a page each; iperf3, one connection; {} rounds of {} s, \
             the median; all share the CPUs",
            self.connections, self.rounds, self.seconds
        );
        let mut report = Report::new("web", method);
        let bed = Bed::build()?;
        let mut all: Vec<(Peer, Vec<Figure>)> = Vec::new();
        for _ in 0..self.rounds {
            for &peer in &self.peers {
                let figure = self.measure(&bed, peer).with_context(|| peer.name())?;
                match all.iter_mut().find(|(one, _)| *one == peer) {
                    Some((_, figures)) => figures.push(figure),
                    None => all.push((peer, vec![figure])),
                }
            }
        }
        report.tables = tables(&all);
        Ok(report)
    }

    fn measure(&self, bed: &Bed, peer: Peer) -> Result<Figure> {
        let _forwarder = bed.forwarder(peer)?;
        let busy = Busy::since_now()?;
        let connections = self.connections_a_second(bed, peer.pages())?;
        let spent = busy.spent()?;
        let throughput = self.throughput(bed, peer.stream(bed))?;
        let half = self.at_half_load(bed, peer.pages(), connections / 2.0)?;
        Ok(Figure {
            connections,
            cost: spent.as_secs_f64() * 1e6 / (connections * self.seconds as f64),
            throughput,
            half: [0.5, 0.99].map(|share| half.percentile(share).as_secs_f64() * 1e3),
        })
    }

    fn connections_a_second(&self, bed: &Bed, pages: SocketAddr) -> Result<f64> {
        let count = format!("-c{}", self.connections);
        let length = format!("-d{}", self.seconds);
        let url = format!("http://{pages}/");
        let options = ["-t1", &count, &length, "-H", "Connection: close", &url];
        let said = bed.topology.client.run("wrk", &options)?;
        figure_after(&said, "Requests/sec:").context("wrk says nothing")
    }

    fn throughput(&self, bed: &Bed, server: IpAddr) -> Result<f64> {
        let length = self.seconds.to_string();
        let server = server.to_string();
        let port = IPERF_PORT.to_string();
        let options = ["-J", "-c", &server, "-p", &port, "-t", &length];
        // Its server takes one test after the other, and may not be done with the last.
        let said = wait::until("iperf3", PATIENCE, || {
            bed.topology.client.run("iperf3", &options)
        })?;
        let said: serde_json::Value = serde_json::from_str(&said)?;
        let bits = said["end"]["sum_received"]["bits_per_second"].as_f64();
        Ok(bits.context("iperf3 says nothing")? / 1e9)
    }

    fn at_half_load(&self, bed: &Bed, pages: SocketAddr, rate: f64) -> Result<Visits> {
        let crowd = Crowd {
            visitors: VISITORS,
            interval: Duration::from_secs_f64(f64::from(VISITORS) / rate.max(1.0)),
        };
        let length = Duration::from_secs(self.seconds);
        visitors::join(visitors::send(&bed.topology.client, pages, length, crowd)?)
    }
}

/// Servers, and a network for one forwarder after the other.
struct Bed {
    _web: Vec<Nginx>,
    _iperf: Process,
    topology: Topology,
}

impl Bed {
    fn build() -> Result<Self> {
        let topology = Topology::build(Plan::default())?;
        for interface in topology.interfaces() {
            let on = ["-K", &interface, "gro", "on"];
            topology.director.run("ethtool", &on)?;
        }
        topology.meet_neighbours()?;
        let web = topology.reals.iter().map(Nginx::start);
        let web = web.collect::<Result<_>>()?;
        Ok(Self {
            _web: web,
            _iperf: iperf_in(&topology.reals[0].namespace)?,
            topology,
        })
    }

    fn forwarder(&self, peer: Peer) -> Result<Forwarder<'_>> {
        let director = &self.topology.director;
        let reals: Vec<IpAddr> = (self.topology.reals.iter())
            .map(|real| real.v4.into())
            .collect();
        let services = services(&reals);
        let ours = |services: &[Service], path| {
            let bare = Configuration::new(self.topology.interfaces()).fast_path(path == Path::Fast);
            let configuration = bare.services(services.iter().cloned());
            Director::start(director, &configuration).map(Box::new)
        };
        let here =
            || Ok::<_, anyhow::Error>((Nginx::start_in(director, "here")?, iperf_in(director)?));
        Ok(match peer {
            Peer::Routed => Forwarder::Routes(Routes::to_all(&self.topology)?, None),
            Peer::Redirect => {
                let routes = Routes::to_all(&self.topology)?;
                Forwarder::Routes(routes, Some(Routed::start(director)?))
            }
            Peer::Nft => Forwarder::Rules(Rules::load(director, &services)?),
            Peer::Haproxy => Forwarder::Proxy(HaProxy::start(director, &services)?),
            Peer::Nat => Forwarder::Director(ours(&services, Path::Fast)?),
            Peer::NatSlow => Forwarder::Director(ours(&services, Path::Slow)?),
            Peer::Host => Forwarder::Host(here()?, None),
            Peer::Home => {
                let home = ours(&self::services(&[OWN.into()]), Path::Fast)?;
                Forwarder::Host(here()?, Some(home))
            }
        })
    }
}

/// Routes to the address that all servers have, until it is dropped.
struct Routes<'a>(&'a Topology);

impl<'a> Routes<'a> {
    fn to_all(topology: &'a Topology) -> Result<Self> {
        let add = format!("addr add {SHARED}/32 dev lo\n");
        for real in &topology.reals {
            real.namespace.ip(&add)?;
        }
        let ways = topology.reals.iter();
        let ways: String = ways
            .map(|real| format!(" nexthop via {}", real.v4))
            .collect();
        let director = &topology.director;
        director.ip(&format!("route add {SHARED}/32{ways}\n"))?;
        // By ports, too, and not by addresses alone.
        director.sysctl(&["net.ipv4.fib_multipath_hash_policy=1"])?;
        Ok(Self(topology))
    }
}

impl Drop for Routes<'_> {
    fn drop(&mut self) {
        let _ = self.0.director.ip(&format!("route del {SHARED}/32\n"));
        for real in &self.0.reals {
            let _ = real.namespace.ip(&format!("addr del {SHARED}/32 dev lo\n"));
        }
    }
}

/// The pages come from all servers, the stream from the first.
fn services(reals: &[IpAddr]) -> [Service; 2] {
    let at = |port| move |real: &IpAddr| (SocketAddr::new(*real, port), 1);
    let vip = SocketAddr::new(Family::V4.vip(), IPERF_PORT);
    let (tcp, rr) = (Protocol::Tcp, Scheduler::Rr);
    [
        service(tcp, Family::V4.http(), rr, reals.iter().map(at(HTTP_PORT))),
        service(tcp, vip, rr, reals.iter().take(1).map(at(IPERF_PORT))),
    ]
}

fn iperf_in(host: &Namespace) -> Result<Process> {
    let port = IPERF_PORT.to_string();
    let mut iperf = host.command("iperf3");
    iperf.args(["-s", "-p", &port]);
    Process::spawn(iperf.stdout(std::process::Stdio::null()))
}

fn tables(all: &[(Peer, Vec<Figure>)]) -> Vec<Table> {
    let of = |peer: Peer, what: fn(&Figure) -> f64| {
        let found = all.iter().find(|(one, _)| *one == peer);
        found.map_or(0.0, |(_, figures)| median(figures.iter().map(what)))
    };
    let compared = |title, unit: (&str, usize), what: fn(&Figure) -> f64| {
        let columns = [unit, ("of nft", 2), ("of haproxy", 2)];
        let mut table = Table::new(title, &columns);
        for &(peer, _) in all {
            let figure = of(peer, what);
            let ratios = [Peer::Nft, Peer::Haproxy].map(|other| ratio(figure, of(other, what)));
            table.add(peer.name(), [Some(figure), ratios[0], ratios[1]]);
        }
        table
    };
    let mut half = Table::new("connecting at half load", &[("p50 ms", 2), ("p99 ms", 2)]);
    for &(peer, _) in all {
        half.add(
            peer.name(),
            [of(peer, |f| f.half[0]), of(peer, |f| f.half[1])],
        );
    }
    let columns = [
        ("us of a CPU", 0),
        ("above routed", 0),
        ("haproxy of it", 2),
    ];
    let mut cost = Table::new("what a connection costs", &columns);
    let routed = of(Peer::Routed, |f| f.cost);
    let above = |peer| Some(of(peer, |f| f.cost) - routed).filter(|_| routed > 0.0);
    for &(peer, _) in all {
        let own = above(peer).filter(|own| *own > 0.0);
        let haproxy = above(Peer::Haproxy).filter(|own| *own > 0.0);
        let times = own.zip(haproxy).map(|(own, haproxy)| haproxy / own);
        cost.add(peer.name(), [Some(of(peer, |f| f.cost)), own, times]);
    }
    vec![
        compared("new connections", ("a second", 0), |f| f.connections),
        cost,
        half,
        compared("one stream, 1,500-byte packets", ("Gbit/s", 2), |f| {
            f.throughput
        }),
    ]
}

/// The number behind a word.
fn figure_after(text: &str, word: &str) -> Option<f64> {
    let (_, rest) = text.split_once(word)?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::figure_after;

    #[test]
    fn wrk_is_understood() {
        let said = "  1000 requests in 1.00s\nRequests/sec:   1234.50\nTransfer/sec: 1MB\n";
        assert_eq!(figure_after(said, "Requests/sec:"), Some(1234.5));
        assert_eq!(figure_after("unable to connect", "Requests/sec:"), None);
    }
}
