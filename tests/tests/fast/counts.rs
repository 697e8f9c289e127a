//! What the gate forwards is counted as if the director had.

use adminapi::model::{Connection, ServiceId, Traffic};
use anyhow::{Context, Result, ensure};
use testbed::accounts::balanced;
use testbed::director::binary;
use testbed::process::output;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::servers::big_file;
use testbed::traffic::{UdpClient, download_sha256, file_sha256};
use testbed::wait;

use crate::bed::{PATIENCE, flows, forwarded, scene};

#[test]
fn most_of_a_download_never_reaches_the_director() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(|configuration| configuration)?;
    let expected = file_sha256(&big_file()?)?;
    for family in Family::BOTH {
        let before = scene.director.api().stats()?;
        let client = &scene.topology.client;
        assert_eq!(download_sha256(client, family.http(), "/big")?, expected);
        let stats = scene.director.api().stats()?;
        let fast = forwarded(&stats) - forwarded(&before);
        let all = stats.total.received - before.total.received;
        ensure!(fast * 10 > all * 9, "{fast} of {all}, {family:?}");
    }
    balanced(&scene.director)?;
    wait::until("closed connections to leave the gate", PATIENCE, || {
        ensure!(flows(&scene)? == 0);
        Ok(())
    })
}

/// What a service and its real server say that they have carried.
fn carried(fast_path: bool) -> Result<(Traffic, Traffic)> {
    let scene = scene(|configuration| configuration.fast_path(fast_path))?;
    for family in Family::BOTH {
        let client = UdpClient::open(&scene.topology.client, family.echo())?;
        for length in 1..50 {
            client.echo(&vec![b'x'; length * 20])?;
        }
    }
    let stats = scene.director.api().stats()?;
    ensure!((forwarded(&stats) > 180) == fast_path, "{stats:?}");
    balanced(&scene.director)?;
    for family in Family::BOTH {
        let shown = only(&scene, family.echo_service())?.forwarded;
        ensure!(shown.is_some() == fast_path, "{shown:?}");
    }
    let v6 = scene.director.api().service(Family::V6.echo_service())?;
    ensure!(v6.stats == v6.reals[0].stats, "{v6:?}");
    let v4 = scene.director.api().service(Family::V4.echo_service())?;
    Ok((v4.stats, v6.stats))
}

#[test]
fn what_was_carried_is_counted_the_same_on_both_paths() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let fast = carried(true)?;
    assert_eq!(fast, carried(false)?);
    assert_eq!((fast.0.in_packets, fast.1.out_packets), (49, 49));
    Ok(())
}

/// What the gate counts of a connection is what it counts of all that it forwards, when there is no
/// other one, and is shown by the API and by the command line.
#[test]
fn what_the_gate_forwards_of_a_connection_is_shown_with_it() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(|configuration| configuration)?;
    let mut all = 0;
    for family in Family::BOTH {
        let header = if family == Family::V4 { 20 } else { 40 };
        let client = UdpClient::open(&scene.topology.client, family.echo())?;
        let echoed = (0..40).map(|_| client.echo(&[b'x'; 100]));
        let name = echoed.collect::<Result<Vec<_>>>()?.remove(0);
        let shown = only(&scene, family.echo_service())?.forwarded;
        let shown = shown.context("it is not cached")?;
        ensure!((30..40).contains(&shown.in_packets), "{shown:?}");
        ensure!((30..40).contains(&shown.out_packets), "{shown:?}");
        let bytes = |packets: u32, data: usize| u64::from(packets) * (header + 8 + data as u64);
        assert_eq!(shown.in_bytes, bytes(shown.in_packets, 100));
        let answer = name.len() + 1 + 100;
        assert_eq!(shown.out_bytes, bytes(shown.out_packets, answer));
        let now = forwarded(&scene.director.api().stats()?);
        assert_eq!(now - all, u64::from(shown.in_packets + shown.out_packets));
        all = now;
    }
    let socket = format!("unix:{}", scene.director.socket().display());
    let mut command = scene.topology.director.command(binary("bulwark")?);
    let told = output(command.env("BULWARK_API", socket).args(["-Lnc", "--json"]))?;
    ensure!(told.matches("\"forwarded\":").count() == 2, "{told}");
    Ok(())
}

/// The one connection of a service.
fn only(scene: &Scene, service: ServiceId) -> Result<Connection> {
    let mut listed = scene.director.api().connections(service)?;
    ensure!(listed.len() == 1, "{listed:?}");
    Ok(listed.remove(0))
}
