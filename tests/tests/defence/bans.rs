//! Sources that have too many connections, that are banned by themselves, and that are seen though
//! the gate drops what they send.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use adminapi::model::{
    ConnectionLimit, CookiePolicy, DecidingRule, FilterList, FilterRules, LimitPer, ListedView,
    NetworkQuery, Prefix, Protocol, ServicePatch, SourceQuery,
};
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::syns::{self, banning};
use testbed::topology::HOST_SIDE;
use testbed::traffic::HttpConnection;
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_source_has_so_many_connections_and_gets_more_when_it_ends_some() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    for family in Family::BOTH {
        let to = family.http();
        let open = || HttpConnection::open(&scene.topology.client, to);
        // One that is there when the limit comes counts.
        let mut held = vec![open()?];
        held[0].ask_name()?;
        let limit = ConnectionLimit {
            name: "few".to_owned(),
            most: 3,
            per: LimitPer::Source,
            prefix_v4: 24,
            prefix_v6: 48,
            service: Some(family.http_service()),
        };
        let rules = FilterRules {
            connections: vec![limit],
            ..FilterRules::default()
        };
        api.put_filter(&rules)?;
        for _ in 0..2 {
            held.push(open()?);
        }
        let before = api.dropped("source_connections")?;
        let other: IpAddr = match family {
            Family::V4 => "10.0.1.77".parse()?,
            Family::V6 => "fd00:1::77".parse()?,
        };
        let send = || syns::send(&scene.topology.client, other, to, 40_000..40_005);
        wait::until_repeated("the fourth to be refused", PATIENCE, send, || {
            let shown = api.call(async |client| client.filter().await)?;
            let over = shown.over.get("few").copied().unwrap_or(0);
            let now = api.dropped("source_connections")? - before;
            ensure!(now >= 5 && over == now, "{now} of 5, {over} told of");
            Ok(())
        })?;
        let told = api.explain(Protocol::Tcp, SocketAddr::new(other, 40_009), to)?;
        let network = match family {
            Family::V4 => "10.0.1.0/24",
            Family::V6 => "fd00:1::/48",
        };
        let rule = DecidingRule::ConnectionLimit {
            name: "few".to_owned(),
            source: Some(network.parse()?),
            most: 3,
        };
        assert_eq!(told.rule, Some(rule));
        for held in &mut held {
            held.ask_name()?;
        }
        let id = held[0].client()?;
        let close = adminapi::model::ConnectionId {
            protocol: Protocol::Tcp,
            client: id,
            vip: to,
        };
        api.call(async |client| client.close_connection(close).await)?;
        open()?.ask_name().context("there is a place again")?;
        api.put_filter(&FilterRules::default())?;
        open()?.ask_name()?;
    }
    assert_accounts(&scene.director);
    Ok(())
}

/// The ban of a network, if there is one now.
fn ban_of(scene: &Scene, network: Prefix) -> Result<Option<ListedView>> {
    let query = NetworkQuery::default();
    let api = scene.director.api();
    let page = api.call(async |client| client.listed_networks(&query).await)?;
    let found = page.listings.into_iter();
    Ok(found
        .filter(|listed| listed.automatic)
        .find(|listed| listed.network == network))
}

/// Who sends too much is banned, and what he sends then is denied.
fn is_banned(
    scene: &Scene,
    (attacker, to): (IpAddr, SocketAddr),
    network: Prefix,
) -> Result<ListedView> {
    let send = |ports| syns::send(&scene.topology.client, attacker, to, ports);
    let attack = || send(30_000..30_040);
    let ban = wait::until_repeated("the ban", PATIENCE, attack, || {
        ban_of(scene, network)?.context("it is not banned")
    })?;
    let before = scene.director.api().dropped("denied")?;
    // Not again: after the ban there would be another one.
    send(31_000..31_003)?;
    wait::until("what it sends to be denied", PATIENCE, || {
        ensure!(
            scene.director.api().dropped("denied")? > before,
            "it is not"
        );
        Ok(())
    })?;
    Ok(ban)
}

#[test]
fn who_is_over_a_limit_too_often_is_banned_longer_each_time_and_the_allowed_never() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    // Who answers for the attackers, so that nothing waits for them at the end.
    scene.topology.client.ip(&format!(
        "addr add 10.0.1.66/24 dev {HOST_SIDE}\naddr add 10.0.1.67/24 dev {HOST_SIDE}\n"
    ))?;
    // A ban has to be seen, and to be felt, before it ends.
    api.put_filter(&banning(4, 60))?;
    let attackers = [
        (Family::V4, "10.0.1.66", "10.0.1.66"),
        (Family::V6, "fd00:77::66", "fd00:77::/64"),
    ];
    for (seconds, is_first) in [(4, true), (8, false)] {
        for (family, attacker, network) in attackers {
            let attack = (attacker.parse()?, family.http());
            let ban = is_banned(&scene, attack, network.parse()?)?;
            ensure!(ban.left.is_some_and(|left| left <= seconds), "{ban:?}");
            let why = ban.why.unwrap_or_default();
            ensure!(why.starts_with("syns: 20 packets"), "{why}");
            ensure!(why.ends_with("time 2") != is_first, "{why}");
            HttpConnection::open(&scene.topology.client, family.http())?.ask_name()?;
        }
        for (_, _, network) in attackers {
            wait::until("the ban to end", PATIENCE, || {
                ensure!(ban_of(&scene, network.parse()?)?.is_none(), "it has not");
                Ok(())
            })?;
        }
    }
    let events = api.call(async |client| client.events(0).await)?.events;
    for (_, _, network) in attackers {
        let network: Prefix = network.parse()?;
        let told = |event: &&adminapi::model::Event| {
            event.kind == "ban" && event.message.starts_with(&format!("{}", network.address))
        };
        assert_eq!(events.iter().filter(told).count(), 2, "{events:?}");
    }
    // What is said by hand counts more.
    let network = "10.0.1.67".parse()?;
    is_banned(&scene, ("10.0.1.67".parse()?, Family::V4.http()), network)?;
    api.list("10.0.1.0/24".parse()?, FilterList::Allow)?;
    assert_eq!(ban_of(&scene, network)?, None);
    let limited = api.dropped("source_limit")?;
    syns::send(
        &scene.topology.client,
        Family::V4.client(),
        Family::V4.http(),
        30_000..30_100,
    )?;
    HttpConnection::open(&scene.topology.client, Family::V4.http())?.ask_name()?;
    assert_eq!(api.dropped("source_limit")?, limited);
    assert_eq!(api.call(async |client| client.filter().await)?.banned, 0);
    assert_accounts(&scene.director);
    Ok(())
}

/// One that sends most of all, and another; none of it gets to the director.
fn until_the_attacker_is_seen(scene: &Scene) -> Result<()> {
    let api = scene.director.api();
    let attacker: IpAddr = "203.0.113.9".parse()?;
    let send = |from, ports| {
        let to = Family::V4.http();
        syns::send(&scene.topology.client, from, to, ports)
    };
    wait::until("the attacker to be seen", PATIENCE, || {
        send(attacker, 1000..1400)?;
        send("203.0.113.10".parse()?, 1000..1040)?;
        let query = SourceQuery::default();
        let seen = api.call(async |client| client.sources(query).await)?;
        let heaviest = seen.sources.first().context("nobody is seen")?;
        ensure!(heaviest.source.address == attacker, "{seen:?}");
        ensure!(heaviest.stopped > 0 && heaviest.opens > 0, "{seen:?}");
        ensure!(heaviest.stopped == heaviest.packets, "{seen:?}");
        Ok(())
    })
}

#[test]
fn top_sources_are_seen_though_the_gate_drops_what_they_send() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    api.list("203.0.113.0/24".parse()?, FilterList::BlackHole)?;
    until_the_attacker_is_seen(&scene)?;
    assert!(api.dropped("black_hole")? > 0);
    assert_accounts(&scene.director);
    Ok(())
}

/// Without any rule, too: who has configured none sees who floods him.
#[test]
fn top_sources_are_seen_though_the_gate_answers_them() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let always = ServicePatch {
        cookies: Some(CookiePolicy::Always),
        ..ServicePatch::default()
    };
    let service = Family::V4.http_service();
    let api = scene.director.api();
    api.call(async |client| client.change_service(service, always).await)?;
    until_the_attacker_is_seen(&scene)?;
    assert!(api.stats()?.total.answered > 0);
    assert_accounts(&scene.director);
    Ok(())
}
