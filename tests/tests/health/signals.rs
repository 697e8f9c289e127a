//! What real servers are judged by beside checks: their agents, and what clients meet.

use std::time::Duration;

use adminapi::model::{
    AgentCheck, Check, CheckKind, HealthPolicy, Millis, PassiveCheck, RealState, Scheduler,
};
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::checks::often;
use testbed::require;
use testbed::servers::Nginx;
use testbed::traffic::{HttpConnection, fetch_names, tally};
use testbed::wait;

use super::bed::{Bed, FAMILY, PATIENCE, Speaker, by_http};

#[test]
fn an_agent_says_how_much_its_server_can_bear() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    const PORT: u16 = 5555;
    let bed = Bed::start(Scheduler::Wrr, &[4, 4], HealthPolicy::default())?;
    let mut agents = Vec::new();
    for host in &bed.scene.topology.reals[..2] {
        agents.push(Speaker::start(
            &host.namespace,
            (host.v4, PORT).into(),
            "up 100%",
        )?);
    }
    bed.watch(Some(HealthPolicy {
        agent: Some(AgentCheck {
            interval: Millis(200),
            ..AgentCheck::at(PORT)
        }),
        ..HealthPolicy::default()
    }))?;
    let weight = |expected: u32, state: RealState| {
        wait::until(&format!("the weight {expected}"), PATIENCE, || {
            let view = bed.view(1)?;
            let condition = view.condition.unwrap_or_default();
            ensure!(
                (condition.weight, condition.state) == (expected, state),
                "{condition:?}"
            );
            Ok(())
        })
    };
    for (line, expected, state) in [
        ("50%", 2, RealState::Unknown),
        ("12", 12, RealState::Unknown),
        ("drain", 0, RealState::Drain),
        ("ready 25%", 1, RealState::Up),
        ("down # the disk is full", 0, RealState::Down),
        ("up 50%", 2, RealState::Up),
    ] {
        agents[0].say(line);
        weight(expected, state)?;
    }
    let names = tally(fetch_names(&bed.scene.topology.client, FAMILY.http(), 6)?);
    assert_eq!((names["rs1"], names["rs2"]), (2, 4));
    // An agent that is not there any more says nothing new.
    agents.clear();
    weight(2, RealState::Up)?;
    assert_accounts(&bed.scene.director);
    Ok(())
}

#[test]
fn who_wants_nothing_more_does_not_count_for_the_quorum() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    const PORT: u16 = 5555;
    let bed = Bed::start(Scheduler::Wrr, &[4], HealthPolicy::default())?;
    let host = &bed.scene.topology.reals[0];
    let agent = Speaker::start(&host.namespace, (host.v4, PORT).into(), "0%")?;
    bed.watch(Some(HealthPolicy {
        agent: Some(AgentCheck {
            interval: Millis(200),
            ..AgentCheck::at(PORT)
        }),
        sorry: Some(bed.sorry()),
        ..by_http()
    }))?;
    let well = |expected: u32| {
        wait::until(&format!("{expected} to be well"), PATIENCE, || {
            let service = bed.service()?;
            let condition = service.condition.unwrap_or_default();
            ensure!(
                (condition.up, condition.well) == (expected > 0, expected),
                "{condition:?}"
            );
            ensure!(service.sorry.is_some() == (expected == 0));
            Ok(())
        })
    };
    // A hundredth of 4 is rounded up to 1.
    for (line, expected, name) in [("0%", 0, "rs3"), ("1%", 1, "rs1"), ("0", 0, "rs3")] {
        agent.say(line);
        well(expected)?;
        let names = tally(fetch_names(&bed.scene.topology.client, FAMILY.http(), 4)?);
        assert_eq!(names.get(name), Some(&4), "{line}: {names:?}");
    }
    assert_accounts(&bed.scene.director);
    Ok(())
}

/// Opens connections until none of `count` in a row fails.
fn until_all_succeed(bed: &Bed, count: usize) -> Result<()> {
    let client = &bed.scene.topology.client;
    wait::until("clients to be served", PATIENCE, || {
        for _ in 0..count {
            HttpConnection::open(client, FAMILY.http())?.ask_name()?;
        }
        Ok(())
    })
}

#[test]
fn connections_that_are_refused_take_a_server_out_for_a_while() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bed = Bed::start(
        Scheduler::Rr,
        &[1, 1],
        HealthPolicy {
            passive: Some(PassiveCheck {
                failures: 3,
                hold: Millis::seconds(3),
                ..PassiveCheck::default()
            }),
            ..HealthPolicy::default()
        },
    )?;
    bed.until(1, RealState::Unknown)?;
    refuse_until_down(&mut bed)?;
    until_all_succeed(&bed, 4)?;
    bed.scene.web[0] = Nginx::start(&bed.scene.topology.reals[0])?;
    bed.until(1, RealState::Up)?;
    let names = tally(fetch_names(&bed.scene.topology.client, FAMILY.http(), 6)?);
    assert_eq!((names["rs1"], names["rs2"]), (3, 3));
    assert_accounts(&bed.scene.director);
    Ok(())
}

/// Ends rs1, and has clients meet that until it is down.
fn refuse_until_down(bed: &mut Bed) -> Result<()> {
    bed.scene.web[0].kill()?;
    let down = wait::until("rs1 to be down", PATIENCE, || {
        for _ in 0..8 {
            // Every other one is reset by rs1.
            let _ = HttpConnection::open(&bed.scene.topology.client, FAMILY.http());
        }
        let condition = bed.view(1)?.condition.unwrap_or_default();
        ensure!(condition.state == RealState::Down, "{condition:?}");
        Ok(condition)
    })?;
    let reason = down.reason;
    assert!(reason.contains("were refused"), "{reason}");
    Ok(())
}

#[test]
fn what_clients_have_met_does_not_outlive_that_they_are_listened_to() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bed = Bed::start(Scheduler::Rr, &[1, 1], HealthPolicy::default())?;
    // Checks of both go to the second, and pass all the time.
    let by_others = HealthPolicy {
        check: Some(Check {
            address: Some(bed.scene.topology.reals[1].v4.into()),
            ..often(CheckKind::Tcp)
        }),
        ..HealthPolicy::default()
    };
    bed.watch(Some(HealthPolicy {
        passive: Some(PassiveCheck {
            failures: 3,
            hold: Millis::seconds(3600),
            ..PassiveCheck::default()
        }),
        ..by_others.clone()
    }))?;
    bed.until(1, RealState::Up)?;
    refuse_until_down(&mut bed)?;
    bed.watch(Some(by_others))?;
    bed.until(1, RealState::Up)?;
    assert_accounts(&bed.scene.director);
    Ok(())
}

/// The fourth SYN comes seven seconds after the first (RFC 6298 §2.1).
const FOUR_SYNS: Duration = Duration::from_secs(8);

#[test]
fn connections_that_nobody_answers_take_a_server_out() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::start(
        Scheduler::Rr,
        &[1, 1],
        HealthPolicy {
            passive: Some(PassiveCheck {
                failures: 3,
                ..PassiveCheck::default()
            }),
            ..HealthPolicy::default()
        },
    )?;
    bed.until(1, RealState::Unknown)?;
    // It does not find the way back to the client any more: its SYN+ACKs are lost.
    bed.scene.topology.reals[0]
        .namespace
        .ip("route add blackhole 10.0.1.1/32")?;
    let client = &bed.scene.topology.client;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| client.enter(|| HttpConnection::open_within(FOUR_SYNS, FAMILY.http())));
        }
    });
    let down = bed.until(1, RealState::Down)?;
    let reason = down.condition.unwrap_or_default().reason;
    assert!(reason.contains("not answered"), "{reason}");
    until_all_succeed(&bed, 4)
}
