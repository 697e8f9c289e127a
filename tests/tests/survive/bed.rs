//! A director that keeps everything, and who talks through it.

use std::fs;
use std::thread::JoinHandle;
use std::time::Duration;

use adminapi::model::{
    Condition, ForwardingMethod, ListedView, NetworkQuery, Prefix, RealState, RealView, Scheduler,
};
use anyhow::{Context, Result, ensure};
use director::keep::Running;
use testbed::agent::Agent;
use testbed::director::{Configuration, Director, by};
use testbed::haven::Haven;
use testbed::process::Signal;
use testbed::scene::{Family, services};
use testbed::servers::{Nginx, UdpEcho};
use testbed::syns;
use testbed::topology::{CLIENT_SIDE, HOST_SIDE, Plan, RealHost, Topology, VIP_V4, VIP_V6};
use testbed::traffic::{HttpConnection, UdpClient, download_slowly};
use testbed::wait;

/// How long anything may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A second address of the client.
pub(super) const STRANGER: &str = "10.0.1.66";

/// A director that keeps everything, with three real servers.
pub(super) struct Bench {
    pub(super) director: Director,
    pub(super) configuration: Configuration,
    pub(super) haven: Haven,
    pub(super) web: Vec<Nginx>,
    _echo: Vec<UdpEcho>,
    /// Who takes packets out of tunnels.
    _agents: Vec<Agent>,
    pub(super) topology: Topology,
}

fn unwrapping(real: &RealHost) -> Result<Agent> {
    let text = format!("[agent]\ninterface = \"{HOST_SIDE}\"\n");
    Agent::start(&real.namespace, &text)
}

impl Bench {
    pub(super) fn start(method: ForwardingMethod) -> Result<Self> {
        Self::start_shaped(method, |configuration| configuration)
    }

    /// The same with another configuration.
    pub(super) fn start_shaped(
        method: ForwardingMethod,
        shape: impl FnOnce(Configuration) -> Configuration,
    ) -> Result<Self> {
        let topology = Topology::build(Plan::default())?;
        let web = topology.reals.iter().map(Nginx::start);
        let echo = topology.reals.iter().map(|host| match method {
            ForwardingMethod::Nat => UdpEcho::start(host),
            _ => UdpEcho::start_at(host, [VIP_V4.into(), VIP_V6.into()]),
        });
        if method != ForwardingMethod::Nat {
            topology.bypass_director()?;
        }
        let (web, echo) = (web.collect::<Result<_>>()?, echo.collect::<Result<_>>()?);
        let agents = match method {
            ForwardingMethod::Tun => topology.reals.iter().map(unwrapping).collect(),
            _ => Ok(Vec::new()),
        }?;
        let haven = Haven::new()?;
        let configuration = haven
            .shelter(Configuration::new(topology.interfaces()))
            .services(
                services(&topology, Scheduler::Rr, &[1, 1, 1])
                    .into_iter()
                    .map(|service| by(service, method, None)),
            );
        let configuration = shape(configuration);
        topology.meet_neighbours()?;
        Ok(Self {
            director: Director::start(&topology.director, &configuration)?,
            configuration,
            haven,
            web,
            _echo: echo,
            _agents: agents,
            topology,
        })
    }

    /// Ends the director by `signal` and starts another one.
    pub(super) fn restart(&mut self, signal: Signal) -> Result<()> {
        self.director.end_by(signal)?;
        assert!(self.has_gate()?, "the gate went with the director");
        self.start_next()
    }

    /// Starts another director, when this one has ended.
    pub(super) fn start_next(&mut self) -> Result<()> {
        self.director = Director::start(&self.topology.director, &self.configuration)?;
        Ok(())
    }

    /// Whether a program of XDP is on the interface towards the client.
    pub(super) fn has_gate(&self) -> Result<bool> {
        let link = self
            .topology
            .director
            .run("ip", &["link", "show", "dev", CLIENT_SIDE])?;
        Ok(link.contains("xdp"))
    }

    /// A download that takes a while: its SHA-256.
    pub(super) fn download(&self, family: Family) -> Result<JoinHandle<Result<String>>> {
        let download = download_slowly(&self.topology.client, family.http(), "/big")?;
        wait::until("the download to begin", PATIENCE, || {
            let carried = self.director.api().service(family.http_service())?.stats;
            ensure!(carried.in_packets > 100, "{carried:?}");
            Ok(())
        })?;
        Ok(download)
    }

    /// Waits until the first real server of a service is down, and the others are up; how it is.
    pub(super) fn until_down(&self, family: Family) -> Result<Condition> {
        let first = self.topology.reals[0].address(family.vip());
        wait::until("the checks", PATIENCE, || {
            let service = self.director.api().service(family.http_service())?;
            let (first, others): (Vec<_>, Vec<_>) =
                (service.reals.into_iter()).partition(|real| real.address == first);
            let is_up = |real: &RealView| {
                let condition = real.condition.as_ref();
                condition.is_some_and(|condition| condition.state == RealState::Up)
            };
            ensure!(others.len() == 2 && others.iter().all(is_up), "{others:?}");
            let condition = first.into_iter().find_map(|real| real.condition);
            let condition = condition.context("the first one is not watched")?;
            let is_out = condition.percent == 0 || condition.removed;
            ensure!(
                condition.state == RealState::Down && is_out,
                "{condition:?}"
            );
            Ok(condition)
        })
    }

    /// SYNs of a stranger.
    pub(super) fn send_syns(&self, count: u16) -> Result<()> {
        let to = Family::V4.http();
        let ports = 30_000..30_000 + count;
        syns::send(&self.topology.client, STRANGER.parse()?, to, ports)
    }

    /// The ban of a host, if there is one.
    pub(super) fn ban_of(&self, host: &str) -> Result<Option<ListedView>> {
        let query = NetworkQuery::default();
        let api = self.director.api();
        let page = api.call(async |client| client.listed_networks(&query).await)?;
        let network: Prefix = host.parse()?;
        let mut bans = page.listings.into_iter().filter(|listed| listed.automatic);
        Ok(bans.find(|listed| listed.network == network))
    }

    /// What is written down for the next director of what is in force.
    pub(super) fn running_kept(&self) -> Result<Running> {
        let read = |name| Ok(fs::read(self.haven.kept(name)?)?);
        // In this order: when all is written anew meanwhile, what goes on from there is in it.
        let (running, since): (_, Result<_>) = (read("running")?, read("since"));
        let running: Running = serde_json::from_slice(&running)?;
        let since = since.map(|since| serde_json::from_slice(&since));
        Ok(running.with_any(since.unwrap_or_else(|_| Ok(Vec::new()))?))
    }

    /// Waits until `word` is written down for the next director.
    pub(super) fn wait_kept(&self, word: &str) -> Result<()> {
        self.wait_kept_times(word, 1)
    }

    /// The same of a word that is to be there so many times.
    pub(super) fn wait_kept_times(&self, word: &str, times: usize) -> Result<()> {
        wait::until("it to be kept", PATIENCE, || {
            let kept = fs::read_to_string(self.haven.kept("running")?)?;
            ensure!(kept.matches(word).count() >= times, "{kept}");
            Ok(())
        })
    }
}

/// A connection over HTTP that is asked before and after, in each family, and a flow of UDP.
pub(super) struct Talk {
    http: Vec<(HttpConnection, String)>,
    echo: Vec<(UdpClient, String)>,
}

impl Talk {
    pub(super) fn begin(bench: &Bench) -> Result<Self> {
        let client = &bench.topology.client;
        let http = Family::BOTH.map(|family| {
            let mut open = HttpConnection::open(client, family.http())?;
            let name = open.ask_name()?;
            Ok((open, name))
        });
        let echo = Family::BOTH.map(|family| {
            let open = UdpClient::open(client, family.echo())?;
            let name = open.echo(b"before")?;
            Ok((open, name))
        });
        Ok(Self {
            http: http.into_iter().collect::<Result<_>>()?,
            echo: echo.into_iter().collect::<Result<_>>()?,
        })
    }

    pub(super) fn go_on(&mut self) -> Result<()> {
        self.go_on_by(UdpClient::echo)
    }

    /// The same beside a download.
    pub(super) fn go_on_beside(&mut self) -> Result<()> {
        self.go_on_by(UdpClient::echo_again)
    }

    fn go_on_by(&mut self, echo: fn(&UdpClient, &[u8]) -> Result<String>) -> Result<()> {
        for (open, name) in &mut self.http {
            ensure!(open.ask_name()? == *name, "another real server answers");
        }
        for (open, name) in &mut self.echo {
            ensure!(
                echo(open, b"after")? == *name,
                "another real server answers"
            );
        }
        Ok(())
    }
}
