//! What is explained about a packet is what becomes of it: it is asked first, then sent, and the
//! counters that moved are compared.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use adminapi::model::{
    ConnectionLimit, CookiePolicy, DecidingRule, ExplainQuery, Explanation, Fate, FilterList,
    FilterRules, LimitOf, LimitPer, Prefix, Protocol, RateLimit, Scheduler, ServiceId,
    ServicePatch, Stats, TcpFlags,
};
use anyhow::{Context, Result, ensure};
use testbed::api::dropped;
use testbed::director::Director;
use testbed::packet::{Mac, Segment, ethernet, flag, tcp};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::servers::OTHER_HTTP_PORT;
use testbed::topology::{HOST_SIDE, Plan};
use testbed::traffic::{HttpConnection, UdpClient};
use testbed::{syns, wait};

const PATIENCE: Duration = Duration::from_secs(30);

/// How long an answer is awaited that need not come.
const GLANCE: Duration = Duration::from_millis(500);

/// SYNs that a source may send at once.
const ROUND: u16 = 20;

/// Reasons of the gate and of openings: none of the rest of the scene's packets is dropped so.
const REASONS: [&str; 8] = [
    "denied",
    "black_hole",
    "bogon",
    "reverse_path",
    "region",
    "source_connections",
    "service_connections",
    "bad_cookie",
];

/// Senders on the clients' link: a client, a neighbour that nobody has spoken with, a real server
/// by its address, one who has no address, and one who can have none.
fn senders(scene: &Scene, family: Family) -> Result<[IpAddr; 5]> {
    let real = scene.topology.reals[0].address(family.vip());
    Ok(match family {
        Family::V4 => [
            family.client(),
            "10.0.1.77".parse()?,
            real,
            "0.0.0.0".parse()?,
            "224.0.0.5".parse()?,
        ],
        Family::V6 => [
            family.client(),
            "fd00:1::77".parse()?,
            real,
            "::".parse()?,
            "ff02::5".parse()?,
        ],
    })
}

/// Asks about a SYN, sends it, and compares. Nobody else sends any.
fn try_one(scene: &Scene, from: SocketAddr, to: SocketAddr, what: &str) -> Result<Explanation> {
    try_flags(scene, flag::SYN, from, to, what)
}

/// The same of a segment of any flags.
fn try_flags(
    scene: &Scene,
    flags: u8,
    from: SocketAddr,
    to: SocketAddr,
    what: &str,
) -> Result<Explanation> {
    let api = scene.director.api();
    let query = ExplainQuery {
        protocol: Protocol::Tcp,
        from,
        to,
        interface: None,
        call_id: None,
        flags: Some(TcpFlags(flags)),
    };
    let told = api.call(async |client| client.explain(&query).await)?;
    let before = api.stats()?;
    let tap = Tap::open(&scene.topology.client, HOST_SIDE)?;
    let segment = Segment {
        flags,
        ..Segment::default()
    };
    let (client, director) = (Mac::of_host(1, 1), Mac::of_host(1, 0xfe));
    let segment = ethernet(client, director, &tcp(from, to, segment));
    let want = match told.fate {
        Fate::Drop => told.reason.clone().context("dropped without a reason")?,
        _ if told.cookies.is_some() => "answered".to_owned(),
        _ => "forwarded".to_owned(),
    };
    let is_so = |now: &Stats| match &*want {
        "answered" => now.total.answered > before.total.answered,
        "forwarded" => now.traffic.connections > before.traffic.connections,
        reason => dropped(now, reason) > dropped(&before, reason),
    };
    wait::until_repeated(
        &format!("what is explained, {what}, {from}, {flags:#x}: {want}"),
        PATIENCE,
        || tap.send(&segment),
        || {
            let now = api.stats()?;
            let moved = REASONS
                .iter()
                .filter(|r| dropped(&now, r) > dropped(&before, r));
            let moved: Vec<_> = moved.collect();
            ensure!(is_so(&now), "not so; dropped: {moved:?}");
            Ok(())
        },
    )?;
    Ok(told)
}

/// Has everybody of both families send a SYN.
fn try_all(scene: &Scene, what: &str, port: u16) -> Result<()> {
    for family in Family::BOTH {
        for from in senders(scene, family)? {
            try_one(scene, SocketAddr::new(from, port), family.http(), what)?;
        }
    }
    Ok(())
}

fn list(scene: &Scene, list: FilterList) -> Result<()> {
    let networks = ["10.0.0.0/8", "0.0.0.0/8", "224.0.0.0/4", "::/3", "f000::/4"];
    for network in networks {
        scene.director.api().list(network.parse()?, list)?;
    }
    Ok(())
}

#[test]
fn what_is_explained_is_what_happens() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    let set = |rules: FilterRules| api.put_filter(&rules).map(drop);
    let clients = scene.topology.interfaces()[0].clone();
    try_all(&scene, "without rules", 20_000)?;
    let rules = FilterRules::default;
    set(FilterRules {
        bogons: vec![clients.clone()],
        ..rules()
    })?;
    try_all(&scene, "bogons", 20_001)?;
    set(FilterRules {
        strict: vec![clients.clone()],
        ..rules()
    })?;
    try_all(&scene, "strict", 20_002)?;
    scene.topology.director.sysctl(&[
        &format!("net.ipv4.conf.{clients}.forwarding=0"),
        &format!("net.ipv6.conf.{clients}.forwarding=0"),
    ])?;
    try_all(&scene, "strict where the kernel does not forward", 20_003)?;
    scene.topology.director.sysctl(&[
        &format!("net.ipv4.conf.{clients}.forwarding=1"),
        &format!("net.ipv6.conf.{clients}.forwarding=1"),
    ])?;
    set(FilterRules {
        loose: vec![clients],
        ..rules()
    })?;
    try_all(&scene, "loose", 20_004)?;
    // What is left of those before ends within seconds: in between, the answer would be another one.
    let held =
        Family::BOTH.map(|family| HttpConnection::open(&scene.topology.client, family.http()));
    let held = held.into_iter().collect::<Result<Vec<_>>>()?;
    limit_to_one(&scene, None)?;
    try_all(&scene, "a limit of connections", 20_005)?;
    drop(held);
    set(rules())?;
    list(&scene, FilterList::Deny)?;
    try_all(&scene, "denied", 20_006)?;
    list(&scene, FilterList::BlackHole)?;
    try_all(&scene, "in a black hole", 20_007)?;
    list(&scene, FilterList::Allow)?;
    answer_always(&scene)?;
    try_all(&scene, "cookies", 20_008)?;
    Ok(())
}

/// From now on SYNs are answered with cookies.
fn answer_always(scene: &Scene) -> Result<()> {
    let api = scene.director.api();
    Family::BOTH.into_iter().try_for_each(|family| {
        let always = ServicePatch {
            cookies: Some(CookiePolicy::Always),
            ..ServicePatch::default()
        };
        let service = family.http_service();
        api.call(async |client| client.change_service(service, always).await)?;
        Ok(())
    })
}

/// Segments that open nothing, and such as nobody sends.
const OTHERS: [u8; 5] = [
    flag::ACK,
    flag::SYN | flag::ACK,
    flag::RST,
    flag::SYN | flag::FIN,
    0,
];

/// Has everybody of both families send these; what becomes of those of the client by IPv4.
fn try_others(scene: &Scene, what: &str) -> Result<Vec<String>> {
    let mut reasons = Vec::new();
    for flags in OTHERS {
        for family in Family::BOTH {
            for from in senders(scene, family)? {
                let at = SocketAddr::new(from, 30_000);
                let told = try_flags(scene, flags, at, family.http(), what)?;
                if from == Family::V4.client() {
                    reasons.push(told.reason.context("it is forwarded")?);
                }
            }
        }
    }
    Ok(reasons)
}

#[test]
fn what_is_explained_of_segments_without_a_connection_is_what_happens() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    let [strange, senseless] = ["no_connection", "tcp_flags"];
    let all = |strange| [strange, strange, strange, senseless, senseless];
    assert_eq!(try_others(&scene, "without rules")?, all(strange));

    // None is left for a SYN; the others are not counted.
    let (client, http) = (Family::V4.client(), Family::V4.http());
    api.put_filter(&syns::banning(1, 1))?;
    syns::send(&scene.topology.client, client, http, 1000..1010)?;
    assert_eq!(try_others(&scene, "a limit of SYNs")?, all(strange));
    api.put_filter(&FilterRules::default())?;

    list(&scene, FilterList::Deny)?;
    // To the gate it is a SYN first of all.
    let [ack, answer, reset, _, null] = all(strange);
    let denied = [ack, answer, reset, "denied", null];
    assert_eq!(try_others(&scene, "denied")?, denied);
    list(&scene, FilterList::BlackHole)?;
    assert_eq!(try_others(&scene, "in a black hole")?, ["black_hole"; 5]);
    list(&scene, FilterList::Allow)?;
    answer_always(&scene)?;
    assert_eq!(try_others(&scene, "cookies")?, all("bad_cookie"));
    Ok(())
}

/// What a real server sends by itself is explained, too: it is routed, or this host's own.
#[test]
fn what_real_servers_send_by_themselves_is_explained() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    for family in Family::BOTH {
        let real = SocketAddr::new(
            scene.topology.reals[0].address(family.vip()),
            OTHER_HTTP_PORT,
        );
        let ask = |to| {
            let api = scene.director.api();
            api.explain(Protocol::Tcp, real, SocketAddr::new(to, 5000))
        };
        let here: IpAddr = match family {
            Family::V4 => "10.0.2.254".parse()?,
            Family::V6 => "fd00:2::fe".parse()?,
        };
        let routed = ask(family.client())?;
        assert_eq!(routed.fate, Fate::Forward, "{routed:?}");
        assert!(routed.next_hop.is_some(), "{routed:?}");
        let own = ask(here)?;
        assert_eq!(own.fate, Fate::Pass, "{own:?}");
    }
    Ok(())
}

/// The real server of a client's only connection.
fn real_of(director: &Director, service: ServiceId, client: SocketAddr) -> Result<SocketAddr> {
    let all = director.api().connections(service)?;
    let own = all.iter().find(|each| each.client == client);
    Ok(own.context("no connection")?.real)
}

/// A connection of a removed real server stays there, and gets nowhere; a datagram goes elsewhere.
#[test]
fn who_has_a_removed_real_server_is_told_so() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let (director, api) = (&scene.director, scene.director.api());
    for family in Family::BOTH {
        let mut open = HttpConnection::open(&scene.topology.client, family.http())?;
        open.ask_name()?;
        let (service, client) = (family.http_service(), open.client()?);
        let real = real_of(director, service, client)?;
        let told = api.explain(Protocol::Tcp, client, family.http())?;
        assert_eq!((told.fate, told.real), (Fate::Forward, Some(real)));
        api.remove_real(service, real)?;
        for _ in 0..2 {
            let told = api.explain(Protocol::Tcp, client, family.http())?;
            assert_eq!(told.reason.as_deref(), Some("real_removed"), "{told:?}");
            assert_eq!((told.fate, told.real), (Fate::Drop, Some(real)));
            assert!(told.connection.is_some() && told.next_hop.is_none());
            let before = api.dropped("real_removed")?;
            open.send_request()?;
            wait::until_true("the drop", PATIENCE, || {
                api.dropped("real_removed").is_ok_and(|now| now > before)
            })?;
        }
        api.set_sysctl("expire_nodest_conn", 1)?;
        let told = try_one(&scene, client, family.http(), "when it is let go")?;
        assert_eq!((told.fate, told.connection), (Fate::Forward, None));
        ensure!(told.scheduler.is_some() && told.real != Some(real));
        assert_eq!(told.real, Some(real_of(director, service, client)?));
        api.set_sysctl("expire_nodest_conn", 0)?;

        let open = UdpClient::open(&scene.topology.client, family.echo())?;
        open.echo(b"first")?;
        let (service, client) = (family.echo_service(), open.socket().local_addr()?);
        let real = real_of(director, service, client)?;
        limit_to_one(&scene, Some(service))?;
        api.remove_real(service, real)?;
        let told = api.explain(Protocol::Udp, client, family.echo())?;
        assert_eq!((told.fate, told.connection), (Fate::Forward, None));
        ensure!(told.scheduler.is_some() && told.real != Some(real));
        open.echo(b"again")?;
        assert_eq!(told.real, Some(real_of(director, service, client)?));
        api.put_filter(&FilterRules::default())?;
    }
    Ok(())
}

/// A connection whose service is gone gets as far as any packet that no service takes.
#[test]
fn who_has_a_removed_service_is_left_to_the_host() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    for family in Family::BOTH {
        let mut open = HttpConnection::open(&scene.topology.client, family.http())?;
        open.ask_name()?;
        let (service, client) = (family.http_service(), open.client()?);
        api.remove_service(service)?;
        let told = api.explain(Protocol::Tcp, client, family.http())?;
        assert_eq!(told.reason.as_deref(), Some("no_service"), "{told:?}");
        assert_eq!(told.fate, Fate::Pass, "{told:?}");
        let passed = || Ok::<_, anyhow::Error>(api.stats()?.interfaces[0].passed);
        let before = passed()?;
        open.send_request()?;
        wait::until_true("the host", PATIENCE, || {
            passed().is_ok_and(|now| now > before)
        })?;
        let drops = api.stats()?.drops;
        assert!(!drops.contains_key("real_removed"), "{drops:?}");
    }
    Ok(())
}

/// The gate forwards a datagram before any filter where it knows the client's own way. After the first one
/// it does not, though it knows that of the answer.
#[test]
fn a_client_that_is_denied_is_heard_as_long_as_the_gate_knows_its_way() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start_shaped(Plan::default(), Scheduler::Rr, &[1, 1, 1], |it| {
        it.fast_path(true)
    })?;
    let api = scene.director.api();
    for family in Family::BOTH {
        let echo = UdpClient::open(&scene.topology.client, family.echo())?;
        let from = echo.socket().local_addr()?;
        let network: Prefix = from.ip().to_string().parse()?;
        let deny = || api.list(network, FilterList::Deny);
        let heard = || {
            let told = api.explain(Protocol::Udp, from, family.echo())?;
            let before = api.dropped("denied")?;
            echo.socket().send(b"again")?;
            wait::until("what is explained", PATIENCE, || {
                let is_denied = api.dropped("denied")? > before;
                let is_answered = echo.socket().recv(&mut [0; 64]).is_ok();
                ensure!(is_denied != is_answered, "neither");
                ensure!(is_answered == (told.fate == Fate::Forward), "{told:?}");
                Ok(is_answered)
            })
        };
        echo.echo(b"you")?;
        deny()?;
        echo.socket().set_read_timeout(Some(GLANCE))?;
        assert!(!heard()?, "{family:?}");
        api.call(async |client| client.remove_network(network).await)?;
        for _ in 0..3 {
            echo.echo(b"you")?;
        }
        deny()?;
        assert!(heard()?, "{family:?}");
        api.call(async |client| client.remove_network(network).await)?;
    }
    Ok(())
}

/// Also by a limit that the gate holds, as long as nothing has come back of it.
#[test]
fn who_has_used_up_a_limit_of_rates_is_told_so() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    let mut ports = 20_000..60_000;
    for family in Family::BOTH {
        let source: Prefix = family.client().to_string().parse()?;
        for (of, per) in [
            (LimitOf::Packets, LimitPer::Source),
            (LimitOf::Syns, LimitPer::Source),
            (LimitOf::Syns, LimitPer::Service),
            (LimitOf::Connections, LimitPer::Source),
            (LimitOf::Connections, LimitPer::Service),
        ] {
            let (rate, burst) = (1, u32::from(ROUND));
            let limit = RateLimit {
                name: "slow".to_owned(),
                of,
                per,
                rate,
                burst: Some(burst),
                prefix_v4: 32,
                prefix_v6: if per == LimitPer::Source { 128 } else { 64 },
                service: None,
                region: None,
                ban: None,
            };
            let rules = FilterRules {
                limits: vec![limit],
                ..FilterRules::default()
            };
            api.put_filter(&rules)?;
            let from = SocketAddr::new(family.client(), 10_000);
            let asked = || api.explain(Protocol::Tcp, from, family.http());
            for _ in 0..=burst {
                let told = asked()?;
                assert_eq!((told.fate, told.rule), (Fate::Forward, None), "{of:?}");
            }
            let (reason, source) = match per {
                LimitPer::Source => ("source_limit", Some(source)),
                LimitPer::Service => ("service_limit", None),
            };
            let rule = DecidingRule::RateLimit {
                name: "slow".to_owned(),
                source,
                of,
                rate,
            };
            let mut send = || {
                let first = ports.next().context("there are no more ports")?;
                let round = first..first + 2 * ROUND;
                ports.nth((2 * ROUND).into());
                syns::send(&scene.topology.client, from.ip(), family.http(), round)
            };
            wait::until_repeated("it to be used up", PATIENCE, &mut send, || {
                let told = asked()?;
                ensure!(told.fate == Fate::Drop, "{told:?}");
                ensure!(told.reason.as_deref() == Some(reason), "{told:?}");
                ensure!(told.rule.as_ref() == Some(&rule), "{told:?}");
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Lets nobody have more than one connection, to a service or at all.
fn limit_to_one(scene: &Scene, service: Option<ServiceId>) -> Result<()> {
    let one = ConnectionLimit {
        name: "one".to_owned(),
        most: 1,
        per: LimitPer::Source,
        prefix_v4: 32,
        prefix_v6: 128,
        service,
    };
    let rules = FilterRules {
        connections: vec![one],
        ..FilterRules::default()
    };
    scene.director.api().put_filter(&rules).map(drop)
}
