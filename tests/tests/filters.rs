//! The filters of the gate: lists of networks, bogons, the way back, limits.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use adminapi::model::{
    DecidingRule, ExplainQuery, Explanation, Fate, FilterList, FilterRules, LimitOf, LimitPer,
    Listed, NetworkQuery, Prefix, Protocol, RateLimit, Scheduler,
};
use anyhow::{Context, Result, ensure};
use director::filter::{Limit, List, Of, Per, Rules, Scope};
use director::gate::{Known, Roles, Trial, Verdict};
use director::region::Regions;
use director::wire::{self, Addr, Mac, Net, Tuple};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, Director};
use testbed::packet::{self, ethernet, udp};
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::syns;
use testbed::topology::{CLIENT_V4, CLIENT_V6, Plan, Topology};
use testbed::traffic::{HttpConnection, UdpClient};
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(20);
/// For what is true by itself when time has passed.
const SHORT: Duration = Duration::from_secs(5);

fn client(family: Family) -> IpAddr {
    match family {
        Family::V4 => CLIENT_V4.into(),
        Family::V6 => CLIENT_V6.into(),
    }
}

fn alone(addr: IpAddr) -> Result<Prefix> {
    Ok(addr.to_string().parse()?)
}

fn list(scene: &Scene, network: Prefix, list: FilterList, seconds: Option<u32>) -> Result<()> {
    let listing = Listed {
        network,
        list,
        seconds,
        why: Some("a test".to_owned()),
    };
    let api = scene.director.api();
    api.call(async |client| client.put_network(&listing).await)?;
    Ok(())
}

fn unlist(scene: &Scene, network: Prefix) -> Result<()> {
    let api = scene.director.api();
    api.call(async |client| client.remove_network(network).await)
}

fn dropped(scene: &Scene, reason: &str) -> Result<u64> {
    let drops = scene.director.api().stats()?.drops;
    Ok(drops.get(reason).copied().unwrap_or(0))
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
        for family in Family::BOTH {
            let network = alone(client(family))?;
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
            let before = dropped(&scene, "denied")?;
            wait::until_repeated("a datagram to be dropped", PATIENCE, send, || {
                ensure!(dropped(&scene, "denied")? > before, "{fast_path}");
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

/// Sends SYNs by hand, each from a port of its own.
fn send_syns(scene: &Scene, from: IpAddr, to: SocketAddr, count: u16) -> Result<()> {
    syns::send(&scene.topology.client, from, to, 20_000..20_000 + count)
}

/// A SYN is dropped by the gate.
fn is_dropped(scene: &Scene, from: IpAddr, to: SocketAddr, reason: &str) -> Result<()> {
    let before = dropped(scene, reason)?;
    let send = || send_syns(scene, from, to, 1);
    wait::until_repeated("the gate to drop it", PATIENCE, send, || {
        ensure!(dropped(scene, reason)? > before, "nothing {reason}");
        Ok(())
    })
}

#[test]
fn lists_decide_who_comes_in_and_established_connections_come_first() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    for family in Family::BOTH {
        let (from, to) = (client(family), family.http());
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

/// Real servers, as many as share the bits of their addresses' places in the gate.
fn crowd(family: Family) -> impl Iterator<Item = IpAddr> {
    (0..600_u16).map(move |number| {
        let [high, low] = number.to_be_bytes();
        match family {
            Family::V4 => [10, 7, high, low].into(),
            Family::V6 => [0xfd00, 7, 0, 0, 0, 0, 0, number].into(),
        }
    })
}

#[test]
fn real_servers_are_let_in_whatever_is_listed() -> Result<()> {
    if !require::programs(&[]) {
        return Ok(());
    }
    let own = packet::Mac::of_host(1, 254);
    let trial = Trial::new(1000)?;
    trial.set_station(Mac(own.0))?;
    for everything in [
        Net::new(Addr::v4([0; 4]), Net::V4_BITS),
        Net::new(Addr::v6([0; 16]), 0),
    ] {
        trial.filters().list(everything, List::BlackHole, 0)?;
    }
    let known = Known {
        listed: [true; 2],
        ..Known::default()
    };
    trial.filters().set_known(&Rules::default(), known)?;
    let verdict = |from: IpAddr, family: Family| {
        let (from, to) = (SocketAddr::new(from, 4000), family.http());
        let frame = ethernet(packet::Mac::of_host(1, 1), own, &udp(from, to, b"?"));
        Ok::<_, anyhow::Error>(trial.put(&frame)?.0)
    };
    for family in Family::BOTH {
        for real in crowd(family) {
            assert_eq!(verdict(real, family)?, Verdict::Drop, "{real}");
            trial.endpoints().set_address(real.into(), Roles::REAL)?;
            trial.endpoints().set_address(real.into(), Roles::REAL)?;
        }
        for gone in crowd(family).step_by(2) {
            trial.endpoints().set_address(gone.into(), Roles::NONE)?;
        }
        for (number, real) in crowd(family).enumerate() {
            let expected = [Verdict::Drop, Verdict::Pass][number % 2];
            assert_eq!(verdict(real, family)?, expected, "{real}");
        }
    }
    Ok(())
}

#[test]
fn a_real_server_that_found_no_room_leaves_nothing_behind() -> Result<()> {
    if !require::programs(&[]) {
        return Ok(());
    }
    let trial = Trial::new(1000)?;
    let real = Addr::v4([10, 7, 0, 1]);
    let mut others = (0..u32::MAX).map(|number| Addr::v4((0x0b00_0000 + number).to_be_bytes()));
    others
        .find(|other| {
            trial
                .endpoints()
                .set_address(*other, Roles::SERVICE)
                .is_err()
        })
        .context("room for all there are")?;
    trial
        .endpoints()
        .set_address(real, Roles::REAL)
        .unwrap_err();
    ensure!(
        !trial.endpoints().may_be_real(real),
        "it is still looked for"
    );
    Ok(())
}

#[test]
fn a_ban_ends_by_itself() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let network = alone(client(Family::V4))?;
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
    let (client, to) = (client(Family::V4), Family::V4.http());
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
/// Networks of a long list, and how many of them a reload takes off.
const LONG: u32 = 200_000;
const TAKEN_OFF: u32 = 2_000;
/// It takes a second or two, and took ten times as long as this when each network that went had all
/// others looked at.
const RELOAD: Duration = Duration::from_secs(10);

/// A network a line.
fn lines(networks: std::ops::Range<u32>) -> String {
    let first = u32::from(Ipv4Addr::new(11, 0, 0, 0));
    let lines = networks.map(|number| format!("{}\n", Ipv4Addr::from(first + number)));
    lines.collect()
}

#[test]
fn a_reload_takes_many_networks_off_a_long_list_at_once() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let topology = Topology::build(Plan {
        reals: 1,
        ..Plan::default()
    })?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("deny.list");
    fs::write(&file, lines(0..LONG))?;
    let configuration = Configuration::new(topology.interfaces())
        .filter("deny_file", file.to_string_lossy().into_owned());
    let mut director = Director::start(&topology.director, &configuration)?;
    let text = fs::read_to_string(director.file())?;
    fs::write(&file, lines(TAKEN_OFF..LONG))?;
    let begin = Instant::now();
    director.reload(&text)?;
    wait::until_true("the reload", 6 * RELOAD, || {
        director.log().contains("configuration reloaded")
    })?;
    let took = begin.elapsed();
    ensure!(took < RELOAD, "a reload took {took:?}");
    let filter = director.api().call(async |client| client.filter().await)?;
    assert_eq!(
        filter.listed[&FilterList::Deny],
        u64::from(LONG - TAKEN_OFF)
    );
    Ok(())
}

fn opened(scene: &Scene) -> Result<u64> {
    let service = scene.director.api().service(Family::V4.http_service())?;
    Ok(service.stats.connections)
}

#[test]
fn forged_sources_are_told_by_their_networks_and_by_the_way_back() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    let interfaces = scene.topology.interfaces();
    let clients = interfaces.first().context("no interface")?.clone();
    for family in Family::BOTH {
        let to = family.http();
        let rules = FilterRules {
            bogons: vec![clients.clone()],
            ..FilterRules::default()
        };
        api.call(async |client| client.put_filter(&rules).await)?;
        is_dropped(&scene, client(family), to, "bogon")?;
        let told = ask(&scene, client(family), to)?;
        let bogon = match family {
            Family::V4 => "10.0.0.0/8",
            Family::V6 => "fc00::/7",
        };
        let rule = DecidingRule::Bogon {
            network: bogon.parse()?,
            interface: clients.clone(),
        };
        assert_eq!(told.rule, Some(rule));
        let network = alone(client(family))?;
        list(&scene, network, FilterList::Allow, None)?;
        HttpConnection::open(&scene.topology.client, to)?.ask_name()?;
        unlist(&scene, network)?;

        let rules = FilterRules {
            strict: vec![clients.clone()],
            ..FilterRules::default()
        };
        api.call(async |client| client.put_filter(&rules).await)?;
        let behind = scene.topology.reals[0].address(family.vip());
        is_dropped(&scene, behind, to, "reverse_path")?;
        let rule = DecidingRule::Strict {
            interface: clients.clone(),
        };
        assert_eq!(ask(&scene, behind, to)?.rule, Some(rule));
        HttpConnection::open(&scene.topology.client, to)?.ask_name()?;
    }
    let nowhere = FilterRules {
        loose: vec!["eth9".to_owned()],
        ..FilterRules::default()
    };
    let refused = api.call(async |client| client.put_filter(&nowhere).await);
    let told = refused.unwrap_err().to_string();
    assert!(told.contains("no interface of the director"), "{told}");
    assert_accounts(&scene.director);
    Ok(())
}

/// The kernel names one way back of several, so who comes by another one looks forged.
#[test]
fn a_strict_interface_that_is_one_of_several_ways_back_is_told_of_once() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let interfaces = scene.topology.interfaces();
    let clients = interfaces.first().context("no interface")?.clone();
    let rules = FilterRules {
        strict: vec![clients],
        ..FilterRules::default()
    };
    let api = scene.director.api();
    api.call(async |client| client.put_filter(&rules).await)?;
    let told = || {
        let log = scene.director.log();
        log.matches("one of several ways back").count()
    };
    std::thread::sleep(Duration::from_millis(1500));
    ensure!(
        told() == 0,
        "there is one way back:\n{}",
        scene.director.log()
    );
    scene.topology.director.ip(&format!(
        "route add 203.0.113.0/24 nexthop via {CLIENT_V4} nexthop via {}\n",
        scene.topology.reals[0].v4,
    ))?;
    wait::until_true("a warning", PATIENCE, || told() > 0)?;
    std::thread::sleep(Duration::from_millis(2500));
    ensure!(told() == 1, "told again:\n{}", scene.director.log());
    Ok(())
}

/// What would become of a SYN through the first interface.
fn ask(scene: &Scene, from: IpAddr, to: SocketAddr) -> Result<Explanation> {
    let query = ExplainQuery {
        protocol: Protocol::Tcp,
        from: SocketAddr::new(from, 20_000),
        to,
        interface: None,
        call_id: None,
    };
    let api = scene.director.api();
    api.call(async |client| client.explain(&query).await)
}

fn limit(per: LimitPer, rate: u32, burst: u32) -> RateLimit {
    RateLimit {
        name: "syns".to_owned(),
        of: LimitOf::Syns,
        per,
        rate,
        burst: Some(burst),
        prefix_v4: match per {
            LimitPer::Source => 24,
            LimitPer::Service => RateLimit::all_v4(),
        },
        prefix_v6: 64,
        service: None,
        region: None,
        ban: None,
    }
}

#[test]
fn a_limit_of_packets_lets_established_connections_by() -> Result<()> {
    if !require::programs(&[]) {
        return Ok(());
    }
    let own = packet::Mac::of_host(1, 254);
    let rules = Rules {
        limits: vec![Limit {
            of: Of::Packets,
            rate: 1,
            burst: 1,
            scope: Scope {
                per: Per::Service,
                bits_v4: 32,
                bits_v6: 64,
                service: None,
            },
            region: Regions::default(),
            ban: None,
        }],
        ..Rules::default()
    };
    for family in Family::BOTH {
        let (from, to) = (SocketAddr::new(client(family), 4000), family.http());
        let trial = Trial::new(1000)?;
        trial.set_station(Mac(own.0))?;
        trial
            .endpoints()
            .set_roles(wire::Protocol::Tcp, to.into(), Roles::SERVICE)?;
        trial.filters().set_rules(&rules, Known::default())?;
        let verdict = |flags| {
            let segment = packet::Segment {
                flags,
                ..packet::Segment::default()
            };
            let frame = packet::tcp(from, to, segment);
            let frame = ethernet(packet::Mac::of_host(1, 1), own, &frame);
            Ok::<_, anyhow::Error>(trial.put(&frame)?.0)
        };
        let (ack, syn) = (packet::flag::ACK, packet::flag::SYN);
        // A token a second comes meanwhile.
        let dropped = |flags| {
            let all = (0..20).map(|_| verdict(flags)).collect::<Result<Vec<_>>>();
            Ok::<_, anyhow::Error>(all?.iter().filter(|one| **one == Verdict::Drop).count())
        };
        ensure!(dropped(ack)? > 0, "they are of no connection");
        let tuple = Tuple {
            protocol: wire::Protocol::Tcp,
            src: from.into(),
            dst: to.into(),
        };
        trial.roll().enter(&tuple);
        assert_eq!(dropped(ack)?, 0, "they are of an established one");
        ensure!(dropped(syn)? > 0, "they open another");
    }
    Ok(())
}

#[test]
fn limits_hold_for_each_source_and_each_service() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    const SENT: u16 = 20;
    const BURST: u32 = 5;
    let scene = Scene::start()?;
    let api = scene.director.api();
    let reasons = [
        (LimitPer::Source, "source_limit"),
        (LimitPer::Service, "service_limit"),
    ];
    for family in Family::BOTH {
        let to = family.http();
        let mut live = HttpConnection::open(&scene.topology.client, to)?;
        for (per, reason) in reasons {
            let rules = FilterRules {
                limits: vec![limit(per, 1, BURST)],
                ..FilterRules::default()
            };
            api.call(async |client| client.put_filter(&rules).await)?;
            let before = dropped(&scene, reason)?;
            let started = std::time::Instant::now();
            send_syns(&scene, client(family), to, SENT)?;
            let most = u64::from(SENT) - u64::from(BURST);
            // A token a second may have come while they were sent.
            let least = || most.saturating_sub(started.elapsed().as_secs() + 1);
            wait::until("the limit to hold", SHORT, || {
                let now = dropped(&scene, reason)? - before;
                ensure!((least()..=most).contains(&now), "{now} of {most}");
                Ok(())
            })?;
            wait::until("both to be told of alike", PATIENCE, || {
                let over = api.call(async |client| client.filter().await)?.over["syns"];
                let now = dropped(&scene, reason)? - before;
                ensure!(over == now, "{over} over the limit, {now} {reason}");
                Ok(())
            })?;
            live.ask_name()?;
        }
        api.call(async |client| client.put_filter(&FilterRules::default()).await)?;
        HttpConnection::open(&scene.topology.client, to)?.ask_name()?;
    }
    assert_accounts(&scene.director);
    Ok(())
}
