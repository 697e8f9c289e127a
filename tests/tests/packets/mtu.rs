//! Packets as long as the links take.

use std::time::Duration;

use adminapi::model::Scheduler;
use anyhow::{Context, Result};
use testbed::accounts::assert_accounts;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::topology::Plan;
use testbed::traffic::UdpClient;
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(20);

/// A ping of `size` bytes of payload is answered; `fragment` is `-M` of ping(8).
fn ping(scene: &Scene, family: Family, size: usize, fragment: &str) -> Result<()> {
    let (size, vip) = (size.to_string(), family.vip().to_string());
    let arguments = ["-c1", "-W2", "-M", fragment, "-s", &size, &vip];
    wait::until("an answer", PATIENCE, || {
        scene.topology.client.run("ping", &arguments).map(drop)
    })
}

#[test]
fn packets_of_the_whole_mtu_pass_in_both_directions() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for mtu in [1280, 1500, 3000] {
        let plan = Plan {
            reals: 1,
            mtu,
            ..Plan::default()
        };
        // A name of three letters and a colon come before the echo.
        let scene = Scene::start_with(plan, Scheduler::Rr, &[1])?;
        for (family, headers) in [(Family::V4, 28), (Family::V6, 48)] {
            let client = UdpClient::open(&scene.topology.client, family.echo())?;
            client.echo(&vec![7; usize::from(mtu) - headers - 4])?;
            let whole = usize::from(mtu) - headers;
            ping(&scene, family, whole, "do").with_context(|| format!("{family:?} {mtu}"))?;
        }
        assert_accounts(&scene.director);
    }
    Ok(())
}

#[test]
fn a_ping_in_fragments_is_left_to_the_kernel() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let plan = Plan {
        reals: 1,
        ..Plan::default()
    };
    let scene = Scene::start_with(plan, Scheduler::Rr, &[1])?;
    for family in Family::BOTH {
        ping(&scene, family, 4000, "dont").with_context(|| format!("{family:?}"))?;
    }
    let stats = scene.director.api().stats()?;
    assert_eq!(stats.drops.get("fragment"), None);
    assert_accounts(&scene.director);
    Ok(())
}
