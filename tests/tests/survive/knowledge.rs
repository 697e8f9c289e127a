//! What was known of real servers, clients and traffic is known again.

use std::fs;
use std::net::SocketAddr;

use adminapi::model::{
    Check, CheckKind, FilterList, FilterRules, ForwardingMethod, HealthPolicy, Listed, Millis,
    OnFailure, Pace, Persistence, Protocol, Real, Scheduler, ServiceId, ServicePatch,
};
use anyhow::{Context, Result, ensure};
use director::keep::Tally;
use testbed::accounts::assert_accounts;
use testbed::director::service;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::{Nginx, OTHER_HTTP_PORT};
use testbed::syns::banning;
use testbed::topology::{HOST_SIDE, VIP_V4};
use testbed::traffic::{fetch_names, tally};
use testbed::wait;

use crate::bed::{Bench, PATIENCE, STRANGER};

/// Where nobody listens.
const SORRY_PORT: u16 = 8999;

/// Who fails once is down, who answers once is up.
const QUICK: Pace = Pace {
    interval: Millis(200),
    timeout: Millis(5000),
    rise: 1,
    fall: 1,
    jitter: 10,
};

fn watch(bench: &Bench, id: ServiceId, policy: HealthPolicy) -> Result<()> {
    let patch = ServicePatch {
        health: Some(Some(policy).into()),
        ..ServicePatch::default()
    };
    let api = bench.director.api();
    api.call(async |client| client.change_service(id, patch).await)?;
    Ok(())
}

/// Who was down stays down until it has earned its way back, and gets none of the first connections.
#[test]
fn the_health_of_real_servers_outlives_a_killed_director() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    let slow_to_rise = Pace {
        rise: 1000,
        ..QUICK
    };
    for (family, on_failure) in Family::BOTH
        .into_iter()
        .zip([OnFailure::Quiesce, OnFailure::Remove])
    {
        let policy = HealthPolicy {
            check: Some(Check::paced(CheckKind::Http, slow_to_rise)),
            on_failure,
            ..HealthPolicy::default()
        };
        watch(&bench, family.http_service(), policy)?;
    }
    // A server that answers by now does not show by its next check that it was down.
    bench.web[0].kill()?;
    let before = Family::BOTH.map(|family| bench.until_down(family));
    bench.web[0] = Nginx::start(&bench.topology.reals[0])?;
    bench.wait_kept_times("\"state\":\"down\"", Family::BOTH.len())?;
    for (family, before) in Family::BOTH.into_iter().zip(before) {
        let before = before?;
        bench.restart(Signal::Kill)?;
        let names = tally(fetch_names(&bench.topology.client, family.http(), 6)?);
        assert_eq!((names.get("rs1"), names["rs2"], names["rs3"]), (None, 3, 3));
        let after = bench.until_down(family)?;
        assert_eq!(after.reason, before.reason);
        assert!(after.since.abs_diff(before.since) <= 1, "{after:?}");
        assert_eq!(after.removed, before.removed);
    }
    assert_accounts(&bench.director);
    Ok(())
}

/// Who is out of service, and who stands in for all of them.
#[test]
fn what_was_carried_by_who_is_down_is_not_forgotten() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    let id = Family::V4.http_service();
    let client = &bench.topology.client;
    fetch_names(client, Family::V4.http(), 6)?;
    let sorry = Real {
        address: bench.topology.reals[0].v4.into(),
        port: Some(SORRY_PORT),
        weight: 1,
        method: ForwardingMethod::Nat,
        upper: 0,
        lower: 0,
        tun: None,
        check: None,
    };
    let policy = HealthPolicy {
        check: Some(Check::paced(CheckKind::Http, QUICK)),
        on_failure: OnFailure::Remove,
        sorry: Some(sorry),
        ..HealthPolicy::default()
    };
    watch(&bench, id, policy)?;
    bench.web.iter_mut().try_for_each(Nginx::kill)?;
    wait::until("the sorry server", PATIENCE, || {
        ensure!(bench.director.api().service(id)?.sorry.is_some());
        Ok(())
    })?;
    bench.send_syns(5)?;
    let carried = |bench: &Bench| -> Result<Vec<u64>> {
        let service = bench.director.api().service(id)?;
        let all = service.reals.iter().chain(&service.sorry);
        Ok(all.map(|real| real.stats.connections).collect())
    };
    wait::until("the SYNs", PATIENCE, || {
        let carried = carried(&bench)?;
        ensure!(carried == [2, 2, 2, 5], "{carried:?}");
        Ok(())
    })?;
    bench.restart(Signal::Term)?;
    assert_eq!(carried(&bench)?, [2, 2, 2, 5]);
    Ok(())
}

#[test]
fn what_is_known_outlives_a_killed_director() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    let client = &bench.topology.client;
    let (sticky, plain) = (Family::V4, Family::V6);
    let patch = ServicePatch {
        persistence: Some(Some(Persistence::default()).into()),
        ..ServicePatch::default()
    };
    let id = sticky.http_service();
    let api = bench.director.api();
    api.call(async |client| client.change_service(id, patch).await)?;
    let chosen = fetch_names(client, sticky.http(), 2)?;
    api.set_level(None, 2)?;
    let reals = bench.topology.reals.iter();
    let reals = reals.map(|real| ((real.v4, OTHER_HTTP_PORT).into(), 1));
    let added = service(Protocol::Tcp, (VIP_V4, 8000).into(), Scheduler::Rr, reals);
    api.add_service(&added)?;
    let ban = Listed {
        network: "203.0.113.0/24".parse()?,
        list: FilterList::Deny,
        seconds: Some(600),
        why: Some("a test".to_owned()),
    };
    let rules = FilterRules {
        loose: vec![bench.topology.interfaces()[0].clone()],
        ..FilterRules::default()
    };
    api.call(async |client| client.put_network(&ban).await)?;
    api.put_filter(&rules)?;
    let filtered = api.call(async |client| client.config().await)?;
    assert_eq!(filtered.listed.as_deref().map(<[_]>::len), Some(1));
    fetch_names(client, plain.http(), 3)?;
    let last = api.call(async |client| client.events(0).await)?.last;
    wait::until("the number of the last event to be kept", PATIENCE, || {
        let kept = fs::read_to_string(bench.haven.kept("running")?)?;
        let kept: serde_json::Value = serde_json::from_str(&kept)?;
        ensure!(kept["events"].as_u64() >= Some(last), "{kept}");
        Ok(())
    })?;
    // The last packets of those connections may still be under way.
    let before = wait::until("the counters to be kept", PATIENCE, || {
        let before = api.service(plain.http_service())?.stats;
        let kept = fs::read_to_string(bench.haven.kept("tally")?)?;
        let tally: Tally = serde_json::from_str(&kept)?;
        let mut services = tally.services.iter();
        let counted = services.find(|counted| counted.service == plain.http_service());
        let bytes = counted.map_or(0, |counted| counted.traffic.in_bytes);
        ensure!(bytes >= before.in_bytes, "{kept}");
        Ok(before)
    })?;

    bench.restart(Signal::Kill)?;

    let client = &bench.topology.client;
    let api = bench.director.api();
    let defense = api.defense(None)?;
    assert_eq!((defense.level, defense.automatic), (2, false));
    let events = api.call(async |client| client.events(0).await)?;
    assert!(events.last >= last && events.events.iter().all(|event| event.id > last));
    let config = api.call(async |client| client.config().await)?;
    assert_eq!(
        (config.filter, config.listed),
        (filtered.filter, filtered.listed)
    );
    let after = api.service(plain.http_service())?.stats;
    assert!(after.connections >= before.connections && after.in_bytes >= before.in_bytes);
    assert_eq!(
        fetch_names(client, sticky.http(), 3)?,
        vec![chosen[0].clone(); 3]
    );
    fetch_names(client, (VIP_V4, 8000).into(), 1)?;
    let templates = api.connections(id)?;
    let templates = templates.iter().filter(|connection| connection.template);
    assert_eq!(templates.count(), 1);
    assert_accounts(&bench.director);
    Ok(())
}

/// Who was over a limit too often stays banned for the time that is left, and the next time for twice as
/// long.
#[test]
fn who_was_banned_by_a_limit_stays_banned() -> Result<()> {
    const SECONDS: u32 = 600;
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    // Who answers for it, so that nothing waits for it at the end.
    let address = format!("addr add {STRANGER}/24 dev {HOST_SIDE}\n");
    bench.topology.client.ip(&address)?;
    let api = bench.director.api();
    api.put_filter(&banning(SECONDS, 4 * SECONDS))?;
    let banned = wait::until("the ban", PATIENCE, || {
        bench.send_syns(40)?;
        bench.ban_of(STRANGER)?.context("it is not banned")
    })?;
    bench.wait_kept(STRANGER)?;

    bench.restart(Signal::Kill)?;

    let again = bench.ban_of(STRANGER)?.context("it is banned no more")?;
    ensure!(
        again.why == banned.why && again.left <= banned.left,
        "{again:?}"
    );
    ensure!(again.left > Some(SECONDS / 2), "{again:?}");
    wait::until("what it sends to be denied", PATIENCE, || {
        bench.send_syns(1)?;
        ensure!(bench.director.api().dropped("denied")? > 0);
        Ok(())
    })?;
    let (api, stranger) = (bench.director.api(), STRANGER.parse()?);
    api.call(async |client| client.remove_network(stranger).await)?;
    let second = wait::until("the second ban", PATIENCE, || {
        bench.send_syns(40)?;
        bench.ban_of(STRANGER)?.context("it is not banned again")
    })?;
    ensure!(second.left > Some(SECONDS), "{second:?}");
    fetch_names(&bench.topology.client, Family::V4.http(), 1)?;
    assert_accounts(&bench.director);
    Ok(())
}

/// A table of mh that has grown stays so: whom a client gets follows from its size.
#[test]
fn clients_of_mh_find_the_same_real_servers_when_some_of_many_have_gone() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    let real = |host: u8| SocketAddr::from(([10, 0, 2, host], OTHER_HTTP_PORT));
    let vip = SocketAddr::from((VIP_V4, 8001));
    let all = (101..=132).map(|host| (real(host), 1));
    let many = service(Protocol::Tcp, vip, Scheduler::Mh, all);
    let api = bench.director.api();
    api.add_service(&many)?;
    let gone = [real(109), real(120)];
    gone.iter()
        .try_for_each(|gone| api.remove_real(many.id, *gone))?;
    let before = api.foreseen(vip)?;
    wait::until("those who have gone to be kept no more", PATIENCE, || {
        let kept = fs::read_to_string(bench.haven.kept("running")?)?;
        let is_kept = |gone: &SocketAddr| kept.contains(&gone.ip().to_string());
        ensure!(
            !gone.iter().any(is_kept) && kept.contains("65521"),
            "{kept}"
        );
        Ok(())
    })?;

    bench.restart(Signal::Kill)?;

    let after = bench.director.api().foreseen(vip)?;
    let stayed = before.iter().zip(&after).filter(|(a, b)| a == b).count();
    ensure!(stayed > 190, "only {stayed} of 200 stayed where they were");
    assert_accounts(&bench.director);
    Ok(())
}
