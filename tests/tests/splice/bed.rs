//! Three real servers with nginx and nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use adminapi::model::{
    CookiePolicy, CookieStatus, CookieWay, ForwardingMethod, Protocol, Scheduler, Service,
};
use anyhow::{Context, Result, ensure};
use testbed::comeback::Comeback;
use testbed::director::{Configuration, Director, by, service};
use testbed::namespace::Namespace;
use testbed::process::{Signal, output_with_input};
use testbed::scene::Family;
use testbed::servers::{Nginx, OTHER_HTTP_PORT};
use testbed::topology::{Plan, RealHost, Topology};
use testbed::wait;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Counts the SYNs that come to a real server.
const SYNS: &str = "table inet syns {\n chain input {\n  type filter hook input priority -200;\n  \
     tcp dport 8080 tcp flags & (syn | ack) == syn counter\n }\n}\n";

/// Those of a flood, which by NAT has its own addresses there too.
const STRANGERS: &str = "table inet strangers {\n chain input {\n  type filter hook input priority -200;\n  \
     ip saddr 10.0.0.0/8 accept\n  ip6 saddr { fd00:1::/64, fd00:2::/64, fe80::/10 } accept\n  \
     tcp dport 8080 counter\n }\n}\n";

/// What the director speaks from by FullNAT.
const SPEAKERS: [&str; 2] = ["10.0.2.200", "fd00:2::200"];

pub(crate) struct Bed {
    pub(crate) director: Director,
    pub(crate) web: Vec<Nginx>,
    pub(crate) topology: Topology,
    /// Whether the gate forwards what needs no decision.
    pub(crate) is_fast: bool,
    configuration: Configuration,
}

impl Bed {
    /// Cookies at all times, by NAT.
    pub(crate) fn build() -> Result<Self> {
        Self::build_by(ForwardingMethod::Nat)
    }

    pub(crate) fn build_by(method: ForwardingMethod) -> Result<Self> {
        Self::build_with(method, |_| Ok(()))
    }

    /// Cookies at all times, by NAT, and a director that is `shaped` otherwise.
    pub(crate) fn build_shaped(shape: impl FnOnce(Configuration) -> Configuration) -> Result<Self> {
        Self::build_all(ForwardingMethod::Nat, |_| Ok(()), shape)
    }

    /// The same on real servers that `prepare` has made different.
    pub(crate) fn build_with(
        method: ForwardingMethod,
        prepare: impl Fn(&RealHost) -> Result<()>,
    ) -> Result<Self> {
        Self::build_all(method, prepare, |configuration| configuration)
    }

    fn build_all(
        method: ForwardingMethod,
        prepare: impl Fn(&RealHost) -> Result<()>,
        shape: impl FnOnce(Configuration) -> Configuration,
    ) -> Result<Self> {
        let topology = Topology::build(Plan::default())?;
        topology.meet_neighbours()?;
        for real in &topology.reals {
            rules(&real.namespace, SYNS)?;
            rules(&real.namespace, STRANGERS)?;
            prepare(real)?;
        }
        if method == ForwardingMethod::FullNat {
            let speakers = SPEAKERS.iter().map(|speaker| speaker.parse());
            topology.isolate_reals(&speakers.collect::<Result<Vec<_>, _>>()?)?;
        }
        let bare = Configuration::new(topology.interfaces());
        let bare = match method {
            ForwardingMethod::FullNat => bare.datapath("local_addresses", SPEAKERS.to_vec()),
            _ => bare,
        };
        let services = Family::BOTH.map(|family| service_of(&topology, family, method));
        let configuration = shape(bare.services(services));
        let web = topology.reals.iter().map(Nginx::start);
        let bed = Self {
            web: web.collect::<Result<_>>()?,
            director: Director::start(&topology.director, &configuration)?,
            is_fast: configuration.is_fast(),
            configuration,
            topology,
        };
        for family in Family::BOTH {
            bed.await_cookies(family)?;
        }
        Ok(bed)
    }

    /// Ends the director by `signal` and starts another one.
    pub(crate) fn restart(&mut self, signal: Signal) -> Result<()> {
        self.director.end_by(signal)?;
        self.director = self.next_director()?;
        Family::BOTH
            .into_iter()
            .try_for_each(|family| self.await_cookies(family))
    }

    /// Another one, when this one has ended.
    pub(crate) fn next_director(&self) -> Result<Director> {
        Director::start(&self.topology.director, &self.configuration)
    }

    /// Ends the director by force and starts another one, which is `shaped` otherwise.
    pub(crate) fn replace(
        &mut self,
        shape: impl FnOnce(Configuration) -> Configuration,
    ) -> Result<()> {
        self.director.end_by(Signal::Kill)?;
        self.configuration = shape(self.configuration.clone());
        self.director = self.next_director()?;
        Ok(())
    }

    /// Has the director read a configuration that is `shaped` otherwise.
    pub(crate) fn reload(
        &mut self,
        shape: impl FnOnce(Configuration) -> Configuration,
    ) -> Result<()> {
        let text = shape(self.configuration.clone()).text(&self.director.socket())?;
        self.director.reload(&text)?;
        wait::until("the reload", PATIENCE, || {
            let log = self.director.log();
            ensure!(log.contains("configuration reloaded"), "{log}");
            Ok(())
        })
    }

    pub(crate) fn client(&self) -> &Namespace {
        &self.topology.client
    }

    pub(crate) fn status(&self, family: Family) -> Result<CookieStatus> {
        self.director.api().cookies(family.http_service())
    }

    fn await_cookies(&self, family: Family) -> Result<()> {
        wait::until("cookies", PATIENCE, || {
            let status = self.status(family)?;
            let spliced = status.way == Some(CookieWay::Splice);
            ensure!(status.active && spliced && status.able == 0, "{status:?}");
            Ok(())
        })
    }

    /// SYNs that have come to real servers.
    pub(crate) fn syns(&self) -> Result<u64> {
        self.counted("syns")
    }

    /// Segments of a flood that have come to real servers.
    pub(crate) fn strangers(&self) -> Result<u64> {
        self.counted("strangers")
    }

    fn counted(&self, table: &str) -> Result<u64> {
        let counts = self.topology.reals.iter();
        counts.map(|real| packets(&real.namespace, table)).sum()
    }

    /// A client that comes again.
    pub(crate) fn comeback(&self) -> Comeback<'_> {
        Comeback {
            topology: &self.topology,
            director: &self.director,
        }
    }

    pub(crate) fn half_open(&self) -> Result<u64> {
        Ok(self.director.api().status()?.connections.half_open)
    }

    /// Packets that the gate has forwarded by itself.
    pub(crate) fn forwarded(&self) -> Result<u64> {
        let stats = self.director.api().stats()?;
        Ok(stats.interfaces.iter().map(|port| port.forwarded).sum())
    }

    /// Packets that clients have sent to real servers.
    pub(crate) fn carried(&self, family: Family) -> Result<u64> {
        let service = self.director.api().service(family.http_service())?;
        Ok(service.stats.in_packets)
    }

    /// How often packets were dropped for `reason`.
    pub(crate) fn dropped(&self, reason: &str) -> Result<u64> {
        self.director.api().dropped(reason)
    }
}

/// Loads rules of nft.
pub(crate) fn rules(namespace: &Namespace, text: &str) -> Result<()> {
    output_with_input(namespace.command("nft").args(["-f", "-"]), text).map(drop)
}

/// Drops the first segment that comes in, or goes out, and fits `what`.
pub(crate) fn lose_first(namespace: &Namespace, hook: &str, what: &str) -> Result<()> {
    let text = format!(
        "table inet loss {{\n chain loss {{\n  type filter hook {hook} priority 0;\n  \
         {what} numgen inc mod 1000000 0 counter drop\n }}\n}}\n"
    );
    rules(namespace, &text)
}

/// What the first counter of a table has counted.
pub(crate) fn packets(namespace: &Namespace, table: &str) -> Result<u64> {
    let listed = namespace.run("nft", &["list", "table", "inet", table])?;
    let (_, rest) = listed.split_once("packets ").context("no counter")?;
    let count = rest.split(' ').next().context("no count")?;
    Ok(count.parse()?)
}

fn service_of(topology: &Topology, family: Family, method: ForwardingMethod) -> Service {
    let at = |host: &RealHost| {
        (
            SocketAddr::new(host.address(family.vip()), OTHER_HTTP_PORT),
            1,
        )
    };
    let reals = topology.reals.iter().map(at);
    let one = service(Protocol::Tcp, family.http(), Scheduler::Rr, reals);
    Service {
        cookies: CookiePolicy::Always,
        ..by(one, method, None)
    }
}
