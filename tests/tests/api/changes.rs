//! Many changes, one after another and at the same time, while clients are served.

use std::net::SocketAddr;
use std::path::Path;

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
    let reals = scene.topology.reals.iter();
    let reals: Vec<SocketAddr> = reals
        .map(|host| (host.v4, OTHER_HTTP_PORT).into())
        .collect();
    let changers: Vec<_> = (0..CHANGERS)
        .map(|changer| {
            let (socket, reals) = (scene.director.socket(), reals.clone());
            std::thread::spawn(move || change(&socket, &reals, changer))
        })
        .collect();
    let mut rounds = 0;
    while changers.iter().any(|changer| !changer.is_finished()) {
        for (name, connection) in &mut open {
            assert_eq!(connection.ask_name()?, *name);
        }
        fetch_names(&scene.topology.client, HTTP.http(), 3)?;
        rounds += 1;
    }
    for changer in changers {
        changer.join().expect("a changer panicked")?;
    }
    assert!(rounds > 3, "the changes were over after {rounds} rounds");
    for (name, connection) in &mut open {
        assert_eq!(connection.ask_name()?, *name);
    }
    assert_accounts(&scene.director);
    Ok(())
}

/// A share of the changes: weights, of one real server after another, never 0.
fn change(socket: &Path, reals: &[SocketAddr], changer: u32) -> Result<()> {
    let api = Api::new(socket)?;
    for (n, real) in (0..CHANGES / CHANGERS).zip(reals.iter().cycle()) {
        let patch = RealPatch {
            weight: Some(1 + (n * CHANGERS + changer) % 100),
            ..RealPatch::default()
        };
        api.change_real(HTTP.http_service(), *real, patch)?;
    }
    Ok(())
}
