//! UDP through the director: echo in both families, and datagrams without a checksum.

use std::time::Duration;

use adminapi::model::{RealView, Scheduler, ServicePatch};
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::packet::{Packet, protocol};
use testbed::raw::Tap;
use testbed::scene::{Family, Scene};
use testbed::topology::{HOST_SIDE, Plan};
use testbed::traffic::{UdpClient, tally};
use testbed::wait;
use testbed::{floor, require};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn each_client_is_echoed_by_one_real() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    for family in Family::BOTH {
        let clients = (0..9)
            .map(|_| UdpClient::open(&scene.topology.client, family.echo()))
            .collect::<Result<Vec<_>>>()?;
        let first = clients
            .iter()
            .map(|c| c.echo(b"first"))
            .collect::<Result<Vec<_>>>()?;
        let again = clients
            .iter()
            .map(|c| c.echo(b"again"))
            .collect::<Result<Vec<_>>>()?;
        assert_eq!(first, again, "a flow changed its real server");
        assert!(tally(first).values().all(|&count| count == 3));
        assert_eq!(
            scene
                .director
                .api()
                .connections(family.echo_service())?
                .len(),
            9
        );
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn any_length_up_to_the_mtu_comes_back() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    for (family, headers) in [(Family::V4, 28), (Family::V6, 48)] {
        let client = UdpClient::open(&scene.topology.client, family.echo())?;
        // The answer has four bytes more than the question: the name of the real server.
        for length in [0, 1, 2, 3, 17, 512, 1500 - headers - 4] {
            let message: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            client.echo(&message)?;
        }
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn no_checksum_stays_no_checksum() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start_with(
        Plan {
            reals: 1,
            ..Plan::default()
        },
        Scheduler::Rr,
        &[1],
    )?;
    let tap = Tap::open(&scene.topology.reals[0].namespace, HOST_SIDE)?;
    let client = UdpClient::open(&scene.topology.client, Family::V4.echo())?;
    floor::send_without_checksum(client.socket())?;
    assert_eq!(client.echo(b"unchecked")?, "rs1");
    let is_udp = |packet: &Packet| packet.protocol == protocol::UDP;
    let arrived = tap.expect("datagram", is_udp)?;
    assert_eq!(arrived.payload[6..8], [0, 0], "RFC 768: zero means none");
    assert!(arrived.header_intact);
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn a_flow_of_a_removed_real_server_goes_to_another_at_once() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    for family in Family::BOTH {
        let (api, id) = (scene.director.api(), family.echo_service());
        let client = UdpClient::open(&scene.topology.client, family.echo())?;
        let first = client.echo(b"first")?;
        let mut connections = api.connections(id)?;
        let gone = connections.remove(0).real;
        assert!(connections.is_empty());
        api.remove_real(id, gone)?;
        let next = client.echo(b"next")?;
        assert_ne!(next, first);
        assert_eq!(client.echo(b"again")?, next);
        let connections = api.connections(id)?;
        assert_eq!(connections.len(), 1);
        assert_ne!(connections[0].real, gone);
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn each_datagram_is_scheduled_by_itself_with_one_packet() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    for family in Family::BOTH {
        let (api, id) = (scene.director.api(), family.echo_service());
        let patch = ServicePatch {
            one_packet: Some(true),
            ..ServicePatch::default()
        };
        api.call(async |client| client.change_service(id, patch).await)?;
        let client = UdpClient::open(&scene.topology.client, family.echo())?;
        for _ in 0..9 {
            client.socket().send(b"alone")?;
        }
        wait::until("all datagrams to be sent on", PATIENCE, || {
            let reals = api.service(id)?.reals;
            let carried = |real: &RealView| (real.stats.connections, real.stats.in_packets);
            let carried: Vec<_> = reals.iter().map(carried).collect();
            ensure!(carried == [(3, 3); 3], "{carried:?}");
            Ok(())
        })?;
        assert!(api.connections(id)?.is_empty());
        let view = api.service(id)?;
        assert!(
            view.reals
                .iter()
                .all(|real| real.active + real.inactive == 0)
        );
    }
    assert_accounts(&scene.director);
    Ok(())
}

/// Those of before as well: they may be what the attack has brought.
#[test]
fn who_was_heard_once_is_hurried_when_the_level_rises() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let plan = Plan::default();
    let scene = Scene::start_shaped(plan, Scheduler::Rr, &[1, 1, 1], |configuration| {
        configuration.fast_path(false)
    })?;
    for family in Family::BOTH {
        let (api, id) = (scene.director.api(), family.echo_service());
        let open = || UdpClient::open(&scene.topology.client, family.echo());
        let (known, strange) = (open()?, open()?);
        known.echo(b"first")?;
        known.echo(b"again")?;
        strange.echo(b"first")?;
        api.set_level(Some(id), 2)?;
        wait::until("the one to live briefly", PATIENCE, || {
            let mut ends: Vec<_> = api.connections(id)?.iter().map(|c| c.expires).collect();
            ends.sort_unstable();
            ensure!(matches!(ends[..], [..=10, (200..)]), "{ends:?}");
            Ok(())
        })?;
    }
    assert_accounts(&scene.director);
    Ok(())
}

/// Under attack an address that was heard once may be forged: its connection lives briefly, whoever answers it.
#[test]
fn who_was_heard_once_lives_briefly_under_attack() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    for family in Family::BOTH {
        let (api, id) = (scene.director.api(), family.echo_service());
        // How many live briefly, and how many as ever.
        let lives = || -> Result<(usize, usize)> {
            let connections = api.connections(id)?;
            let brief = connections.iter().filter(|each| each.expires <= 10);
            let lasting = connections.iter().filter(|each| each.expires > 200);
            Ok((brief.count(), lasting.count()))
        };
        let known = UdpClient::open(&scene.topology.client, family.echo())?;
        known.echo(b"first")?;
        known.echo(b"again")?;
        api.set_level(Some(id), 2)?;
        let other = UdpClient::open(&scene.topology.client, family.echo())?;
        other.echo(b"first")?;
        assert_eq!(lives()?, (1, 1));
        other.echo(b"again")?;
        assert_eq!(lives()?, (0, 2));
    }
    assert_accounts(&scene.director);
    Ok(())
}
