//! What follows when a real server goes down and comes back.

use adminapi::model::{HealthPolicy, Millis, OnFailure, RealState, Scheduler};
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::require;
use testbed::servers::Nginx;
use testbed::traffic::{HttpConnection, fetch_names, tally};
use testbed::wait;

use super::bed::{Bed, FAMILY, PATIENCE, by_http};

#[test]
fn a_dead_server_gets_no_connections_and_keeps_its_weight() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bed = Bed::start(Scheduler::Wrr, &[1, 1, 1], by_http())?;
    (1..=3).try_for_each(|number| bed.until(number, RealState::Up).map(drop))?;
    bed.scene.web[0].kill()?;
    // Who sees that it is down sees what follows.
    let down = bed.until(1, RealState::Down)?;
    assert_eq!((down.weight, down.effective_weight()), (1, 0));
    let names = tally(fetch_names(&bed.scene.topology.client, FAMILY.http(), 6)?);
    assert_eq!((names.get("rs1"), names["rs2"], names["rs3"]), (None, 3, 3));

    // What an administrator sets meanwhile waits for it.
    let rs1 = bed.real(1);
    bed.say(&format!("-e -t {} -r {rs1} -m -w 4", FAMILY.http()))?;
    let view = bed.view(1)?;
    assert_eq!((view.weight, view.effective_weight()), (4, 0));
    let weights = |bed: &Bed| {
        Ok::<_, anyhow::Error>(
            bed.listed()?
                .into_iter()
                .find(|(at, _)| *at == rs1.to_string()),
        )
    };
    assert_eq!(
        weights(&bed)?,
        Some((rs1.to_string(), 0)),
        "as the kernel would show it"
    );
    let saved = bed.say("-Sn")?;
    assert!(saved.contains(&format!("-r {rs1} -m -w 4")), "{saved}");
    let said = bed.say(&format!("health -t {}", FAMILY.http()))?;
    assert!(said.contains("up, 2 of 3 well, quorum 1"), "{said}");
    assert!(said.contains("connection refused"), "{said}");
    let events = bed.say("events")?;
    assert!(
        events.contains(&format!("real server {rs1} up -> down: connection refused")),
        "{events}"
    );

    // A reload of what has not changed changes nothing.
    let since = bed.view(1)?.condition.map(|condition| condition.since);
    let present = bed.configured()?;
    bed.api().put_service(&present)?;
    let condition = bed.view(1)?.condition;
    assert_eq!(
        condition.as_ref().map(|c| (c.state, Some(c.since))),
        Some((RealState::Down, since))
    );

    bed.scene.web[0] = Nginx::start(&bed.scene.topology.reals[0])?;
    let up = bed.until(1, RealState::Up)?;
    assert_eq!((up.weight, up.effective_weight()), (4, 4));
    let names = tally(fetch_names(&bed.scene.topology.client, FAMILY.http(), 6)?);
    assert_eq!((names["rs1"], names["rs2"], names["rs3"]), (4, 1, 1));

    // Who is watched no more is as it is configured.
    bed.scene.web[0].kill()?;
    bed.until(1, RealState::Down)?;
    bed.watch(None)?;
    wait::until("rs1 to have its weight", PATIENCE, || {
        let view = bed.view(1)?;
        ensure!(view.condition.is_none() && bed.listed()?.contains(&(rs1.to_string(), 4)));
        Ok(())
    })?;
    assert_accounts(&bed.scene.director);
    Ok(())
}

#[test]
fn below_its_quorum_a_service_is_sorry() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::start(Scheduler::Rr, &[1, 1], by_http())?;
    bed.watch(Some(HealthPolicy {
        on_failure: OnFailure::Remove,
        quorum: 2,
        sorry: Some(bed.sorry()),
        ..by_http()
    }))?;
    let mut bed = bed;
    (1..=2).try_for_each(|number| bed.until(number, RealState::Up).map(drop))?;
    let client = &bed.scene.topology.client;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut connection = HttpConnection::open(client, FAMILY.http())?;
        open.push((connection.ask_name()?, connection));
    }
    bed.scene.web[0].kill()?;
    bed.until(1, RealState::Down)?;
    let [rs1, rs2, rs3] = [1, 2, 3].map(|number| bed.real(number).to_string());
    wait::until("the sorry server", PATIENCE, || {
        let listed: Vec<_> = bed.listed()?.into_iter().map(|(at, _)| at).collect();
        ensure!(
            !listed.contains(&rs1) && listed.contains(&rs2) && listed.contains(&rs3),
            "{listed:?}"
        );
        Ok(())
    })?;
    let service = bed.service()?;
    assert_eq!(
        service.condition.map(|c| (c.up, c.well, c.quorum)),
        Some((false, 1, 2))
    );
    assert!(
        service.reals.iter().any(|real| real.is_out()),
        "it is configured still"
    );
    let names = tally(fetch_names(&bed.scene.topology.client, FAMILY.http(), 4)?);
    assert_eq!(names["rs3"], 4);
    let told = bed.say(&format!(
        "explain -t {} --from 10.0.1.1:1234",
        FAMILY.http()
    ))?;
    let is_named = told.contains(&format!("real server  {rs3}, the sorry server\n"));
    assert!(is_named && !told.contains("scheduler"), "{told}");
    for (name, connection) in &mut open {
        if name == "rs2" {
            assert_eq!(connection.ask_name()?, "rs2", "what is connected goes on");
        }
    }
    let events = bed.say("events")?;
    assert!(
        events.contains("service is down: 1 real servers are well, the quorum is 2"),
        "{events}"
    );

    // A connection to the sorry server goes on when that is not needed any more.
    let mut late = HttpConnection::open(&bed.scene.topology.client, FAMILY.http())?;
    assert_eq!(late.ask_name()?, "rs3");
    bed.scene.web[0] = Nginx::start(&bed.scene.topology.reals[0])?;
    bed.until(1, RealState::Up)?;
    wait::until("the sorry server to go", PATIENCE, || {
        ensure!(bed.service()?.sorry.is_none());
        Ok(())
    })?;
    assert_eq!(late.ask_name()?, "rs3");
    let names = tally(fetch_names(&bed.scene.topology.client, FAMILY.http(), 4)?);
    assert_eq!((names["rs1"], names["rs2"]), (2, 2));
    drop((open, late));
    assert_accounts(&bed.scene.director);
    Ok(())
}

#[test]
fn one_that_has_come_back_is_brought_up_slowly() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bed = Bed::start(
        Scheduler::Wrr,
        &[1, 1],
        HealthPolicy {
            // So long that it stays at its first step, a twentieth, while the test runs.
            slow_start: Millis::seconds(3600),
            ..by_http()
        },
    )?;
    (1..=2).try_for_each(|number| bed.until(number, RealState::Up).map(drop))?;
    bed.scene.web[0].kill()?;
    bed.until(1, RealState::Down)?;
    bed.scene.web[0] = Nginx::start(&bed.scene.topology.reals[0])?;
    let warming = bed.until(1, RealState::Warming)?;
    let condition = warming.condition.unwrap_or_default();
    assert_eq!((condition.weight, condition.percent), (1, 5));
    let names = tally(fetch_names(&bed.scene.topology.client, FAMILY.http(), 42)?);
    assert_eq!((names["rs1"], names["rs2"]), (2, 40));
    // Without a slow start it has its share at once.
    bed.watch(Some(by_http()))?;
    bed.until(1, RealState::Up)?;
    let names = tally(fetch_names(&bed.scene.topology.client, FAMILY.http(), 6)?);
    assert_eq!((names["rs1"], names["rs2"]), (3, 3));
    assert_accounts(&bed.scene.director);
    Ok(())
}
