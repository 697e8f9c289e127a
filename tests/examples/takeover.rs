//! How soon a director that was killed is followed by another one, by how many established connections
//! it has left, all of which the gate forwards.
//!
//! `cargo run --release -p bulwark-tests --example takeover [CONNECTIONS...]`, as root.
//!
//! Connections are opened through NAT to a program that answers SYNs; the director is killed, and another
//! one started at once. Meanwhile somebody connects again and again, every 10 ms, and gives up after as
//! long: the first who gets through is who shows that new connections are accepted. And a sample of
//! the flows is looked at in the pinned maps, until the gate has been told of all of them again: until
//! then those would not outlive that director that have had no packet.

use std::mem::offset_of;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use director::gate::flows::{Flow, HOP_ERA_BITS, SharedHop, Way};
use libbpf_rs::{MapCore, MapFlags, MapHandle};
use testbed::bench::load::{Load, route_sources};
use testbed::bench::opening::Opening;
use testbed::bench::ours::cached;
use testbed::director::{Configuration, Director};
use testbed::generator::{Generator, Kind, Sink};
use testbed::haven::Haven;
use testbed::process::Signal;
use testbed::scene::Family;
use testbed::topology::Topology;

const ROUNDS: usize = 3;
const FAMILY: Family = Family::V4;
/// Until the next one tries.
const TURN: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(60);
/// Where real servers are, seen from the bridge.
const UPLINK: &str = "uplink";
/// Flows that are looked at.
const SAMPLE: u32 = 500;

/// How long each took from the end of the director on.
struct Took {
    accepted: Duration,
    ready: Duration,
    told: Duration,
}

fn main() -> Result<()> {
    let wanted: Result<Vec<u32>, _> = std::env::args().skip(1).map(|word| word.parse()).collect();
    let mut counts = wanted?;
    if counts.is_empty() {
        counts = vec![1000, 100_000, 1_000_000];
    }
    for connections in counts {
        measure(connections)?;
    }
    Ok(())
}

fn measure(connections: u32) -> Result<()> {
    let topology = Topology::with_one_real()?;
    let bridge = topology.bridge.as_ref().context("no bridge")?;
    let sink = Sink::new(bridge, UPLINK)?;
    route_sources(&topology)?;
    let load = Load {
        flows: connections,
        frame: 60,
        services: 1,
        reals: 1,
    };
    let haven = Haven::new()?;
    let services = load.services(&topology, FAMILY, Kind::TcpData).into_iter();
    let configuration = haven
        .shelter(load.configuration(&topology))
        .services(services);
    topology.meet_neighbours()?;
    let flows = load.flows(FAMILY, Kind::TcpData)?;
    // Before the director, which would not send to an interface without a program yet.
    let mut generator = Generator::new(&topology.client, &flows)?;
    let mut director = Director::start(&topology.director, &configuration)?;
    let opening = Opening {
        client: &topology.client,
        flows: &flows,
        sink: &sink,
        cpu: 0,
    };
    opening.open_until(&mut generator, || cached(&director))?;
    for _ in 0..ROUNDS {
        let open = cached(&director)?;
        director.end_by(Signal::Kill)?;
        let took;
        (director, took) = follow(&topology, &configuration, &haven, flows.destination)?;
        println!(
            "{open} connections: accepted after {:?}, ready after {:?}, told of all after {:?}",
            took.accepted, took.ready, took.told
        );
    }
    Ok(())
}

/// Starts the next director.
fn follow(
    topology: &Topology,
    configuration: &Configuration,
    haven: &Haven,
    vip: SocketAddr,
) -> Result<(Director, Took)> {
    let gone = Instant::now();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let visitor = scope.spawn(|| first_accepted(topology, vip, gone, &is_over));
        let started = Director::start(&topology.director, configuration);
        let ready = gone.elapsed();
        let told = started.as_ref().map(|_| told_after(haven, gone));
        sleep(TURN);
        is_over.store(true, Relaxed);
        let accepted = visitor.join().expect("the visitor panicked")?;
        let took = Took {
            accepted: accepted.context("nobody was accepted")?,
            ready,
            told: told.map_or(Ok(ready), |told| told)?,
        };
        Ok((started?, took))
    })
}

/// When somebody was connected for the first time.
fn first_accepted(
    topology: &Topology,
    vip: SocketAddr,
    gone: Instant,
    is_over: &AtomicBool,
) -> Result<Option<Duration>> {
    topology.client.enter(|| {
        while !is_over.load(Relaxed) {
            if TcpStream::connect_timeout(&vip, TURN).is_ok() {
                return Ok(Some(gone.elapsed()));
            }
        }
        Ok(None)
    })
}

/// When the gate has been told again of a sample of its flows.
fn told_after(haven: &Haven, gone: Instant) -> Result<Duration> {
    let open = |name| MapHandle::from_pinned_path(haven.pin().join("maps").join(name));
    let (flows, hops) = (open("flows")?, open("hops")?);
    let step = (flows.max_entries() / SAMPLE).max(1) as usize;
    while gone.elapsed() < PATIENCE {
        let hops = entry(&hops, 0)?;
        let mut holds = true;
        for number in (0..flows.max_entries()).step_by(step) {
            holds = holds && is_told(&flows, &hops, number)?;
        }
        if holds {
            break;
        }
        sleep(TURN);
    }
    Ok(gone.elapsed())
}

/// Whether the gate forwards what comes from the client of a flow, or there is no such flow. `hops` are all
/// next hops, behind one another.
fn is_told(flows: &MapHandle, hops: &[u8], number: u32) -> Result<bool> {
    let flow = entry(flows, number)?;
    let named = word(&flow, offset_of!(Flow, ways) + offset_of!(Way, hop));
    let hop = (named >> HOP_ERA_BITS) as usize * size_of::<SharedHop>();
    let era = word(hops, hop + offset_of!(SharedHop, era));
    Ok(named == 0 || era == named & ((1 << HOP_ERA_BITS) - 1))
}

fn entry(map: &MapHandle, number: u32) -> Result<Vec<u8>> {
    let found = map.lookup(&number.to_ne_bytes(), MapFlags::ANY)?;
    found.context("there is no such entry")
}

fn word(value: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([value[at], value[at + 1], value[at + 2], value[at + 3]])
}
