//! Sources that no client has: what comes from them opens nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use adminapi::model::{Fate, Protocol, Scheduler, ServiceId, ServicePatch};
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::service;
use testbed::packet::{Mac, Segment, ethernet, flag, tcp, udp};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::servers::ECHO_PORT;
use testbed::topology::HOST_SIDE;
use testbed::traffic::UdpClient;
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(20);
const OTHER_VIP: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 8);
const PORT: u16 = 40_000;

fn forged(scene: &Scene) -> Result<u64> {
    scene.director.api().dropped("forged_source")
}

fn connections(scene: &Scene) -> Result<u64> {
    Ok(scene.director.api().stats()?.traffic.connections)
}

/// A SYN or an empty datagram.
fn opening(protocol: Protocol, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    match protocol {
        Protocol::Udp => udp(from, to, b""),
        _ => {
            let flags = flag::SYN;
            let syn = Segment {
                flags,
                ..Segment::default()
            };
            tcp(from, to, syn)
        }
    }
}

/// Asks about a packet, sends it, and has it dropped as it was said.
fn expect_drop(scene: &Scene, id: ServiceId, from: SocketAddr, to: SocketAddr) -> Result<()> {
    let protocol = match id {
        ServiceId::Address { protocol, .. } => protocol,
        ServiceId::Mark { .. } => Protocol::Udp,
    };
    let told = scene.director.api().explain(protocol, from, to)?;
    ensure!(told.fate == Fate::Drop && told.reason.as_deref() == Some("forged_source"));
    ensure!(told.service == Some(id), "{told:?}");
    let (drops, opened) = (forged(scene)?, connections(scene)?);
    let tap = Tap::open(&scene.topology.client, HOST_SIDE)?;
    let (client, director) = (Mac::of_host(1, 1), Mac::of_host(1, 0xfe));
    let frame = ethernet(client, director, &opening(protocol, from, to));
    let what = format!("{from} to be refused");
    wait::until_repeated(
        &what,
        PATIENCE,
        || tap.send(&frame),
        || {
            ensure!(forged(scene)? > drops, "{} opened", connections(scene)?);
            Ok(())
        },
    )?;
    ensure!(connections(scene)? == opened, "{from} has opened something");
    Ok(())
}

/// Real servers of two services that echo what the other one's have echoed never come to an end.
#[test]
fn two_vips_cannot_be_made_to_speak_to_each_other() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    let other = SocketAddr::new(OTHER_VIP.into(), ECHO_PORT);
    let last = SocketAddr::new(scene.topology.reals[2].v4.into(), ECHO_PORT);
    let reals = vec![(last, 1)];
    api.add_service(&service(Protocol::Udp, other, Scheduler::Rr, reals))?;
    let echo = Family::V4.echo();
    for one_packet in [false, true] {
        let patch = ServicePatch {
            one_packet: Some(one_packet),
            ..ServicePatch::default()
        };
        let id = Family::V4.echo_service();
        api.call(async |client| client.change_service(id, patch).await)?;
        expect_drop(&scene, id, other, echo)?;
        expect_drop(&scene, id, echo, echo)?;
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn what_no_client_can_be_opens_nothing() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let sources: [(Family, &[&str]); 2] = [
        (
            Family::V4,
            &[
                "0.0.0.0",
                "127.0.0.1",
                "224.0.0.5",
                "255.255.255.255",
                // The director, where clients are and where real servers are.
                "10.0.1.254",
                "10.0.2.254",
                "10.9.9.9",
            ],
        ),
        (Family::V6, &["::", "::1", "ff02::5"]),
    ];
    for (family, sources) in sources {
        for source in sources {
            let from = SocketAddr::new(source.parse::<IpAddr>()?, PORT);
            expect_drop(&scene, family.http_service(), from, family.http())?;
            expect_drop(&scene, family.echo_service(), from, family.echo())?;
        }
        let client = UdpClient::open(&scene.topology.client, family.echo())?;
        wait::until("an echo", PATIENCE, || client.echo(b"a client"))?;
    }
    assert_accounts(&scene.director);
    Ok(())
}

/// The kernel looks at the director's own addresses in IPv4 only.
#[test]
fn own_addresses_of_ipv6_are_served_as_others_are() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let before = connections(&scene)?;
    let tap = Tap::open(&scene.topology.client, HOST_SIDE)?;
    let from = SocketAddr::new("fd00:1::fe".parse()?, PORT);
    let datagram = udp(from, Family::V6.echo(), b"");
    let frame = ethernet(Mac::of_host(1, 1), Mac::of_host(1, 0xfe), &datagram);
    let send = || tap.send(&frame);
    wait::until_repeated("it to open a connection", PATIENCE, send, || {
        ensure!(connections(&scene)? > before);
        Ok(())
    })
}
