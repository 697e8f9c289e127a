//! What is used up of a limit stays so, as long as it is the same one.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use adminapi::model::ForwardingMethod;
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::Configuration;
use testbed::mmdb::Mmdb;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::Family;
use testbed::syns;
use testbed::topology::HOST_SIDE;
use testbed::wait;

use crate::bed::{Bench, PATIENCE, STRANGER};
use crate::upgrade::misdate;

const HTTP: Family = Family::V4;

/// SYNs that a source may send at once; one comes back in a second.
const BURST: u16 = 300;

/// SYNs at once.
const ROUND: u16 = 100;

fn table<const KEYS: usize>(keys: [(&str, toml::Value); KEYS]) -> toml::Table {
    let named = |(key, value): (&str, toml::Value)| (key.to_owned(), value);
    keys.into_iter().map(named).collect()
}

/// This limit.
fn limit_of(of: &str, burst: u16) -> toml::Table {
    table([
        ("name", "stranger".into()),
        ("of", of.into()),
        ("per", "source".into()),
        ("rate", 1.into()),
        ("burst", i64::from(burst).into()),
    ])
}

/// With this limit.
fn limited(configuration: Configuration, of: &str, burst: u16) -> Configuration {
    configuration.filter("limit", vec![toml::Value::Table(limit_of(of, burst))])
}

/// With the limit for the second one of these regions, where the client is.
fn limited_in(configuration: Configuration, file: &Path, regions: [&str; 2]) -> Configuration {
    let tables = regions.into_iter().zip(["BR", "DE"]);
    let tables = tables.map(|(name, country)| -> toml::Value {
        let countries = vec![country];
        table([("name", name.into()), ("countries", countries.into())]).into()
    });
    let mut limit = limit_of("syns", BURST);
    limit.insert("region".to_owned(), regions[1].into());
    configuration
        .filter("country_file", file.display().to_string())
        .filter("region", tables.collect::<Vec<_>>())
        .filter("limit", vec![toml::Value::Table(limit)])
        .without_cookies()
}

/// A stranger, who sends SYNs from one port after the other.
struct Stranger {
    ports: Range<u16>,
}

impl Stranger {
    fn send(&mut self, bench: &Bench) -> Result<()> {
        let ports: Vec<_> = self.ports.by_ref().take(ROUND.into()).collect();
        let (Some(first), Some(last)) = (ports.first(), ports.last()) else {
            anyhow::bail!("there are no more ports");
        };
        let client = &bench.topology.client;
        syns::send(client, STRANGER.parse()?, HTTP.http(), *first..last + 1)
    }

    /// Uses up what he may send; since when nothing is left.
    fn use_up(&mut self, bench: &Bench) -> Result<Instant> {
        let before = dropped(bench)?;
        wait::until("nothing to be left", PATIENCE, || {
            let since = Instant::now();
            self.send(bench)?;
            ensure!(dropped(bench)? > before, "there is something left");
            Ok(since)
        })
    }
}

fn dropped(bench: &Bench) -> Result<u64> {
    bench.director.api().dropped("source_limit")
}

fn opened(bench: &Bench) -> Result<u64> {
    let service = bench.director.api().service(HTTP.http_service())?;
    Ok(service.stats.connections)
}

/// All that he sends at once is let in.
fn assert_full(bench: &Bench, stranger: &mut Stranger) -> Result<()> {
    let before = (opened(bench)?, dropped(bench)?);
    stranger.send(bench)?;
    wait::until("them to be let in", PATIENCE, || {
        let now = (opened(bench)?, dropped(bench)?);
        ensure!(
            now == (before.0 + u64::from(ROUND), before.1),
            "{now:?}, {before:?} before"
        );
        Ok(())
    })
}

/// Who answers for the stranger, so that nothing waits for it at the end.
fn answer_for_stranger(bench: &Bench) -> Result<Stranger> {
    let address = format!("addr add {STRANGER}/24 dev {HOST_SIDE}\n");
    bench.topology.client.ip(&address)?;
    Ok(Stranger {
        ports: 20_000..60_000,
    })
}

/// Of what he sends next no more is let in than has come back since nothing was left.
fn assert_used_up(bench: &Bench, stranger: &mut Stranger, since: Instant) -> Result<()> {
    let before = dropped(bench)?;
    stranger.send(bench)?;
    wait::until("the limit to hold", PATIENCE, || {
        let come_back = since.elapsed().as_secs() + 1;
        let now = dropped(bench)? - before;
        ensure!(now + come_back >= ROUND.into(), "{now} dropped");
        Ok(())
    })
}

#[test]
fn who_has_used_up_a_limit_gets_no_other_burst_from_the_next_director() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let shape = |configuration| limited(configuration, "syns", BURST).without_cookies();
    let mut bench = Bench::start_shaped(ForwardingMethod::Nat, shape)?;
    let mut stranger = answer_for_stranger(&bench)?;
    for signal in [Signal::Kill, Signal::Term] {
        let since = stranger.use_up(&bench)?;
        bench.restart(signal)?;
        assert_used_up(&bench, &mut stranger, since)?;
    }

    stranger.use_up(&bench)?;
    bench.configuration = limited(bench.configuration.clone(), "syns", BURST + 1);
    bench.restart(Signal::Kill)?;
    assert_full(&bench, &mut stranger)?;

    stranger.use_up(&bench)?;
    bench.director.end_by(Signal::Kill)?;
    misdate(&bench.haven.pin(), "record")?;
    bench.start_next()?;
    assert_full(&bench, &mut stranger)?;
    assert_accounts(&bench.director);
    Ok(())
}

/// What the workers hold is written down each second, and at the end.
#[test]
fn nor_of_connections_in_a_second() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let shape = |configuration| limited(configuration, "connections", BURST).without_cookies();
    let mut bench = Bench::start_shaped(ForwardingMethod::Nat, shape)?;
    let mut stranger = answer_for_stranger(&bench)?;
    for signal in [Signal::Kill, Signal::Term] {
        let since = stranger.use_up(&bench)?;
        if signal == Signal::Kill {
            await_written(&bench)?;
        }
        bench.restart(signal)?;
        assert_used_up(&bench, &mut stranger, since)?;
    }
    stranger.use_up(&bench)?;
    bench.configuration = limited(bench.configuration.clone(), "connections", BURST + 1);
    bench.restart(Signal::Kill)?;
    assert_full(&bench, &mut stranger)?;
    assert_accounts(&bench.director);
    Ok(())
}

/// Waits until all that has been dropped is written down for the next director, and so what is used up.
fn await_written(bench: &Bench) -> Result<()> {
    let dropped = dropped(bench)?;
    wait::until("the counters to be written", PATIENCE, || {
        let text = fs::read(bench.haven.kept("tally")?)?;
        let tally: serde_json::Value = serde_json::from_slice(&text)?;
        let workers = tally["workers"].as_array().into_iter().flatten();
        let drops = workers.filter_map(|worker| worker["drops"]["source_limit"].as_u64());
        let written: u64 = drops.sum();
        ensure!(written >= dropped, "{written} of {dropped}");
        Ok(())
    })
}

/// A director with a limit for the region `near`, after `far`, whom the stranger has used that up; since
/// when.
fn used_up_near(file: &Path) -> Result<(Bench, Stranger, Instant)> {
    let countries = Mmdb::new("Test-Country");
    let countries = countries.country("10.0.1.0/24".parse()?, "DE", "EU");
    let countries = countries.country("198.51.100.0/24".parse()?, "BR", "SA");
    countries.write(file)?;
    let bench = Bench::start_shaped(ForwardingMethod::Nat, |configuration| {
        limited_in(configuration, file, ["far", "near"])
    })?;
    let mut stranger = answer_for_stranger(&bench)?;
    let since = stranger.use_up(&bench)?;
    bench.wait_kept("\"regions\":{\"far\":0,\"near\":1}")?;
    Ok((bench, stranger, since))
}

/// The gate knows regions by numbers. The next one would be given another when one before it has gone.
#[test]
fn the_limit_of_a_region_is_the_same_when_others_have_gone() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("country.mmdb");
    let (mut bench, mut stranger, since) = used_up_near(&file)?;
    let api = bench.director.api();
    let mut rules = api.call(async |api| api.filter().await)?.rules;
    rules.regions.retain(|region| region.name == "near");
    api.put_filter(&rules)?;
    bench.restart(Signal::Kill)?;
    assert_used_up(&bench, &mut stranger, since)?;
    assert_accounts(&bench.director);
    Ok(())
}

/// Nor is it taken for that of one that comes in its place.
#[test]
fn the_limit_of_another_region_begins_with_full_buckets() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("country.mmdb");
    let (mut bench, mut stranger, _) = used_up_near(&file)?;
    bench.configuration = limited_in(bench.configuration.clone(), &file, ["far", "here"]);
    bench.restart(Signal::Kill)?;
    assert_full(&bench, &mut stranger)?;
    assert_accounts(&bench.director);
    Ok(())
}
