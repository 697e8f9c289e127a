//! A list that is long.

use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use adminapi::model::FilterList;
use anyhow::{Result, ensure};
use testbed::director::{Configuration, Director};
use testbed::require;
use testbed::topology::Topology;
use testbed::wait;

/// Networks of a long list, and how many of them a reload takes off.
const LONG: u32 = 200_000;
const TAKEN_OFF: u32 = 2_000;

/// It takes a second or two, and took ten times as long as this when each network that went had all
/// others looked at.
const RELOAD: Duration = Duration::from_secs(10);

/// A network a line.
fn lines(networks: std::ops::Range<u32>) -> String {
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
    let text = fs::read_to_string(director.file())?;
    fs::write(&file, lines(TAKEN_OFF..LONG))?;
    let begin = Instant::now();
    director.reload(&text)?;
    wait::until_true("the reload", 6 * RELOAD, || {
        director.log().contains("configuration reloaded")
    })?;
    let took = begin.elapsed();
    ensure!(took < RELOAD, "a reload took {took:?}");
    let filter = director.api().call(async |client| client.filter().await)?;
    assert_eq!(
        filter.listed[&FilterList::Deny],
        u64::from(LONG - TAKEN_OFF)
    );
    Ok(())
}
