//! What health checks cost: 1,000 of them a second, as a share of one core.
//!
//! `cargo run --release -p bulwark-tests --example checks`, as root.
//!
//! The checks are the director's own, with their schedule, on a thread in the director's namespace;
//! nginx answers in that of a real server. The time is what the kernel charges to that thread
//! (`getrusage`): on veth that includes most of what the other end does to answer, as packets are
//! taken in where they are sent. The peer does the same to the network without any machinery: a loop
//! of blocking calls.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adminapi::model::{Check, CheckKind, Millis};
use anyhow::{Context as _, Result, ensure};
use director::health::{Bed, Place, Regimen, Rounds, Switchboard, Target};
use director::service::ServiceKey;
use director::wire::{Endpoint, Protocol};
use nix::sys::resource::{UsageWho, getrusage};
use socket2::{Domain, Socket, Type};
use testbed::servers::Nginx;
use testbed::topology::{Plan, Topology};

/// Checks a second.
const RATE: u32 = 1000;
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(10);
const ROUNDS: usize = 3;

/// User and system time of this thread.
fn spent() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let time = |value: nix::sys::time::TimeVal| {
        Duration::new(value.tv_sec() as u64, value.tv_usec() as u32 * 1000)
    };
    Ok(time(usage.user_time()) + time(usage.system_time()))
}

/// What share of a core the checks of `kind` take of `server`.
fn measure(kind: CheckKind, server: SocketAddr) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let beds: HashMap<Place, Arc<Bed>> = (0..RATE).map(|n| bed(kind, server, n)).collect();
        let mut rounds = Rounds::new(Switchboard::open()?, Arc::default());
        rounds.visit(beds.iter());
        tokio::time::sleep(WARM_UP).await;
        let (begun, before) = (Instant::now(), spent()?);
        tokio::time::sleep(MEASURED).await;
        let share = (spent()? - before).as_secs_f64() / begun.elapsed().as_secs_f64();
        for bed in beds.values() {
            let patient = bed.patient.lock();
            let passed = patient.last().is_some_and(|last| last.passed);
            ensure!(passed, "a check has failed: {:?}", patient.last());
        }
        Ok(share)
    })
}

fn bed(kind: CheckKind, server: SocketAddr, number: u32) -> (Place, Arc<Bed>) {
    let vip = SocketAddr::from(([192, 0, 2, 1], 80));
    let check = Check {
        interval: Millis::seconds(1),
        ..Check::new(kind)
    };
    let regimen = Regimen {
        target: Target {
            service: format!("tcp:{vip}").parse().expect("a service"),
            real: server,
        },
        check: Some(check),
        agent: None,
    };
    let named = Endpoint::new(server.ip().into(), number as u16);
    let place = (ServiceKey::at(Protocol::Tcp, vip.into()), named);
    (place, Arc::new(Bed::new(regimen, Instant::now())))
}

/// What share of a core the same takes without machinery.
fn bare(kind: CheckKind, server: SocketAddr) -> Result<f64> {
    let (begun, before) = (Instant::now(), spent()?);
    let gap = Duration::from_secs(1) / RATE;
    let mut due = begun;
    while begun.elapsed() < MEASURED {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_linger(Some(Duration::ZERO))?;
        socket.set_tcp_quickack(false)?;
        socket.connect(&server.into())?;
        let mut stream = TcpStream::from(socket);
        if kind == CheckKind::Http {
            write!(
                stream,
                "GET / HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n"
            )?;
            let mut answer = [0; 2048];
            let length = stream.read(&mut answer)?;
            ensure!(answer[..length].starts_with(b"HTTP/1.1 200"));
        }
        drop(stream);
        due += gap;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok((spent()? - before).as_secs_f64() / begun.elapsed().as_secs_f64())
}

/// How many handshakes have been begun with this namespace and either completed or reset.
fn shaken() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/net/snmp")?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = lines
        .next()
        .zip(lines.next())
        .context("no counters of TCP")?;
    let counters = names.split(' ').zip(values.split(' '));
    let of_both = counters.filter(|(name, _)| ["PassiveOpens", "AttemptFails"].contains(name));
    of_both.map(|(_, value)| Ok(value.parse::<u64>()?)).sum()
}

fn main() -> Result<()> {
    let topology = Topology::build(Plan {
        reals: 1,
        ..Plan::default()
    })?;
    let _nginx = Nginx::start(&topology.reals[0])?;
    let server = SocketAddr::from((topology.reals[0].v4, 80));
    topology.meet_neighbours()?;
    println!("{RATE} checks a second, percent of a core, {ROUNDS} rounds in turns");
    for kind in [CheckKind::Tcp, CheckKind::Http] {
        let mut rows = Vec::new();
        for _ in 0..ROUNDS {
            let before = topology.reals[0].namespace.enter(shaken)?;
            let checks = topology.director.enter(|| measure(kind, server))?;
            let seen = topology.reals[0].namespace.enter(shaken)? - before;
            let peer = topology.director.enter(|| bare(kind, server))?;
            let rate = seen as f64 / (WARM_UP + MEASURED).as_secs_f64();
            rows.push((checks, peer, rate));
        }
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (checks, peer, rate) in &rows {
            let (checks, peer) = (checks * 100.0, peer * 100.0);
            println!(
                "{:<5} checks {checks:5.2}  bare {peer:5.2}  ratio {:4.2}  ({rate:.0}/s seen by the server)",
                kind.name(),
                checks / peer
            );
        }
    }
    Ok(())
}
