//! A list that is long.

use std::fs;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use adminapi::model::FilterList;
use anyhow::{Result, ensure};
use testbed::director::{Configuration, Director};
use testbed::process::processor_time;
use testbed::require;
use testbed::topology::Topology;
use testbed::wait;

/// Networks of a long list, and how many of them a reload takes off.
const LONG: u32 = 200_000;
const TAKEN_OFF: u32 = 2_000;

/// How much more it may take to take them off than to put them on: it took forty times as much when each
/// network that went had all others looked at.
const MORE: u64 = 5;

const PATIENCE: Duration = Duration::from_secs(300);

/// A network a line.
fn lines(networks: Range<u32>) -> String {
    let first = u32::from(Ipv4Addr::new(11, 0, 0, 0));
    let lines = networks.map(|number| format!("{}\n", Ipv4Addr::from(first + number)));
    lines.collect()
}

#[test]
fn a_reload_takes_many_networks_off_a_long_list_at_once() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let topology = Topology::with_one_real()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("deny.list");
    fs::write(&file, lines(0..LONG))?;
    let configuration = Configuration::new(topology.interfaces())
        .filter("deny_file", file.to_string_lossy().into_owned());
    let mut director = Director::start(&topology.director, &configuration)?;
    let taken_off = reload(&mut director, &file, TAKEN_OFF..LONG)?;
    let put_on = reload(&mut director, &file, 0..LONG)?;
    ensure!(
        taken_off <= MORE * put_on,
        "{taken_off}, {put_on} to put them on"
    );
    Ok(())
}

/// What processors do until the director has read the list again.
fn reload(director: &mut Director, list: &Path, networks: Range<u32>) -> Result<u64> {
    let text = fs::read_to_string(director.file())?;
    let listed = u64::from(networks.end - networks.start);
    fs::write(list, lines(networks))?;
    let before = processor_time(director.process().id())?;
    director.reload(&text)?;
    wait::until("the reload", PATIENCE, || {
        let filter = director.api().call(async |client| client.filter().await)?;
        ensure!(
            filter.listed[&FilterList::Deny] == listed,
            "{:?}",
            filter.listed
        );
        Ok(())
    })?;
    Ok(processor_time(director.process().id())? - before)
}
