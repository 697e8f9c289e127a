//! Three real servers with nginx and an agent each, and a director that they trust.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use adminapi::model::{
    CookiePolicy, CookieStatus, ForwardingMethod, Protocol, Scheduler, Service, Tunnel,
};
use anyhow::{Context, Result, ensure};
use testbed::agent::Agent;
use testbed::certificates::Authority;
use testbed::director::{Configuration, Director, by, service};
use testbed::generator::Pass;
use testbed::scene::Family;
use testbed::servers::{HTTP_PORT, Nginx, OTHER_HTTP_PORT};
use testbed::topology::{HOST_SIDE, Plan, RealHost, Topology};
use testbed::wait;

pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Where agents find the director.
const DOOR: &str = "10.0.2.254:7071";

/// Counts the SYNs that come to a real server.
const COUNTER: &str = "table inet cookies {\n chain input {\n  type filter hook input priority -200;\n  \
     tcp dport { 80, 8080 } tcp flags & (syn | ack) == syn counter\n }\n}\n";

/// How a bed differs from the others.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) method: ForwardingMethod,
    pub(crate) tun: Option<Tunnel>,
    pub(crate) policy: CookiePolicy,
    pub(crate) rotation: i64,
}

impl Shape {
    pub(crate) const NAT: Self = Self {
        method: ForwardingMethod::Nat,
        tun: None,
        policy: CookiePolicy::Always,
        rotation: 30,
    };

    /// NAT rewrites ports; the others do not.
    const fn port(&self) -> u16 {
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
    authority: Authority,
    /// What XDP sends back needs a program where it arrives.
    _pass: Pass,
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
            let mut nft = real.namespace.command("nft");
            testbed::process::output_with_input(nft.args(["-f", "-"]), COUNTER)?;
        }
        let authority = Authority::new()?;
        let files = authority.certify("director", &[DOOR.parse::<SocketAddr>()?.ip()])?;
        let bare = Configuration::new(topology.interfaces())
            .agents(DOOR.parse()?, &files)
            .cookies("rotation", shape.rotation);
        let services = Family::BOTH.map(|family| service_of(&topology, family, shape));
        let configuration = services
            .into_iter()
            .fold(more(bare), Configuration::service);
        let web = topology.reals.iter().map(Nginx::start);
        let web = web.collect::<Result<_>>()?;
        let mut bed = Self {
            director: Director::start(&topology.director, &configuration)?,
            agents: Vec::new(),
            web,
            _pass: Pass::new(&topology.client, HOST_SIDE)?,
            topology,
            authority,
        };
        for number in 0..bed.topology.reals.len() {
            let agent = bed.agent(number)?;
            bed.agents.push(agent);
        }
        Ok(bed)
    }

    /// Starts the agent of a real server.
    pub(crate) fn agent(&self, number: usize) -> Result<Agent> {
        let real = &self.topology.reals[number];
        let addresses = [IpAddr::from(real.v4), real.v6.into()];
        let files = self.authority.certify(&real.name, &addresses)?;
        let text = format!(
            "[agent]\ninterface = \"eth0\"\n[agent.director]\naddress = \"{DOOR}\"\n\
             certificate = {:?}\nkey = {:?}\nca = {:?}\n",
            files.certificate, files.key, files.authority
        );
        Agent::start(&real.namespace, &text)
    }

    pub(crate) fn status(&self, family: Family) -> Result<CookieStatus> {
        let defense = self.director.api().defense(Some(family.http_service()))?;
        defense.cookies.context("no cookies")
    }

    /// Waits until so many real servers are able, and SYNs are answered or not.
    pub(crate) fn await_cookies(&self, family: Family, able: u32, active: bool) -> Result<()> {
        wait::until("cookies", PATIENCE, || {
            let status = self.status(family)?;
            ensure!((status.able, status.active) == (able, active), "{status:?}");
            Ok(())
        })
    }

    /// SYNs that have come to real servers.
    pub(crate) fn syns(&self) -> Result<u64> {
        self.topology.reals.iter().map(syns).sum()
    }

    pub(crate) fn half_open(&self) -> Result<u64> {
        Ok(self.director.api().status()?.connections.half_open)
    }
}

fn service_of(topology: &Topology, family: Family, shape: Shape) -> Service {
    let reals = topology.reals.iter();
    let reals = reals.map(|host| (SocketAddr::new(host.address(family.vip()), shape.port()), 1));
    let one = service(Protocol::Tcp, family.http(), Scheduler::Rr, reals);
    Service {
        cookies: shape.policy,
        helper: Default::default(),
        ..by(one, shape.method, shape.tun)
    }
}

fn syns(real: &RealHost) -> Result<u64> {
    let listed = real
        .namespace
        .run("nft", &["list", "table", "inet", "cookies"])?;
    let (_, rest) = listed.split_once("packets ").context("no counter")?;
    let count = rest.split(' ').next().context("no count")?;
    Ok(count.parse()?)
}
