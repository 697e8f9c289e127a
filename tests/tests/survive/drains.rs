//! A drain that goes on under the next director.

use std::net::SocketAddr;

use adminapi::model::{Draining, ForwardingMethod, Protocol, RealPatch, Scheduler, Service};
use anyhow::{Context, Result};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, service};
use testbed::process::Signal;
use testbed::require;
use testbed::scene::{Family, services};
use testbed::servers::OTHER_HTTP_PORT;
use testbed::topology::{RealHost, VIP_V4};
use testbed::traffic::{HttpConnection, fetch_names, tally};
use testbed::wait;

use crate::bed::{Bench, PATIENCE};

const FAMILY: Family = Family::V4;

/// What the director speaks from by FullNAT.
const SPEAKER: &str = "10.0.2.240";

/// Who has a connection to the real server that is drained.
struct Guest {
    open: HttpConnection,
    name: String,
    at: SocketAddr,
}

impl Guest {
    fn of(bench: &Bench) -> Result<Self> {
        let mut open = HttpConnection::open(&bench.topology.client, FAMILY.http())?;
        let name = open.ask_name()?;
        let its = |host: &&RealHost| host.name == name;
        let host = bench.topology.reals.iter().find(its).context("nobody")?;
        let at = SocketAddr::from((host.v4, OTHER_HTTP_PORT));
        Ok(Self { open, name, at })
    }

    /// How its real server is drained.
    fn drain(&self, bench: &Bench) -> Result<Draining> {
        let reals = bench.director.api().service(FAMILY.http_service())?.reals;
        let real = reals.into_iter().find(|real| real.endpoint() == self.at);
        let draining = real.and_then(|real| real.draining);
        draining.context("it is not drained")
    }

    /// Checks that it is served where it was, and that others are not.
    fn stays_alone(&mut self, bench: &Bench) -> Result<()> {
        assert_eq!(self.open.ask_name()?, self.name);
        let others = tally(fetch_names(&bench.topology.client, FAMILY.http(), 4)?);
        assert_eq!(others.get(&self.name), None);
        Ok(())
    }
}

/// Where changes over the API are kept, who is being drained is not among what is wanted.
#[test]
fn a_drain_goes_on_where_changes_are_kept() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("state.json").display().to_string();
    let keeping = |configuration: Configuration| configuration.api("persist", file);
    let mut bench = Bench::start_shaped(ForwardingMethod::Nat, keeping)?;
    let mut guest = Guest::of(&bench)?;
    let api = bench.director.api();
    api.change_real(FAMILY.http_service(), guest.at, RealPatch::drain(600))?;
    let before = guest.drain(&bench)?;
    for signal in [Signal::Term, Signal::Kill] {
        bench.restart(signal)?;
        guest.stays_alone(&bench)?;
        let now = guest.drain(&bench)?;
        assert_eq!((now.since, now.until), (before.since, before.until));
    }
    assert_accounts(&bench.director);
    Ok(())
}

/// Nobody wants who is being drained any more: what he needs may go, and the next director starts.
#[test]
fn who_is_drained_and_does_not_fit_any_more_keeps_nobody_from_starting() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("state.json").display().to_string();
    let keeping = |configuration: Configuration| configuration.api("persist", file);
    let mut bench = Bench::start_shaped(ForwardingMethod::Nat, keeping)?;
    let plain = bench.configuration.clone();
    let speaking = plain
        .clone()
        .datapath("local_addresses", [SPEAKER].to_vec());
    bench.configuration = speaking;
    bench.restart(Signal::Term)?;
    let guest = Guest::of(&bench)?;
    let fullnat = RealPatch {
        method: Some(ForwardingMethod::FullNat),
        ..RealPatch::drain(600)
    };
    let api = bench.director.api();
    api.change_real(FAMILY.http_service(), guest.at, fullnat)?;
    bench.wait_kept("\"seconds\":600")?;
    bench.configuration = plain;
    bench.restart(Signal::Term)?;
    assert!(guest.drain(&bench).is_err());
    let log = bench.director.log();
    assert!(log.contains("who was being drained cannot be"), "{log}");
    assert_accounts(&bench.director);
    Ok(())
}

/// Who is drained since the file does not have it any more, when the file says something else anew.
#[test]
fn a_drain_goes_on_where_the_file_has_changed() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    let mut guest = Guest::of(&bench)?;
    let without = |mut service: Service| {
        service.reals.retain(|real| real.address != guest.at.ip());
        service
    };
    let bare = Configuration::new(bench.topology.interfaces()).datapath("drain", "10m");
    bench.configuration = bench.haven.shelter(bare).services(
        services(&bench.topology, Scheduler::Rr, &[1, 1, 1])
            .into_iter()
            .map(without),
    );
    let text = bench.configuration.text(&bench.director.socket())?;
    bench.director.reload(&text)?;
    let before = wait::until("the drain", PATIENCE, || guest.drain(&bench))?.until;
    bench.wait_kept("\"seconds\":600")?;
    for (port, signal) in [(8000, Signal::Term), (8001, Signal::Kill)] {
        let added = service(Protocol::Tcp, (VIP_V4, port).into(), Scheduler::Rr, []);
        bench.configuration = bench.configuration.clone().service(added);
        bench.restart(signal)?;
        guest.stays_alone(&bench)?;
        assert_eq!(guest.drain(&bench)?.until, before);
    }
    assert_accounts(&bench.director);
    Ok(())
}
