//! Certificates between director and agents that expire, and are renewed while both run.

use std::fs;

use anyhow::{Context, Result, ensure};
use testbed::certificates::Authority;
use testbed::director::Director;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::Family;
use testbed::wait;

use crate::bed::{Bed, PATIENCE, Shape};

const HTTP: Family = Family::V4;

/// Years that have begun, and that have not.
const PAST: i32 = 2020;
const FUTURE: i32 = 3000;

/// 2020-01-01.
const END: u64 = 1_577_836_800;

/// How many real servers have an agent that is believed, and believes.
const ALL: u32 = 3;

#[test]
fn the_director_takes_a_new_one_while_it_runs() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bed = Bed::build(Shape::NAT)?;
    bed.await_able(HTTP, ALL)?;
    bed.certify_director(PAST)?;
    await_expiry(&bed, |expires| expires == END)?;
    let said = bed.director.log();
    ensure!(said.contains("director.pem: a certificate in it has expired"));
    // Who is connected has verified the one of before.
    bed.await_able(HTTP, ALL)?;
    bed.agents[0].end_by(Signal::Kill)?;
    bed.agents[0] = bed.agent(0)?;
    bed.await_able(HTTP, ALL - 1)?;
    await_word(|| bed.agents[0].log(), "certificate expired")?;

    bed.certify_director(FUTURE)?;
    await_expiry(&bed, |expires| expires > END)?;
    bed.await_able(HTTP, ALL)
}

#[test]
fn who_is_connected_goes_when_his_authority_is_another_one() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build(Shape::NAT)?;
    bed.await_able(HTTP, ALL)?;
    let trusted = bed.certify_director(FUTURE)?.authority;
    let before = fs::read(&trusted)?;
    fs::copy(Authority::new()?.file(), &trusted)?;
    await_word(|| bed.director.log(), "its certificate is good no more")?;
    bed.await_able(HTTP, 0)?;
    fs::write(&trusted, before)?;
    bed.await_able(HTTP, ALL)
}

#[test]
fn an_agent_takes_a_new_one_while_it_runs() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bed = Bed::build(Shape::NAT)?;
    bed.await_able(HTTP, ALL)?;
    bed.certify_agent(PAST, 0)?;
    await_word(
        || bed.agents[0].log(),
        "rs1.pem: a certificate in it has expired",
    )?;
    bed.director.end_by(Signal::Term)?;
    bed.director = Director::start(&bed.topology.director, &bed.configuration)?;
    bed.await_able(HTTP, ALL - 1)?;

    bed.certify_agent(FUTURE, 0)?;
    bed.await_able(HTTP, ALL)
}

fn await_expiry(bed: &Bed, is_right: impl Fn(u64) -> bool) -> Result<()> {
    wait::until("the certificate", PATIENCE, || {
        let status = bed.director.api().status()?;
        let shown = status.certificates.first().context("none")?;
        ensure!(
            shown.listener == "agents" && is_right(shown.expires),
            "{shown:?}"
        );
        Ok(())
    })
}

fn await_word(log: impl Fn() -> String, word: &str) -> Result<()> {
    wait::until("a word in the log", PATIENCE, || {
        let log = log();
        ensure!(log.contains(word), "{log}");
        Ok(())
    })
}
