//! A director that is killed and started again while a download is under way: the real server's next
//! segment brings the connection back.

use std::process::Command;
use std::time::Duration;

use adminapi::model::Scheduler;
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::Configuration;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::servers::big_file;
use testbed::topology::Plan;
use testbed::traffic::file_sha256;
use testbed::wait;

const HTTP: Family = Family::V4;
const PATIENCE: Duration = Duration::from_secs(60);

fn resurrecting(configuration: Configuration) -> Configuration {
    configuration.defense("strays", "resurrect")
}

/// The kernel knows nothing of the director's connections, and would end them meanwhile.
fn silence(scene: &Scene, silent: bool) -> Result<()> {
    let rules = match silent {
        true => {
            "add table ip mute; add chain ip mute early { type filter hook prerouting priority -300; policy drop; }"
        }
        false => "delete table ip mute",
    };
    scene.topology.director.run("nft", &[rules]).map(drop)
}

#[test]
fn a_download_outlives_its_director() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut scene = Scene::start_shaped(Plan::default(), Scheduler::Rr, &[1, 1, 1], resurrecting)?;
    let expected = file_sha256(&big_file()?)?;
    // Before the download, which is not to end before the director.
    silence(&scene, true)?;
    let url = format!("http://{}/big", HTTP.http());
    let pipeline = format!(
        "set -o pipefail; curl -gsS --fail --max-time 180 --limit-rate 20M {url} | sha256sum"
    );
    let download = scene.topology.client.spawn(move || {
        let output = Command::new("bash").args(["-c", &pipeline]).output()?;
        ensure!(output.status.success(), "{output:?}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    })?;
    let before = wait::until("the download to begin", PATIENCE, || {
        let carried = scene.director.api().service(HTTP.http_service())?.stats;
        ensure!(carried.out_bytes > 5 << 20, "{carried:?}");
        scene.director.api().connections(HTTP.http_service())
    })?;

    scene.director.end_by(Signal::Kill)?;
    scene.start_next()?;
    silence(&scene, false)?;

    wait::until("the connection to be back", PATIENCE, || {
        let now = scene.director.api().connections(HTTP.http_service())?;
        let back = now.iter().any(|entry| {
            let known = (entry.client, entry.real) == (before[0].client, before[0].real);
            known && entry.state == "ESTABLISHED"
        });
        ensure!(back, "{now:?}");
        Ok(())
    })?;
    let sum = download.join().expect("the download panicked")?;
    assert!(sum.starts_with(&expected), "{sum}");
    assert_accounts(&scene.director);
    Ok(())
}
