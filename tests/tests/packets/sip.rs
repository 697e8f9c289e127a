//! The persistence engine sip: calls stick, not clients.

use std::net::SocketAddr;
use std::time::Duration;

use adminapi::model::{
    Connection, Engine, ExplainQuery, Persistence, Protocol, ServiceId, ServicePatch,
};
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::packet::invite;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::topology::{CLIENT_V4, CLIENT_V6};
use testbed::traffic::{UdpClient, tally};
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(20);

fn patched(scene: &Scene, id: ServiceId, persistence: Persistence) -> Result<()> {
    let patch = ServicePatch {
        persistence: Some(Some(persistence).into()),
        ..ServicePatch::default()
    };
    let api = scene.director.api();
    api.call(async |client| client.change_service(id, patch).await)?;
    Ok(())
}

fn client(family: Family) -> SocketAddr {
    match family {
        Family::V4 => (CLIENT_V4, 9).into(),
        Family::V6 => (CLIENT_V6, 9).into(),
    }
}

/// Begins a call from a port of its own; the real server that answers.
fn call(scene: &Scene, family: Family, id: &str) -> Result<String> {
    UdpClient::open(&scene.topology.client, family.echo())?.echo(&invite(id))
}

fn templates(scene: &Scene, id: ServiceId) -> Result<Vec<Connection>> {
    let mut all = scene.director.api().connections(id)?;
    all.retain(|connection| connection.template);
    Ok(all)
}

fn nameless(scene: &Scene) -> Result<u64> {
    let drops = scene.director.api().stats()?.drops;
    Ok(drops.get("no_call_id").copied().unwrap_or_default())
}

#[test]
fn calls_stick_wherever_they_come_from() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let calls = ["a@x", "b@x", "c@x"];
    for family in Family::BOTH {
        let id = family.echo_service();
        let persistence = Persistence {
            prefix: Some(0),
            engine: Some(Engine::Sip),
            ..Persistence::default()
        };
        patched(&scene, id, persistence)?;
        let ask = || -> Result<Vec<String>> {
            let answered = calls.iter().map(|id| call(&scene, family, id));
            answered.collect()
        };
        let first = ask()?;
        assert!(tally(first.clone()).values().all(|&count| count == 1));
        assert_eq!(ask()?, first, "from another port");

        let mut listed = templates(&scene, id)?;
        listed.sort_by(|one, other| one.engine_data.cmp(&other.engine_data));
        let named = listed.iter().map(|each| each.engine_data.as_deref());
        assert_eq!(named.collect::<Vec<_>>(), calls.map(Some));
        assert!(listed.iter().all(|each| each.engine == Some(Engine::Sip)));

        let query = ExplainQuery {
            protocol: Protocol::Udp,
            from: client(family),
            to: family.echo(),
            interface: None,
            call_id: Some("b@x".to_owned()),
            flags: None,
        };
        let api = scene.director.api();
        let foreseen = api.call(async |client| client.explain(&query).await)?;
        let template = foreseen.template.context("no template is foreseen")?;
        assert_eq!(template.real, listed[1].real);

        let before = nameless(&scene)?;
        let stranger = UdpClient::open(&scene.topology.client, family.echo())?;
        for message in [&b""[..], b"\r\n\r\n", b"INVITE x\r\n\r\nCall-ID: a@x\r\n"] {
            stranger.socket().send(message)?;
        }
        wait::until("datagrams of no call to be dropped", PATIENCE, || {
            let dropped = nameless(&scene)? - before;
            ensure!(dropped == 3, "{dropped} are dropped");
            Ok(())
        })?;
        assert_eq!(templates(&scene, id)?.len(), calls.len());
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn a_service_begins_and_ceases_to_go_by_calls() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let (family, id) = (Family::V4, Family::V4.echo_service());
    let by_calls = Persistence {
        engine: Some(Engine::Sip),
        ..Persistence::default()
    };
    patched(&scene, id, by_calls)?;
    assert_ne!(call(&scene, family, "a@x")?, call(&scene, family, "b@x")?);
    let shown = scene.director.api().service(id)?.persistence;
    assert_eq!(shown, Some(by_calls));
    patched(&scene, id, Persistence::default())?;
    let now = ["c@x", "d@x", "e@x"].map(|id| call(&scene, family, id));
    let now = now.into_iter().collect::<Result<Vec<_>>>()?;
    assert_eq!(tally(now).len(), 1, "the client sticks");
    let engines = templates(&scene, id)?.into_iter().map(|each| each.engine);
    assert_eq!(engines.flatten().count(), 2, "the calls are not forgotten");
    assert_accounts(&scene.director);
    Ok(())
}
