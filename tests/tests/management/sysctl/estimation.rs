//! `run_estimation`: whether there are rates.

use anyhow::Result;
use testbed::accounts::assert_accounts;
use testbed::require;
use testbed::traffic::fetch_names;
use testbed::wait;

use crate::sysctl::bed::{Bench, HTTP, PATIENCE};

#[test]
fn run_estimation_0_leaves_the_rates_as_they_are() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&[1])?;
    let api = bench.scene.director.api();
    bench.set("run_estimation", 0)?;
    fetch_names(&bench.scene.topology.client, HTTP.http(), 50)?;
    let end = api.status()?.uptime + 4;
    wait::until_true("two rounds of the estimator", PATIENCE, || {
        api.status().is_ok_and(|status| status.uptime >= end)
    })?;
    let rate = || -> Result<u64> { Ok(api.service(HTTP.http_service())?.rates.in_packets) };
    assert_eq!(rate()?, 0);
    bench.set("run_estimation", 1)?;
    wait::until_true("a rate", PATIENCE, || rate().is_ok_and(|rate| rate > 0))?;
    assert_accounts(&bench.scene.director);
    Ok(())
}
