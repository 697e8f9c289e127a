//! Lists of networks: who comes in, and for how long.

use adminapi::model::{Fate, FilterList, NetworkQuery, Scheduler};
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::syns;
use testbed::topology::Plan;
use testbed::traffic::{HttpConnection, UdpClient};
use testbed::wait;

use crate::filters::bed::{PATIENCE, SHORT, alone, ask, is_dropped, list, unlist};

#[test]
fn lists_decide_who_comes_in_and_established_connections_come_first() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    for family in Family::BOTH {
        let (from, to) = (family.client(), family.http());
        let network = alone(from)?;
        let mut live = HttpConnection::open(&scene.topology.client, to)?;
        live.ask_name()?;

        list(&scene, network, FilterList::Deny, None)?;
        is_dropped(&scene, from, to, "denied")?;
        live.ask_name()?;
        let told = ask(&scene, from, to)?;
        assert_eq!(
            (told.fate, told.reason.as_deref()),
            (Fate::Drop, Some("denied"))
        );
        assert_eq!(told.listed.map(|listed| listed.network), Some(network));

        let wide = match family {
            Family::V4 => "10.0.0.0/8",
            Family::V6 => "fd00::/16",
        };
        list(&scene, network, FilterList::Allow, None)?;
        list(&scene, wide.parse()?, FilterList::Deny, None)?;
        HttpConnection::open(&scene.topology.client, to)?.ask_name()?;
        list(&scene, wide.parse()?, FilterList::BlackHole, None)?;
        live.ask_name()?;
        list(&scene, wide.parse()?, FilterList::Deny, None)?;
        unlist(&scene, network)?;
        live.ask_name()?;
        unlist(&scene, wide.parse()?)?;

        list(&scene, network, FilterList::BlackHole, None)?;
        let id = family.http_service();
        ensure!(
            api.connections(id)?.is_empty(),
            "connections outlive a black hole"
        );
        is_dropped(&scene, from, to, "black_hole")?;
        let query = NetworkQuery::default();
        let page = api.call(async |client| client.listed_networks(&query).await)?;
        let [listed] = &page.listings[..] else {
            panic!("{page:?}");
        };
        assert_eq!(
            (listed.network, listed.list),
            (network, FilterList::BlackHole)
        );
        assert!(listed.packets > 0 && listed.why.as_deref() == Some("a test"));
        unlist(&scene, network)?;
        HttpConnection::open(&scene.topology.client, to)?.ask_name()?;

        list(&scene, network, FilterList::Allow, None)?;
        list(&scene, wide.parse()?, FilterList::BlackHole, None)?;
        HttpConnection::open(&scene.topology.client, to)?.ask_name()?;
        unlist(&scene, network)?;
        ensure!(
            api.connections(id)?.is_empty(),
            "who is allowed no more keeps connections in a black hole"
        );
        unlist(&scene, wide.parse()?)?;
    }
    assert_accounts(&scene.director);
    Ok(())
}

/// Established connections of TCP go on, and there is no such thing with UDP: also what the gate has
/// forwarded by itself ends within a second, and goes on when its client is off the list again.
#[test]
fn datagrams_of_who_is_denied_are_dropped_on_both_paths() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for fast_path in [true, false] {
        let plan = Plan {
            reals: 1,
            ..Plan::default()
        };
        let scene = Scene::start_shaped(plan, Scheduler::Rr, &[1], |configuration| {
            configuration.fast_path(fast_path)
        })?;
        let api = scene.director.api();
        for family in Family::BOTH {
            let network = alone(family.client())?;
            let mut live = HttpConnection::open(&scene.topology.client, family.http())?;
            let echo = UdpClient::open(&scene.topology.client, family.echo())?;
            for _ in 0..4 {
                echo.echo_again(b"before")?;
                live.ask_name()?;
            }
            let known = scene.director.api().connections(family.echo_service())?;
            ensure!(known.len() == 1 && known[0].forwarded.is_some() == fast_path);
            list(&scene, network, FilterList::Deny, None)?;
            let send = || Ok(echo.socket().send(b"denied").map(drop)?);
            let before = api.dropped("denied")?;
            wait::until_repeated("a datagram to be dropped", PATIENCE, send, || {
                ensure!(api.dropped("denied")? > before, "{fast_path}");
                Ok(())
            })?;
            live.ask_name()?;
            unlist(&scene, network)?;
            echo.socket().set_read_timeout(Some(SHORT / 10))?;
            wait::until("an echo", PATIENCE, || echo.echo(b"after"))?;
            let now = scene.director.api().connections(family.echo_service())?;
            ensure!(now.len() == 1 && now[0].client == known[0].client);
        }
        assert_accounts(&scene.director);
    }
    Ok(())
}

#[test]
fn a_ban_ends_by_itself() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let network = alone(Family::V4.client())?;
    list(&scene, network, FilterList::BlackHole, Some(1))?;
    let api = scene.director.api();
    wait::until("the ban to end", PATIENCE, || {
        let found = api.call(async |client| client.listed_network(network).await);
        ensure!(found.is_err(), "{found:?}");
        Ok(())
    })?;
    let mut open = HttpConnection::open(&scene.topology.client, Family::V4.http())?;
    open.ask_name()?;
    assert_accounts(&scene.director);
    Ok(())
}

/// Until a listing is taken off it decides: no moment is between it and a wider one.
#[test]
fn a_wider_black_hole_takes_over_from_a_ban_that_ends() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let (client, to) = (Family::V4.client(), Family::V4.http());
    let api = scene.director.api();
    let mut live = HttpConnection::open(&scene.topology.client, to)?;
    live.ask_name()?;
    let network = alone(client)?;
    // The wider one has to be there, and the connection be used, before it ends.
    list(&scene, network, FilterList::Deny, Some(4))?;
    list(&scene, "10.0.1.0/24".parse()?, FilterList::BlackHole, None)?;
    live.ask_name().context("the longer network decides")?;
    let before = opened(&scene)?;
    let mut port = 21_000;
    wait::until("the ban to end", PATIENCE, || {
        port += 1;
        syns::send(&scene.topology.client, client, to, port..port + 1)?;
        let found = api.call(async |client| client.listed_network(network).await);
        ensure!(found.is_err(), "{found:?}");
        Ok(())
    })?;
    assert_eq!(opened(&scene)?, before, "a SYN has got in between");
    let left = api.connections(Family::V4.http_service())?;
    assert!(left.is_empty(), "{left:?}");
    assert_accounts(&scene.director);
    Ok(())
}

/// Connections that the service has opened.
fn opened(scene: &Scene) -> Result<u64> {
    let service = scene.director.api().service(Family::V4.http_service())?;
    Ok(service.stats.connections)
}
