//! Schedulers through the director: who serves, connection by connection.

use std::net::SocketAddr;
use std::time::Duration;

use adminapi::model::{Protocol, Scheduler, SchedulerFlag, SchedulerFlags, Service};
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::service;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::servers::OTHER_HTTP_PORT;
use testbed::traffic::HttpConnection;
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(60);

const WEIGHTS: [u32; 3] = [3, 1, 2];

/// A service of its own on `port`, in front of all web servers, for a client with ports of its own:
/// real servers could not tell one from another service's of the same port, and another would serve it.
fn add(scene: &Scene, port: u16, change: impl FnOnce(&mut Service)) -> Result<SocketAddr> {
    let vip = SocketAddr::new(Family::V4.vip(), port);
    let hosts = scene.topology.reals.iter().zip(WEIGHTS);
    let reals = hosts.map(|(host, weight)| {
        let at = SocketAddr::new(host.address(vip.ip()), OTHER_HTTP_PORT);
        (at, weight)
    });
    let mut service = service(Protocol::Tcp, vip, Scheduler::Rr, reals);
    change(&mut service);
    scene.director.api().add_service(&service)?;
    let first = 10_000 + 500 * (port - 8000);
    let ports = format!("net.ipv4.ip_local_port_range={first} {}", first + 499);
    scene.topology.client.sysctl(&[&ports])?;
    Ok(vip)
}

/// Opens `count` connections one after the other, keeps them, and says who serves: `3 2 1`.
fn serve(scene: &Scene, vip: SocketAddr, count: usize) -> Result<String> {
    let mut open = Vec::new();
    let mut names = Vec::new();
    for _ in 0..count {
        let mut connection = HttpConnection::open(&scene.topology.client, vip)?;
        let name = connection.ask_name()?;
        names.push(name.trim_start_matches("rs").to_owned());
        open.push(connection);
    }
    Ok(names.join(" "))
}

#[test]
fn each_scheduler_chooses_in_the_kernels_order() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    for (port, scheduler, expected) in [
        (8001, Scheduler::Sed, "1 3 1 3 2 1"),
        (8002, Scheduler::Nq, "3 2 1 1 3 1"),
        (8003, Scheduler::Fo, "1 1 1 1 1 1"),
        (8004, Scheduler::Ovf, "1 1 1 1 3 3"),
    ] {
        let vip = add(&scene, port, |service| service.scheduler = scheduler)?;
        assert_eq!(serve(&scene, vip, 6)?, expected, "{}", scheduler.name());
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn hashing_keeps_a_client_unless_its_port_counts() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    for (port, scheduler) in [(8001, Scheduler::Sh), (8002, Scheduler::Mh)] {
        let vip = add(&scene, port, |service| service.scheduler = scheduler)?;
        let served = serve(&scene, vip, 4)?;
        assert_eq!(served, [&served[..1]; 4].join(" "));

        let vip = add(&scene, port + 10, |service| {
            service.scheduler = scheduler;
            service.scheduler_flags = SchedulerFlags::NONE.with(SchedulerFlag::Port);
        })?;
        // 36 ports that all hash to the largest half: once in 10^10 runs.
        let served = serve(&scene, vip, 36)?;
        assert_ne!(served, [&served[..1]; 36].join(" "));
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn an_overloaded_real_server_is_passed_over() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let vip = add(&scene, 8001, |service| service.reals[2].upper = 2)?;
    assert_eq!(serve(&scene, vip, 8)?, "3 2 1 3 2 1 2 1");
    let id = adminapi::model::ServiceId::at(Protocol::Tcp, vip);
    let overloaded = scene.director.api().service(id)?.reals;
    let overloaded: Vec<_> = overloaded.iter().map(|real| real.overloaded).collect();
    assert_eq!(overloaded, [false, false, true]);
    assert_accounts(&scene.director);
    Ok(())
}

/// The table of many is filled beside the change: nobody gets to who has gone from the answer on,
/// and some get to who has come soon.
#[test]
fn mh_knows_who_of_many_has_gone_at_once_and_who_has_come_soon() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let api = scene.director.api();
    let real = |host: u8| SocketAddr::from(([10, 0, 2, host], OTHER_HTTP_PORT));
    let vip = SocketAddr::new(Family::V4.vip(), 8001);
    let many = service(
        Protocol::Tcp,
        vip,
        Scheduler::Mh,
        (101..=140).map(|host| (real(host), 1)),
    );
    api.add_service(&many)?;
    let at_first = api.foreseen(vip)?;
    for gone in 101..=104 {
        api.remove_real(many.id, real(gone))?;
        let now = api.foreseen(vip)?;
        ensure!(!now.contains(&real(gone)), "{gone} has gone");
        let stayed = at_first.iter().zip(&now).filter(|(a, b)| a == b).count();
        ensure!(stayed > 150, "only {stayed} of 200 stayed where they were");
    }
    for come in [141, 142] {
        let one = service(Protocol::Tcp, vip, Scheduler::Mh, [(real(come), 1)]);
        api.add_real(many.id, &one.reals[0])?;
        wait::until("it to have clients", PATIENCE, || {
            ensure!(api.foreseen(vip)?.contains(&real(come)));
            Ok(())
        })?;
    }
    assert_accounts(&scene.director);
    Ok(())
}
