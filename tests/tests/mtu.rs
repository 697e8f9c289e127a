//! Packets as long as the links take.

use adminapi::model::Scheduler;
use anyhow::Result;
use testbed::accounts::assert_accounts;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::topology::Plan;
use testbed::traffic::UdpClient;

/// Whether a ping of `size` bytes of payload, never fragmented, is answered.
fn ping(scene: &Scene, family: Family, size: usize) -> bool {
    let (size, vip) = (size.to_string(), family.vip().to_string());
    let arguments = ["-c1", "-W2", "-Mdo", "-s", &size, &vip];
    scene.topology.client.run("ping", &arguments).is_ok()
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
            assert!(
                ping(&scene, family, usize::from(mtu) - headers),
                "{family:?} {mtu}"
            );
        }
        assert_accounts(&scene.director);
    }
    Ok(())
}
