//! What health checks cost: 1,000 of them a second, as a share of one core.
//!
//! `cargo run --release -p bulwark-tests --example checks [apart]`, as root.
//!
//! The checks are the director's own, with their schedule, on a thread in the director's namespace;
//! nginx answers in that of a real server, on the other end of a veth. Two peers do the same to the network
//! without any machinery: blocking calls one after the other, and calls that do not block, ten at a time,
//! which is as little as it can be done with.
//!
//! The time is what the kernel charges to that thread: on veth that has most of what the far end's kernel
//! does to answer in it, as packets are taken in where they are sent. With `apart` the far end has another
//! CPU for that, as another host would have, and what comes in for the director is taken in on its
//! own CPU, by whoever is there.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adminapi::model::{Check, CheckKind, Millis};
use anyhow::{Context as _, Result, bail, ensure};
use director::health::{Bed, Place, Regimen, Rounds, Switchboard, Target};
use director::service::ServiceKey;
use director::wire::{Endpoint, Protocol};
use nix::sys::resource::{UsageWho, getrusage};
use socket2::{Domain, Socket, Type};
use testbed::floor::pin_to_cpu;
use testbed::namespace::Namespace;
use testbed::servers::Nginx;
use testbed::topology::{HOST_SIDE, Layout, Plan, Topology};

/// Checks a second.
const RATE: u32 = 1000;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(6);
const ROUNDS: usize = 3;

/// So many are made together by who makes some together.
const TOGETHER: u32 = 10;

/// How long they are left alone then.
const MOMENT: Duration = Duration::from_millis(1);

/// User and system time of this thread.
fn spent() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let time = |value: nix::sys::time::TimeVal| {
        Duration::new(value.tv_sec() as u64, value.tv_usec() as u32 * 1000)
    };
    Ok(time(usage.user_time()) + time(usage.system_time()))
}

/// What share of a core `work` takes.
fn share(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let (begun, before) = (Instant::now(), spent()?);
    work()?;
    Ok((spent()? - before).as_secs_f64() / begun.elapsed().as_secs_f64())
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

/// Runs `work` so often in a second for as long as is measured.
fn at_rate(rate: u32, work: impl Fn() -> Result<()>) -> Result<()> {
    let begun = Instant::now();
    let mut due = begun;
    while begun.elapsed() < MEASURED {
        work()?;
        due += Duration::from_secs(1) / rate;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// A socket as the checks have it.
fn socket() -> Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_quickack(false)?;
    Ok(socket)
}

fn ask(mut socket: &Socket, server: SocketAddr) -> Result<()> {
    let request = format!("GET / HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    Ok(socket.write_all(request.as_bytes())?)
}

fn hear(mut socket: &Socket) -> Result<()> {
    let mut answer = [0; 2048];
    let length = loop {
        match socket.read(&mut answer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(MOMENT),
            read => break read?,
        }
    };
    ensure!(answer[..length].starts_with(b"HTTP/1.1 200"));
    Ok(())
}

/// One check by blocking calls.
fn alone(kind: CheckKind, server: SocketAddr) -> Result<()> {
    let socket = socket()?;
    socket.connect(&server.into())?;
    if kind == CheckKind::Http {
        ask(&socket, server)?;
        hear(&socket)?;
    }
    Ok(())
}

/// Waits until a socket is connected to somebody.
fn connected(socket: &Socket) -> Result<()> {
    while socket.peer_addr().is_err() {
        if let Some(error) = socket.take_error()? {
            return Err(error.into());
        }
        std::thread::sleep(MOMENT);
    }
    Ok(())
}

/// Some checks step by step, and left alone after each.
fn together(kind: CheckKind, server: SocketAddr) -> Result<()> {
    let mut sockets = Vec::new();
    for _ in 0..TOGETHER {
        let socket = socket()?;
        socket.set_nonblocking(true)?;
        match socket.connect(&server.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => {
                return Err(error.into());
            }
            _ => sockets.push(socket),
        }
    }
    std::thread::sleep(MOMENT);
    sockets.iter().try_for_each(connected)?;
    if kind == CheckKind::Http {
        sockets.iter().try_for_each(|socket| ask(socket, server))?;
        std::thread::sleep(MOMENT);
        sockets.iter().try_for_each(hear)?;
    }
    Ok(())
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

/// Has what comes in through an interface taken in by CPU `cpu`.
fn take_in(namespace: &Namespace, interface: &str, cpu: u32) -> Result<()> {
    let file = format!("/sys/class/net/{interface}/queues/rx-0/rps_cpus");
    let line = format!("echo {:x} >{file}", 1 << cpu);
    namespace.run("sh", &["-c", &line]).map(drop)
}

fn main() -> Result<()> {
    let apart = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("apart") => true,
        Some(other) => bail!("{other} is unknown; say apart, or nothing"),
    };
    let topology = Topology::build(Plan {
        reals: 1,
        layout: Layout::Direct,
        ..Plan::default()
    })?;
    let real = &topology.reals[0];
    if apart {
        pin_to_cpu(1)?;
        take_in(&real.namespace, HOST_SIDE, 1)?;
        take_in(&topology.director, &real.name, 0)?;
    }
    let _nginx = Nginx::start(real)?;
    let server = SocketAddr::from((real.v4, 80));
    topology.meet_neighbours()?;
    println!("{RATE} checks a second, percent of a core, {ROUNDS} rounds in turns");
    println!("       checks   alone  together  of alone  of together  seen by the server");
    for kind in [CheckKind::Tcp, CheckKind::Http] {
        for _ in 0..ROUNDS {
            let inside = |work: &(dyn Fn() -> Result<f64> + Sync)| {
                topology.director.enter(|| {
                    if apart {
                        pin_to_cpu(0)?;
                    }
                    work()
                })
            };
            let before = real.namespace.enter(shaken)?;
            let checks = inside(&|| measure(kind, server))? * 100.0;
            let seen = real.namespace.enter(shaken)? - before;
            let one = || alone(kind, server);
            let alone = inside(&|| share(|| at_rate(RATE, one)))? * 100.0;
            let some = || together(kind, server);
            let together = inside(&|| share(|| at_rate(RATE / TOGETHER, some)))? * 100.0;
            println!(
                "{:<5} {checks:7.2} {alone:7.2} {together:9.2} {:9.2} {:12.2} {:17.0}/s",
                kind.name(),
                checks / alone,
                checks / together,
                seen as f64 / (WARM_UP + MEASURED).as_secs_f64(),
            );
        }
    }
    Ok(())
}
