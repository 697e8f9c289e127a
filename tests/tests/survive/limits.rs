//! What is used up of a limit stays so, as long as it is the same one.

use std::ops::Range;
use std::time::Instant;

use adminapi::model::ForwardingMethod;
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::Configuration;
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

/// With this limit of SYNs.
fn limited(configuration: Configuration, burst: u16) -> Configuration {
    let limit = [
        ("name", "syns".into()),
        ("of", "syns".into()),
        ("per", "source".into()),
        ("rate", 1.into()),
        ("burst", i64::from(burst).into()),
    ];
    let limit = limit.map(|(key, value): (&str, toml::Value)| (key.to_owned(), value));
    let limit: toml::Table = limit.into_iter().collect();
    configuration.filter("limit", vec![toml::Value::Table(limit)])
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
    let drops = bench.director.api().stats()?.drops;
    Ok(drops.get("source_limit").copied().unwrap_or(0))
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

#[test]
fn who_has_used_up_a_limit_gets_no_other_burst_from_the_next_director() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let shape = |configuration| limited(configuration, BURST).without_cookies();
    let mut bench = Bench::start_shaped(ForwardingMethod::Nat, shape)?;
    // Who answers for it, so that nothing waits for it at the end.
    let address = format!("addr add {STRANGER}/24 dev {HOST_SIDE}\n");
    bench.topology.client.ip(&address)?;
    let mut stranger = Stranger {
        ports: 20_000..60_000,
    };
    for signal in [Signal::Kill, Signal::Term] {
        let since = stranger.use_up(&bench)?;
        bench.restart(signal)?;
        let before = dropped(&bench)?;
        stranger.send(&bench)?;
        wait::until("the limit to hold", PATIENCE, || {
            let come_back = since.elapsed().as_secs() + 1;
            let now = dropped(&bench)? - before;
            ensure!(now + come_back >= ROUND.into(), "{now} dropped");
            Ok(())
        })?;
    }

    stranger.use_up(&bench)?;
    bench.configuration = limited(bench.configuration.clone(), BURST + 1);
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
