//! Ports: that of somebody else as one's own (T9), and all of those that the director has by
//! FullNAT (T20).

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use adminapi::model::{ForwardingMethod, RealView};
use anyhow::{Context, Result, ensure};
use testbed::packet::{Segment, flag, tcp};
use testbed::require;
use testbed::wait;

use super::bench::{Bench, HTTP, Victim};

const PATIENCE: Duration = Duration::from_secs(20);
/// None that the kernel gives to a client.
const OWN_PORT: u16 = 7000;
/// Two and a half times what the director has: 1024 for each of three real servers.
const SYNS: u32 = 7_680;
const TOTAL: u64 = 3 * 1024;

/// A client speaks from the service's port, from the real servers' and from one that the
/// director's own host listens on, and all of them go on to be what they are.
#[test]
fn a_port_of_another_meaning_shadows_nothing() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(ForwardingMethod::Nat)?;
    let mut victim = Victim::open(&bench)?;
    let (director, client) = (&bench.topology.director, &bench.topology.client);
    let own = director.enter(|| Ok(TcpListener::bind(("10.0.1.254", OWN_PORT))?))?;
    let at = own.local_addr()?;
    for port in [HTTP.http().port(), 8080, at.port()] {
        let url = format!("http://{}/", HTTP.http());
        let local = port.to_string();
        let curl = [
            "-gsS",
            "--fail",
            "--max-time",
            "30",
            "--local-port",
            &local,
            &url,
        ];
        let name = client.run("curl", &curl)?;
        ensure!(name.starts_with("rs"), "{name} answers port {port}");
        let _stream = client.enter(|| Ok(TcpStream::connect_timeout(&at, PATIENCE)?))?;
        own.accept()?;
        victim.use_once()?;
    }
    bench.end()
}

fn ports_used(reals: &[RealView]) -> u64 {
    reals
        .iter()
        .filter_map(|real| real.local_ports)
        .map(|ports| ports.used)
        .sum()
}

/// SYNs from many addresses take every port there is, and then those of each other only.
#[test]
fn a_flood_takes_no_port_of_an_established_connection() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(ForwardingMethod::FullNat)?;
    let mut victim = Victim::open(&bench)?;
    let (api, id) = (bench.director.api(), HTTP.http_service());
    let local = bench.entry(victim.client)?.context("no entry")?.local;
    ensure!(local.is_some(), "it is not by FullNAT");
    let before = api.service(id)?.stats.connections;
    let syn = |n: u32| {
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(172, 20, 0, 1)) + n);
        let source = SocketAddr::from((source, 1024 + (n % 50_000) as u16));
        let syn = Segment {
            flags: flag::SYN,
            sequence: n,
            ..Segment::default()
        };
        tcp(source, HTTP.http(), syn)
    };
    let taken = || -> Result<u64> { Ok(api.stats()?.workers.iter().map(|w| w.received).sum()) };
    for from in (0..SYNS).step_by(256) {
        let before = taken()?;
        let syns: Vec<_> = (from..from + 256).map(syn).collect();
        let send = || bench.send(&syns);
        // The victim's packets do not wait behind them: the gate forwards those.
        wait::until_repeated("a worker to take them", PATIENCE, send, || {
            ensure!(taken()? >= before + 256);
            Ok(())
        })?;
        victim.use_once()?;
    }
    wait::until("more connections than ports", PATIENCE, || {
        let opened = api.service(id)?.stats.connections - before;
        ensure!(opened > TOTAL, "{opened}");
        Ok(())
    })?;
    let service = api.service(id)?;
    let used = ports_used(&service.reals);
    ensure!(
        (TOTAL * 9 / 10..=TOTAL).contains(&used),
        "{used} of {TOTAL} in use"
    );

    let own = bench.entry(victim.client)?.context("displaced")?;
    assert_eq!((own.local, own.state.as_str()), (local, "ESTABLISHED"));
    Victim::open(&bench)?.use_once()?;
    victim.use_once()?;
    bench.end()
}
