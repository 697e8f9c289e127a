//! What changes round a connection that the gate forwards.

use std::net::SocketAddr;

use adminapi::model::{Protocol, Real, Scheduler};
use anyhow::{Context, Result, ensure};
use testbed::accounts::balanced;
use testbed::haven::Haven;
use testbed::packet::Mac;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::Scene;
use testbed::servers::big_file;
use testbed::topology::{CLIENT_SIDE, HOST_SIDE, REAL_SIDE};
use testbed::traffic::{download_sha256, file_sha256};
use testbed::wait;

use crate::bed::{FAMILY, PATIENCE, cached, flows, forwarded, lane, scene, state};

fn real(scene: &Scene) -> Real {
    let address = scene.topology.reals[0].address(FAMILY.vip());
    let service = testbed::director::service(
        Protocol::Tcp,
        FAMILY.http(),
        Scheduler::Rr,
        [(SocketAddr::new(address, 8080), 1)],
    );
    service.reals[0].clone()
}

#[test]
fn a_removed_real_server_gets_nothing_until_it_is_back() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(|configuration| configuration)?;
    let mut open = cached(&scene)?;
    let (api, real) = (scene.director.api(), real(&scene));
    let id = FAMILY.http_service();
    api.remove_real(id, SocketAddr::new(real.address, 8080))?;
    std::thread::scope(|scope| -> Result<()> {
        let asked = scope.spawn(|| open.ask_name());
        wait::until("a packet to be refused", PATIENCE, || {
            ensure!(api.dropped("real_removed")? > 0);
            Ok(())
        })?;
        api.add_real(id, &real)?;
        asked.join().expect("no panic").map(drop)
    })?;
    balanced(&scene.director)
}

#[test]
fn another_station_and_another_route_are_followed() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(|configuration| configuration)?;
    let mut open = cached(&scene)?;
    let (host, director) = (&scene.topology.reals[0], &scene.topology.director);
    let other = Mac::of_host(2, 77);
    host.namespace
        .ip(&format!("link set {HOST_SIDE} address {other}\n"))?;
    director.ip(&format!(
        "neigh replace {} lladdr {other} dev {REAL_SIDE} nud reachable\n",
        host.v4
    ))?;
    open.ask_name().context("with another station")?;
    director.ip(&format!("route add blackhole {}/32\n", host.v4))?;
    wait::until("the route to be obeyed", PATIENCE, || {
        open.send_request()?;
        ensure!(scene.director.api().dropped("unreachable")? > 0);
        Ok(())
    })
}

fn set_gro(scene: &Scene, word: &str) -> Result<()> {
    let client = &scene.topology.client;
    client
        .run("ethtool", &["-K", HOST_SIDE, "gro", word])
        .map(drop)
}

/// The gate is pinned, and forwards what was established without a director; the next one knows how
/// far both ends have come meanwhile.
#[test]
fn connections_go_on_while_there_is_no_director_and_after() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let haven = Haven::new()?;
    let mut scene = scene(|configuration| haven.shelter(configuration))?;
    let mut open = cached(&scene)?;
    scene.director.end_by(Signal::Kill)?;
    for _ in 0..50 {
        open.ask_name().context("without a director")?;
    }
    scene.start_next()?;
    for _ in 0..3 {
        open.ask_name().context("with another director")?;
    }
    ensure!(flows(&scene)? == 1);
    balanced(&scene.director)?;

    scene.director.end_by(Signal::Kill)?;
    scene.configuration = (scene.configuration.clone()).filter("black_hole", vec!["10.0.1.0/24"]);
    scene.start_next()?;
    wait::until("the black hole to take it", PATIENCE, || {
        ensure!(flows(&scene)? == 0 && state(&scene)?.is_empty());
        Ok(())
    })
}

/// A veth whose far end has no NAPI takes redirected frames and loses them. It is found before it
/// is used; when it stops to deliver in the midst of a download, that goes on all the same.
#[test]
fn an_interface_that_does_not_deliver_stays_slow_and_loses_no_connection() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(|configuration| configuration)?;
    let expected = file_sha256(&big_file()?)?;
    let client = &scene.topology.client;
    std::thread::scope(|scope| -> Result<()> {
        let download = scope.spawn(|| download_sha256(client, FAMILY.http(), "/big"));
        wait::until("the download to be under way", PATIENCE, || {
            ensure!(forwarded(&scene.director.api().stats()?) > 1000);
            Ok(())
        })?;
        set_gro(&scene, "off")?;
        assert_eq!(download.join().expect("no panic")?, expected);
        Ok(())
    })?;
    let lane_is = |on: bool| {
        wait::until("the lane to be known", PATIENCE, || {
            let (is_on, why) = lane(&scene, CLIENT_SIDE)?;
            ensure!(is_on == on && why.is_none() == on, "{why:?}");
            Ok(())
        })
    };
    // Something has to be sent to be refused.
    assert_eq!(download_sha256(client, FAMILY.http(), "/big")?, expected);
    lane_is(false)?;
    ensure!(lane(&scene, REAL_SIDE)? == (true, None));
    set_gro(&scene, "on")?;
    lane_is(true)?;
    assert_eq!(download_sha256(client, FAMILY.http(), "/big")?, expected);
    Ok(())
}
