//! Queues that come while a director runs.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use adminapi::model::{InterfaceStatus, Scheduler};
use anyhow::{Context, Result, ensure};
use director::xsk::{Binding, CopyMode, Opener, RingSizes, Socket, Umem};
use testbed::accounts::assert_accounts;
use testbed::director::Configuration;
use testbed::floor;
use testbed::haven::Haven;
use testbed::namespace::Namespace;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::topology::{CLIENT_SIDE, HOST_SIDE, Plan, REAL_SIDE, Topology};
use testbed::traffic::{HttpConnection, UdpClient};
use testbed::wait;

use super::PATIENCE;

const FEW: u32 = 2;
const MANY: u32 = 4;

/// The end of the link to the real servers that is not the director's.
const BRIDGE_SIDE: &str = "uplink";

fn set(namespace: &Namespace, interface: &str, way: &str, queues: u32) -> Result<String> {
    namespace.run("ethtool", &["-L", interface, way, &queues.to_string()])
}

/// By how many queues what is sent to the director comes.
fn set_coming(topology: &Topology, queues: u32) -> Result<()> {
    let bridge = topology.bridge.as_ref().context("a bridge")?;
    set(&topology.client, HOST_SIDE, "tx", queues)?;
    set(bridge, BRIDGE_SIDE, "tx", queues).map(drop)
}

/// By how many the director receives. XDP on veth wants as many as the far end sends through.
fn set_received(topology: &Topology, queues: u32) -> Result<()> {
    [CLIENT_SIDE, REAL_SIDE]
        .iter()
        .try_for_each(|near| set(&topology.director, near, "rx", queues).map(drop))
}

/// A scene in which interfaces that could have many queues have `few`, and nothing is forwarded by the gate.
fn scene(few: u32, shape: impl FnOnce(Configuration) -> Configuration) -> Result<Scene> {
    let topology = Topology::build(Plan {
        queues: MANY as u8,
        ..Plan::default()
    })?;
    set_coming(&topology, few)?;
    set_received(&topology, few)?;
    Scene::start_on(topology, Scheduler::Rr, &[1, 1, 1], |configuration| {
        shape(configuration.fast_path(false))
    })
}

fn interfaces(scene: &Scene) -> Result<Vec<InterfaceStatus>> {
    Ok(scene.director.api().status()?.interfaces)
}

/// Waits until all interfaces have sockets for so many queues, and lose nothing.
fn await_served(scene: &Scene, queues: u32) -> Result<()> {
    wait::until("all queues to be served", PATIENCE, || {
        let interfaces = interfaces(scene)?;
        let is_served = |it: &InterfaceStatus| it.queues == queues && it.loses_because.is_none();
        ensure!(interfaces.iter().all(is_served), "{interfaces:?}");
        Ok(())
    })
}

/// Packets that XDP has seen on a queue of `interface`.
fn seen(topology: &Topology, interface: &str, queue: u32) -> Result<u64> {
    let counters = topology.director.run("ethtool", &["-S", interface])?;
    let name = format!("rx_queue_{queue}_xdp_packets:");
    let count = counters
        .lines()
        .find_map(|line| line.trim().strip_prefix(&name));
    Ok(count.context(counters.clone())?.trim().parse()?)
}

/// All queues have brought packets, and none of these is lost.
fn assert_lossless(scene: &Scene) -> Result<()> {
    for side in [CLIENT_SIDE, REAL_SIDE] {
        for queue in 0..MANY {
            assert!(seen(&scene.topology, side, queue)? > 0, "{side} {queue}");
        }
    }
    assert_accounts(&scene.director);
    let drops = scene.director.api().stats()?.drops;
    assert!(drops.is_empty(), "{drops:?}");
    Ok(())
}

/// So many clients each of whose datagrams is echoed.
fn echo(scene: &Scene, clients: usize) -> Result<()> {
    for family in Family::BOTH {
        for _ in 0..clients {
            let client = UdpClient::open(&scene.topology.client, family.echo())?;
            ensure!(client.echo(b"one")? == client.echo(b"two")?);
        }
    }
    Ok(())
}

#[test]
fn queues_that_come_are_served_and_nobody_loses_a_packet() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for workers in [None, Some(1)] {
        let scene = scene(FEW, |configuration| match workers {
            Some(workers) => configuration.datapath("workers", workers),
            None => configuration,
        })?;
        let topology = &scene.topology;
        await_served(&scene, FEW)?;
        let open = |_| UdpClient::open(&topology.client, Family::V4.echo());
        let clients = (0..16).map(open).collect::<Result<Vec<_>>>()?;
        let reals = clients.iter().map(|client| client.echo(b"before"));
        let reals = reals.collect::<Result<Vec<_>>>()?;

        set_received(topology, MANY)?;
        await_served(&scene, MANY)?;
        set_coming(topology, MANY)?;

        for (client, real) in clients.iter().zip(reals) {
            assert_eq!(client.echo(b"after")?, real);
        }
        echo(&scene, 64)?;
        assert_lossless(&scene)?;
    }
    Ok(())
}

#[test]
fn connections_go_on_when_packets_come_by_queues_that_are_new() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(FEW, |configuration| configuration)?;
    let is_over = AtomicBool::new(false);
    let ask = |family: Family| -> Result<usize> {
        let open = |_| HttpConnection::open(&scene.topology.client, family.http());
        let mut connections = (0..8).map(open).collect::<Result<Vec<_>>>()?;
        let mut asked = 0;
        while !is_over.load(Relaxed) {
            for connection in &mut connections {
                connection.ask_name()?;
                asked += 1;
            }
        }
        Ok(asked)
    };
    let grown = || -> Result<()> {
        set_received(&scene.topology, MANY)?;
        await_served(&scene, MANY)?;
        set_coming(&scene.topology, MANY)?;
        echo(&scene, 64)
    };
    thread::scope(|scope| {
        let asking = Family::BOTH.map(|family| scope.spawn(move || ask(family)));
        let grown = grown();
        is_over.store(true, Relaxed);
        for asked in asking {
            let asked = asked.join().expect("no panic")?;
            ensure!(asked > 0);
        }
        grown
    })?;
    assert_lossless(&scene)
}

/// A socket of somebody else's on a queue of `interface`.
fn occupy(namespace: &Namespace, interface: &str, queue: u32) -> Result<Socket> {
    namespace.enter(|| {
        let (umem, _) = Umem::new(128)?;
        let binding = Binding {
            ifindex: floor::interface_index(interface)?,
            queue,
            mode: CopyMode::Copy,
        };
        let sizes = RingSizes {
            receive: 64,
            transmit: 64,
        };
        Ok(Opener::new(&umem).open(binding, sizes)?)
    })
}

#[test]
fn a_queue_that_gets_no_socket_is_told_of_until_it_has_one() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut scene = scene(FEW, |configuration| configuration)?;
    await_served(&scene, FEW)?;
    scene.director.process().signal(Signal::Stop)?;
    set_received(&scene.topology, MANY)?;
    let other = occupy(&scene.topology.director, CLIENT_SIDE, FEW)?;
    scene.director.process().signal(Signal::Cont)?;

    let why = "4 receive queues, 1 of them without a socket (no_socket): cannot open the AF_XDP \
               socket of queue 2 of `cl0`";
    wait::until("it to be told", PATIENCE, || {
        let interfaces = interfaces(&scene)?;
        let told = interfaces[0].loses_because.as_ref();
        ensure!(
            told.is_some_and(|told| told.starts_with(why)),
            "{interfaces:?}"
        );
        ensure!(interfaces[0].queues == MANY - 1, "{interfaces:?}");
        ensure!(scene.director.log().contains(why));
        Ok(())
    })?;
    drop(other);
    await_served(&scene, MANY)?;
    set_coming(&scene.topology, MANY)?;
    echo(&scene, 32)?;
    assert_accounts(&scene.director);
    Ok(())
}

/// One that has come late needs frames that wait at queues which nothing comes by.
#[test]
fn a_worker_without_frames_serves_a_queue_when_it_has_some_again() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(1, |configuration| {
        let small = configuration.datapath("workers", 1);
        small.datapath("ring", 64).datapath("frames", 256)
    })?;
    for queues in 2..MANY {
        set_received(&scene.topology, queues)?;
        await_served(&scene, queues)?;
    }
    set_received(&scene.topology, MANY)?;
    wait::until("the lack to be told", PATIENCE, || {
        let interfaces = interfaces(&scene)?;
        let lacks = |it: &InterfaceStatus| {
            let why = it.loses_because.as_ref();
            why.is_some_and(|why| why.contains("worker 0 has no packet memory left for queue 3"))
        };
        ensure!(interfaces.iter().any(lacks), "{interfaces:?}");
        Ok(())
    })?;
    // By the first queue, whose frames are more than its part.
    echo(&scene, 64)?;
    await_served(&scene, MANY)?;
    set_coming(&scene.topology, MANY)?;
    echo(&scene, 64)?;
    assert_lossless(&scene)
}

#[test]
fn the_kernel_takes_no_queue_away_that_has_a_socket() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(FEW, |configuration| configuration)?;
    set_received(&scene.topology, MANY)?;
    await_served(&scene, MANY)?;
    let near = &scene.topology.director;
    for (way, queues) in [("tx", 1), ("rx", FEW)] {
        let refusal = set(near, CLIENT_SIDE, way, queues).unwrap_err().to_string();
        assert!(refusal.contains("Invalid argument"), "{refusal}");
    }
    await_served(&scene, MANY)
}

#[test]
fn the_next_director_has_all_queues() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let haven = Haven::new()?;
    let mut scene = scene(FEW, |configuration| haven.shelter(configuration))?;
    set_received(&scene.topology, MANY)?;
    await_served(&scene, MANY)?;
    set_coming(&scene.topology, MANY)?;
    let client = UdpClient::open(&scene.topology.client, Family::V4.echo())?;
    let real = client.echo(b"before")?;
    scene.director.end_by(Signal::Kill)?;
    scene.start_next()?;
    await_served(&scene, MANY)?;
    assert_eq!(scene.director.api().status()?.workers.len(), MANY as usize);
    assert_eq!(client.echo(b"after")?, real);
    echo(&scene, 32)
}
