//! Connections come, go and break while services change: the director's counters stay true.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use adminapi::model::{Connection, ConnectionQuery, Scheduler, Service};
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::api::Api;
use testbed::require;
use testbed::scene::{Family, Scene, services};
use testbed::topology::Plan;
use testbed::wait;

const HTTP: Family = Family::V4;
const CLIENTS: u32 = 8;
const CONNECTIONS: u32 = 3000;
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that ends in one of three ways: in order, by a reset (an answer is left unread),
/// or without a word sent.
fn use_once(server: SocketAddr, number: u32) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&server, Duration::from_millis(300))?;
    stream.set_read_timeout(Some(Duration::from_millis(300)))?;
    if number % 3 < 2 {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: vip\r\n\r\n")?;
        let mut answer = [0; 2048];
        let wanted = if number % 3 == 0 { answer.len() } else { 1 };
        ensure!(stream.read(&mut answer[..wanted])? > 0, "no answer");
    }
    Ok(())
}

/// What the clients share.
#[derive(Default)]
struct Load {
    tried: AtomicU32,
    served: AtomicU32,
    stop: AtomicBool,
}

impl Load {
    /// One client: connection after connection until `stop`.
    fn run(&self) {
        while !self.stop.load(Relaxed) {
            let number = self.tried.fetch_add(1, Relaxed);
            let done = use_once(HTTP.http(), number).is_ok();
            self.served.fetch_add(done.into(), Relaxed);
        }
    }
}

/// Changes the HTTP service in all ways until `load` has tried its connections.
fn change_services(scene: &Scene, load: &Load) -> Result<()> {
    let api = scene.director.api();
    let weights: [&[u32]; 4] = [&[1, 2], &[1, 1, 1], &[0, 1, 3], &[2]];
    let schedulers = [Scheduler::Wlc, Scheduler::Lc, Scheduler::Wrr];
    let mut change = 0;
    while load.tried.load(Relaxed) < CONNECTIONS {
        change += 1;
        let scheduler = schedulers[change % schedulers.len()];
        let wanted = http(scene, scheduler, weights[change % weights.len()]);
        if change % 8 == 0 {
            api.remove_service(HTTP.http_service())?;
        }
        api.put_service(&wanted)?;
    }
    Ok(())
}

fn http(scene: &Scene, scheduler: Scheduler, weights: &[u32]) -> Service {
    services(&scene.topology, scheduler, weights)
        .into_iter()
        .find(|service| service.id == HTTP.http_service())
        .expect("the scene has it")
}

/// All connections of the HTTP service.
fn connections(api: &Api) -> Result<Vec<Connection>> {
    let mut query = ConnectionQuery {
        service: Some(HTTP.http_service()),
        ..ConnectionQuery::default()
    };
    let mut all = Vec::new();
    loop {
        let page = api.call(async |api| api.connections(&query).await)?;
        all.extend(page.connections);
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return Ok(all),
        }
    }
}

/// Each real server's counters say what the table holds, and so does the status.
fn counters_are_true(api: &Api) -> Result<()> {
    let mut listed: BTreeMap<SocketAddr, (u32, u32)> = BTreeMap::new();
    let connections = connections(api)?;
    for connection in &connections {
        let (active, inactive) = listed.entry(connection.real).or_default();
        match connection.state.as_str() {
            "ESTABLISHED" | "SYN_SENT" | "SYN_RECV" => *active += 1,
            _ => *inactive += 1,
        }
    }
    for real in api.service(HTTP.http_service())?.reals {
        let endpoint = SocketAddr::new(real.address, real.port);
        let expected = listed.remove(&endpoint).unwrap_or_default();
        let counted = (real.active, real.inactive);
        ensure!(
            counted == expected,
            "{endpoint} counts {counted:?}, listed are {expected:?}"
        );
    }
    ensure!(listed.is_empty(), "connections of nobody: {listed:?}");
    let counted = api.status()?.connections;
    ensure!(
        counted.entries + counted.half_open == connections.len() as u64,
        "{counted:?}, listed are {}",
        connections.len()
    );
    Ok(())
}

#[test]
fn counters_stay_true_when_services_change_under_load() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let plan = Plan {
        queues: 2,
        ..Plan::default()
    };
    let scene = Scene::start_with(plan, Scheduler::Rr, &[1, 1, 1])?;
    // Few ports, so that a connection often follows another one of its tuple.
    scene.topology.client.sysctl(&[
        "net.ipv4.ip_local_port_range=40000 40399",
        "net.ipv4.tcp_max_tw_buckets=0",
    ])?;
    let api = scene.director.api();
    let load = Arc::new(Load::default());
    let client = || {
        let load = Arc::clone(&load);
        scene.topology.client.spawn(move || {
            load.run();
            Ok(())
        })
    };
    let clients: Vec<_> = (0..CLIENTS).map(|_| client()).collect::<Result<_>>()?;
    let changed = change_services(&scene, &load);
    load.stop.store(true, Relaxed);
    for client in clients {
        client.join().expect("a client panicked")?;
    }
    changed?;
    api.put_service(&http(&scene, Scheduler::Rr, &[1, 1, 1]))?;

    assert!(load.served.load(Relaxed) > 0, "nobody was served");
    wait::until("true counters", PATIENCE, || counters_are_true(api))?;
    assert_accounts(&scene.director);
    Ok(())
}
