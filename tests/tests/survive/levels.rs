//! What an attack has made of the defence goes on, and ends by itself.

use std::fs;

use adminapi::model::{Defense, ForwardingMethod, ServiceId};
use anyhow::{Context, Result, ensure};
use director::keep::Tally;
use testbed::accounts::assert_accounts;
use testbed::director::Configuration;
use testbed::generator::{Flows, Generator};
use testbed::process::Signal;
use testbed::require;
use testbed::scene::Family;
use testbed::wait;

use crate::bed::{Bench, PATIENCE};

const HTTP: Family = Family::V4;

/// Places for half-open connections, and SYNs that fill them more than once.
const POOL: i64 = 2000;
const FLOOD: u32 = 6000;

/// Seconds without an attack before a level ends: longer than this test.
const DWELL: u32 = 600;

/// Ticks without an attack when the first director is killed.
const CALM: u32 = 20;

/// How often a level is set while others write, too.
const TIMES: u8 = 250;

const KEPT: &str = "as it was before the restart";

fn shaped(configuration: Configuration) -> Configuration {
    configuration
        .limit("half_open", POOL)
        .defense("dwell", i64::from(DWELL))
        .defense("syn_recv", 1)
        .defense("syn_ack", 2)
        .without_cookies()
}

/// Floods until the level of the whole director is 1 by itself.
fn attack(bench: &Bench) -> Result<Defense> {
    let client = &bench.topology.client;
    let route = "route add 172.16.0.0/12 via 10.0.1.1\n";
    bench.topology.director.ip(route)?;
    let generator = Generator::new(client, &Flows::spoofed_syns(HTTP.http()))?;
    let flood = || generator.send(client, FLOOD);
    wait::until_repeated("level 1", PATIENCE, flood, || {
        let defense = bench.director.api().defense(None)?;
        ensure!(defense.level == 1, "{defense:?}");
        Ok(defense)
    })
}

/// For how many ticks nothing has called for the level of the whole director, as it is kept.
fn calm_kept(bench: &Bench) -> Result<u32> {
    let kept = fs::read_to_string(bench.haven.kept("tally")?)?;
    let tally: Tally = serde_json::from_str(&kept)?;
    let mut levels = tally.levels.iter();
    let all = levels.find(|level| level.service.is_none());
    all.map(|level| level.calm).context("no level is kept")
}

/// Seconds until the level is 0, if nothing comes.
fn left(defense: &Defense) -> Result<u32> {
    let seconds = defense.next.strip_prefix("0 in ");
    let seconds = seconds.and_then(|rest| rest.strip_suffix(" s"));
    Ok(seconds.context(defense.next.clone())?.parse()?)
}

/// Whether the level goes on that the attack has raised, and waits no longer for its end than it has to
/// when it was calm for so many ticks.
fn assert_goes_on(bench: &Bench, before: &Defense, calm: u32) -> Result<()> {
    let now = bench.director.api().defense(None)?;
    assert_eq!((now.level, now.automatic, &*now.reason), (1, true, KEPT));
    assert!(now.since.abs_diff(before.since) <= 1, "{now:?}");
    assert!(left(&now)? <= DWELL - calm / 10, "{now:?}");
    Ok(())
}

fn restart_at(bench: &mut Bench, level: u8) -> Result<Defense> {
    bench.director.api().set_level(None, level)?;
    bench.restart(Signal::Kill)?;
    bench.director.api().defense(None)
}

#[test]
fn a_level_that_came_by_itself_goes_on_and_goes_by_itself() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let persist = folder.path().join("state.json");
    let mut bench = Bench::start_shaped(ForwardingMethod::Nat, |configuration| {
        shaped(configuration.api("persist", persist.display().to_string()))
    })?;
    let before = attack(&bench)?;
    let calm = wait::until("calm", PATIENCE, || {
        let calm = calm_kept(&bench)?;
        ensure!(calm >= CALM, "{calm} ticks");
        Ok(calm)
    })?;
    // As long as the API has changed nothing what was in force is, and then what it has left.
    bench.restart(Signal::Kill)?;
    ensure!(!persist.exists(), "the API has changed something");
    assert_goes_on(&bench, &before, calm)?;
    bench.director.api().set_sysctl("conn_reuse_mode", 0)?;
    for signal in [Signal::Kill, Signal::Term] {
        bench.restart(signal)?;
        assert_goes_on(&bench, &before, calm)?;
    }

    bench.configuration = bench.configuration.clone().defense("dwell", 1);
    bench.restart(Signal::Kill)?;
    wait::until("level 0", PATIENCE, || {
        let now = bench.director.api().defense(None)?;
        ensure!(now.level == 0, "{now:?}");
        Ok(())
    })?;
    for (level, automatic) in [(2, false), (0, true)] {
        let now = restart_at(&mut bench, level)?;
        assert_eq!((now.level, now.automatic), (level, automatic));
    }
    assert_accounts(&bench.director);
    Ok(())
}

/// The levels that are kept of the whole director and of a service.
fn levels_kept(bench: &Bench, scopes: [Option<ServiceId>; 2]) -> Result<[u8; 2]> {
    let running = bench.running_kept()?;
    let level = |scope| {
        let mut levels = running.levels.iter();
        let held = levels.find(|held| held.service == scope);
        held.map_or(0, |held| held.level)
    };
    Ok(scopes.map(level))
}

/// However soon after that the director is killed, which writes down ten times a second what is in force.
#[test]
fn a_level_that_was_set_goes_on_from_the_answer_on() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start_shaped(ForwardingMethod::Nat, shaped)?;
    let scopes = [None, Some(HTTP.http_service())];
    let set = |bench: &Bench, level| {
        let mut scopes = scopes.into_iter();
        scopes.try_for_each(|scope| bench.director.api().set_level(scope, level).map(drop))
    };
    for number in 0..TIMES {
        let level = number % 2;
        set(&bench, level)?;
        assert_eq!(levels_kept(&bench, scopes)?, [level; 2], "{number}");
        bench.director.api().defense(None)?;
        let kept = levels_kept(&bench, scopes)?;
        assert_eq!(kept, [level; 2], "{number}, a moment later");
    }
    for level in [1, 0, 2, 0] {
        set(&bench, level)?;
        bench.restart(Signal::Kill)?;
        for scope in scopes {
            let now = bench.director.api().defense(scope)?;
            assert_eq!((now.level, now.automatic), (level, level < 2), "{scope:?}");
        }
    }
    assert_accounts(&bench.director);
    Ok(())
}
