//! Services of a mark take what the rules mark, whatever it is addressed to, and nothing else.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use adminapi::model::{
    CookiePolicy, Family as Of, MarkRule, Scheduler, Service, ServiceId, ServicePatch,
};
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::service;
use testbed::packet::{Mac, Segment, ethernet, flag, tcp};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::servers::{ECHO_PORT, HTTP_PORT, Nginx, OTHER_HTTP_PORT};
use testbed::topology::{CLIENT_V4, CLIENT_V6, HOST_SIDE};
use testbed::traffic::{HttpConnection, is_served, tally};
use testbed::wait;

/// A network that is nobody's, and an address of it.
fn network(family: Family, host: u8) -> (&'static str, IpAddr) {
    match family {
        Family::V4 => ("10.99.0.0/16", IpAddr::from([10, 99, 0, host])),
        Family::V6 => (
            "fd00:99::/32",
            IpAddr::from([0xfd00, 0x99, 0, 0, 0, 0, 0, host.into()]),
        ),
    }
}

fn marked(scene: &Scene, family: Family) -> Service {
    let reals = scene.topology.reals.iter();
    let at = |host: IpAddr| SocketAddr::new(host, OTHER_HTTP_PORT);
    let reals = reals.map(|host| (at(host.address(family.vip())), 1));
    let by_address = service(
        adminapi::model::Protocol::Tcp,
        family.http(),
        Scheduler::Rr,
        reals,
    );
    Service {
        id: ServiceId::Mark {
            mark: 7,
            family: match family {
                Family::V4 => Of::Ipv4,
                Family::V6 => Of::Ipv6,
            },
        },
        ..by_address
    }
}

fn rule(family: Family) -> Result<MarkRule> {
    Ok(MarkRule {
        mark: 7,
        protocol: Some(adminapi::model::Protocol::Tcp),
        destination: Some(network(family, 0).0.parse()?),
        destination_ports: Some("80".parse()?),
        interface: Some("cl0".to_owned()),
        ..MarkRule::default()
    })
}

#[test]
fn marked_packets_are_taken_and_others_left_alone() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    for family in Family::BOTH {
        api.add_service(&marked(&scene, family))?;
        let rule = rule(family)?;
        api.call(async |client| client.add_mark(&rule).await)?;
    }
    for family in Family::BOTH {
        let ask = |host| {
            let at = SocketAddr::new(network(family, host).1, 80);
            HttpConnection::open(&scene.topology.client, at)?.ask_name()
        };
        let names = (1..=6).map(ask).collect::<Result<Vec<_>>>()?;
        assert!(tally(names).values().all(|&count| count == 2));
        let id = marked(&scene, family).id;
        assert_eq!(api.service(id)?.stats.connections, 6);
        assert_eq!(api.connections(id)?.len(), 6);

        let passed = || Ok::<_, anyhow::Error>(api.stats()?.total.passed);
        let before = passed()?;
        let other = SocketAddr::new(network(family, 1).1, 81);
        let syn = Segment {
            flags: flag::SYN,
            ..Segment::default()
        };
        let client: SocketAddr = match family {
            Family::V4 => (CLIENT_V4, 40_000).into(),
            Family::V6 => (CLIENT_V6, 40_000).into(),
        };
        let syn = tcp(client, other, syn);
        let tap = Tap::open(&scene.topology.client, HOST_SIDE)?;
        tap.send(&ethernet(Mac::of_host(1, 1), Mac::of_host(1, 0xfe), &syn))?;
        wait::until("the kernel to get it", PATIENCE, || {
            anyhow::ensure!(passed()? > before, "nothing passed");
            Ok(())
        })?;
    }
    assert_eq!(api.stats()?.drops.get("no_service"), None);
    api.call(async |client| client.remove_mark(0).await)?;
    let left = api.call(async |client| client.marks().await)?;
    assert_eq!(left, [rule(Family::V6)?]);
    assert_accounts(&scene.director);
    Ok(())
}

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// The gate answers by address whom no mark takes; a service of a mark knows no cookies.
#[test]
fn who_is_marked_gets_no_cookie_and_others_do() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    for family in Family::BOTH {
        let service = family.http_service();
        let always = ServicePatch {
            cookies: Some(CookiePolicy::Always),
            ..ServicePatch::default()
        };
        api.call(async |client| client.change_service(service, always).await)?;
        let cookies = || {
            let cookies = api.defense(Some(service))?.cookies;
            cookies.context("no cookies")
        };
        let marked = marked(&scene, family);
        let visit = || {
            let before = (
                cookies()?.accepted,
                api.service(marked.id)?.stats.connections,
            );
            HttpConnection::open(&scene.topology.client, family.http())?.ask_name()?;
            let after = (
                cookies()?.accepted,
                api.service(marked.id)?.stats.connections,
            );
            Ok::<_, anyhow::Error>((after.0 - before.0, after.1 - before.1))
        };
        api.add_service(&marked)?;
        let (client, other): (IpAddr, IpAddr) = match family {
            Family::V4 => (CLIENT_V4.into(), "10.0.1.66".parse()?),
            Family::V6 => (CLIENT_V6.into(), "fd00:1::66".parse()?),
        };
        let wide = match family {
            Family::V4 => "0.0.0.0/0",
            Family::V6 => "::/0",
        };
        for (source, want) in [
            (other.to_string(), (1, 0)),
            (client.to_string(), (0, 1)),
            (wide.to_owned(), (0, 1)),
        ] {
            let rule = MarkRule {
                mark: 7,
                source: Some(source.parse()?),
                destination: Some(family.vip().to_string().parse()?),
                ..MarkRule::default()
            };
            api.call(async |client| client.add_mark(&rule).await)?;
            let told = cookies()?;
            ensure!(
                told.active && told.reason.contains("the mark 7"),
                "{told:?}"
            );
            let got = visit()?;
            ensure!(got == want, "(cookies, marked) from {source}: {got:?}");
            api.call(async |client| client.remove_mark(0).await)?;
        }
        let told = cookies()?;
        ensure!(told.active && !told.reason.contains("mark"), "{told:?}");
        let events = api.call(async |client| client.events(0).await)?.events;
        let begun = events
            .iter()
            .filter(|event| event.kind == "cookies" && event.service == Some(service));
        ensure!(begun.count() == 1, "{events:?}");
        ensure!(visit()? == (1, 0));
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn bad_rules_are_refused_and_change_nothing() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    let elsewhere = MarkRule {
        interface: Some("eth9".to_owned()),
        ..rule(Family::V4)?
    };
    let refused = api.call(async |client| client.add_mark(&elsewhere).await);
    let told = refused.unwrap_err().to_string();
    assert!(told.contains("no interface of the director"), "{told}");
    let many = vec![rule(Family::V4)?; MarkRule::MAX + 1];
    assert!(
        api.call(async |client| client.put_marks(&many).await)
            .is_err()
    );
    let full = vec![rule(Family::V4)?; MarkRule::MAX];
    api.call(async |client| client.put_marks(&full).await)?;
    let more = rule(Family::V6)?;
    assert!(
        api.call(async |client| client.add_mark(&more).await)
            .is_err()
    );
    let now = api.call(async |client| client.marks().await)?;
    assert_eq!(now, full);
    Ok(())
}

/// Clients of real servers that speak to them by their own addresses, port 80, which nobody serves.
#[test]
fn what_no_real_server_is_there_for_is_bypassed_if_so_configured() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    for family in Family::BOTH {
        let emptied = Service {
            reals: Vec::new(),
            ..marked(&scene, family)
        };
        api.set_sysctl("cache_bypass", 0)?;
        api.add_service(&emptied)?;
        let origin = scene.topology.reals[1].address(family.vip());
        let rule = MarkRule {
            destination: Some(origin.to_string().parse()?),
            ..rule(family)?
        };
        api.call(async |client| client.add_mark(&rule).await)?;
        let origin = SocketAddr::new(origin, HTTP_PORT);
        let id = emptied.id;

        assert!(!is_served(&scene.topology.client, origin));
        wait::until("a drop", PATIENCE, || {
            let drops = api.service(id)?.drops;
            ensure!(drops.contains_key("no_real"), "{drops:?}");
            Ok(())
        })?;
        assert_eq!(api.service(id)?.stats.connections, 0);

        api.set_sysctl("cache_bypass", 1)?;
        let mut open = HttpConnection::open(&scene.topology.client, origin)?;
        let name = open.ask_name()?;
        assert_eq!(name, scene.topology.reals[1].name);
        let connections = api.connections(id)?;
        let [connection] = &connections[..] else {
            panic!("{connections:?}");
        };
        assert_eq!(
            (connection.client, connection.vip),
            (open.client()?, origin)
        );
        assert!(connection.real.ip().is_unspecified() && connection.real.port() == 0);
        assert_eq!(connection.state, "ESTABLISHED");
        let shown = api.service(id)?;
        assert_eq!((shown.stats.connections, shown.stats.out_packets), (1, 0));
        assert!(shown.stats.in_packets > 2 && shown.reals.is_empty());

        api.set_sysctl("cache_bypass", 0)?;
        api.remove_service(id)?;
        open.ask_name()?;
    }
    assert_accounts(&scene.director);
    Ok(())
}

/// The director's own programs and checks: a mark that fits what real servers send them makes it nobody's.
#[test]
fn what_a_real_server_sends_to_the_director_itself_is_the_kernels() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut scene = Scene::start()?;
    scene.echo.clear();
    let _program = Nginx::start_in(&scene.topology.director, "director")?;
    let api = scene.director.api();
    for family in Family::BOTH {
        let mut all_ports = marked(&scene, family);
        for real in &mut all_ports.reals {
            real.port = Some(0);
        }
        api.add_service(&all_ports)?;
        let [rs1, others @ ..] = &scene.topology.reals[..] else {
            panic!("no real servers");
        };
        let program = SocketAddr::new(family.vip(), OTHER_HTTP_PORT);
        let lan = match family {
            Family::V4 => "10.0.2.254",
            Family::V6 => "fd00:2::fe",
        };
        for destination in [&family.vip().to_string(), lan] {
            let rule = MarkRule {
                destination: Some(destination.parse()?),
                destination_ports: None,
                protocol: None,
                interface: None,
                ..rule(family)?
            };
            api.call(async |client| client.add_mark(&rule).await)?;
        }
        let name = HttpConnection::open(&rs1.namespace, program)?.ask_name()?;
        assert_eq!(name, "director");
        let name = HttpConnection::open(&scene.topology.client, program)?.ask_name()?;
        assert_ne!(name, "director", "others have the mark");

        let nobody = SocketAddr::new(others[0].address(family.vip()), ECHO_PORT);
        let asks = scene.topology.director.enter(|| {
            let any: IpAddr = match family {
                Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
                Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
            };
            Ok(UdpSocket::bind((any, 0))?)
        })?;
        asks.connect(nobody)?;
        asks.set_read_timeout(Some(PATIENCE / 10))?;
        wait::until("the refusal", PATIENCE, || {
            let sent = asks.send(b"alive?");
            let errors = [sent.err(), asks.recv(&mut [0; 64]).err()];
            let refused = |error: &std::io::Error| error.kind() == ErrorKind::ConnectionRefused;
            ensure!(errors.iter().flatten().any(refused), "{family:?}: silence");
            Ok(())
        })?;
    }
    let drops = api.stats()?.drops;
    assert_eq!(drops.get("local_destination"), None);
    assert_accounts(&scene.director);
    Ok(())
}
