//! Many changes, one after another and at the same time, while clients are served.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use adminapi::model::RealPatch;
use anyhow::Result;
use testbed::accounts::assert_accounts;
use testbed::api::Api;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::servers::OTHER_HTTP_PORT;
use testbed::traffic::{HttpConnection, fetch_names};

const HTTP: Family = Family::V4;
const CHANGERS: u32 = 4;
const CHANGES: u32 = 10_000;

#[test]
fn ten_thousand_changes_lose_no_connection() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut connection = HttpConnection::open(&scene.topology.client, HTTP.http())?;
        open.push((connection.ask_name()?, connection));
    }
    let changed = AtomicBool::new(false);
    let (served, asked) = std::thread::scope(|threads| -> Result<(usize, usize)> {
        let changers: Vec<_> = (0..CHANGERS)
            .map(|changer| {
                let scene = &scene;
                threads.spawn(move || change(scene, changer))
            })
            .collect();
        let visitor = threads.spawn(|| visit(&scene, &changed));
        let mut asked = 0;
        while changers.iter().any(|changer| !changer.is_finished()) {
            for (name, connection) in &mut open {
                assert_eq!(connection.ask_name()?, *name);
                asked += 1;
            }
        }
        changed.store(true, Relaxed);
        for changer in changers {
            changer.join().expect("a changer panicked")?;
        }
        Ok((visitor.join().expect("the visitor panicked")?, asked))
    })?;
    assert!(
        served > 0 && asked > 0,
        "{served} visits, {asked} questions"
    );
    for (name, connection) in &mut open {
        assert_eq!(connection.ask_name()?, *name);
    }
    assert_accounts(&scene.director);
    Ok(())
}

/// A share of the changes: weights, of one real server after another, never 0.
fn change(scene: &Scene, changer: u32) -> Result<()> {
    let api = Api::new(&scene.director.socket())?;
    for n in 0..CHANGES / CHANGERS {
        let host = &scene.topology.reals[(n as usize) % 3];
        let patch = RealPatch {
            weight: Some(1 + (n * CHANGERS + changer) % 100),
            ..RealPatch::default()
        };
        api.change_real(
            HTTP.http_service(),
            (host.v4, OTHER_HTTP_PORT).into(),
            patch,
        )?;
    }
    Ok(())
}

/// New connections all the while; how many there were.
fn visit(scene: &Scene, changed: &AtomicBool) -> Result<usize> {
    let mut served = 0;
    while !changed.load(Relaxed) {
        served += fetch_names(&scene.topology.client, HTTP.http(), 5)?.len();
    }
    Ok(served)
}
