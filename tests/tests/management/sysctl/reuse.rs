//! `conn_reuse_mode`: a port that comes again.

use adminapi::model::{ForwardingMethod, Scheduler, ServicePatch};
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, Director, by};
use testbed::packet::{Mac, Segment, ethernet, tcp};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::services;
use testbed::topology::{HOST_SIDE, Plan, Topology};
use testbed::wait;

use crate::sysctl::bed::{ACK, Bench, FIN, HTTP, PATIENCE, RST, SYN, connection, nobody};

/// A port that comes again after a RST: whether it stays with its real server.
#[test]
fn conn_reuse_mode_says_where_a_port_goes_that_comes_again() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&[1, 1])?;
    for (port, mode, drained, stays) in [
        (1000, 1, false, false),
        (1001, 2, false, false),
        (1002, 0, false, true),
        (1003, 0, true, false),
    ] {
        bench.set("conn_reuse_mode", mode)?;
        let client = nobody(port);
        let theirs = bench.open(client, 1000)?;
        let before = bench.reaches(client, "ESTABLISHED")?.real;
        let told = bench.foresees(client, SYN)?;
        assert_eq!(told.as_deref(), Some("ESTABLISHED"));
        let told = bench.foresees(client, RST | ACK)?;
        assert_eq!(told.as_deref(), Some("CLOSE"));
        bench.segment(client, RST | ACK, 1001, theirs)?;
        bench.reaches(client, "CLOSE")?;
        if drained {
            bench.set_weight(HTTP.http_service(), before, 0)?;
        }
        let told = bench.explain(client)?;
        bench.open(client, 900_000)?;
        let after = bench.reaches(client, "ESTABLISHED")?.real;
        assert_eq!(before == after, stays, "port {port}, mode {mode}");
        assert_eq!(told.real, Some(after), "{told:?}");
        assert_eq!(told.connection.is_some(), stays, "{told:?}");
        assert_eq!(told.scheduler.is_some(), !stays, "{told:?}");
        let left = told.left_behind.map(|left| (left.state, left.real));
        assert_eq!(left, (!stays).then(|| ("CLOSE".to_owned(), before)));
        assert_eq!(bench.explain(client)?.left_behind, None);
        let count = bench
            .scene
            .director
            .api()
            .connections(HTTP.http_service())?;
        assert_eq!(count.iter().filter(|c| c.client == client).count(), 1);
    }
    assert_accounts(&bench.scene.director);
    Ok(())
}

/// The connection before is no burden any more when the next one is scheduled, nor is it in what is
/// explained.
#[test]
fn a_port_that_comes_again_is_no_burden_to_where_it_was() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&[1, 1])?;
    let wlc = ServicePatch {
        scheduler: Some(Scheduler::Wlc),
        ..ServicePatch::default()
    };
    let api = bench.scene.director.api();
    api.call(async |client| client.change_service(HTTP.http_service(), wlc).await)?;
    let client = nobody(1000);
    let theirs = bench.open(client, 1000)?;
    let before = bench.reaches(client, "ESTABLISHED")?.real;
    bench.segment(client, RST | ACK, 1001, theirs)?;
    bench.reaches(client, "CLOSE")?;
    let told = bench.explain(client)?;
    bench.open(client, 900_000)?;
    let after = bench.reaches(client, "ESTABLISHED")?.real;
    assert_eq!(after, before, "nobody else has come");
    assert_eq!(told.real, Some(after), "{told:?}");
    Ok(())
}

/// By direct routing FIN_WAIT is the last state that is seen.
#[test]
fn conn_reuse_mode_2_gives_a_port_in_fin_wait_away_by_direct_routing() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let topology = Topology::build(Plan::default())?;
    topology.bypass_director()?;
    let configuration = Configuration::new(topology.interfaces()).services(
        services(&topology, Scheduler::Rr, &[1, 1, 1])
            .into_iter()
            .map(|service| by(service, ForwardingMethod::Dr, None)),
    );
    topology.meet_neighbours()?;
    let director = Director::start(&topology.director, &configuration)?;
    let tap = Tap::open(&topology.client, HOST_SIDE)?;
    for (port, mode, stays) in [(2000, 1, true), (2001, 2, false), (2002, 3, false)] {
        director.api().set_sysctl("conn_reuse_mode", mode)?;
        let client = nobody(port);
        let send = |flags, sequence, acknowledgement| {
            let segment = Segment {
                sequence,
                acknowledgement,
                flags,
                payload: b"",
            };
            let packet = tcp(client, HTTP.http(), segment);
            tap.send(&ethernet(
                Mac::of_host(1, 1),
                Mac::of_host(1, 0xfe),
                &packet,
            ))
        };
        let is_in = |state: &str| {
            wait::until(state, PATIENCE, || {
                let now = connection(&director, HTTP.http_service(), client)?;
                ensure!(now.state == state, "{now:?}");
                Ok(now.real)
            })
        };
        send(SYN, 1000, 0)?;
        send(ACK, 1001, 1)?;
        send(FIN | ACK, 1001, 1)?;
        let before = is_in("FIN_WAIT")?;
        send(SYN, 900_000, 0)?;
        send(ACK, 900_001, 1)?;
        assert_eq!(is_in("ESTABLISHED")? == before, stays, "mode {mode}");
    }
    assert_accounts(&director);
    Ok(())
}
