//! Real servers that nothing can get to: others serve their clients.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use adminapi::model::{Explanation, Persistence, Protocol, Scheduler, Service, ServiceId};
use anyhow::{Context, Result};
use testbed::accounts::assert_accounts;
use testbed::director::service;
use testbed::packet::{Mac, ethernet, udp};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::servers::{ECHO_PORT, OTHER_HTTP_PORT, UdpEcho};
use testbed::topology::{CLIENT_V4, CLIENT_V6, HOST_SIDE, Plan};
use testbed::traffic::{HttpConnection, UdpClient, tally};
use testbed::wait;

/// The kernel asks for 3 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// The schedulers by whose measure one who has nothing to do is always the best, or that always give
/// a client the same one, or that take turns.
const SCHEDULERS: [Scheduler; 9] = [
    Scheduler::Wlc,
    Scheduler::Lc,
    Scheduler::Sed,
    Scheduler::Nq,
    Scheduler::Fo,
    Scheduler::Sh,
    Scheduler::Mh,
    Scheduler::Dh,
    Scheduler::Rr,
];

/// Two real servers.
fn scene() -> Result<Scene> {
    let plan = Plan {
        reals: 2,
        ..Plan::default()
    };
    Scene::start_with(plan, Scheduler::Rr, &[1, 1])
}

/// An address on the link of `rs1` that nobody has.
fn nobody(scene: &Scene, family: Family) -> IpAddr {
    match scene.topology.reals[0].address(family.vip()) {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            [a, b, c, 99].into()
        }
        IpAddr::V6(v6) => {
            let mut words = v6.segments();
            words[7] = 0x99;
            words.into()
        }
    }
}

/// A service of its own on `port`: nobody, with the greatest weight, and both real servers.
fn add(
    scene: &Scene,
    family: Family,
    (protocol, port): (Protocol, u16),
    change: impl FnOnce(&mut Service),
) -> Result<SocketAddr> {
    let vip = SocketAddr::new(family.vip(), port);
    let behind = match protocol {
        Protocol::Udp => ECHO_PORT,
        _ => OTHER_HTTP_PORT,
    };
    let hosts = scene
        .topology
        .reals
        .iter()
        .map(|real| real.address(vip.ip()));
    let weighed = std::iter::once((nobody(scene, family), 3)).chain(hosts.map(|host| (host, 1)));
    let reals = weighed.map(|(host, weight)| (SocketAddr::new(host, behind), weight));
    let mut service = service(protocol, vip, Scheduler::Wlc, reals);
    change(&mut service);
    scene.director.api().add_service(&service)?;
    Ok(vip)
}

/// The client's address, of the family of `to`.
fn client(to: SocketAddr) -> IpAddr {
    match to {
        SocketAddr::V4(_) => CLIENT_V4.into(),
        SocketAddr::V6(_) => CLIENT_V6.into(),
    }
}

fn explain(scene: &Scene, protocol: Protocol, to: SocketAddr, port: u16) -> Result<Explanation> {
    let from = SocketAddr::new(client(to), port);
    scene.director.api().explain(protocol, from, to)
}

/// Waits until the kernel has given the address of nobody up.
fn given_up(scene: &Scene, protocol: Protocol, vip: SocketAddr) -> Result<()> {
    wait::until_true("the kernel to give up", PATIENCE, || {
        let told = |port| explain(scene, protocol, vip, port).ok();
        let is_passed_over = |told: Explanation| {
            let real = told.real.map(|real| real.ip());
            told.reason.is_none() && real.is_some_and(|ip| !is_nobody(scene, ip))
        };
        (40_001..40_010).all(|port| told(port).is_some_and(is_passed_over))
    })
}

fn is_nobody(scene: &Scene, ip: IpAddr) -> bool {
    Family::BOTH
        .map(|family| nobody(scene, family))
        .contains(&ip)
}

/// Opens connections one after the other, keeps them, and says who serves.
fn serve(scene: &Scene, vip: SocketAddr, count: usize) -> Result<Vec<String>> {
    let mut open = Vec::new();
    let mut names = Vec::new();
    for _ in 0..count {
        let mut connection = HttpConnection::open(&scene.topology.client, vip)?;
        names.push(connection.ask_name()?);
        open.push(connection);
    }
    Ok(names)
}

#[test]
fn one_that_does_not_answer_is_passed_over_by_every_scheduler() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene()?;
    for family in Family::BOTH {
        for (port, scheduler) in (8001..).zip(SCHEDULERS) {
            let name = scheduler.name();
            let change = |service: &mut Service| service.scheduler = scheduler;
            let vip = add(&scene, family, (Protocol::Tcp, port), change)?;
            given_up(&scene, Protocol::Tcp, vip).context(name)?;
            let served = tally(serve(&scene, vip, 6).context(name)?);
            let is_shared = matches!(
                scheduler,
                Scheduler::Wlc | Scheduler::Lc | Scheduler::Sed | Scheduler::Nq | Scheduler::Rr
            );
            if is_shared {
                // One whose packet has waited for a moment may be chosen for anew.
                let has_both = served.len() == 2 && served.values().all(|count| *count >= 2);
                assert!(has_both, "{name}: {served:?}");
            }
        }
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn datagrams_are_passed_on_too() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene()?;
    for (port, one_packet) in [(9001, false), (9002, true)] {
        let change = |service: &mut Service| service.one_packet = one_packet;
        let vip = add(&scene, Family::V4, (Protocol::Udp, port), change)?;
        given_up(&scene, Protocol::Udp, vip)?;
        let answered = || scene.echo.iter().map(UdpEcho::answered).sum::<u64>();
        let before = answered();
        for _ in 0..4 {
            let client = UdpClient::open(&scene.topology.client, vip)?;
            client.socket().send(b"anyone?")?;
        }
        wait::until_true("all to be answered", PATIENCE, || answered() == before + 4)?;
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn a_client_leaves_who_cannot_be_reached_only_for_who_can() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene()?;
    let change = |service: &mut Service| service.persistence = Some(Persistence::default());
    let vip = add(&scene, Family::V4, (Protocol::Tcp, 8001), change)?;
    let id = ServiceId::at(Protocol::Tcp, vip);
    given_up(&scene, Protocol::Tcp, vip)?;
    let first = serve(&scene, vip, 3)?;
    assert_eq!(first, [&*first[0]; 3], "it sticks");
    let of = |name: &str| {
        scene
            .topology
            .reals
            .iter()
            .position(|real| real.name == name)
    };
    let at = of(&first[0]).context("who?")?;
    let [own, other] = [at, 1 - at].map(|at| scene.topology.reals[at].v4);
    let director = &scene.topology.director;
    let route = |verb: &str, to| {
        let to = format!("{to}/32");
        director.run("ip", &["route", verb, "unreachable", &to])
    };
    let leads_to = |expected: std::net::Ipv4Addr, reason: Option<&str>| {
        wait::until_true("the routes to be known", PATIENCE, || {
            explain(&scene, Protocol::Tcp, vip, 40_001).is_ok_and(|told| {
                told.real.map(|real| real.ip()) == Some(expected.into())
                    && told.reason.as_deref() == reason
            })
        })
    };
    // Nobody is there for it: it keeps its place.
    route("add", other)?;
    route("add", own)?;
    leads_to(own, Some("unreachable"))?;
    assert!(HttpConnection::open(&scene.topology.client, vip).is_err());
    route("del", own)?;
    leads_to(own, None)?;
    assert_eq!(serve(&scene, vip, 1)?, [&*first[0]]);
    // Another is: it goes there, and stays.
    route("del", other)?;
    route("add", own)?;
    leads_to(other, None)?;
    let second = serve(&scene, vip, 2)?;
    assert_ne!(second[0], first[0]);
    route("del", own)?;
    leads_to(other, None)?;
    assert_eq!(serve(&scene, vip, 1)?, [&*second[0]]);
    assert_eq!(
        scene
            .director
            .api()
            .service(id)?
            .drops
            .get("neighbour_silent"),
        None
    );
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn a_client_is_told_that_nobody_answers_at_its_only_real_server() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene()?;
    let tap = Tap::open(&scene.topology.client, HOST_SIDE)?;
    for (family, kind) in [(Family::V4, (3, 1)), (Family::V6, (1, 3))] {
        let only = |service: &mut Service| service.reals.truncate(1);
        let vip = add(&scene, family, (Protocol::Udp, 9001), only)?;
        wait::until_true("the kernel to give up", PATIENCE, || {
            explain(&scene, Protocol::Udp, vip, 40_000)
                .is_ok_and(|told| told.reason.as_deref() == Some("neighbour_silent"))
        })?;
        let from = SocketAddr::new(client(vip), 40_000);
        let packet = udp(from, vip, b"anyone?");
        tap.send(&ethernet(
            Mac::of_host(1, 1),
            Mac::of_host(1, 0xfe),
            &packet,
        ))?;
        let error = tap.expect("an ICMP error", |p| p.icmp() == Some(kind))?;
        assert_eq!(error.source, vip.ip());
        let quoted = error.quoted().context("nothing is quoted")?;
        assert_eq!(quoted.sockets(), Some((from, vip)));
        let view = scene
            .director
            .api()
            .service(ServiceId::at(Protocol::Udp, vip))?;
        assert_eq!(view.drops.get("neighbour_silent"), Some(&1));
    }
    assert_accounts(&scene.director);
    Ok(())
}

/// Adds a service on `port` whose real servers a route says must not be reached: `count` of them.
fn add_unreachable(
    scene: &Scene,
    (protocol, port): (Protocol, u16),
    count: u16,
    change: impl FnOnce(&mut Service),
) -> Result<SocketAddr> {
    let vip = SocketAddr::new(Family::V4.vip(), port);
    let hosts = (1..=count).map(|host| {
        let [high, low] = host.to_be_bytes();
        SocketAddr::new([10, 77, high, low].into(), ECHO_PORT)
    });
    let mut service = service(protocol, vip, Scheduler::Rr, hosts.map(|host| (host, 1)));
    change(&mut service);
    let route = ["route", "replace", "unreachable", "10.77.0.0/16"];
    scene.topology.director.run("ip", &route)?;
    scene.director.api().add_service(&service)?;
    wait::until_true("the route to be known", PATIENCE, || {
        explain(scene, protocol, vip, 40_000)
            .is_ok_and(|told| told.reason.as_deref() == Some("unreachable"))
    })?;
    Ok(vip)
}

/// Sends datagrams in the client's namespace until it is dropped.
struct Stream {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stream {
    /// So many a millisecond.
    fn start(scene: &Scene, to: SocketAddr, each: usize) -> Result<Self> {
        let socket = (scene.topology.client).enter(|| Ok(UdpSocket::bind((CLIENT_V4, 0))?))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let send = move || {
            while !ends.load(Ordering::Relaxed) {
                for _ in 0..each {
                    // Nobody is there, which it may be told of.
                    let _ = socket.send_to(b"anyone?", to);
                }
                thread::sleep(Duration::from_millis(1));
            }
        };
        let thread = Some(thread::spawn(send));
        Ok(Self { is_over, thread })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whether a datagram is echoed, which nobody sends again.
fn is_answered(scene: &Scene, vip: SocketAddr) -> bool {
    UdpClient::open(&scene.topology.client, vip).is_ok_and(|client| {
        let patience = Some(Duration::from_secs(3));
        client.socket().set_read_timeout(patience).is_ok() && client.echo(b"and here?").is_ok()
    })
}

#[test]
fn those_who_ask_for_many_that_cannot_be_reached_are_in_nobodys_way() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene()?;
    for (port, one_packet) in [(9001, false), (9002, true)] {
        let change = |service: &mut Service| service.one_packet = one_packet;
        let vip = add_unreachable(&scene, (Protocol::Udp, port), 500, change)?;
        let stream = Stream::start(&scene, vip, 2)?;
        let answered = (0..15).filter(|_| is_answered(&scene, Family::V4.echo()));
        let answered = answered.count();
        drop(stream);
        assert!(answered >= 12, "{answered} of 15, one packet: {one_packet}");
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn the_drop_is_that_of_the_one_who_was_chosen() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene()?;
    for (port, protocol) in [(9001, Protocol::Udp), (8001, Protocol::Tcp)] {
        let vip = add_unreachable(&scene, (protocol, port), 3, |_| ())?;
        for _ in 0..30 {
            match protocol {
                Protocol::Udp => {
                    let client = UdpClient::open(&scene.topology.client, vip)?;
                    client.socket().send(b"anyone?")?;
                }
                _ => drop(HttpConnection::open(&scene.topology.client, vip)),
            }
        }
        let id = ServiceId::at(protocol, vip);
        let drops = || -> Result<Vec<u64>> {
            let reals = scene.director.api().service(id)?.reals;
            let drops = reals.iter().map(|real| real.drops.get("unreachable"));
            Ok(drops.map(|count| count.copied().unwrap_or(0)).collect())
        };
        wait::until_true("all to be dropped", PATIENCE, || {
            drops().is_ok_and(|drops| drops.iter().sum::<u64>() >= 30)
        })?;
        let drops = drops()?;
        assert!(drops.iter().all(|count| *count >= 8), "{drops:?}");
    }
    assert_accounts(&scene.director);
    Ok(())
}
