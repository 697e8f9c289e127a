//! Three real servers with nginx and an agent each, and a director that they trust.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use adminapi::model::{
    CookiePolicy, CookieStatus, ForwardingMethod, Protocol, RealPatch, Scheduler, Service, Tunnel,
    TunnelChecksum, TunnelType,
};
use anyhow::{Context, Result, ensure};
use testbed::agent::Agent;
use testbed::certificates::{Authority, Files};
use testbed::comeback::Comeback;
use testbed::director::{Configuration, Director, by, service};
use testbed::generator::Pass;
use testbed::namespace::Namespace;
use testbed::scene::Family;
use testbed::servers::{HTTP_PORT, Nginx, OTHER_HTTP_PORT};
use testbed::topology::{CLIENT_V4, Plan, RealHost, Topology, VIP_V4};
use testbed::traffic::HttpConnection;
use testbed::wait;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What clients wait beside a flood: a SYN that is lost comes again after 1, 3, 7, 15 and 31 seconds, and
/// two may have to arrive.
const ENDURANCE: Duration = Duration::from_secs(40);

/// Where agents find the director, and its twin.
const DOOR: &str = "10.0.2.254:7071";
const TWIN_DOOR: &str = "10.0.2.253:7071";

/// Counts the SYNs that come to a real server.
const COUNTER: &str = "table inet cookies {\n chain input {\n  type filter hook input priority -200;\n  \
     tcp dport { 80, 8080 } tcp flags & (syn | ack) == syn counter\n }\n}\n";

/// Those of a flood, whose addresses are not of this network.
const STRANGERS: &str = "table inet strangers {\n chain input {\n  type filter hook input priority -200;\n  \
     ip saddr 10.0.0.0/8 accept\n  ip6 saddr { fd00:1::/64, fd00:2::/64, fe80::/10 } accept\n  \
     tcp dport { 80, 8080 } counter\n }\n}\n";

/// What agents do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agents {
    /// They take keys from the director.
    Trusted,
    /// They take packets out of tunnels, and no more.
    Keyless,
}

/// The tunnels to the real servers, each by another one.
pub(crate) type Tunnels = [Tunnel; 3];

pub(crate) const TUNNELS: Tunnels = [
    tunnel(TunnelType::Ipip, TunnelChecksum::None),
    tunnel(TunnelType::Gre, TunnelChecksum::None),
    tunnel(TunnelType::Gue, TunnelChecksum::None),
];

/// All that have a checksum.
pub(crate) const SUMMED: Tunnels = [
    tunnel(TunnelType::Gre, TunnelChecksum::Csum),
    tunnel(TunnelType::Gue, TunnelChecksum::Csum),
    tunnel(TunnelType::Gue, TunnelChecksum::Remcsum),
];

const fn tunnel(kind: TunnelType, checksum: TunnelChecksum) -> Tunnel {
    Tunnel {
        kind,
        port: None,
        checksum,
    }
}

/// How a bed differs from the others.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) method: ForwardingMethod,
    pub(crate) tunnels: Option<Tunnels>,
    pub(crate) policy: CookiePolicy,
    pub(crate) rotation: i64,
    pub(crate) agents: Agents,
    /// That of the agents, in seconds.
    pub(crate) msl: u64,
}

impl Shape {
    pub(crate) const NAT: Self = Self {
        method: ForwardingMethod::Nat,
        tunnels: None,
        policy: CookiePolicy::Always,
        rotation: 30,
        agents: Agents::Trusted,
        msl: 120,
    };

    pub(crate) const TUN: Self = Self {
        method: ForwardingMethod::Tun,
        tunnels: Some(TUNNELS),
        ..Self::NAT
    };

    /// NAT rewrites ports; the others do not.
    pub(crate) const fn port(&self) -> u16 {
        match self.method {
            ForwardingMethod::Nat => OTHER_HTTP_PORT,
            _ => HTTP_PORT,
        }
    }
}

pub(crate) struct Bed {
    pub(crate) director: Director,
    pub(crate) agents: Vec<Agent>,
    pub(crate) web: Vec<Nginx>,
    pub(crate) topology: Topology,
    pub(crate) configuration: Configuration,
    authority: Authority,
    shape: Shape,
}

impl Bed {
    pub(crate) fn build(shape: Shape) -> Result<Self> {
        Self::build_with(shape, |configuration| configuration)
    }

    pub(crate) fn build_with(
        shape: Shape,
        more: impl FnOnce(Configuration) -> Configuration,
    ) -> Result<Self> {
        let topology = Topology::build(Plan::default())?;
        if shape.method != ForwardingMethod::Nat {
            topology.bypass_director()?;
        }
        topology.meet_neighbours()?;
        for real in &topology.reals {
            for rules in [COUNTER, STRANGERS] {
                let mut nft = real.namespace.command("nft");
                testbed::process::output_with_input(nft.args(["-f", "-"]), rules)?;
            }
        }
        let authority = Authority::new()?;
        let files = authority.certify("director", &[DOOR.parse::<SocketAddr>()?.ip()])?;
        let bare = Configuration::new(topology.interfaces())
            .agents(DOOR.parse()?, &files)
            .cookies("rotation", shape.rotation);
        let configuration = more(with_services(bare, &topology, shape));
        let web = topology.reals.iter().map(Nginx::start);
        let web = web.collect::<Result<_>>()?;
        let mut bed = Self {
            director: Director::start(&topology.director, &configuration)?,
            agents: Vec::new(),
            web,
            topology,
            configuration,
            authority,
            shape,
        };
        for number in 0..bed.topology.reals.len() {
            let agent = bed.agent(number)?;
            bed.agents.push(agent);
        }
        Ok(bed)
    }

    /// Gives the director another certificate, good until a year begins.
    pub(crate) fn certify_director(&self, year: i32) -> Result<Files> {
        let door: SocketAddr = DOOR.parse()?;
        self.authority.certify_until(year, "director", &[door.ip()])
    }

    /// Gives an agent another one.
    pub(crate) fn certify_agent(&self, year: i32, number: usize) -> Result<Files> {
        let real = &self.topology.reals[number];
        let addresses = [IpAddr::from(real.v4), real.v6.into()];
        self.authority.certify_until(year, &real.name, &addresses)
    }

    /// Starts the agent of a real server.
    pub(crate) fn agent(&self, number: usize) -> Result<Agent> {
        let real = &self.topology.reals[number];
        let files = self.certify_agent(3000, number)?;
        let source = |door: &str| {
            format!(
                "[[agent.director]]\naddress = \"{door}\"\ncertificate = {:?}\nkey = {:?}\nca = {:?}\n",
                files.certificate, files.key, files.authority
            )
        };
        let sources = match self.shape.agents {
            Agents::Trusted => [source(DOOR), source(TWIN_DOOR)].concat(),
            Agents::Keyless => String::new(),
        };
        let msl = self.shape.msl;
        let text = format!("[agent]\ninterface = \"eth0\"\nmsl = {msl}\n{sources}");
        Agent::start(&real.namespace, &text)
    }

    pub(crate) fn status(&self, family: Family) -> Result<CookieStatus> {
        status(&self.director, family)
    }

    /// Waits until so many real servers are able, and SYNs are answered or not.
    pub(crate) fn await_cookies(&self, family: Family, able: u32, active: bool) -> Result<()> {
        await_cookies(&self.director, family, able, active)
    }

    /// Waits until so many real servers are able.
    pub(crate) fn await_able(&self, family: Family, able: u32) -> Result<()> {
        wait::until("agents", PATIENCE, || {
            let status = self.status(family)?;
            ensure!(status.able == able, "{status:?}");
            Ok(())
        })
    }

    /// SYNs that have come to real servers.
    pub(crate) fn syns(&self) -> Result<u64> {
        counted_by_all(&self.topology, "cookies")
    }

    /// Segments of a flood that have come to real servers.
    pub(crate) fn strangers(&self) -> Result<u64> {
        strangers(&self.topology)
    }

    /// A client that comes again.
    pub(crate) fn comeback(&self) -> Comeback<'_> {
        Comeback {
            topology: &self.topology,
            director: &self.director,
        }
    }

    /// Where real servers listen.
    pub(crate) const fn port(&self) -> u16 {
        self.shape.port()
    }

    /// Has the packets for the real servers of a family wrapped otherwise.
    pub(crate) fn wrap(&self, family: Family, tunnels: Tunnels) -> Result<()> {
        let (api, service) = (self.director.api(), family.http_service());
        for (host, tunnel) in self.topology.reals.iter().zip(tunnels) {
            let at = SocketAddr::new(host.address(family.vip()), self.shape.port());
            let patch = RealPatch {
                tun: Some(Some(tunnel).into()),
                ..RealPatch::default()
            };
            api.change_real(service, at, patch)?;
        }
        Ok(())
    }

    /// Has each key make cookies for so many seconds from now on.
    pub(crate) fn rotate(&self, seconds: i64) -> Result<()> {
        let configuration = self.configuration.clone().cookies("rotation", seconds);
        let text = configuration.text(&self.director.socket())?;
        std::fs::write(self.director.file(), text)?;
        let api = self.director.api();
        api.call(async |api| api.reload().await.map(drop))
    }

    pub(crate) fn half_open(&self) -> Result<u64> {
        Ok(self.director.api().status()?.connections.half_open)
    }
}

/// A second director between the same client and real servers, for direct routing.
pub(crate) struct Twin {
    pub(crate) director: Director,
    _namespace: Namespace,
    _pass: Pass,
}

impl Twin {
    /// The client's interface towards it.
    const SIDE: &str = "eth8";

    pub(crate) fn beside(
        bed: &Bed,
        shape: Shape,
        more: impl FnOnce(Configuration) -> Configuration,
    ) -> Result<Self> {
        let namespace = bed.topology.twin(Self::SIDE)?;
        let door: SocketAddr = TWIN_DOOR.parse()?;
        let files = bed.authority.certify("twin", &[door.ip()])?;
        let bare = Configuration::new(bed.topology.interfaces())
            .agents(door, &files)
            .cookies("rotation", shape.rotation);
        let configuration = more(with_services(bare, &bed.topology, shape));
        Ok(Self {
            director: Director::start(&namespace, &configuration)?,
            _pass: Pass::new(&bed.topology.client, Self::SIDE)?,
            _namespace: namespace,
        })
    }

    pub(crate) fn status(&self, family: Family) -> Result<CookieStatus> {
        status(&self.director, family)
    }

    pub(crate) fn await_cookies(&self, family: Family, able: u32, active: bool) -> Result<()> {
        await_cookies(&self.director, family, able, active)
    }

    /// From now on the client's SYNs go to the first director, and all else to this one.
    pub(crate) fn part_ways(&self, bed: &Bed) -> Result<()> {
        let client = &bed.topology.client;
        client.ip(&format!(
            "rule add fwmark 1 lookup 100\nroute add {VIP_V4} via 10.0.1.254 src {CLIENT_V4} table 100\n\
             route add {VIP_V4} via 10.0.8.253 src {CLIENT_V4}\n"
        ))?;
        let marks = format!(
            "table ip ways {{\n chain out {{\n  type route hook output priority -150;\n  \
             ip daddr {VIP_V4} tcp flags & (syn | ack) == syn meta mark set 1\n }}\n}}\n"
        );
        let mut nft = client.command("nft");
        testbed::process::output_with_input(nft.args(["-f", "-"]), &marks)?;
        Ok(())
    }
}

pub(crate) fn status(director: &Director, family: Family) -> Result<CookieStatus> {
    director.api().cookies(family.http_service())
}

fn await_cookies(director: &Director, family: Family, able: u32, active: bool) -> Result<()> {
    wait::until("cookies", PATIENCE, || {
        let status = status(director, family)?;
        ensure!((status.able, status.active) == (able, active), "{status:?}");
        Ok(())
    })
}

fn with_services(bare: Configuration, topology: &Topology, shape: Shape) -> Configuration {
    let services = Family::BOTH.map(|family| service_of(topology, family, shape));
    bare.services(services)
}

fn service_of(topology: &Topology, family: Family, shape: Shape) -> Service {
    let reals = topology.reals.iter();
    let reals = reals.map(|host| (SocketAddr::new(host.address(family.vip()), shape.port()), 1));
    let one = service(Protocol::Tcp, family.http(), Scheduler::Rr, reals);
    let mut one = by(one, shape.method, None);
    for (real, tunnel) in one.reals.iter_mut().zip(shape.tunnels.iter().flatten()) {
        real.tun = Some(*tunnel);
    }
    Service {
        cookies: shape.policy,
        ..one
    }
}

/// Segments of a flood that have come to the real servers of a topology.
pub(crate) fn strangers(topology: &Topology) -> Result<u64> {
    counted_by_all(topology, "strangers")
}

fn counted_by_all(topology: &Topology, table: &str) -> Result<u64> {
    let reals = topology.reals.iter();
    reals.map(|real| counted(real, table)).sum()
}

fn counted(real: &RealHost, table: &str) -> Result<u64> {
    let listed = real
        .namespace
        .run("nft", &["list", "table", "inet", table])?;
    let (_, rest) = listed.split_once("packets ").context("no counter")?;
    let count = rest.split(' ').next().context("no count")?;
    Ok(count.parse()?)
}

/// So many clients come beside a flood, one after the other, while directors may come and go.
pub(crate) fn endure(client: &Namespace, clients: usize) -> Result<()> {
    client.enter(|| {
        (0..clients).try_for_each(|_| {
            let server = Family::V4.http();
            HttpConnection::open_within(ENDURANCE, server)?.ask_name()?;
            Ok(())
        })
    })
}
