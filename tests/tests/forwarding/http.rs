//! HTTP through the director: names, a large download, many connections at once.

use adminapi::model::{Scheduler, Traffic};
use anyhow::Result;
use testbed::accounts::assert_accounts;
use testbed::scene::{Family, Scene};
use testbed::servers::{Served, big_file};
use testbed::topology::Plan;
use testbed::traffic::{HttpConnection, Tally, download_sha256, fetch_names, file_sha256, tally};
use testbed::{floor, require};

fn names(tally: &[(&str, u64)]) -> Tally {
    tally
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

#[test]
fn round_robin_serves_each_real_alike_on_both_families() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    for family in Family::BOTH {
        let answers = tally(fetch_names(&scene.topology.client, family.http(), 30)?);
        assert_eq!(answers, names(&[("rs1", 10), ("rs2", 10), ("rs3", 10)]));
        let view = scene.director.api().service(family.http_service())?;
        assert_eq!(view.stats.connections, 30);
        assert!(
            view.reals.iter().all(|real| real.stats.connections == 10),
            "{view:?}"
        );
        // The last segments may still be under way, and are counted one after the other.
        let patience = std::time::Duration::from_secs(30);
        testbed::wait::until("the sums to agree", patience, || {
            let view = scene.director.api().service(family.http_service())?;
            let reals = |count: fn(&Traffic) -> u64| -> u64 {
                view.reals.iter().map(|real| count(&real.stats)).sum()
            };
            anyhow::ensure!(view.stats.in_packets == reals(|stats| stats.in_packets));
            anyhow::ensure!(view.stats.out_bytes == reals(|stats| stats.out_bytes));
            Ok(())
        })?;
    }
    let served = scene
        .web
        .iter()
        .map(|web| web.served())
        .collect::<Result<Vec<_>>>()?;
    assert_eq!(
        served,
        [Served {
            connections: 20,
            requests: 20
        }; 3]
    );
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn weighted_round_robin_follows_the_weights() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start_with(Plan::default(), Scheduler::Wrr, &[3, 1, 0])?;
    let answers = tally(fetch_names(&scene.topology.client, Family::V4.http(), 40)?);
    assert_eq!(answers, names(&[("rs1", 30), ("rs2", 10)]));
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn least_connections_avoids_the_busy_real() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start_with(Plan::default(), Scheduler::Lc, &[1, 1, 1])?;
    let client = &scene.topology.client;
    let mut open = Vec::new();
    for _ in 0..9 {
        let mut connection = HttpConnection::open(client, Family::V4.http())?;
        let name = connection.ask_name()?;
        open.push((name, connection));
    }
    let answers = tally(open.iter().map(|(name, _)| name.clone()));
    assert_eq!(answers, names(&[("rs1", 3), ("rs2", 3), ("rs3", 3)]));
    open.clear();
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn a_hundred_megabytes_arrive_unchanged_on_both_families() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let expected = file_sha256(&big_file()?)?;
    for family in Family::BOTH {
        let client = &scene.topology.client;
        assert_eq!(download_sha256(client, family.http(), "/big")?, expected);
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn a_thousand_connections_are_open_at_once() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    floor::raise_open_files()?;
    let scene = Scene::start()?;
    let server = Family::V4.http();
    let answers = scene.topology.client.enter(|| {
        let mut open = (0..1000)
            .map(|_| HttpConnection::open_here(server))
            .collect::<Result<Vec<_>>>()?;
        let first = open
            .iter_mut()
            .map(HttpConnection::ask_name)
            .collect::<Result<Vec<_>>>()?;
        let second = open
            .iter_mut()
            .map(HttpConnection::ask_name)
            .collect::<Result<Vec<_>>>()?;
        assert_eq!(first, second, "a connection changed its real server");
        Ok(tally(first))
    })?;
    assert_eq!(answers.values().sum::<u64>(), 1000);
    assert!(
        answers.values().all(|&count| count == 333 || count == 334),
        "{answers:?}"
    );
    assert_accounts(&scene.director);
    Ok(())
}
