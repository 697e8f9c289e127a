//! A tmpfs that is small, and one that is full for a while.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use adminapi::model::{Protocol, Scheduler};
use anyhow::{Context, Result, ensure};
use testbed::director::{Configuration, Director, run_to_end, service};
use testbed::haven::Haven;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::{Family, services};
use testbed::servers::Nginx;
use testbed::syns;
use testbed::topology::{Plan, Topology, VIP_V4};
use testbed::traffic::HttpConnection;
use testbed::wait;

use crate::bed::{PATIENCE, STRANGER};

/// With services that have no cookies, and tables of a few MiB.
fn small(topology: &Topology, haven: &Haven) -> Configuration {
    let bare = Configuration::new(topology.interfaces())
        .limit("connections", 20_000)
        .limit("half_open", 20_000)
        .limit("templates", 1000);
    haven
        .shelter(bare)
        .services(services(topology, Scheduler::Rr, &[1, 1, 1]))
        .without_cookies()
}

/// Full tables fit. What a killed director has left is not in the way of the next one, which removes
/// it.
#[test]
fn where_full_tables_fit_once_a_director_that_was_killed_is_followed() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let topology = Topology::build(Plan::default())?;
    let haven = Haven::new()?;
    let configuration = small(&topology, &haven);
    let namespace = &topology.director;
    haven.resize(1 << 20)?;
    let text = configuration.text(&haven.state().join("other.sock"))?;
    let (_, said) = run_to_end(namespace, &[], &text)?;
    let needed = said.split("may need ").nth(1).context(said.clone())?;
    let needed: u64 = needed.split(' ').next().unwrap_or_default().parse()?;

    haven.resize((needed << 20) + (64 << 10))?;
    let mut director = Director::start(namespace, &configuration)?;
    wait::until("more than a MiB to be used", PATIENCE, || {
        let ports = 30_000..45_000;
        syns::send(
            &topology.client,
            STRANGER.parse()?,
            Family::V4.http(),
            ports,
        )?;
        let used = fs::metadata(haven.kept("connections")?)?.blocks() * 512;
        ensure!(used > (1 << 20) + (64 << 10), "{used}");
        Ok(())
    })?;
    director.end_by(Signal::Kill)?;
    let next = Director::start(namespace, &configuration)?;
    let log = next.log();
    ensure!(log.contains("as much again while"), "{log}");
    Ok(())
}

#[test]
fn what_could_not_be_written_is_written_when_there_is_room() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let topology = Topology::build(Plan::default())?;
    let haven = Haven::new()?;
    haven.resize(32 << 20)?;
    let director = Director::start(&topology.director, &small(&topology, &haven))?;
    let filler = fill(&haven)?;
    let vip = (VIP_V4, 8000).into();
    let added = service(Protocol::Tcp, vip, Scheduler::Rr, []);
    director.api().add_service(&added)?;
    wait::until("what cannot be written to be told", PATIENCE, || {
        ensure!(director.log().contains("will know less"));
        Ok(())
    })?;
    fs::remove_file(&filler)?;
    wait::until("it to be kept", PATIENCE, || {
        let kept = fs::read_to_string(haven.kept("running")?)?;
        ensure!(kept.contains("8000"), "{kept}");
        Ok(())
    })
}

/// Takes all room there is.
fn fill(haven: &Haven) -> Result<PathBuf> {
    let filler = haven.state().join("filler");
    let mut file = File::create(&filler)?;
    while file.write(&[0; 4096]).is_ok() {}
    Ok(filler)
}

/// Its tables are in that memory, and what cannot be had there is told by a signal otherwise.
#[test]
fn without_room_no_more_connections_come_and_those_there_are_go_on() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let topology = Topology::build(Plan::default())?;
    let servers: Vec<_> = topology
        .reals
        .iter()
        .map(Nginx::start)
        .collect::<Result<_>>()?;
    topology.meet_neighbours()?;
    let haven = Haven::new()?;
    haven.resize(32 << 20)?;
    let director = Director::start(&topology.director, &small(&topology, &haven))?;
    let vip = Family::V4.http();
    let mut open = HttpConnection::open(&topology.client, vip)?;
    open.ask_name()?;
    let filler = fill(&haven)?;
    let stranger = STRANGER.parse()?;
    let mut came = Vec::new();
    wait::until("no more connections to come", PATIENCE, || {
        syns::send(&topology.client, stranger, vip, 30_000..45_000)?;
        came.push(director.api().status()?.connections.half_open);
        let is_full = came.len() > 5 && came.iter().rev().take(5).all(|n| came.last() == Some(n));
        ensure!(is_full && came.last() > Some(&0), "{came:?}");
        Ok(())
    })?;
    open.ask_name()?;
    fs::remove_file(&filler)?;
    let before = director.api().status()?.connections.half_open;
    wait::until("there to be room again", PATIENCE, || {
        syns::send(&topology.client, stranger, vip, 50_000..55_000)?;
        let now = director.api().status()?.connections.half_open;
        ensure!(now > before, "{before} {now}");
        Ok(())
    })?;
    drop(servers);
    Ok(())
}
