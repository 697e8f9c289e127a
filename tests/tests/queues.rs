//! Several queues: a reply may arrive at another queue than its connection was made on.

use adminapi::model::Scheduler;
use anyhow::Result;
use testbed::accounts::assert_accounts;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::servers::big_file;
use testbed::topology::Plan;
use testbed::traffic::{UdpClient, download_sha256, fetch_names, file_sha256, tally};

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
