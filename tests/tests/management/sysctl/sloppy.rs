//! `sloppy_tcp`: connections that are met in their midst.

use adminapi::model::Scheduler;
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, Director};
use testbed::process::Signal;
use testbed::require;
use testbed::scene::{Family, services};
use testbed::servers::Nginx;
use testbed::topology::Topology;
use testbed::traffic::HttpConnection;
use testbed::wait;

use crate::sysctl::bed::{ACK, Bench, PATIENCE, connection, nobody};

/// A connection outlives its director.
#[test]
fn sloppy_tcp_takes_a_connection_up_in_its_midst() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    // A network each: what a client of one that was not taken up sends again would be in the next.
    Family::BOTH.into_iter().try_for_each(takes_up_in_its_midst)
}

fn takes_up_in_its_midst(family: Family) -> Result<()> {
    let topology = Topology::with_one_real()?;
    let _web = Nginx::start(&topology.reals[0])?;
    topology.meet_neighbours()?;
    // Else the host would answer with a RST while no director runs.
    topology
        .director
        .ip("addr del 10.9.9.9/32 dev lo\naddr del fd00:9::9/128 dev lo\n")?;
    let configuration = Configuration::new(topology.interfaces()).services(services(
        &topology,
        Scheduler::Rr,
        &[1],
    ));
    for sloppy in [1, 0] {
        let mut first = Director::start(&topology.director, &configuration)?;
        let mut open = HttpConnection::open(&topology.client, family.http())?;
        assert_eq!(open.ask_name()?, "rs1");
        wait::until("the client's last ACK", PATIENCE, || {
            all_is_acked(&topology)
        })?;
        first.end_by(Signal::Kill)?;
        let configuration = configuration.clone().sysctl("sloppy_tcp", sloppy);
        let second = Director::start(&topology.director, &configuration)?;
        let answer = open.ask_name();
        assert_eq!(answer.is_ok(), sloppy == 1, "{answer:?}");
        if sloppy == 1 {
            let now = connection(&second, family.http_service(), open.client()?)?;
            assert_eq!(now.state, "ESTABLISHED");
            let used = second.api().status()?.connections;
            assert_eq!((used.entries, used.half_open), (1, 0));
        }
        assert_accounts(&second);
    }
    Ok(())
}

/// What the real server repeated while no director runs, the host would forward as it is, and the client
/// answer with a RST.
fn all_is_acked(topology: &Topology) -> Result<()> {
    let real = &topology.reals[0].namespace;
    let told = real.run("ss", &["-Htin", "state", "established"])?;
    ensure!(!told.contains("unacked:"), "{told}");
    Ok(())
}

/// What nobody vouches for but its sender stays in the half-open pool.
#[test]
fn sloppy_tcp_believes_no_client_alone() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&[1])?;
    bench.set("sloppy_tcp", 1)?;
    // The real server would answer with a RST.
    bench.scene.topology.reals[0]
        .namespace
        .ip("link set eth0 down")?;
    for port in 4000..4010 {
        bench.segment(nobody(port), ACK, 1000, 1)?;
        bench.segment(nobody(port), ACK, 1000, 1)?;
    }
    let used = wait::until("ten connections", PATIENCE, || {
        let used = bench.scene.director.api().status()?.connections;
        ensure!(used.half_open == 10, "{used:?}");
        Ok(used)
    })?;
    assert_eq!(used.entries, 0);
    Ok(())
}
