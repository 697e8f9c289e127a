//! The sysctls of IPVS, each by what it does to packets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use adminapi::model::{
    Connection, ExplainQuery, Explanation, ForwardingMethod, Protocol, RealPatch, Scheduler,
    ServiceId, ServicePatch,
};
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, Director, binary, by};
use testbed::packet::{Mac, Packet, Segment, ethernet, flag, icmp, protocol, tcp, udp};
use testbed::process::Signal;
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::{Family, Scene, services};
use testbed::servers::{ECHO_PORT, Nginx, OTHER_HTTP_PORT};
use testbed::topology::{CLIENT_V4, HOST_SIDE, Plan, Topology};
use testbed::traffic::{HttpConnection, UdpClient, fetch_names};
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(30);
const HTTP: Family = Family::V4;
const SYN: u8 = flag::SYN;
const ACK: u8 = flag::ACK;
const RST: u8 = flag::RST;
const FIN: u8 = flag::FIN;

/// An address behind the client, which nobody has: no kernel answers what is sent to it.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 16, 0, 1));

fn nobody(port: u16) -> SocketAddr {
    SocketAddr::new(NOBODY, port)
}

/// A scene and a client of raw packets.
struct Bench {
    scene: Scene,
    tap: Tap,
}

impl Bench {
    fn start(weights: &[u32]) -> Result<Self> {
        let plan = Plan {
            reals: weights.len() as u8,
            ..Plan::default()
        };
        let scene = Scene::start_with(plan, Scheduler::Rr, weights)?;
        let behind_client = format!("route add 172.16.0.0/12 via {CLIENT_V4}");
        scene.topology.director.ip(&behind_client)?;
        scene.topology.client.sysctl(&["net.ipv4.ip_forward=0"])?;
        Ok(Self {
            tap: Tap::open(&scene.topology.client, HOST_SIDE)?,
            scene,
        })
    }

    fn set(&self, name: &str, value: i64) -> Result<()> {
        self.scene.director.api().set_sysctl(name, value)
    }

    fn send(&self, packet: &[u8]) -> Result<()> {
        let stations = (Mac::of_host(1, 1), Mac::of_host(1, 0xfe));
        self.tap.send(&ethernet(stations.0, stations.1, packet))
    }

    fn segment(&self, client: SocketAddr, flags: u8, sequence: u32, ack: u32) -> Result<()> {
        let segment = Segment {
            sequence,
            acknowledgement: ack,
            flags,
            payload: b"",
        };
        self.send(&tcp(client, HTTP.http(), segment))
    }

    /// Opens a connection from `client` with a SYN of this number; the number that the real
    /// server awaits.
    fn open(&self, client: SocketAddr, sequence: u32) -> Result<u32> {
        let next = sequence.wrapping_add(1);
        let syn = || self.segment(client, SYN, sequence, 0);
        // One that is late answers another SYN of this port.
        let answer = self.tap.expect_answer("a SYN+ACK", syn, |p| {
            let here = p.sockets() == Some((HTTP.http(), client));
            here && p.payload[13] == SYN | ACK && p.payload[8..12] == next.to_be_bytes()
        })?;
        let theirs = u32::from_be_bytes(answer.payload[4..8].try_into()?).wrapping_add(1);
        self.segment(client, ACK, next, theirs)?;
        Ok(theirs)
    }

    /// What would become of a packet of `client`.
    fn explain(&self, client: SocketAddr) -> Result<Explanation> {
        let query = ExplainQuery {
            protocol: Protocol::Tcp,
            from: client,
            to: HTTP.http(),
            interface: None,
            call_id: None,
        };
        let api = self.scene.director.api();
        api.call(async |client| client.explain(&query).await)
    }

    fn connection(&self, client: SocketAddr) -> Result<Connection> {
        connection(&self.scene.director, HTTP.http_service(), client)
    }

    /// The connection of `client` when it is in `state`.
    fn reaches(&self, client: SocketAddr, state: &str) -> Result<Connection> {
        wait::until(state, PATIENCE, || {
            let connection = self.connection(client)?;
            ensure!(connection.state == state, "{connection:?}");
            Ok(connection)
        })
    }

    fn set_weight(&self, service: ServiceId, real: SocketAddr, weight: u32) -> Result<()> {
        let patch = RealPatch {
            weight: Some(weight),
            ..RealPatch::default()
        };
        self.scene.director.api().change_real(service, real, patch)
    }
}

fn connection(director: &Director, service: ServiceId, client: SocketAddr) -> Result<Connection> {
    let connections = director.api().connections(service)?;
    let own = connections.into_iter().find(|c| c.client == client);
    own.context("no such connection")
}

/// A port that comes again after a RST: whether it stays with its real server.
#[test]
fn conn_reuse_mode_says_where_a_port_goes_that_comes_again() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&[1, 1])?;
    for (port, mode, drained, stays) in [
        (1000, 1, false, false),
        (1001, 2, false, false),
        (1002, 0, false, true),
        (1003, 0, true, false),
    ] {
        bench.set("conn_reuse_mode", mode)?;
        let client = nobody(port);
        let theirs = bench.open(client, 1000)?;
        let before = bench.reaches(client, "ESTABLISHED")?.real;
        bench.segment(client, RST | ACK, 1001, theirs)?;
        bench.reaches(client, "CLOSE")?;
        if drained {
            bench.set_weight(HTTP.http_service(), before, 0)?;
        }
        let told = bench.explain(client)?;
        bench.open(client, 900_000)?;
        let after = bench.reaches(client, "ESTABLISHED")?.real;
        assert_eq!(before == after, stays, "port {port}, mode {mode}");
        assert_eq!(told.real, Some(after), "{told:?}");
        assert_eq!(told.connection.is_some(), stays, "{told:?}");
        assert_eq!(told.scheduler.is_some(), !stays, "{told:?}");
        let left = told.left_behind.map(|left| (left.state, left.real));
        assert_eq!(left, (!stays).then(|| ("CLOSE".to_owned(), before)));
        assert_eq!(bench.explain(client)?.left_behind, None);
        let count = bench
            .scene
            .director
            .api()
            .connections(HTTP.http_service())?;
        assert_eq!(count.iter().filter(|c| c.client == client).count(), 1);
    }
    assert_accounts(&bench.scene.director);
    Ok(())
}

/// The connection before is no burden any more when the next one is scheduled, nor is it in what is
/// explained.
#[test]
fn a_port_that_comes_again_is_no_burden_to_where_it_was() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&[1, 1])?;
    let wlc = ServicePatch {
        scheduler: Some(Scheduler::Wlc),
        ..ServicePatch::default()
    };
    let api = bench.scene.director.api();
    api.call(async |client| client.change_service(HTTP.http_service(), wlc).await)?;
    let client = nobody(1000);
    let theirs = bench.open(client, 1000)?;
    let before = bench.reaches(client, "ESTABLISHED")?.real;
    bench.segment(client, RST | ACK, 1001, theirs)?;
    bench.reaches(client, "CLOSE")?;
    let told = bench.explain(client)?;
    bench.open(client, 900_000)?;
    let after = bench.reaches(client, "ESTABLISHED")?.real;
    assert_eq!(after, before, "nobody else has come");
    assert_eq!(told.real, Some(after), "{told:?}");
    Ok(())
}

/// By direct routing FIN_WAIT is the last state that is seen.
#[test]
fn conn_reuse_mode_2_gives_a_port_in_fin_wait_away_by_direct_routing() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let topology = Topology::build(Plan::default())?;
    topology.bypass_director()?;
    let configuration = Configuration::new(topology.interfaces()).services(
        services(&topology, Scheduler::Rr, &[1, 1, 1])
            .into_iter()
            .map(|service| by(service, ForwardingMethod::Dr, None)),
    );
    topology.meet_neighbours()?;
    let director = Director::start(&topology.director, &configuration)?;
    let tap = Tap::open(&topology.client, HOST_SIDE)?;
    for (port, mode, stays) in [(2000, 1, true), (2001, 2, false), (2002, 3, false)] {
        director.api().set_sysctl("conn_reuse_mode", mode)?;
        let client = nobody(port);
        let send = |flags, sequence, acknowledgement| {
            let segment = Segment {
                sequence,
                acknowledgement,
                flags,
                payload: b"",
            };
            let packet = tcp(client, HTTP.http(), segment);
            tap.send(&ethernet(
                Mac::of_host(1, 1),
                Mac::of_host(1, 0xfe),
                &packet,
            ))
        };
        let is_in = |state: &str| {
            wait::until(state, PATIENCE, || {
                let now = connection(&director, HTTP.http_service(), client)?;
                ensure!(now.state == state, "{now:?}");
                Ok(now.real)
            })
        };
        send(SYN, 1000, 0)?;
        send(ACK, 1001, 1)?;
        send(FIN | ACK, 1001, 1)?;
        let before = is_in("FIN_WAIT")?;
        send(SYN, 900_000, 0)?;
        send(ACK, 900_001, 1)?;
        assert_eq!(is_in("ESTABLISHED")? == before, stays, "mode {mode}");
    }
    assert_accounts(&director);
    Ok(())
}

#[test]
fn expire_nodest_conn_ends_the_connections_of_a_removed_real_server() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for (value, ends) in [(0, false), (1, true)] {
        let scene = Scene::start()?;
        let api = scene.director.api();
        api.set_sysctl("expire_nodest_conn", value)?;
        let mut open = HttpConnection::open(&scene.topology.client, HTTP.http())?;
        open.ask_name()?;
        let (service, client) = (HTTP.http_service(), open.client()?);
        let real = connection(&scene.director, service, client)?.real;
        api.remove_real(service, real)?;
        let is_listed = connection(&scene.director, service, client).is_ok();
        assert_eq!(is_listed, !ends, "expire_nodest_conn = {value}");
        if ends {
            let told = open.ask_name().expect_err("its real server is gone");
            let kind = told.downcast_ref::<std::io::Error>().map(|e| e.kind());
            assert_eq!(kind, Some(std::io::ErrorKind::ConnectionReset));
        }
        assert_eq!(
            fetch_names(&scene.topology.client, HTTP.http(), 4)?.len(),
            4
        );
        assert_accounts(&scene.director);
    }
    Ok(())
}

/// A real server that does not answer and has weight 0: the client's next SYN need not wait for
/// the end of the first one's entry.
#[test]
fn expire_nodest_conn_gives_a_repeated_syn_away_when_its_real_server_has_weight_0() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&[1, 1])?;
    for (port, value, stays) in [(3000, 0, true), (3001, 1, false)] {
        bench.set("expire_nodest_conn", value)?;
        let client = nobody(port);
        bench.segment(client, SYN, 1000, 0)?;
        let before = bench.reaches(client, "SYN_RECV")?.real;
        bench.set_weight(HTTP.http_service(), before, 0)?;
        // The real servers answer all the time: what they send is no sign of the SYN.
        let came = || -> Result<u64> {
            let service = bench.scene.director.api().service(HTTP.http_service())?;
            Ok(service.stats.in_packets)
        };
        let so_far = came()?;
        bench.segment(client, SYN, 1000, 0)?;
        wait::until_true("the SYN", PATIENCE, || came().is_ok_and(|n| n > so_far))?;
        wait::until(&format!("expire_nodest_conn = {value}"), PATIENCE, || {
            let after = bench.connection(client)?;
            ensure!(
                after.state == "SYN_RECV" && (before == after.real) == stays,
                "{after:?}"
            );
            Ok(())
        })?;
        bench.set_weight(HTTP.http_service(), before, 1)?;
    }
    assert_accounts(&bench.scene.director);
    Ok(())
}

/// An established connection of a real server of weight 0 is not ended by a SYN.
#[test]
fn expire_nodest_conn_lets_established_connections_drain() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&[1, 1])?;
    bench.set("expire_nodest_conn", 1)?;
    let mut open = HttpConnection::open(&bench.scene.topology.client, HTTP.http())?;
    let name = open.ask_name()?;
    let before = bench.connection(open.client()?)?;
    bench.set_weight(HTTP.http_service(), before.real, 0)?;
    bench.segment(open.client()?, SYN, 12345, 0)?;
    assert_eq!(open.ask_name()?, name);
    assert_eq!(bench.connection(open.client()?)?.real, before.real);
    assert_accounts(&bench.scene.director);
    Ok(())
}

#[test]
fn datagrams_of_a_removed_real_server_move_at_once() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    for family in Family::BOTH {
        let flow = UdpClient::open(&scene.topology.client, family.echo())?;
        let before = flow.echo(b"who?")?;
        let client = flow.socket().local_addr()?;
        let service = family.echo_service();
        let real = connection(&scene.director, service, client)?.real;
        scene.director.api().remove_real(service, real)?;
        let after = flow.echo(b"and now?")?;
        assert_ne!(before, after);
        assert_eq!(flow.echo(b"and then?")?, after);
    }
    assert_accounts(&scene.director);
    Ok(())
}

/// A connection outlives its director.
#[test]
fn sloppy_tcp_takes_a_connection_up_in_its_midst() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    // A network each: what a client of one that was not taken up sends again would be in the next.
    Family::BOTH.into_iter().try_for_each(takes_up_in_its_midst)
}

fn takes_up_in_its_midst(family: Family) -> Result<()> {
    let topology = Topology::build(Plan {
        reals: 1,
        ..Plan::default()
    })?;
    let _web = Nginx::start(&topology.reals[0])?;
    topology.meet_neighbours()?;
    // Else the host would answer with a RST while no director runs.
    topology
        .director
        .ip("addr del 10.9.9.9/32 dev lo\naddr del fd00:9::9/128 dev lo\n")?;
    let configuration = Configuration::new(topology.interfaces()).services(services(
        &topology,
        Scheduler::Rr,
        &[1],
    ));
    for sloppy in [1, 0] {
        let mut first = Director::start(&topology.director, &configuration)?;
        let mut open = HttpConnection::open(&topology.client, family.http())?;
        assert_eq!(open.ask_name()?, "rs1");
        first.end_by(Signal::Kill)?;
        let configuration = configuration.clone().sysctl("sloppy_tcp", sloppy);
        let second = Director::start(&topology.director, &configuration)?;
        let answer = open.ask_name();
        assert_eq!(answer.is_ok(), sloppy == 1, "{answer:?}");
        if sloppy == 1 {
            let now = connection(&second, family.http_service(), open.client()?)?;
            assert_eq!(now.state, "ESTABLISHED");
            let used = second.api().status()?.connections;
            assert_eq!((used.entries, used.half_open), (1, 0));
        }
        assert_accounts(&second);
    }
    Ok(())
}

/// What nobody vouches for but its sender stays in the half-open pool.
#[test]
fn sloppy_tcp_believes_no_client_alone() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&[1])?;
    bench.set("sloppy_tcp", 1)?;
    // The real server would answer with a RST.
    bench.scene.topology.reals[0]
        .namespace
        .ip("link set eth0 down")?;
    for port in 4000..4010 {
        bench.segment(nobody(port), ACK, 1000, 1)?;
        bench.segment(nobody(port), ACK, 1000, 1)?;
    }
    let used = wait::until("ten connections", PATIENCE, || {
        let used = bench.scene.director.api().status()?.connections;
        ensure!(used.half_open == 10, "{used:?}");
        Ok(used)
    })?;
    assert_eq!(used.entries, 0);
    Ok(())
}

#[test]
fn schedule_icmp_gives_an_error_about_no_connection_to_a_real_server() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&[1])?;
    let at_real = Tap::open(&bench.scene.topology.reals[0].namespace, HOST_SIDE)?;
    let (vip, client) = (HTTP.http(), nobody(5000));
    let real = SocketAddr::new(
        bench.scene.topology.reals[0].address(vip.ip()),
        OTHER_HTTP_PORT,
    );
    let answer = tcp(vip, client, Segment::default());
    let error = icmp(CLIENT_V4.into(), vip.ip(), (3, 4, 1400), &answer[..28]);
    for value in [0, 1] {
        bench.set("schedule_icmp", value)?;
        let send = || bench.send(&error);
        let is_error = |p: &Packet| p.icmp() == Some((3, 4));
        if value == 0 {
            wait::until_repeated("the drop", PATIENCE, send, || {
                let drops = bench.scene.director.api().stats()?.drops;
                let dropped = drops.get("error_without_connection");
                ensure!(dropped.is_some_and(|dropped| *dropped > 0), "{drops:?}");
                Ok(())
            })?;
            assert_eq!(at_real.drain(is_error)?, []);
            continue;
        }
        let got = at_real.expect_answer("the error", send, is_error)?;
        assert_eq!(got.destination, real.ip());
        assert!(got.header_intact && got.payload_intact());
        let quoted = got.quoted().context("nothing is quoted")?;
        assert_eq!(quoted.sockets(), Some((real, client)));
    }
    assert!(
        bench.connection(client).is_err(),
        "an error opened a connection"
    );
    assert_accounts(&bench.scene.director);
    Ok(())
}

#[test]
fn nat_icmp_send_tells_a_real_server_that_nobody_waits_for_its_packet() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&[1])?;
    bench.set("nat_icmp_send", 1)?;
    let host = &bench.scene.topology.reals[0];
    let at_real = Tap::open(&host.namespace, HOST_SIDE)?;
    let send =
        |packet: &[u8]| at_real.send(&ethernet(Mac::of_host(2, 1), Mac::of_host(2, 0xfe), packet));
    for (family, kind) in [(Family::V4, (3, 3)), (Family::V6, (1, 4))] {
        let client = SocketAddr::new(
            match family {
                Family::V4 => CLIENT_V4.into(),
                Family::V6 => testbed::topology::CLIENT_V6.into(),
            },
            6000,
        );
        let real = |port| SocketAddr::new(host.address(family.vip()), port);
        let stray = udp(real(ECHO_PORT), client, b"anyone?");
        let is_told = |p: &Packet| p.icmp() == Some(kind);
        let told = at_real.expect_answer("an error", || send(&stray), is_told)?;
        assert_eq!(told.destination, real(0).ip());
        assert_ne!(told.source, client.ip(), "it speaks for another host");
        assert_ne!(told.source, family.vip());
        let quoted = told.quoted().context("nothing is quoted")?;
        assert_eq!(quoted.sockets(), Some((real(ECHO_PORT), client)));

        let reset = Segment {
            flags: RST,
            ..Segment::default()
        };
        let reset = tcp(real(OTHER_HTTP_PORT), client, reset);
        let is_reset = |p: &Packet| {
            p.protocol == protocol::TCP && p.sockets() == Some((real(OTHER_HTTP_PORT), client))
        };
        (bench.tap).expect_answer("the reset", || send(&reset), is_reset)?;
    }
    bench.set("nat_icmp_send", 0)?;
    let asked = UdpClient::open(
        &bench.scene.topology.client,
        SocketAddr::new(host.address(HTTP.vip()), ECHO_PORT),
    )?;
    assert_eq!(asked.echo(b"you")?, "rs1", "strays are routed again");
    assert_accounts(&bench.scene.director);
    Ok(())
}

#[test]
fn run_estimation_0_leaves_the_rates_as_they_are() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&[1])?;
    let api = bench.scene.director.api();
    bench.set("run_estimation", 0)?;
    fetch_names(&bench.scene.topology.client, HTTP.http(), 50)?;
    let end = api.status()?.uptime + 4;
    wait::until_true("two rounds of the estimator", PATIENCE, || {
        api.status().is_ok_and(|status| status.uptime >= end)
    })?;
    let rate = || -> Result<u64> { Ok(api.service(HTTP.http_service())?.rates.in_packets) };
    assert_eq!(rate()?, 0);
    bench.set("run_estimation", 1)?;
    wait::until_true("a rate", PATIENCE, || rate().is_ok_and(|rate| rate > 0))?;
    assert_accounts(&bench.scene.director);
    Ok(())
}

/// As `sysctl` writes and shows; a reload goes back to the file.
#[test]
fn the_command_line_and_the_file_write_sysctls() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(&[1])?;
    let socket = format!("unix:{}", bench.scene.director.socket().display());
    let say = |words: &str| -> Result<(String, String, Option<i32>)> {
        let mut command = bench.scene.topology.director.command(binary("bulwark")?);
        command.args(words.split(' ')).env("BULWARK_API", &socket);
        let output = command.output()?;
        let text = |bytes| String::from_utf8(bytes).map_err(anyhow::Error::from);
        Ok((
            text(output.stdout)?,
            text(output.stderr)?,
            output.status.code(),
        ))
    };
    let name = "net.ipv4.vs.expire_nodest_conn";
    let line = |value| format!("{name} = {value}\n");
    let quiet = String::new;
    assert_eq!(say(&format!("sysctl {name}"))?, (line(0), quiet(), Some(0)));
    let written = say(&format!("sysctl -w {name}=1"))?;
    assert_eq!(written, (line(1), quiet(), Some(0)));
    let shown = say(&format!("sysctl -n {name}"))?;
    assert_eq!(shown, ("1\n".to_owned(), quiet(), Some(0)));
    let (all, _, _) = say("sysctl -a")?;
    assert!(all.contains(&line(1)) && all.contains("net.ipv4.vs.sync_threshold = 3\t50\n"));

    let (said, why, _) = say("sysctl -w net.ipv4.vs.conntrack=1")?;
    assert_eq!(said, "net.ipv4.vs.conntrack = 1\n");
    assert!(why.contains("has no effect here"), "{why}");
    let (said, why, status) = say("sysctl -w net.ipv4.vs.secure_tcp=4")?;
    assert_eq!((said.as_str(), status), ("", Some(1)));
    assert!(why.contains("Invalid argument"), "{why}");
    let (_, why, status) = say("sysctl net.ipv4.vs.nothing")?;
    assert_eq!(status, Some(1));
    assert!(why.contains("No such file or directory"), "{why}");

    let interfaces = bench.scene.topology.interfaces();
    let file = Configuration::new(interfaces).sysctl("nat_icmp_send", 7);
    let text = file.text(&bench.scene.director.socket())?;
    bench.scene.director.reload(&text)?;
    let socket = format!("unix:{}", bench.scene.director.socket().display());
    wait::until_true("the reload", PATIENCE, || {
        let mut command = bench
            .scene
            .topology
            .director
            .command(binary("bulwark").unwrap_or_default());
        command.args(["sysctl", name, "net.ipv4.vs.nat_icmp_send"]);
        let output = command.env("BULWARK_API", &socket).output();
        let shown = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
        shown.is_ok_and(|shown| shown == line(0) + "net.ipv4.vs.nat_icmp_send = 7\n")
    })?;
    Ok(())
}
