//! FTP through the director: data connections of every kind find the real server of their control
//! connection, and nobody else's.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use adminapi::model::{
    ExplainQuery, Explanation, Family as Of, Fate, ForwardingMethod, Helper, MarkRule, Persistence,
    Protocol, Real, Scheduler, Service, ServiceId, ServicePatch,
};
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, Director, by, service};
use testbed::ftp::{self, MODES, Vsftpd};
use testbed::packet::{Mac, Packet, Segment, ethernet, flag, protocol, tcp};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::Family;
use testbed::topology::{CLIENT_V4, HOST_SIDE, Plan, Topology, VIP_V4};
use testbed::traffic::file_sha256;
use testbed::wait;

const SIZE: usize = 3 << 20;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the director speaks from by FullNAT.
const LOCAL: [&str; 2] = ["10.0.2.240", "fd00:2::f0"];

/// Where a client listens for all its data connections.
const LISTENS: u16 = 40_123;

/// Two real servers, in turn.
struct Bench {
    director: Director,
    servers: Vec<Vsftpd>,
    topology: Topology,
}

impl Bench {
    fn start() -> Result<Option<Self>> {
        Self::start_by(ForwardingMethod::Nat)
    }

    fn start_by(method: ForwardingMethod) -> Result<Option<Self>> {
        if !require::machine() || !require::programs(&["vsftpd"]) {
            return Ok(None);
        }
        let topology = Topology::build(Plan {
            reals: 2,
            ..Plan::default()
        })?;
        topology.meet_neighbours()?;
        let local: Vec<IpAddr> = LOCAL
            .map(str::parse)
            .into_iter()
            .collect::<Result<_, _>>()?;
        if method == ForwardingMethod::FullNat {
            topology.isolate_reals(&local)?;
        }
        let servers = topology.reals.iter().map(|host| Vsftpd::start(host, SIZE));
        let servers = servers.collect::<Result<_>>()?;
        let configuration = Family::BOTH
            .map(|family| {
                let reals = topology.reals.iter().map(|host| {
                    let address = host.address(family.vip());
                    (SocketAddr::new(address, 21), 1)
                });
                let vip = SocketAddr::new(family.vip(), 21);
                let service = service(Protocol::Tcp, vip, Scheduler::Rr, reals);
                by(service, method, None)
            })
            .into_iter()
            .fold(
                Configuration::new(topology.interfaces()),
                Configuration::service,
            );
        let configuration = match method {
            ForwardingMethod::FullNat => configuration.datapath("local_addresses", LOCAL.to_vec()),
            _ => configuration,
        };
        Ok(Some(Self {
            director: Director::start(&topology.director, &configuration)?,
            servers,
            topology,
        }))
    }

    /// What would become of a packet.
    fn explain(&self, from: SocketAddr, to: SocketAddr) -> Result<Explanation> {
        let query = ExplainQuery {
            protocol: Protocol::Tcp,
            from,
            to,
            interface: None,
            call_id: None,
        };
        let api = self.director.api();
        api.call(async |client| client.explain(&query).await)
    }

    /// The real server of a client's connection.
    fn real_of(&self, client: SocketAddr) -> Result<SocketAddr> {
        let id = ServiceId::at(Protocol::Tcp, (VIP_V4, 21).into());
        let all = self.director.api().connections(id)?;
        let own = all.iter().find(|each| each.client == client);
        Ok(own.context("no connection")?.real)
    }

    /// Changes the services at port 21.
    fn change(&self, patch: &ServicePatch) -> Result<()> {
        let api = self.director.api();
        for family in Family::BOTH {
            let id = ServiceId::at(Protocol::Tcp, (family.vip(), 21).into());
            let patch = patch.clone();
            api.call(async |client| client.change_service(id, patch).await)?;
        }
        Ok(())
    }

    /// Adds a service with the real servers of that at port 21, each at its `port`.
    fn beside(&self, family: Family, id: ServiceId, port: Option<u16>) -> Result<()> {
        let api = self.director.api();
        let usual = ServiceId::at(Protocol::Tcp, (family.vip(), 21).into());
        let usual = Service::from(&api.service(usual)?);
        let reals = usual.reals.into_iter().map(|real| Real { port, ..real });
        api.add_service(&Service {
            id,
            persistence: Some(Persistence::default()),
            reals: reals.collect(),
            ..usual
        })?;
        Ok(())
    }

    /// Fetches files over one control connection; what curl says is on standard error.
    fn fetch(&self, family: Family, mode: &[&str], files: &[(&str, &Path)]) -> Result<String> {
        self.fetch_at(21, family, mode, files)
    }

    fn fetch_at(
        &self,
        port: u16,
        family: Family,
        mode: &[&str],
        files: &[(&str, &Path)],
    ) -> Result<String> {
        let server = SocketAddr::new(family.vip(), port);
        ftp::fetch(&self.topology.client, server, mode, files)
    }
}

#[test]
fn every_kind_of_data_connection_goes_to_the_right_real_server() -> Result<()> {
    let Some(bench) = Bench::start()? else {
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let into = |name: &str| directory.path().join(name);
    let expected = file_sha256(&bench.servers[0].data())?;
    for family in Family::BOTH {
        for (name, mode) in MODES {
            let is_v4_only = matches!(name, "PASV" | "PORT");
            if is_v4_only && family == Family::V6 {
                continue;
            }
            let mut names = Vec::new();
            for _ in 0..2 {
                let paths = ["a", "b", "c", "d"].map(into);
                let [first, data, again, last] = &paths;
                let files = [
                    ("name", first.as_path()),
                    ("data", data),
                    ("data", again),
                    ("name", last),
                ];
                let said = bench.fetch(family, mode, &files)?;
                ensure!(said.contains(&format!("> {name}")), "no {name} in {said}");
                assert_eq!(said.matches("> USER").count(), 1, "{said}");
                let [first, last] = [first, last].map(std::fs::read_to_string);
                let (first, last) = (first?, last?);
                assert_eq!(first, last, "{name}: another real server has answered");
                assert_eq!(file_sha256(data)?, expected, "{name}");
                assert_eq!(file_sha256(again)?, expected, "{name}");
                names.push(first);
            }
            names.sort();
            assert_eq!(names, ["rs1", "rs2"], "{name}");
        }
        let id = ServiceId::at(Protocol::Tcp, (family.vip(), 21).into());
        let stats = bench.director.api().service(id)?.stats;
        let runs = if family == Family::V4 { 8 } else { 4 };
        assert_eq!(stats.connections, runs * 5, "control and data connections");
    }
    assert_accounts(&bench.director);
    Ok(())
}

/// The next data connection from the service's port to a client's has another real server; the one
/// before is over.
#[test]
fn a_client_may_listen_where_it_did_before() -> Result<()> {
    let Some(bench) = Bench::start()? else {
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let name = directory.path().join("name");
    let listens = format!("{CLIENT_V4}:{LISTENS}-{LISTENS}");
    let mode = ["--ftp-port", listens.as_str(), "--disable-eprt"];
    let mut names = Vec::new();
    for _ in 0..4 {
        bench.fetch(Family::V4, &mode, &[("name", name.as_path())])?;
        names.push(std::fs::read_to_string(&name)?);
    }
    let turns = names.windows(2).all(|pair| pair[0] != pair[1]);
    ensure!(turns, "{names:?}");
    let id = ServiceId::at(Protocol::Tcp, (VIP_V4, 21).into());
    let stats = bench.director.api().service(id)?.stats;
    assert_eq!(stats.connections, 4 * 2, "control and data connections");
    assert_accounts(&bench.director);
    Ok(())
}

/// A control connection.
struct Control(BufReader<TcpStream>);

impl Control {
    fn log_in() -> Result<Self> {
        let stream = TcpStream::connect((VIP_V4, 21))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut control = Self(BufReader::new(stream));
        control.hear("220")?;
        control.say("USER anonymous", "230")?;
        Ok(control)
    }

    fn say(&mut self, line: &str, reply: &str) -> Result<String> {
        self.0
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())?;
        self.hear(reply).context(line.to_owned())
    }

    fn hear(&mut self, reply: &str) -> Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        ensure!(line.starts_with(reply), "{line}");
        Ok(line)
    }

    /// The client's own end.
    fn client(&self) -> Result<SocketAddr> {
        Ok(self.0.get_ref().local_addr()?)
    }

    /// Where the next data connection is to be opened to.
    fn offered(&mut self) -> Result<SocketAddr> {
        let line = self.say("PASV", "227")?;
        let (_, numbers) = line.split_once('(').context("no address")?;
        let (numbers, _) = numbers.split_once(')').context("no address")?;
        let octets: Vec<u8> = numbers
            .split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [a, b, c, d, high, low] = octets[..] else {
            anyhow::bail!("no address: {line}");
        };
        let port = u16::from_be_bytes([high, low]);
        Ok(SocketAddr::from(([a, b, c, d], port)))
    }

    /// Names [`LISTENS`].
    fn listens(&mut self) -> Result<()> {
        let [a, b, c, d] = CLIENT_V4.octets();
        let [high, low] = LISTENS.to_be_bytes();
        self.say(&format!("PORT {a},{b},{c},{d},{high},{low}"), "200")?;
        Ok(())
    }

    /// Has the real server open a connection to [`LISTENS`].
    fn call_in(&mut self, file: &str) -> Result<()> {
        self.listens()?;
        self.0
            .get_mut()
            .write_all(format!("RETR {file}\r\n").as_bytes())?;
        Ok(())
    }
}

/// While the one before lives, there is no place for the next data connection to the same port; it is
/// expected still when it comes again.
#[test]
fn a_data_connection_that_is_refused_may_come_again() -> Result<()> {
    let Some(bench) = Bench::start()? else {
        return Ok(());
    };
    bench.topology.client.enter(|| {
        let listener = TcpListener::bind((CLIENT_V4, LISTENS))?;
        let (mut first, mut second) = (Control::log_in()?, Control::log_in()?);
        first.call_in("data")?;
        let (mut data, _) = listener.accept()?;
        second.call_in("name")?;
        wait::until("the second to be refused", PATIENCE, || {
            let drops = bench.director.api().stats()?.drops;
            ensure!(drops.get("tuple_taken") > Some(&0), "{drops:?}");
            Ok(())
        })?;
        let second_real = SocketAddr::new(bench.real_of(second.client()?)?.ip(), 20);
        let told = bench.explain(second_real, (CLIENT_V4, LISTENS).into())?;
        assert_eq!(told.reason.as_deref(), Some("tuple_taken"), "{told:?}");
        io::copy(&mut data, &mut io::sink())?;
        drop(data);
        let (mut name, from) = listener.accept()?;
        ensure!(from.ip() == VIP_V4, "from {from}");
        let mut text = String::new();
        name.read_to_string(&mut text)?;
        ensure!(!text.is_empty(), "an empty name");
        Ok(())
    })?;
    assert_accounts(&bench.director);
    Ok(())
}

/// The next data connection between the same ports of the same real server and client opens with its
/// first SYN, though the one before has just ended.
#[test]
fn a_real_server_may_call_where_it_did_before() -> Result<()> {
    let Some(bench) = Bench::start()? else {
        return Ok(());
    };
    bench.topology.client.enter(|| {
        let listener = TcpListener::bind((CLIENT_V4, LISTENS))?;
        let mut control = Control::log_in()?;
        control.call_in("data")?;
        // A client that has had enough resets it, so that both ends may go on at once.
        drop(listener.accept()?);
        control.hear("150")?;
        control.hear("426")?;
        control.call_in("name")?;
        let (mut name, from) = listener.accept()?;
        ensure!(from.ip() == VIP_V4, "from {from}");
        let mut text = String::new();
        name.read_to_string(&mut text)?;
        ensure!(!text.is_empty(), "an empty name");
        Ok(())
    })?;
    let drops = bench.director.api().stats()?.drops;
    assert_eq!(drops.get("no_service"), None, "{drops:?}");
    assert_accounts(&bench.director);
    Ok(())
}

/// A data connection that is announced, and one that is open, is explained as what it is.
#[test]
fn data_connections_are_explained() -> Result<()> {
    let Some(bench) = Bench::start()? else {
        return Ok(());
    };
    let service = ServiceId::at(Protocol::Tcp, (VIP_V4, 21).into());
    let assert_expected = |told: &Explanation, real: IpAddr| {
        assert_eq!(
            (told.fate, told.expected),
            (Fate::Forward, true),
            "{told:?}"
        );
        assert_eq!(told.service, Some(service));
        assert_eq!(told.real.map(|at| at.ip()), Some(real));
        assert!(told.connection.is_none() && told.scheduler.is_none());
        assert!(told.next_hop.is_some(), "{told:?}");
    };
    bench.topology.client.enter(|| {
        let mut control = Control::log_in()?;
        let real = bench.real_of(control.client()?)?.ip();

        let to = control.offered()?;
        let told = bench.explain((CLIENT_V4, 1).into(), to)?;
        assert_expected(&told, real);
        assert_eq!(bench.explain((CLIENT_V4, 1).into(), to)?, told);
        let stranger = bench.explain("10.0.1.77:1".parse()?, to)?;
        assert_eq!((stranger.fate, stranger.expected), (Fate::Pass, false));
        let data = TcpStream::connect(to)?;
        let client = data.local_addr()?;
        let open = bench.explain(client, to)?;
        assert_eq!((open.fate, open.expected), (Fate::Forward, false));
        assert!(open.connection.is_some(), "{open:?}");
        assert_eq!(open.real, told.real);
        assert_eq!(open.real, Some(bench.real_of(client)?));
        let late = bench.explain((CLIENT_V4, 1).into(), to)?;
        assert_eq!(late.fate, Fate::Pass, "{late:?}");
        drop(data);

        let listener = TcpListener::bind((CLIENT_V4, LISTENS))?;
        let (from, to) = (SocketAddr::new(real, 20), listener.local_addr()?);
        let stray = bench.explain(from, to)?;
        assert_eq!((stray.fate, stray.expected), (Fate::Forward, false));
        assert_eq!(stray.service, None);
        control.listens()?;
        let told = bench.explain(from, to)?;
        assert_expected(&told, real);
        assert_eq!(told.real, Some(from));
        control.call_in("data")?;
        let (_data, _) = listener.accept()?;
        let open = bench.explain(from, to)?;
        assert!(open.connection.is_some(), "{open:?}");
        assert_eq!((open.real, open.expected), (Some(from), false));

        let to = Control::log_in()?.offered()?;
        let told = bench.explain((CLIENT_V4, 1).into(), to)?;
        let real = told.real.context("no real server")?.ip();
        let api = bench.director.api();
        api.remove_real(service, SocketAddr::new(real, 21))?;
        let told = bench.explain((CLIENT_V4, 1).into(), to)?;
        assert_eq!(told.reason.as_deref(), Some("real_removed"), "{told:?}");
        Ok(())
    })?;
    Ok(())
}

/// Real servers that know nobody but the director: what they offer, the client can use.
#[test]
fn passive_data_connections_work_by_fullnat() -> Result<()> {
    let Some(bench) = Bench::start_by(ForwardingMethod::FullNat)? else {
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let expected = file_sha256(&bench.servers[0].data())?;
    for (family, (name, mode)) in [
        (Family::V4, MODES[0]),
        (Family::V4, MODES[1]),
        (Family::V6, MODES[1]),
    ] {
        let paths = ["name", "data", "again"].map(|name| directory.path().join(name));
        let files = [
            ("name", paths[0].as_path()),
            ("data", &paths[1]),
            ("data", &paths[2]),
        ];
        let said = bench.fetch(family, mode, &files)?;
        ensure!(said.contains(&format!("> {name}")), "no {name} in {said}");
        assert_eq!(file_sha256(&paths[1])?, expected, "{name}");
        assert_eq!(file_sha256(&paths[2])?, expected, "{name}");
        let id = ServiceId::at(Protocol::Tcp, (family.vip(), 21).into());
        let connections = bench.director.api().connections(id)?;
        assert!(
            connections.iter().all(|c| c.local.is_some()),
            "{connections:?}"
        );
    }
    assert_accounts(&bench.director);
    Ok(())
}

/// What takes the ports that passive replies name.
#[derive(Clone, Copy, Debug)]
enum Cover {
    /// The service itself, since clients stick to its real servers.
    Persistence,
    EveryPort,
    Mark,
}

fn cover(bench: &Bench, by: Cover) -> Result<()> {
    let api = bench.director.api();
    for family in Family::BOTH {
        match by {
            Cover::Persistence => {}
            Cover::EveryPort => {
                let id = ServiceId::at(Protocol::Tcp, (family.vip(), 0).into());
                bench.beside(family, id, None)?;
            }
            Cover::Mark => {
                let of = match family {
                    Family::V4 => Of::Ipv4,
                    Family::V6 => Of::Ipv6,
                };
                let id = ServiceId::Mark {
                    mark: 7,
                    family: of,
                };
                bench.beside(family, id, Some(21))?;
                let rule = MarkRule {
                    mark: 7,
                    protocol: Some(Protocol::Tcp),
                    destination: Some(family.vip().to_string().parse()?),
                    destination_ports: Some("1024-65535".parse()?),
                    ..MarkRule::default()
                };
                api.call(async |client| client.add_mark(&rule).await)?;
            }
        }
    }
    match by {
        Cover::Persistence => bench.change(&ServicePatch {
            persistence: Some(Some(Persistence::default()).into()),
            ..ServicePatch::default()
        }),
        Cover::EveryPort | Cover::Mark => Ok(()),
    }
}

/// A data connection that was announced goes where its control connection does.
#[test]
fn what_takes_the_port_of_a_passive_reply_does_not_take_its_connection() -> Result<()> {
    for by in [Cover::Persistence, Cover::EveryPort, Cover::Mark] {
        let Some(bench) = Bench::start()? else {
            return Ok(());
        };
        cover(&bench, by)?;
        let directory = tempfile::tempdir()?;
        let expected = file_sha256(&bench.servers[0].data())?;
        for (family, (name, mode)) in [
            (Family::V4, MODES[0]),
            (Family::V4, MODES[1]),
            (Family::V6, MODES[1]),
        ] {
            let into = directory.path().join("data");
            let said = bench.fetch(family, mode, &[("data", &into)]);
            let said = said.with_context(|| format!("{by:?}, {name}"))?;
            ensure!(said.contains(&format!("> {name}")), "no {name} in {said}");
            assert_eq!(file_sha256(&into)?, expected, "{by:?}, {name}");
        }
        for (family, runs) in [(Family::V4, 2), (Family::V6, 1)] {
            let id = ServiceId::at(Protocol::Tcp, (family.vip(), 21).into());
            let stats = bench.director.api().service(id)?.stats;
            assert_eq!(stats.connections, runs * 2, "{by:?}: control and data");
        }
        bench.topology.client.enter(|| {
            let mut control = Control::log_in()?;
            let real = bench.real_of(control.client()?)?.ip();
            let to = control.offered()?;
            let told = bench.explain((CLIENT_V4, 1).into(), to)?;
            assert!(told.expected, "{by:?}: {told:?}");
            assert_eq!(told.real.map(|at| at.ip()), Some(real), "{by:?}");
            let stranger = bench.explain("10.0.1.77:1".parse()?, to)?;
            assert!(!stranger.expected && stranger.service.is_some(), "{by:?}");
            Ok(())
        })?;
        assert_accounts(&bench.director);
    }
    Ok(())
}

/// Clients that stick to their real servers reach its passive ports at those of the VIP, although nobody follows what is said.
#[test]
fn data_of_a_persistent_service_keeps_its_port() -> Result<()> {
    let Some(bench) = Bench::start()? else {
        return Ok(());
    };
    bench.change(&ServicePatch {
        persistence: Some(Some(Persistence::default()).into()),
        helper: Some(Helper::None),
        ..ServicePatch::default()
    })?;
    let directory = tempfile::tempdir()?;
    let expected = file_sha256(&bench.servers[0].data())?;
    let (_, mode) = MODES[1];
    for family in Family::BOTH {
        let paths = ["name", "data"].map(|name| directory.path().join(name));
        let files = [("name", paths[0].as_path()), ("data", &paths[1])];
        let said = bench.fetch(family, mode, &files)?;
        ensure!(said.contains("> EPSV"), "no EPSV in {said}");
        assert_eq!(file_sha256(&paths[1])?, expected);
        let id = ServiceId::at(Protocol::Tcp, (family.vip(), 21).into());
        let mut all = bench.director.api().connections(id)?;
        all.retain(|connection| !connection.template);
        assert_eq!(all.len(), 3, "{all:?}");
        let keeps = all.iter().all(|one| one.vip.port() == one.real.port());
        ensure!(keeps, "{all:?}");
    }
    assert_accounts(&bench.director);
    Ok(())
}

/// What the client sees of a passive reply is the VIP, and a port of the director's choice; who
/// has not been told of it gets nowhere.
#[test]
fn the_ports_of_the_vip_are_for_those_who_were_told() -> Result<()> {
    let Some(bench) = Bench::start()? else {
        return Ok(());
    };
    let directory = tempfile::tempdir()?;
    let (_, mode) = MODES[0];
    let into = directory.path().join("name");
    let said = bench.fetch(Family::V4, mode, &[("name", &into)])?;
    let reply = said
        .lines()
        .find(|line| line.contains("< 227"))
        .context("no reply to PASV")?;
    assert!(
        reply.contains("227 Entering Passive Mode (10,9,9,9,23"),
        "{reply}"
    );

    let at_client = Tap::open(&bench.topology.client, HOST_SIDE)?;
    let at_real = Tap::open(&bench.topology.reals[0].namespace, HOST_SIDE)?;
    let syn = |port| {
        let segment = Segment {
            flags: flag::SYN,
            sequence: 1,
            ..Segment::default()
        };
        tcp((CLIENT_V4, 50_000).into(), (VIP_V4, port).into(), segment)
    };
    let (from, to) = (Mac::of_host(1, 1), Mac::of_host(1, 0xfe));
    for port in [61_000, 61_100, 61_255] {
        at_client.send(&ethernet(from, to, &syn(port)))?;
    }
    let is_it = |p: &Packet| p.protocol == protocol::TCP && p.source == CLIENT_V4;
    assert!(at_real.drain(is_it)?.is_empty());
    assert_accounts(&bench.director);
    Ok(())
}

/// A client that names another host in PORT does not have the real server connect there through
/// the director as the VIP (RFC 2577 section 3).
#[test]
fn a_client_names_nobody_else() -> Result<()> {
    let Some(bench) = Bench::start()? else {
        return Ok(());
    };
    let client = &bench.topology.client;
    let script = "exec 3<>/dev/tcp/10.9.9.9/21; \
                  printf 'USER anonymous\\r\\nPASS x\\r\\nPORT 10,0,1,77,156,64\\r\\n' >&3; \
                  head -n 4 <&3";
    let said = client.run("timeout", &["10", "bash", "-c", script])?;
    ensure!(said.contains("230"), "not let in: {said}");
    let id = ServiceId::at(Protocol::Tcp, (VIP_V4, 21).into());
    assert_eq!(bench.director.api().service(id)?.stats.connections, 1);
    assert_accounts(&bench.director);
    Ok(())
}

/// A service says whether FTP is spoken there, wherever it is.
#[test]
fn another_port_is_followed_when_its_service_says_so() -> Result<()> {
    const PORT: u16 = 2121;
    let Some(bench) = Bench::start()? else {
        return Ok(());
    };
    let api = bench.director.api();
    let directory = tempfile::tempdir()?;
    let into = directory.path().join("data");
    let expected = file_sha256(&bench.servers[0].data())?;
    for family in Family::BOTH {
        let usual = api.service(ServiceId::at(Protocol::Tcp, (family.vip(), 21).into()))?;
        api.add_service(&Service {
            id: ServiceId::at(Protocol::Tcp, (family.vip(), PORT).into()),
            helper: Helper::Ftp,
            ..Service::from(&usual)
        })?;
        for (name, mode) in MODES {
            if matches!(name, "PASV" | "PORT") && family == Family::V6 {
                continue;
            }
            let said = bench.fetch_at(PORT, family, mode, &[("data", &into)])?;
            ensure!(said.contains(&format!("> {name}")), "no {name} in {said}");
            assert_eq!(file_sha256(&into)?, expected, "{name}");
        }
    }
    // Passive replies are rewritten no more, and the client cannot reach what they name.
    let id = ServiceId::at(Protocol::Tcp, (VIP_V4, 21).into());
    let (_, mode) = MODES[0];
    for (helper, follows) in [(Helper::None, false), (Helper::Auto, true)] {
        let patch = ServicePatch {
            helper: Some(helper),
            ..ServicePatch::default()
        };
        api.call(async |client| client.change_service(id, patch).await)?;
        let said = bench.fetch(Family::V4, mode, &[("name", &into)]);
        let told = said.unwrap_or_else(|error| format!("{error:#}"));
        let of_vip = told.contains("227 Entering Passive Mode (10,9,9,9,");
        assert!(told.contains("227 Entering") && of_vip == follows, "{told}");
    }
    assert_accounts(&bench.director);
    Ok(())
}
