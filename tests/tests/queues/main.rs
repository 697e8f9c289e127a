//! Several queues: a reply may arrive at another queue than its connection was made on.

mod coming;

use std::time::Duration;

use adminapi::model::Scheduler;
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::servers::big_file;
use testbed::topology::Plan;
use testbed::traffic::{UdpClient, download_sha256, fetch_names, file_sha256, tally};
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(30);

fn scene(queues: u8) -> Result<Scene> {
    Scene::start_with(
        Plan {
            queues,
            ..Plan::default()
        },
        Scheduler::Rr,
        &[1, 1, 1],
    )
}

#[test]
fn every_queue_has_a_worker_and_forwards() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for queues in [2, 4] {
        let scene = scene(queues)?;
        let status = scene.director.api().status()?;
        assert!(
            status
                .interfaces
                .iter()
                .all(|i| i.queues == u32::from(queues)),
            "{status:?}"
        );
        for family in Family::BOTH {
            let names = fetch_names(&scene.topology.client, family.http(), 60)?;
            assert_eq!(tally(names).len(), 3);
            for _ in 0..32 {
                let client = UdpClient::open(&scene.topology.client, family.echo())?;
                assert_eq!(client.echo(b"one")?, client.echo(b"two")?);
            }
        }
        assert_accounts(&scene.director);
    }
    Ok(())
}

#[test]
fn fewer_queues_to_send_through_lose_nothing() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for (sending, workers) in [(1, None), (2, Some(4))] {
        let plan = Plan {
            queues: 4,
            sending: Some(sending),
            ..Plan::default()
        };
        let scene =
            Scene::start_shaped(
                plan,
                Scheduler::Rr,
                &[1, 1, 1],
                |configuration| match workers {
                    Some(workers) => configuration.datapath("workers", workers),
                    None => configuration,
                },
            )?;
        for family in Family::BOTH {
            for _ in 0..32 {
                let client = UdpClient::open(&scene.topology.client, family.echo())?;
                assert_eq!(client.echo(b"one")?, client.echo(b"two")?);
            }
        }
        let status = scene.director.api().status()?;
        assert_eq!(status.workers.len(), usize::from(sending));
        assert!(
            status.interfaces.iter().all(|i| i.queues == 4),
            "{status:?}"
        );
        let log = scene.director.log();
        assert!(log.contains(&format!("workers: {sending}, not 4")), "{log}");
        assert_accounts(&scene.director);
    }
    Ok(())
}

/// What waits in the rings of all queues leaves through one, whose ring holds less than a round takes in.
#[test]
fn a_worker_sends_what_many_queues_bring_in_one_round() -> Result<()> {
    const CLIENTS: usize = 64;
    const EACH: usize = 8;
    if !require::machine() {
        return Ok(());
    }
    let plan = Plan {
        queues: 8,
        ..Plan::default()
    };
    let mut scene = Scene::start_shaped(plan, Scheduler::Rr, &[1, 1, 1], |configuration| {
        configuration
            .datapath("workers", 1)
            .datapath("ring", 256)
            .fast_path(false)
    })?;
    let clients = (0..CLIENTS).map(|_| UdpClient::open(&scene.topology.client, Family::V4.echo()));
    let clients = clients.collect::<Result<Vec<_>>>()?;
    for client in &clients {
        client.echo(b"one")?;
    }
    let before = scene.director.api().stats()?;
    scene.director.process().signal(Signal::Stop)?;
    for client in &clients {
        for _ in 0..EACH {
            client.socket().send(b"waiting")?;
        }
    }
    scene.director.process().signal(Signal::Cont)?;
    let waited = (CLIENTS * EACH) as u64;
    wait::until("all that waits to be received", PATIENCE, || {
        let received = scene.director.api().stats()?.total.received;
        ensure!(received >= before.total.received + waited, "{received}");
        Ok(())
    })?;
    assert_accounts(&scene.director);
    let after = scene.director.api().stats()?;
    assert_eq!(after.drops, before.drops);
    Ok(())
}

#[test]
fn a_download_is_whole_over_several_queues() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(2)?;
    let sum = download_sha256(&scene.topology.client, Family::V4.http(), "/big")?;
    assert_eq!(sum, file_sha256(&big_file()?)?);
    assert_accounts(&scene.director);
    Ok(())
}
