//! Direct routing: real servers that have the VIP and answer past the director.

use std::time::Duration;

use adminapi::model::{ForwardingMethod, Protocol, RealPatch, Scheduler};
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, Director, by};
use testbed::packet::{Mac, Packet, ethernet, icmp, protocol};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::{Family, services};
use testbed::servers::{Nginx, UdpEcho, big_file};
use testbed::topology::{CLIENT_V4, CLIENT_V6, HOST_SIDE, Plan, Topology, VIP_V4, VIP_V6};
use testbed::traffic::{HttpConnection, UdpClient, download_sha256, file_sha256};
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(30);

/// Three real servers of weight 1, round robin, by direct routing.
struct Bench {
    director: Director,
    _web: Vec<Nginx>,
    _echo: Vec<UdpEcho>,
    topology: Topology,
}

impl Bench {
    fn start() -> Result<Self> {
        let topology = Topology::build(Plan::default())?;
        topology.bypass_director()?;
        let web = topology.reals.iter().map(Nginx::start);
        let echo = topology
            .reals
            .iter()
            .map(|host| UdpEcho::start_at(host, [VIP_V4.into(), VIP_V6.into()]));
        let (web, echo) = (web.collect::<Result<_>>()?, echo.collect::<Result<_>>()?);
        let configuration = Configuration::new(topology.interfaces()).services(
            services(&topology, Scheduler::Rr, &[1, 1, 1])
                .into_iter()
                .map(|service| by(service, ForwardingMethod::Dr, None)),
        );
        topology.meet_neighbours()?;
        Ok(Self {
            director: Director::start(&topology.director, &configuration)?,
            _web: web,
            _echo: echo,
            topology,
        })
    }
}

#[test]
fn a_download_and_its_end_are_followed() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start()?;
    let expected = file_sha256(&big_file()?)?;
    for family in Family::BOTH {
        let client = &bench.topology.client;
        let mut open = HttpConnection::open(client, family.http())?;
        open.ask_name()?;
        assert_eq!(download_sha256(client, family.http(), "/big")?, expected);
        // The client is done before a busy director has read its FIN.
        wait::until("the end to be followed", PATIENCE, || {
            let connections = bench.director.api().connections(family.http_service())?;
            let mut states: Vec<_> = connections.into_iter().map(|c| c.state).collect();
            states.sort();
            ensure!(states == ["ESTABLISHED", "FIN_WAIT"], "{states:?}");
            Ok(())
        })?;
    }
    assert_accounts(&bench.director);
    Ok(())
}

/// Only the stations and the TTL change.
#[test]
fn a_packet_arrives_as_it_was_sent() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start()?;
    let at_client = Tap::open(&bench.topology.client, HOST_SIDE)?;
    let taps = (bench.topology.reals.iter())
        .map(|real| Tap::open(&real.namespace, HOST_SIDE))
        .collect::<Result<Vec<_>>>()?;
    for family in Family::BOTH {
        let client = match family {
            Family::V4 => (CLIENT_V4, 4000).into(),
            Family::V6 => (CLIENT_V6, 4000).into(),
        };
        let sent = testbed::packet::udp(client, family.echo(), b"as it is");
        let frame = ethernet(Mac::of_host(1, 1), Mac::of_host(1, 0xfe), &sent);
        let is_it = |p: &Packet| p.destination == family.vip() && p.protocol == protocol::UDP;
        let (mut arrived, mut times) = (Vec::new(), 0);
        wait::until_repeated(
            "the datagram",
            PATIENCE,
            || {
                times += 1;
                at_client.send(&frame)
            },
            || {
                for tap in &taps {
                    arrived.extend(tap.drain(is_it)?);
                }
                ensure!(!arrived.is_empty());
                Ok(())
            },
        )?;
        let sent = Packet::read(&sent).context("not a packet")?;
        let hops = sent.hops - 1;
        let expected = Packet { hops, ..sent };
        assert!(arrived.iter().all(|got| *got == expected), "{arrived:?}");
        assert!(arrived.len() <= times, "{} of {times}", arrived.len());
    }
    assert_accounts(&bench.director);
    Ok(())
}

/// The client complains about an answer: the error goes to the real server that has sent it, as
/// it is.
#[test]
fn an_error_reaches_the_real_that_has_the_connection() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start()?;
    let at_client = Tap::open(&bench.topology.client, HOST_SIDE)?;
    for (family, kind, client) in [
        (Family::V4, (3, 4, 1400), CLIENT_V4.into()),
        (Family::V6, (2, 0, 1400), CLIENT_V6.into()),
    ] {
        let udp = UdpClient::open(&bench.topology.client, family.echo())?;
        let name = udp.echo(b"about this")?;
        let host = (bench.topology.reals.iter()).find(|real| real.name == name);
        let at_real = Tap::open(&host.context("a stranger")?.namespace, HOST_SIDE)?;
        let answer = testbed::packet::udp(family.echo(), udp.socket().local_addr()?, b"too long");
        let message = icmp(client, family.vip(), kind, &answer);
        let frame = ethernet(Mac::of_host(1, 1), Mac::of_host(1, 0xfe), &message);
        let is_error = |p: &Packet| p.icmp() == Some((kind.0, kind.1));
        let got = at_real.expect_answer("error", || at_client.send(&frame), is_error)?;
        assert_eq!((got.source, got.destination), (client, family.vip()));
        assert!(got.header_intact && got.payload_intact());
        assert_eq!(got.quoted(), Packet::read(&answer));
    }
    assert_accounts(&bench.director);
    Ok(())
}

#[test]
fn a_connection_survives_a_change_of_the_method() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start()?;
    let (family, api) = (Family::V4, bench.director.api());
    let client = &bench.topology.client;
    let mut before = HttpConnection::open(client, family.http())?;
    let name = before.ask_name()?;
    for real in api.service(family.http_service())?.reals {
        let patch = RealPatch {
            method: Some(ForwardingMethod::Tun),
            ..RealPatch::default()
        };
        api.change_real(family.http_service(), real.endpoint(), patch)?;
    }
    assert_eq!(before.ask_name()?, name);
    let service = api.service(family.http_service())?;
    assert!(
        (service.reals.iter())
            .all(|real| real.method == ForwardingMethod::Tun && real.tun.is_some())
    );
    assert_eq!(service.id.protocol(), Some(Protocol::Tcp));
    assert_accounts(&bench.director);
    Ok(())
}
