//! A tmpfs that is small.

use std::fs;
use std::os::unix::fs::MetadataExt;

use adminapi::model::Scheduler;
use anyhow::{Context, Result, ensure};
use testbed::director::{Configuration, Director, run_to_end};
use testbed::haven::Haven;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::{Family, services};
use testbed::syns;
use testbed::topology::{Plan, Topology};
use testbed::wait;

use crate::bed::{PATIENCE, STRANGER};

/// With services that have no cookies, and tables of a few MiB.
fn small(topology: &Topology, haven: &Haven) -> Configuration {
    let bare = Configuration::new(topology.interfaces())
        .limit("connections", 20_000)
        .limit("half_open", 20_000)
        .limit("templates", 1000);
    services(topology, Scheduler::Rr, &[1, 1, 1])
        .into_iter()
        .fold(haven.shelter(bare), Configuration::service)
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
