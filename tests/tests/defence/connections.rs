//! Limits of connections: how many are opened in a second, and how many a service has at one time.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use adminapi::model::{
    BanPolicy, ConnectionId, ConnectionLimit, CookiePolicy, DecidingRule, FilterList, FilterRules,
    LimitOf, LimitPer, ListedView, NetworkQuery, Protocol, RateLimit, ServiceId, ServicePatch,
    ServiceView, TimeoutsPatch,
};
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::syns;
use testbed::topology::{HOST_SIDE, Plan};
use testbed::traffic::{HttpConnection, UdpClient};
use testbed::wait;

/// Between two words of who waits for a place.
const GLANCE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

/// So many at once, and one a second.
const BURST: u32 = 5;

/// Three real servers, and a director with two workers.
fn scene() -> Result<Scene> {
    let plan = Plan {
        queues: 2,
        ..Plan::default()
    };
    Scene::start_with(plan, adminapi::model::Scheduler::Rr, &[1, 1, 1])
}

/// Nobody, at the client's link.
fn stranger(family: Family, host: u8) -> Result<IpAddr> {
    Ok(match family {
        Family::V4 => format!("10.0.1.{host}").parse()?,
        Family::V6 => format!("fd00:1::{host}").parse()?,
    })
}

fn opened(per: LimitPer, service: Option<ServiceId>) -> RateLimit {
    RateLimit {
        name: "opened".to_owned(),
        of: LimitOf::Connections,
        per,
        rate: 1,
        burst: Some(BURST),
        prefix_v4: RateLimit::all_v4(),
        prefix_v6: match per {
            LimitPer::Source => 128,
            LimitPer::Service => RateLimit::link_v6(),
        },
        service,
        region: None,
        ban: None,
    }
}

fn set(scene: &Scene, limit: RateLimit) -> Result<()> {
    let rules = FilterRules {
        limits: vec![limit],
        ..FilterRules::default()
    };
    scene.director.api().put_filter(&rules).map(drop)
}

/// What came since somebody began to look.
struct Count<'s> {
    scene: &'s Scene,
    service: ServiceId,
    reason: &'static str,
    began: Instant,
    dropped: u64,
    over: u64,
    before: ServiceView,
}

impl<'s> Count<'s> {
    fn begin(scene: &'s Scene, service: ServiceId, reason: &'static str) -> Result<Self> {
        Ok(Self {
            scene,
            service,
            reason,
            began: Instant::now(),
            dropped: scene.director.api().dropped(reason)?,
            over: over(scene)?,
            before: scene.director.api().service(service)?,
        })
    }

    /// Waits until of `new` connections all have been opened or refused, and `again` packets more are
    /// forwarded that open none.
    fn settle(&self, new: u64, again: u64) -> Result<()> {
        let api = self.scene.director.api();
        let opened = wait::until("each to be opened or refused", PATIENCE, || {
            let (now, before) = (api.service(self.service)?.stats, &self.before.stats);
            let opened = now.connections - before.connections;
            let forwarded = now.in_packets - before.in_packets;
            let refused = api.dropped(self.reason)? - self.dropped;
            ensure!(opened + refused == new, "{opened}, and {refused} refused");
            ensure!(forwarded >= opened + again, "{forwarded} forwarded");
            let over = over(self.scene)? - self.over;
            ensure!(over == refused, "{over} over, {refused} refused");
            Ok(opened)
        })?;
        let most = u64::from(BURST) + self.began.elapsed().as_secs() + 1;
        ensure!(
            (u64::from(BURST)..=most).contains(&opened),
            "{opened} of {most}"
        );
        Ok(())
    }
}

/// Who has a connection to a service.
fn clients(scene: &Scene, service: ServiceId) -> Result<Vec<SocketAddr>> {
    let connections = scene.director.api().connections(service)?;
    Ok(connections.iter().map(|one| one.client).collect())
}

/// Packets over the limit.
fn over(scene: &Scene) -> Result<u64> {
    let api = scene.director.api();
    let shown = api.call(async |client| client.filter().await)?;
    Ok(shown.over["opened"])
}

#[test]
fn a_source_opens_so_many_connections_in_a_second_and_others_as_many() -> Result<()> {
    const SENT: u16 = 30;
    if !require::machine() {
        return Ok(());
    }
    let scene = scene()?;
    for family in Family::BOTH {
        let to = family.http();
        let mut live = HttpConnection::open(&scene.topology.client, to)?;
        set(&scene, opened(LimitPer::Source, None))?;
        live.ask_name()?;
        let from = stranger(family, 77)?;
        let send = |ports| syns::send(&scene.topology.client, from, to, ports);
        let count = Count::begin(&scene, family.http_service(), "source_limit")?;
        send(20_000..20_000 + SENT)?;
        count.settle(SENT.into(), 0)?;
        let opened = clients(&scene, family.http_service())?;
        let again: Vec<_> = opened.iter().filter(|end| end.ip() == from).collect();
        for end in &again {
            send(end.port()..end.port() + 1)?;
        }
        count.settle(SENT.into(), again.len() as u64)?;
        for _ in 0..BURST {
            HttpConnection::open(&scene.topology.client, to)?.ask_name()?;
        }
        live.ask_name()?;
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn all_sources_together_open_so_many_connections_to_a_service() -> Result<()> {
    const SENT: u16 = 10;
    if !require::machine() {
        return Ok(());
    }
    let scene = scene()?;
    for family in Family::BOTH {
        let (id, to) = (family.http_service(), family.http());
        set(&scene, opened(LimitPer::Service, None))?;
        let count = Count::begin(&scene, id, "service_limit")?;
        for host in [77, 78, 79] {
            let from = stranger(family, host)?;
            syns::send(&scene.topology.client, from, to, 20_000..20_000 + SENT)?;
        }
        count.settle(u64::from(SENT) * 3, 0)?;
        // Another service has a bucket of its own.
        UdpClient::open(&scene.topology.client, family.echo())?.echo(b"you")?;
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn datagrams_that_open_connections_are_counted_and_others_are_not() -> Result<()> {
    const CLIENTS: u64 = 12;
    if !require::machine() {
        return Ok(());
    }
    let scene = scene()?;
    let api = scene.director.api();
    for family in Family::BOTH {
        let id = family.echo_service();
        let open = || UdpClient::open(&scene.topology.client, family.echo());
        set(&scene, opened(LimitPer::Source, Some(id)))?;
        let all = (0..CLIENTS).map(|_| open()).collect::<Result<Vec<_>>>()?;
        let count = Count::begin(&scene, id, "source_limit")?;
        for client in &all {
            client.socket().send(b"first")?;
        }
        count.settle(CLIENTS, 0)?;
        let opened = clients(&scene, id)?;
        let is_open = |client: &&UdpClient| {
            let own = client.socket().local_addr();
            own.is_ok_and(|own| opened.contains(&own))
        };
        let open_one = all.iter().find(is_open).context("none is open")?;
        for _ in 0..20 {
            open_one.socket().send(b"on and on")?;
        }
        count.settle(CLIENTS, 20)?;
        let patch = ServicePatch {
            one_packet: Some(true),
            ..ServicePatch::default()
        };
        api.call(async |client| client.change_service(id, patch).await)?;
        let before = (
            api.service(id)?.stats.in_packets,
            api.dropped("source_limit")?,
        );
        for client in &all {
            client.socket().send(b"alone")?;
        }
        wait::until("all datagrams to be sent on", PATIENCE, || {
            let now = api.service(id)?.stats.in_packets - before.0;
            ensure!(now >= CLIENTS, "{now}");
            Ok(())
        })?;
        assert_eq!(api.dropped("source_limit")?, before.1);
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn only_who_comes_back_with_a_cookie_has_opened_a_connection() -> Result<()> {
    const SENT: u16 = 40;
    if !require::machine() {
        return Ok(());
    }
    let scene = scene()?;
    let api = scene.director.api();
    let (id, to) = (Family::V4.http_service(), Family::V4.http());
    let always = ServicePatch {
        cookies: Some(CookiePolicy::Always),
        ..ServicePatch::default()
    };
    api.call(async |client| client.change_service(id, always).await)?;
    set(&scene, opened(LimitPer::Service, None))?;
    let flood = || {
        let from = stranger(Family::V4, 77)?;
        syns::send(&scene.topology.client, from, to, 20_000..20_000 + SENT)
    };
    wait::until_repeated("them to be answered", PATIENCE, flood, || {
        ensure!(api.stats()?.total.answered >= SENT.into());
        Ok(())
    })?;
    assert_eq!(over(&scene)?, 0);
    let open = || HttpConnection::open(&scene.topology.client, to);
    for _ in 0..BURST {
        open()?.ask_name()?;
    }
    assert_eq!(over(&scene)?, 0, "the flood has used nothing up");
    let late = (0..2 * BURST).map(|_| open()).collect::<Result<Vec<_>>>()?;
    wait::until("one too many", PATIENCE, || {
        ensure!(over(&scene)? > 0);
        Ok(())
    })?;
    drop(late);
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn who_opens_too_many_connections_is_banned() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene()?;
    let api = scene.director.api();
    // Who answers for the attacker, so that nothing waits for it at the end.
    let address = format!("addr add 10.0.1.66/24 dev {HOST_SIDE}\n");
    scene.topology.client.ip(&address)?;
    let attacker: IpAddr = "10.0.1.66".parse()?;
    // A limit of the gate stands before it, so that both number theirs otherwise.
    let syns = RateLimit {
        name: "syns".to_owned(),
        of: LimitOf::Syns,
        rate: 10_000,
        burst: None,
        ..opened(LimitPer::Source, None)
    };
    let ban = BanPolicy {
        over: 20,
        within: 10,
        first: 60,
        longest: 600,
        list: FilterList::Deny,
    };
    let limit = RateLimit {
        ban: Some(ban),
        ..opened(LimitPer::Source, None)
    };
    let rules = FilterRules {
        limits: vec![syns, limit],
        ..FilterRules::default()
    };
    api.put_filter(&rules)?;
    let to: SocketAddr = Family::V4.http();
    let attack = || syns::send(&scene.topology.client, attacker, to, 30_000..30_040);
    let ban = wait::until_repeated("the ban", PATIENCE, attack, || -> Result<ListedView> {
        let query = NetworkQuery::default();
        let page = api.call(async |client| client.listed_networks(&query).await)?;
        let mut banned = page.listings.into_iter().filter(|listed| listed.automatic);
        banned.next().context("nobody is banned")
    })?;
    assert_eq!(ban.network.address, attacker);
    let why = ban.why.unwrap_or_default();
    ensure!(why.starts_with("opened: 20 packets"), "{why}");
    let over = api.call(async |client| client.filter().await)?.over;
    ensure!(over["syns"] == 0 && over["opened"] >= 20, "{over:?}");
    HttpConnection::open(&scene.topology.client, to)?.ask_name()?;
    assert_accounts(&scene.director);
    Ok(())
}

/// Lets a service have so many connections at one time.
fn set_most(scene: &Scene, service: ServiceId, most: u32) -> Result<()> {
    let limit = ConnectionLimit {
        name: "full".to_owned(),
        most,
        per: LimitPer::Service,
        prefix_v4: RateLimit::all_v4(),
        prefix_v6: RateLimit::link_v6(),
        service: Some(service),
    };
    let rules = FilterRules {
        connections: vec![limit],
        ..FilterRules::default()
    };
    scene.director.api().put_filter(&rules).map(drop)
}

#[test]
fn a_service_has_so_many_connections_of_all_sources_together() -> Result<()> {
    const SENT: u16 = 5;
    if !require::machine() {
        return Ok(());
    }
    let scene = scene()?;
    let api = scene.director.api();
    for family in Family::BOTH {
        let (id, to) = (family.http_service(), family.http());
        let open = || HttpConnection::open(&scene.topology.client, to);
        let mut held = vec![open()?, open()?];
        set_most(&scene, id, 3)?;
        held.push(open()?);
        let before = api.dropped("service_connections")?;
        let from = stranger(family, 77)?;
        syns::send(&scene.topology.client, from, to, 40_000..40_000 + SENT)?;
        wait::until("all to be refused", PATIENCE, || {
            let refused = api.dropped("service_connections")? - before;
            ensure!(refused == u64::from(SENT), "{refused}");
            let shown = api.call(async |client| client.filter().await)?;
            ensure!(shown.over["full"] == refused, "{:?}", shown.over);
            Ok(())
        })?;
        UdpClient::open(&scene.topology.client, family.echo())?.echo(b"another service")?;
        let told = api.explain(Protocol::Tcp, SocketAddr::new(from, 40_009), to)?;
        assert_eq!(told.reason.as_deref(), Some("service_connections"));
        let rule = DecidingRule::ConnectionLimit {
            name: "full".to_owned(),
            source: None,
            most: 3,
        };
        assert_eq!(told.rule, Some(rule));
        for held in &mut held {
            held.ask_name()?;
        }
        let close = ConnectionId {
            protocol: Protocol::Tcp,
            client: held[0].client()?,
            vip: to,
        };
        api.call(async |client| client.close_connection(close).await)?;
        open()?.ask_name().context("there is a place again")?;
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn what_expires_leaves_a_place() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene()?;
    let api = scene.director.api();
    let hasty = TimeoutsPatch {
        udp: Some(6),
        ..TimeoutsPatch::default()
    };
    api.call(async |client| client.change_timeouts(hasty).await)?;
    for family in Family::BOTH {
        let id = family.echo_service();
        set_most(&scene, id, 2)?;
        let open = || UdpClient::open(&scene.topology.client, family.echo());
        let clients = [open()?, open()?];
        for client in &clients {
            client.echo(b"first")?;
        }
        let before = api.dropped("service_connections")?;
        let third = open()?;
        third.socket().send(b"too many")?;
        wait::until("it to be refused", PATIENCE, || {
            ensure!(api.dropped("service_connections")? > before);
            Ok(())
        })?;
        third.socket().set_read_timeout(Some(GLANCE))?;
        wait::until("both to expire", PATIENCE, || {
            third.echo(b"a place").map(drop)
        })?;
    }
    assert_accounts(&scene.director);
    Ok(())
}
