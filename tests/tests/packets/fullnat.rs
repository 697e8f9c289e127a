//! FullNAT: real servers without any route to the client talk to the director.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use adminapi::model::{ForwardingMethod, PortUse, Scheduler, ServiceId};
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, Director, by};
use testbed::packet::{Mac, Packet, ethernet, icmp, protocol};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::{Family, services};
use testbed::servers::{Nginx, UdpEcho, big_file};
use testbed::topology::{CLIENT_V4, CLIENT_V6, HOST_SIDE, Plan, Topology};
use testbed::traffic::{
    HttpConnection, UdpClient, download_sha256, fetch_names, file_sha256, tally,
};
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(20);

const LOCAL: [&str; 4] = ["10.0.2.240", "10.0.2.241", "fd00:2::f0", "fd00:2::f1"];

fn addresses(of: &[&str]) -> Result<Vec<IpAddr>> {
    Ok(of
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?)
}

/// Two real servers of weight 1, round robin, by FullNAT.
struct Bench {
    director: Director,
    configuration: Configuration,
    _web: Vec<Nginx>,
    _echo: Vec<UdpEcho>,
    topology: Topology,
}

impl Bench {
    fn start(local: &[&str], ports: &str) -> Result<Self> {
        let topology = Topology::build(Plan {
            reals: 2,
            ..Plan::default()
        })?;
        topology.meet_neighbours()?;
        topology.isolate_reals(&addresses(&LOCAL)?)?;
        let web = topology.reals.iter().map(Nginx::start);
        let echo = topology.reals.iter().map(UdpEcho::start);
        let (web, echo) = (web.collect::<Result<_>>()?, echo.collect::<Result<_>>()?);
        let configuration = Configuration::new(topology.interfaces()).services(
            services(&topology, Scheduler::Rr, &[1, 1])
                .into_iter()
                .map(|service| by(service, ForwardingMethod::FullNat, None)),
        );
        let configuration = configuration
            .datapath("local_addresses", local.to_vec())
            .datapath("local_ports", ports);
        Ok(Self {
            director: Director::start(&topology.director, &configuration)?,
            configuration,
            _web: web,
            _echo: echo,
            topology,
        })
    }

    /// Where the director speaks from for the connections of a service.
    fn speaking(&self, service: ServiceId) -> Result<Vec<SocketAddr>> {
        let connections = self.director.api().connections(service)?;
        let local = connections.into_iter().map(|c| c.local);
        local.collect::<Option<_>>().context("no local address")
    }
}

#[test]
fn datagrams_in_fragments_pass_in_both_directions() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&LOCAL, "1024-65535")?;
    for family in Family::BOTH {
        let client = UdpClient::open(&bench.topology.client, family.echo())?;
        for length in [8_000, 60_000] {
            client.echo_again(&vec![7; length])?;
        }
    }
    assert_accounts(&bench.director);
    Ok(())
}

#[test]
fn real_servers_without_a_route_to_the_client_serve_it() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&LOCAL, "20000-29999")?;
    let client = &bench.topology.client;
    let expected = file_sha256(&big_file()?)?;
    let taps = (bench.topology.reals.iter())
        .map(|real| Tap::open(&real.namespace, HOST_SIDE))
        .collect::<Result<Vec<_>>>()?;
    for family in Family::BOTH {
        let answers = tally(fetch_names(client, family.http(), 8)?);
        assert!(answers.values().all(|&count| count == 4), "{answers:?}");
        let names = (0..4)
            .map(|_| UdpClient::open(client, family.echo())?.echo(b"hello"))
            .collect::<Result<Vec<_>>>()?;
        assert!(tally(names).values().all(|&count| count == 2));

        let local = addresses(&LOCAL)?;
        let ours = |p: &Packet| matches!(p.protocol, protocol::TCP | protocol::UDP);
        for tap in &taps {
            for packet in tap.drain(ours)? {
                let source = u16::from_be_bytes(*packet.payload.first_chunk().context("no port")?);
                let outgoing = local.contains(&packet.destination);
                assert!(outgoing || local.contains(&packet.source), "{packet:?}");
                assert!(outgoing || (20_000..30_000).contains(&source));
                assert!(packet.header_intact && packet.payload_intact());
            }
        }
        let speaking = bench.speaking(family.http_service())?;
        assert_eq!(speaking.len(), 8);
        assert!(speaking.iter().all(|at| local.contains(&at.ip())));

        assert_eq!(download_sha256(client, family.http(), "/big")?, expected);
    }
    let status = bench.director.api().status()?;
    assert_eq!(status.local_addresses.len(), 4);
    let used: u64 = status.local_addresses.iter().map(|l| l.connections).sum();
    assert_eq!(used, 2 * (8 + 4 + 1));
    assert!(
        status
            .local_addresses
            .iter()
            .all(|l| l.assigned && l.ports == 10_000)
    );
    assert_accounts(&bench.director);
    Ok(())
}

/// What the host itself has to say to a real server, from the very address that the director
/// speaks from, stays the host's.
#[test]
fn the_host_keeps_the_other_ports_of_its_addresses() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&LOCAL, "20000-29999")?;
    let director = &bench.topology.director;
    for (real, source) in [("10.0.2.1", LOCAL[0]), ("[fd00:2::1]", LOCAL[2])] {
        let url = format!("http://{real}:8080/");
        let curl = [
            "-s",
            "--max-time",
            "30",
            "--interface",
            source,
            "--local-port",
        ];
        let answer = director.run("curl", &[&curl[..], &["40000-40100", &url]].concat())?;
        ensure!(answer.trim() == "rs1", "{answer:?}");
    }
    assert_accounts(&bench.director);
    Ok(())
}

/// An ICMP error from either end reaches the other in its own terms.
#[test]
fn errors_are_told_in_the_terms_of_who_hears_them() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&LOCAL, "20000-29999")?;
    let at_client = Tap::open(&bench.topology.client, HOST_SIDE)?;
    for (family, kind, client) in [
        (Family::V4, (3, 3, 0), IpAddr::from(CLIENT_V4)),
        (Family::V6, (1, 4, 0), IpAddr::from(CLIENT_V6)),
    ] {
        let udp = UdpClient::open(&bench.topology.client, family.echo())?;
        let name = udp.echo(b"about this")?;
        let host = (bench.topology.reals.iter()).find(|real| real.name == name);
        let host = host.context("a stranger")?;
        let at_real = Tap::open(&host.namespace, HOST_SIDE)?;
        let speaking = bench.speaking(family.echo_service())?;
        let [local] = speaking[..] else {
            anyhow::bail!("{speaking:?}");
        };
        let rip = host.address(family.vip());
        let echo = SocketAddr::new(rip, family.echo().port());

        let answer = testbed::packet::udp(family.echo(), udp.socket().local_addr()?, b"answer");
        let message = icmp(client, family.vip(), kind, &answer);
        let frame = ethernet(Mac::of_host(1, 1), Mac::of_host(1, 0xfe), &message);
        let is_error = |p: &Packet| p.icmp() == Some((kind.0, kind.1));
        let got = at_real.expect_answer("error", || at_client.send(&frame), is_error)?;
        assert_eq!((got.source, got.destination), (local.ip(), rip));
        let as_sent = testbed::packet::udp(echo, local, b"answer");
        assert_eq!(got.quoted(), Packet::read(&as_sent));

        let request = testbed::packet::udp(local, echo, b"about this");
        let message = icmp(rip, local.ip(), kind, &request);
        let number = if name == "rs1" { 1 } else { 2 };
        let frame = ethernet(Mac::of_host(2, number), Mac::of_host(2, 0xfe), &message);
        let got = at_client.expect_answer("error", || at_real.send(&frame), is_error)?;
        assert_eq!((got.source, got.destination), (family.vip(), client));
    }
    assert_accounts(&bench.director);
    Ok(())
}

/// Ports run out one by one, in the open; nobody who has one loses it.
#[test]
fn exhausted_ports_are_a_reason_of_their_own() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&[LOCAL[0], LOCAL[2]], "20000-21023")?;
    let api = bench.director.api();
    let family = Family::V4;
    let udp = UdpClient::open(&bench.topology.client, family.echo())?;
    let name = udp.echo(b"first")?;
    let at_client = Tap::open(&bench.topology.client, HOST_SIDE)?;
    let mut ports = 2000..60_000;
    wait::until("the ports to run out", 3 * PATIENCE, || {
        for port in ports.by_ref().take(64) {
            let from = SocketAddr::from((CLIENT_V4, port));
            let sent = testbed::packet::udp(from, family.echo(), b"another");
            at_client.send(&ethernet(Mac::of_host(1, 1), Mac::of_host(1, 0xfe), &sent))?;
        }
        let service = api.service(family.echo_service())?;
        ensure!(service.drops.contains_key("no_local_port"), "{service:?}");
        Ok(())
    })?;
    let service = api.service(family.echo_service())?;
    let uses: Vec<_> = service.reals.iter().filter_map(|r| r.local_ports).collect();
    let full = |ports: &PortUse| ports.total == 1024 && (700..=1024).contains(&ports.used);
    assert!(uses.len() == 2 && uses.iter().all(full), "{uses:?}");
    assert_eq!(udp.echo(b"again")?, name);
    assert_accounts(&bench.director);
    Ok(())
}

/// An address that is configured no more keeps the connections that it has, and gets no more.
#[test]
fn an_address_leaves_when_its_connections_have() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(&LOCAL, "20000-29999")?;
    let family = Family::V4;
    let mut open = HttpConnection::open(&bench.topology.client, family.http())?;
    let name = open.ask_name()?;
    let before = bench.speaking(family.http_service())?;
    let others: Vec<_> = LOCAL
        .into_iter()
        .filter(|local| before.iter().all(|at| at.ip().to_string() != *local))
        .collect();
    let text = bench
        .configuration
        .clone()
        .datapath("local_addresses", others)
        .text(&bench.director.socket())?;
    bench.director.reload(&text)?;
    let api = bench.director.api();
    wait::until("the reload", PATIENCE, || {
        ensure!(api.status()?.local_addresses.len() == 3);
        Ok(())
    })?;
    assert_eq!(open.ask_name()?, name);
    fetch_names(&bench.topology.client, family.http(), 6)?;
    let after = bench.speaking(family.http_service())?;
    let with_old = after.iter().filter(|at| at.ip() == before[0].ip()).count();
    assert_eq!((after.len(), with_old), (7, 1), "{after:?}");
    assert_accounts(&bench.director);
    Ok(())
}
