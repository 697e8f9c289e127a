//! How answers to SYNs leave: the gate's back through the driver, which is the quickest way, where that is
//! known to deliver, and by a redirect elsewhere; where neither gets out, a worker's.

use anyhow::{Context, Result, ensure};
use testbed::accounts::balanced;
use testbed::generator::Pass;
use testbed::require;
use testbed::scene::Family;
use testbed::topology::{CLIENT_SIDE, HOST_SIDE};
use testbed::traffic::fetch_names;
use testbed::wait;

use crate::bed::{Bed, PATIENCE, Shape};
use crate::resets;

const HTTP: Family = Family::V4;

#[test]
fn answers_go_the_quickest_way_that_delivers() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build(Shape::NAT)?;
    bed.await_cookies(HTTP, 3, true)?;
    let client = &bed.topology.client;
    let connect = || fetch_names(client, HTTP.http(), 3);
    connect()?;
    ensure!(sent_back(&bed)? == 0, "nothing runs at the far end");
    let program = Pass::new(client, HOST_SIDE)?;
    wait::until("the way back through the driver", PATIENCE, || {
        connect()?;
        ensure!(sent_back(&bed)? > 0);
        Ok(())
    })?;
    drop(program);
    wait::until("the redirect", PATIENCE, || {
        let before = sent_back(&bed)?;
        connect()?;
        ensure!(sent_back(&bed)? == before);
        Ok(())
    })?;
    balanced(&bed.director)
}

/// Frames that the driver of the director's interface was given back by XDP.
fn sent_back(bed: &Bed) -> Result<u64> {
    let director = &bed.topology.director;
    let counters = director.run("ethtool", &["-S", CLIENT_SIDE])?;
    let of_queues = counters
        .lines()
        .filter_map(|line| line.split_once("_xdp_tx: "));
    let each = of_queues.map(|(_, count)| count.trim().parse::<u64>());
    each.sum::<Result<_, _>>().context(counters)
}

#[test]
fn where_the_gate_cannot_answer_a_worker_does() -> Result<()> {
    workers_answer(Shape::NAT, 3)
}

#[test]
fn where_the_gate_cannot_ask_for_a_reset_a_worker_does() -> Result<()> {
    workers_answer(resets::DR, 0)
}

/// A far end that takes no redirected frames loses what the gate answers; it is found out.
fn workers_answer(shape: Shape, able: u32) -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build(shape)?;
    bed.await_cookies(HTTP, able, true)?;
    let client = &bed.topology.client;
    fetch_names(client, HTTP.http(), 3)?;
    ensure!(challenged(&bed)? == 0, "the gate answers");
    client.run("ethtool", &["-K", HOST_SIDE, "gro", "off"])?;
    wait::until("a worker's answer", PATIENCE, || {
        fetch_names(client, HTTP.http(), 3)?;
        ensure!(challenged(&bed)? > 0);
        Ok(())
    })?;
    client.run("ethtool", &["-K", HOST_SIDE, "gro", "on"])?;
    wait::until("the gate's answers", PATIENCE, || {
        let before = challenged(&bed)?;
        fetch_names(client, HTTP.http(), 3)?;
        ensure!(challenged(&bed)? == before);
        Ok(())
    })?;
    balanced(&bed.director)
}

/// SYNs that workers have answered.
fn challenged(bed: &Bed) -> Result<u64> {
    bed.director.api().dropped("challenged")
}
