//! Every way to the real servers, one a test: both families of the VIP, TCP with nginx and UDP
//! with an echo, tunnels over both families. The real servers of tunnels run `bulwarkd agent`.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use adminapi::model::{
    ForwardingMethod, Protocol, RealView, Scheduler, Tunnel, TunnelChecksum, TunnelType,
};
use anyhow::{Context, Result, ensure};
use tempfile::NamedTempFile;
use testbed::accounts::balanced;
use testbed::agent::Agent;
use testbed::director::{Configuration, Director, by, service};
use testbed::require;
use testbed::scene::Family;
use testbed::servers::{ECHO_PORT, HTTP_PORT, Nginx, UdpEcho};
use testbed::topology::{Plan, Topology, VIP_V4, VIP_V6};
use testbed::traffic::{UdpClient, fetch_names, file_sha256, tally, upload};
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(30);

/// A way to the real servers.
#[derive(Clone, Copy)]
struct Way {
    method: ForwardingMethod,
    tun: Option<Tunnel>,
    rips: &'static [Rips],
    answers: Answers,
}

/// The family of the real servers' addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rips {
    /// That of the VIP.
    AsVip,
    /// One for both.
    All(Family),
}

/// How answers come to the client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// Back through the director.
    Back,
    /// From the VIP on the real server, past the director.
    Past,
}

const OVER_BOTH: &[Rips] = &[Rips::All(Family::V4), Rips::All(Family::V6)];

const fn nat() -> Way {
    Way {
        method: ForwardingMethod::Nat,
        tun: None,
        rips: &[Rips::AsVip],
        answers: Answers::Back,
    }
}

const fn dr() -> Way {
    Way {
        method: ForwardingMethod::Dr,
        tun: None,
        rips: &[Rips::AsVip],
        answers: Answers::Past,
    }
}

const fn tun(kind: TunnelType, checksum: TunnelChecksum) -> Way {
    Way {
        method: ForwardingMethod::Tun,
        tun: Some(Tunnel {
            kind,
            port: None,
            checksum,
        }),
        rips: OVER_BOTH,
        answers: Answers::Past,
    }
}

macro_rules! ways {
    ($($name:ident: $way:expr,)*) => {$(
        #[test]
        fn $name() -> Result<()> {
            serves_everyone($way)
        }
    )*};
}

ways! {
    by_nat: nat(),
    by_dr: dr(),
    by_ipip: tun(TunnelType::Ipip, TunnelChecksum::None),
    by_gre: tun(TunnelType::Gre, TunnelChecksum::None),
    by_gre_with_checksum: tun(TunnelType::Gre, TunnelChecksum::Csum),
    by_gue: tun(TunnelType::Gue, TunnelChecksum::None),
    by_gue_with_checksum: tun(TunnelType::Gue, TunnelChecksum::Csum),
    by_gue_with_remote_checksum: tun(TunnelType::Gue, TunnelChecksum::Remcsum),
}

fn serves_everyone(way: Way) -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build(way)?;
    for &rips in way.rips {
        let director = bed.direct(rips)?;
        for family in Family::BOTH {
            let served = bed
                .serves_names(&director, family)
                .and_then(|()| bed.serves_echoes(&director, family))
                .and_then(|()| bed.takes_an_upload(&director, family));
            served.with_context(|| format!("{family:?}, real servers {rips:?}"))?;
        }
        balanced(&director)?;
        bed.took_the_right_path(&director)?;
    }
    bed.agents.iter().try_for_each(only_decapsulates)
}

/// Three real servers that are ready for packets of one way.
struct Bed {
    way: Way,
    agents: Vec<Agent>,
    web: Vec<Nginx>,
    _echo: Vec<UdpEcho>,
    body: NamedTempFile,
    topology: Topology,
}

impl Bed {
    fn build(way: Way) -> Result<Self> {
        let topology = Topology::build(Plan::default())?;
        if way.answers == Answers::Past {
            topology.bypass_director()?;
        }
        topology.meet_neighbours()?;
        let reals = || topology.reals.iter();
        let agent = |text| move |host: &_| Agent::start(host, text);
        let agents = match way.tun {
            Some(_) => reals()
                .map(|host| &host.namespace)
                .map(agent("[agent]\ninterface = \"eth0\"\n"))
                .collect::<Result<_>>()?,
            None => Vec::new(),
        };
        let echo = reals().map(|host| match way.answers {
            Answers::Back => UdpEcho::start(host),
            Answers::Past => UdpEcho::start_at(host, [VIP_V4.into(), VIP_V6.into()]),
        });
        Ok(Self {
            way,
            agents,
            web: reals().map(Nginx::start).collect::<Result<_>>()?,
            _echo: echo.collect::<Result<_>>()?,
            body: a_megabyte()?,
            topology,
        })
    }

    /// A director that forwards the VIPs' HTTP and echo this way.
    fn direct(&self, rips: Rips) -> Result<Director> {
        let mut configuration = Configuration::new(self.topology.interfaces());
        for family in Family::BOTH {
            let rip = match rips {
                Rips::AsVip => family,
                Rips::All(one) => one,
            };
            for (protocol, port) in [(Protocol::Tcp, HTTP_PORT), (Protocol::Udp, ECHO_PORT)] {
                let reals = self.topology.reals.iter();
                let reals = reals.map(|host| (SocketAddr::new(host.address(rip.vip()), port), 1));
                let vip = SocketAddr::new(family.vip(), port);
                let one = service(protocol, vip, Scheduler::Rr, reals);
                configuration = configuration.service(by(one, self.way.method, self.way.tun));
            }
        }
        Director::start(&self.topology.director, &configuration)
    }

    /// The gate has forwarded most packets by itself; those that need a checksum over all that they
    /// carry, none.
    fn took_the_right_path(&self, director: &Director) -> Result<()> {
        let stats = director.api().stats()?;
        let forwarded: u64 = stats.interfaces.iter().map(|each| each.forwarded).sum();
        let sums = [TunnelChecksum::Csum, TunnelChecksum::Remcsum];
        let has_sum = self.way.tun.is_some_and(|tun| sums.contains(&tun.checksum));
        let is_fast = Configuration::new(Vec::new()).is_fast() && !has_sum;
        let most = forwarded * 2 > stats.total.received;
        ensure!(if is_fast { most } else { forwarded == 0 }, "{stats:?}");
        Ok(())
    }

    fn serves_names(&self, director: &Director, family: Family) -> Result<()> {
        let names = tally(fetch_names(&self.topology.client, family.http(), 9)?);
        ensure!(names.values().eq(&[3, 3, 3]), "{names:?}");
        let service = director.api().service(family.http_service())?;
        let kind = |tun: Option<Tunnel>| tun.map(|tun| (tun.kind, tun.checksum));
        let as_asked = |real: &RealView| {
            real.method == self.way.method && kind(real.tun) == kind(self.way.tun)
        };
        ensure!(service.reals.iter().all(as_asked), "{:?}", service.reals);
        ensure!(service.stats.connections == 9, "{:?}", service.stats);
        let came_back = service.stats.out_packets > 0;
        ensure!(came_back == (self.way.answers == Answers::Back));
        Ok(())
    }

    fn serves_echoes(&self, director: &Director, family: Family) -> Result<()> {
        let mut names = Vec::new();
        for _ in 0..6 {
            let client = UdpClient::open(&self.topology.client, family.echo())?;
            let first = client.echo(b"first")?;
            ensure!(
                first == client.echo(b"again")?,
                "a flow changed its real server"
            );
            names.push(first);
        }
        let names = tally(names);
        ensure!(names.values().eq(&[2, 2, 2]), "{names:?}");
        // An answer that does not come by the director may be here before its question is counted.
        wait::until("all to be counted", PATIENCE, || {
            let stats = director.api().service(family.echo_service())?.stats;
            let counted = (stats.connections, stats.in_packets);
            ensure!(counted == (6, 12), "{counted:?}");
            Ok(())
        })
    }

    /// A client that knows nothing of tunnels sends segments that fit its own link, and says DF:
    /// through a tunnel the first of them do not fit, and it hears how long they may be.
    fn takes_an_upload(&self, director: &Director, family: Family) -> Result<()> {
        let client = &self.topology.client;
        client.run("ip", &["route", "flush", "cache"])?;
        client.run("ip", &["-6", "route", "flush", "cache"])?;
        let too_big = || director.api().dropped("too_big");
        let before = too_big()?;
        upload(client, family.http(), self.body.path())?;
        let uploads = self.web.iter().map(Nginx::take_uploads);
        let uploads = uploads.collect::<Result<Vec<_>>>()?.concat();
        ensure!(uploads == [file_sha256(self.body.path())?], "{uploads:?}");
        let heard = too_big()? > before;
        ensure!(heard == self.way.tun.is_some(), "too big: {heard}");
        Ok(())
    }
}

fn a_megabyte() -> Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    let bytes: Vec<u8> = (0..1u32 << 20).map(|i| ((i * 31) >> 7) as u8).collect();
    file.write_all(&bytes)?;
    Ok(file)
}

/// No packet was refused by an agent.
fn only_decapsulates(agent: &Agent) -> Result<()> {
    let refused = [
        "malformed",
        "checksum",
        "form",
        "destination",
        "source",
        "no_room",
    ];
    let outcomes = agent.outcomes()?;
    ensure!(
        refused.iter().all(|name| outcomes[*name] == 0),
        "{outcomes:?}"
    );
    let opened: u64 = ["ipip", "gre", "gue"]
        .iter()
        .map(|name| outcomes[*name])
        .sum();
    ensure!(opened > 0, "{outcomes:?}");
    Ok(())
}
