//! What belongs to no connection and comes from a real server, or is about a packet to one: it is
//! routed, so that real servers can be spoken to without the service.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use adminapi::model::Scheduler;
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::packet::{Mac, Packet, ethernet, icmp, udp};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::servers::{ECHO_PORT, OTHER_HTTP_PORT};
use testbed::topology::{CLIENT_V4, CLIENT_V6, HOST_SIDE, Plan};
use testbed::traffic::{HttpConnection, UdpClient};
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(20);

fn scene() -> Result<Scene> {
    let plan = Plan {
        reals: 1,
        ..Plan::default()
    };
    Scene::start_with(plan, Scheduler::Rr, &[1])
}

fn real(scene: &Scene, family: Family, port: u16) -> SocketAddr {
    SocketAddr::new(scene.topology.reals[0].address(family.vip()), port)
}

fn client(family: Family) -> SocketAddr {
    match family {
        Family::V4 => (CLIENT_V4, 40_000).into(),
        Family::V6 => (CLIENT_V6, 40_000).into(),
    }
}

fn from_real(packet: &[u8]) -> Vec<u8> {
    ethernet(Mac::of_host(2, 1), Mac::of_host(2, 0xfe), packet)
}

fn routed(scene: &Scene) -> Result<u64> {
    let status = scene.director.api().status()?;
    Ok(status.workers.iter().map(|worker| worker.routed).sum())
}

#[test]
fn a_real_server_can_be_asked_directly() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene()?;
    for family in Family::BOTH {
        let before = routed(&scene)?;
        let echo = UdpClient::open(&scene.topology.client, real(&scene, family, ECHO_PORT))?;
        assert_eq!(echo.echo(b"you")?, "rs1");
        let web = real(&scene, family, OTHER_HTTP_PORT);
        let name = HttpConnection::open(&scene.topology.client, web)?.ask_name()?;
        assert_eq!(name, "rs1");
        assert!(routed(&scene)? > before, "{family:?}");
        let through = UdpClient::open(&scene.topology.client, family.echo())?;
        assert_eq!(through.echo(b"you, through the service")?, "rs1");
        assert_eq!(
            scene
                .director
                .api()
                .connections(family.echo_service())?
                .len(),
            1
        );
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn an_error_about_no_connection_is_routed_as_it_is() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene()?;
    let at_real = Tap::open(&scene.topology.reals[0].namespace, HOST_SIDE)?;
    let at_client = Tap::open(&scene.topology.client, HOST_SIDE)?;
    for (family, kind) in [(Family::V4, (3, 3, 0)), (Family::V6, (1, 4, 0))] {
        let (client, real) = (client(family), real(&scene, family, ECHO_PORT));
        let asked = udp(client, real, b"anyone?");
        let error = icmp(real.ip(), client.ip(), kind, &asked);
        let send = || at_real.send(&from_real(&error));
        let is_error = |p: &Packet| p.icmp() == Some((kind.0, kind.1));
        let got = at_client.expect_answer("an error", send, is_error)?;
        let sent = Packet::read(&error).expect("just made");
        let hops = sent.hops - 1;
        assert_eq!(got, Packet { hops, ..sent });
    }
    assert_accounts(&scene.director);
    Ok(())
}

/// A health check on the director that finds nobody hears of it.
#[test]
fn an_error_about_a_packet_of_the_director_reaches_it() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut scene = scene()?;
    scene.echo.clear();
    for family in Family::BOTH {
        let nobody: IpAddr = match family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = || Ok(UdpSocket::bind((nobody, 0))?);
        let check = scene.topology.director.enter(socket)?;
        check.connect(real(&scene, family, ECHO_PORT))?;
        check.set_read_timeout(Some(PATIENCE / 40))?;
        wait::until("the refusal", PATIENCE, || {
            let sent = check.send(b"alive?");
            let answer = check.recv(&mut [0; 64]);
            let refused = [sent.err(), answer.err()]
                .into_iter()
                .flatten()
                .any(|error| error.kind() == ErrorKind::ConnectionRefused);
            ensure!(refused, "{family:?}: silence");
            Ok(())
        })?;
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn a_real_server_is_told_by_the_director_what_stops_its_packet() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene()?;
    let at_real = Tap::open(&scene.topology.reals[0].namespace, HOST_SIDE)?;
    let (client, real) = (client(Family::V6), real(&scene, Family::V6, ECHO_PORT));
    let mut last_hop = udp(real, client, b"far");
    last_hop[7] = 1;
    let send = || at_real.send(&from_real(&last_hop));
    let error = at_real.expect_answer("time exceeded", send, |p| p.icmp() == Some((3, 0)))?;
    let director: Ipv6Addr = "fd00:2::fe".parse()?;
    assert_eq!(error.source, director);
    assert!(error.payload_intact());
    assert_accounts(&scene.director);
    Ok(())
}
