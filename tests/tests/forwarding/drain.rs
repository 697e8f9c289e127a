//! Draining: a real server that is to go keeps its connections until the last one has gone, or
//! until its deadline.

use std::net::SocketAddr;
use std::time::Duration;

use adminapi::model::{RealPatch, RealView, Scheduler, Service};
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::api::Api;
use testbed::director::{Configuration, binary};
use testbed::require;
use testbed::scene::{Family, Scene, services};
use testbed::topology::Plan;
use testbed::traffic::{HttpConnection, fetch_names, tally};
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(30);
const FAMILY: Family = Family::V4;

fn start() -> Result<Scene> {
    let plan = Plan {
        reals: 2,
        ..Plan::default()
    };
    Scene::start_with(plan, Scheduler::Rr, &[1, 1])
}

fn rs1(scene: &Scene) -> SocketAddr {
    SocketAddr::from((scene.topology.reals[0].v4, 8080))
}

fn reals(api: &Api) -> Result<Vec<RealView>> {
    Ok(api.service(FAMILY.http_service())?.reals)
}

fn find(api: &Api, at: SocketAddr) -> Result<Option<RealView>> {
    Ok(reals(api)?.into_iter().find(|real| real.endpoint() == at))
}

/// A connection that rs1 has.
fn open_at_rs1(scene: &Scene) -> Result<HttpConnection> {
    for _ in 0..2 {
        let mut open = HttpConnection::open(&scene.topology.client, FAMILY.http())?;
        if open.ask_name()? == "rs1" {
            return Ok(open);
        }
    }
    anyhow::bail!("rs1 has got none of two connections")
}

fn gone(api: &Api, at: SocketAddr) -> Result<()> {
    wait::until("the real server to be removed", PATIENCE, || {
        ensure!(find(api, at)?.is_none());
        Ok(())
    })
}

#[test]
fn connections_stay_until_the_deadline_and_new_ones_go_elsewhere() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = start()?;
    let (api, at) = (scene.director.api(), rs1(&scene));
    let mut open = open_at_rs1(&scene)?;
    api.change_real(FAMILY.http_service(), at, RealPatch::drain(600))?;
    let draining = find(api, at)?.and_then(|real| real.draining);
    let draining = draining.context("not draining")?;
    assert_eq!(draining.until - draining.since, 600);
    assert!(draining.connections >= 1);
    let names = tally(fetch_names(&scene.topology.client, FAMILY.http(), 6)?);
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        [("rs2".to_owned(), 6)]
    );
    assert_eq!(open.ask_name()?, "rs1");

    // So soon only when all that is seen.
    api.change_real(FAMILY.http_service(), at, RealPatch::drain(1))?;
    gone(api, at)?;
    wait::until("its connections to be cleared", PATIENCE, || {
        let left = api.connections(FAMILY.http_service())?;
        ensure!(left.iter().all(|connection| connection.real != at));
        Ok(())
    })?;
    assert!(
        open.ask_name().is_err(),
        "the connection outlives its server"
    );
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn it_goes_at_once_when_it_has_no_connections() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = start()?;
    let (api, at) = (scene.director.api(), rs1(&scene));
    let real = at.to_string();
    let vip = FAMILY.http().to_string();
    let drain = || -> Result<_> {
        let said = std::process::Command::new(binary("bulwark")?)
            .arg("--api")
            .arg(format!("unix:{}", scene.director.socket().display()))
            .args(["drain", "-t", &vip, "-r", &real, "--deadline", "10m"])
            .output()?;
        let (out, err) = (
            String::from_utf8(said.stdout)?,
            String::from_utf8(said.stderr)?,
        );
        Ok((said.status.code(), out, err))
    };
    let (status, out, err) = drain()?;
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(out, format!("{real} is removed\n"));
    assert!(
        err.starts_with(&format!("{real}: 0 connections left")),
        "{err}"
    );
    assert!(find(api, at)?.is_none());

    let (status, _, err) = drain()?;
    assert_eq!(status, Some(255), "{err}");
    let told = format!("the service tcp:{vip} has no real server {real}; ");
    assert!(err.contains(&told), "{err}");
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn to_add_it_again_ends_the_drain() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = start()?;
    let (api, at) = (scene.director.api(), rs1(&scene));
    let mut open = open_at_rs1(&scene)?;
    api.change_real(FAMILY.http_service(), at, RealPatch::drain(600))?;
    let listed = services(&scene.topology, Scheduler::Rr, &[1, 1])
        .into_iter()
        .find(|service| service.id == FAMILY.http_service());
    let listed = listed.context("no service")?;
    let real = listed
        .reals
        .iter()
        .find(|real| real.endpoint(Some(80)) == at);
    api.add_real(FAMILY.http_service(), real.context("no real")?)?;
    let back = find(api, at)?.context("gone")?;
    assert_eq!((back.weight, back.draining), (1, None));
    assert_eq!(open.ask_name()?, "rs1");
    let names = tally(fetch_names(&scene.topology.client, FAMILY.http(), 4)?);
    assert!(names.values().all(|&count| count == 2), "{names:?}");
    assert_accounts(&scene.director);
    Ok(())
}

/// With `drain` in the file a reload takes its time with what it takes away, and a further one
/// does not hurry it.
#[test]
fn a_reload_drains_what_it_takes_away() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut scene = start()?;
    let at = rs1(&scene);
    let mut open = open_at_rs1(&scene)?;
    let without_rs1 = |service: Service| Service {
        reals: (service.reals.into_iter())
            .filter(|real| real.address != at.ip())
            .collect(),
        ..service
    };
    let configuration = Configuration::new(scene.topology.interfaces())
        .datapath("drain", "10m")
        .services(
            services(&scene.topology, Scheduler::Rr, &[1, 1])
                .into_iter()
                .map(without_rs1),
        );
    let text = configuration.text(&scene.director.socket())?;
    scene.director.reload(&text)?;
    let begun = wait::until("the drain", PATIENCE, || {
        let real = find(scene.director.api(), at)?.context("removed")?;
        real.draining.context("not draining")
    })?;
    scene.director.reload(
        &configuration
            .clone()
            .timeout("tcp", 800)
            .text(&scene.director.socket())?,
    )?;
    wait::until("the second reload", PATIENCE, || {
        ensure!(
            scene
                .director
                .api()
                .call(async |client| client.timeouts().await)?
                .tcp
                == 800
        );
        Ok(())
    })?;
    let still = find(scene.director.api(), at)?.and_then(|real| real.draining);
    assert_eq!(still.map(|draining| draining.until), Some(begun.until));
    assert_eq!(open.ask_name()?, "rs1");
    drop(open);
    assert_accounts(&scene.director);
    Ok(())
}
