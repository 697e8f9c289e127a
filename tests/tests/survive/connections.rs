//! What is connected goes on, and who connects is served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use adminapi::model::{
    ConnectionId, ConnectionLimit, FilterRules, ForwardingMethod, LimitPer, Protocol, RateLimit,
};
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::big_file;
use testbed::traffic::{HttpConnection, UdpClient, fetch_names, file_sha256};
use testbed::wait;

use crate::bed::{Bench, PATIENCE, Talk};
use crate::crowd::Crowd;

#[test]
fn what_is_connected_outlives_a_killed_director() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let expected = file_sha256(&big_file()?)?;
    for method in [ForwardingMethod::Nat, ForwardingMethod::Dr] {
        let mut bench = Bench::start(method)?;
        let mut talk = Talk::begin(&bench)?;
        let downloads = Family::BOTH.map(|family| bench.download(family));
        bench.restart(Signal::Kill)?;
        fetch_names(&bench.topology.client, Family::V4.http(), 3)?;
        talk.go_on_beside()?;
        for download in downloads {
            let sum = download?.join().expect("the download panicked")?;
            assert!(sum.starts_with(&expected), "{method:?}: {sum}");
        }
        bench.restart(Signal::Kill)?;
        talk.go_on()?;
        assert_accounts(&bench.director);
    }
    Ok(())
}

/// Whether a service has as many connections as it may have.
fn is_full(bench: &Bench) -> Result<()> {
    const SENT: u16 = 3;
    let refused = || bench.director.api().dropped("service_connections");
    let before = refused()?;
    bench.send_syns(SENT)?;
    wait::until("SYNs to be refused", PATIENCE, || {
        let refused = refused()? - before;
        ensure!(refused == u64::from(SENT), "{refused}");
        Ok(())
    })
}

#[test]
fn what_is_connected_counts_for_a_limit_of_the_next_director() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    let vip = Family::V4.http();
    let limit = ConnectionLimit {
        name: "full".to_owned(),
        most: 2,
        per: LimitPer::Service,
        prefix_v4: RateLimit::all_v4(),
        prefix_v6: RateLimit::link_v6(),
        service: Some(Family::V4.http_service()),
    };
    let rules = FilterRules {
        connections: vec![limit],
        ..FilterRules::default()
    };
    let api = bench.director.api();
    api.put_filter(&rules)?;
    bench.wait_kept("\"full\"")?;
    let open = |bench: &Bench| HttpConnection::open(&bench.topology.client, vip);
    let mut held = [open(&bench)?, open(&bench)?];
    is_full(&bench)?;
    for signal in [Signal::Term, Signal::Kill] {
        bench.restart(signal)?;
        is_full(&bench)?;
        held.iter_mut()
            .try_for_each(|held| held.ask_name().map(drop))?;
    }
    let gone = ConnectionId {
        protocol: Protocol::Tcp,
        client: held[0].client()?,
        vip,
    };
    let api = bench.director.api();
    api.call(async |client| client.close_connection(gone).await)?;
    held[0] = open(&bench)?;
    held[0].ask_name()?;
    is_full(&bench)?;
    assert_accounts(&bench.director);
    Ok(())
}

/// For as long as a director lives that knows better, and for as long as none does.
#[test]
fn what_the_gate_forwards_needs_no_director() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for method in [ForwardingMethod::Nat, ForwardingMethod::Dr] {
        let mut bench = Bench::start(method)?;
        bench.configuration = bench.configuration.clone().fast_path(true);
        bench.restart(Signal::Term)?;
        let mut talk = Talk::begin(&bench)?;
        let mut said = 1;
        let mut go_on = |times| {
            said += times;
            (0..times).try_for_each(|_| talk.go_on())
        };
        go_on(3)?;
        bench.director.end_by(Signal::Kill)?;
        go_on(5)?;
        for fast_path in [true, false, true] {
            bench.configuration = bench.configuration.clone().fast_path(fast_path);
            bench.start_next()?;
            go_on(3)?;
            fetch_names(&bench.topology.client, Family::V4.http(), 1)?;
            bench.director.end_by(Signal::Kill)?;
            go_on(if fast_path { 2 } else { 0 })?;
        }
        bench.start_next()?;
        go_on(1)?;
        let carried = bench
            .director
            .api()
            .service(Family::V4.echo_service())?
            .stats;
        // What a killed director had not told yet is missing.
        let is_right = carried.in_packets <= said && carried.in_packets * 2 > said;
        assert!(is_right, "{carried:?} of {said}");
        assert_accounts(&bench.director);
    }
    Ok(())
}

/// What it has still seen of a connection is older than what a worker of the next director has.
#[test]
fn who_talks_while_a_gate_goes_that_is_not_gone_on_with_talks_on() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    let crowd = Crowd::begin(&bench)?;
    for fast_path in [true, false, true, false] {
        bench.configuration = bench.configuration.clone().fast_path(fast_path);
        bench.restart(Signal::Kill)?;
        crowd.talk_on()?;
    }
    crowd.end()?;
    assert_accounts(&bench.director);
    Ok(())
}

/// Its last packet, which the gate has forwarded, the next director hears of only when it is there.
#[test]
fn who_was_heard_while_no_director_lived_has_not_gone() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    const TIMEOUT: Duration = Duration::from_secs(5);
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    let configuration = bench.configuration.clone().fast_path(true);
    bench.configuration = configuration.timeout("udp", TIMEOUT.as_secs() as i64);
    bench.restart(Signal::Term)?;
    let clients = (0..3).map(|_| UdpClient::open(&bench.topology.client, Family::V4.echo()));
    let clients: Vec<_> = clients.collect::<Result<_>>()?;
    let talk = || clients.iter().map(|client| client.echo(b"still here"));
    let served: Vec<_> = talk().collect::<Result<_>>()?;
    for _ in 0..3 {
        talk().try_for_each(|name| name.map(drop))?;
    }
    bench.director.end_by(Signal::Kill)?;
    let end = Instant::now();
    while end.elapsed() < TIMEOUT + Duration::from_secs(1) {
        talk().try_for_each(|name| name.map(drop))?;
        thread::sleep(Duration::from_millis(100));
    }
    bench.configuration = bench.configuration.clone().fast_path(false);
    bench.start_next()?;
    // As new ones they would be dealt out in this order.
    for (client, name) in clients.iter().zip(&served).rev() {
        assert_eq!(client.echo(b"and now")?, *name);
    }
    assert_accounts(&bench.director);
    Ok(())
}

#[test]
fn a_planned_restart_refuses_nobody() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    let mut talk = Talk::begin(&bench)?;
    let over = Arc::new((AtomicBool::new(false), AtomicU32::new(0)));
    let told = Arc::clone(&over);
    let clients = bench.topology.client.spawn(move || {
        let (over, served) = &*told;
        while !over.load(Relaxed) {
            let name = HttpConnection::open_here(Family::V4.http())?.ask_name();
            name.with_context(|| format!("after {served:?}"))?;
            served.fetch_add(1, Relaxed);
        }
        Ok(())
    })?;
    for _ in 0..2 {
        let before = over.1.load(Relaxed);
        bench.restart(Signal::Term)?;
        talk.go_on()?;
        wait::until("clients to be served again", PATIENCE, || {
            ensure!(over.1.load(Relaxed) > before + 10 || clients.is_finished());
            Ok(())
        })?;
    }
    over.0.store(true, Relaxed);
    clients.join().expect("the clients panicked")?;
    assert_accounts(&bench.director);
    Ok(())
}
