//! Clients are served as if there were no cookies, and floods come to nothing.

use std::io::Write;
use std::net::SocketAddr;

use adminapi::model::ForwardingMethod;
use anyhow::{Context, Result, ensure};
use tempfile::NamedTempFile;
use testbed::accounts::balanced;
use testbed::comeback::Ending;
use testbed::generator::{Flows, Generator};
use testbed::greeter::{self, Greeter};
use testbed::process::Signal;
use testbed::rekeying;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::{OTHER_HTTP_PORT, big_file, serve_alike};
use testbed::traffic::{HttpConnection, download_sha256, fetch_names, file_sha256, tally, upload};

use crate::bed::Bed;

/// Cookies that a flood has to be sent.
const FLOOD: u64 = 50_000;

/// SYNs at once.
const ROUND: u32 = 20_000;

#[test]
fn what_is_loaded_up_and_down_is_whole_and_the_options_are_those_that_were_offered() -> Result<()> {
    if !require::machine() || !require::programs(&["python3"]) {
        return Ok(());
    }
    let mut bed = Bed::build()?;
    let mut body = NamedTempFile::new()?;
    body.write_all(&vec![b'x'; 8 << 20])?;
    for family in Family::BOTH {
        serves(&bed, family, &body)?;
        let (status, syns) = (bed.status(family)?, bed.syns()?);
        ensure!(status.sent >= 12 && status.accepted >= 12, "{status:?}");
        ensure!(syns >= 12, "{syns} SYNs: who has opened the connections?");
    }
    ensure!(bed.half_open()? == 0);
    keys_change_while_clients_connect(&mut bed)?;
    let forwarded = bed.forwarded()?;
    ensure!(
        (forwarded > 10_000) == bed.is_fast,
        "{forwarded} by the gate"
    );
    comes_again(&mut bed)?;
    balanced(&bed.director)
}

fn serves(bed: &Bed, family: Family, body: &NamedTempFile) -> Result<()> {
    serve_alike(&bed.web, bed.client(), family.http(), body.path())?;
    agreed_on_options(bed, family)
}

/// Both kernels have what the other one has offered.
fn agreed_on_options(bed: &Bed, family: Family) -> Result<()> {
    let mut connection = HttpConnection::open(bed.client(), family.http())?;
    let name = connection.ask_name()?;
    let real = bed.topology.reals.iter().find(|real| real.name == name);
    let real = real.context("no such real server")?;
    let port = connection.client()?.port();
    for (namespace, filter) in [
        (&real.namespace, format!("dport = :{port}")),
        (bed.client(), format!("sport = :{port}")),
    ] {
        let shown = namespace.run("ss", &["-tinoH", &filter])?;
        for option in [" ts ", " sack ", " wscale:"] {
            ensure!(shown.contains(option), "{family:?}: no {option} in {shown}");
        }
    }
    Ok(())
}

fn keys_change_while_clients_connect(bed: &mut Bed) -> Result<()> {
    bed.reload(|configuration| configuration.cookies("rotation", 1))?;
    rekeying::hinders_nobody(bed.client(), &bed.director)
}

/// From the port of a connection that the director still knows, or of which only a real server does.
fn comes_again(bed: &mut Bed) -> Result<()> {
    for family in Family::BOTH {
        bed.comeback().is_known(family)?;
    }
    let left = bed.comeback().leave(Ending::Server)?;
    bed.restart(Signal::Kill)?;
    bed.comeback().is_taken_for_new(&left)
}

/// A flood of SYNs, of which the director hears as many as its machine lets it.
#[test]
fn clients_connect_while_nobody_sends_syns_from_everywhere() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    for family in Family::BOTH {
        let names = beside_a_flood(&bed, family, || {
            fetch_names(bed.client(), family.http(), 50)
        })?;
        ensure!(names.len() == 50);
        let strangers = bed.strangers()?;
        ensure!(strangers == 0, "{strangers} SYNs of nobody");
        ensure!(bed.half_open()? == 0);
    }
    let syns = bed.syns()?;
    ensure!(syns >= 100, "{syns} SYNs: who has opened the connections?");
    balanced(&bed.director)
}

fn beside_a_flood<T: Send>(
    bed: &Bed,
    family: Family,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    let generator = Generator::beside(bed.client(), &Flows::spoofed_syns(family.http()))?;
    generator.flood_beside(bed.client(), ROUND, work, || {
        let status = bed.status(family)?;
        ensure!(status.sent > FLOOD, "{status:?}");
        Ok(())
    })
}

/// The client says nothing until it has been greeted: its window is opened by the real server's.
#[test]
fn a_server_may_speak_first() -> Result<()> {
    if !require::machine() || !require::programs(&["python3"]) {
        return Ok(());
    }
    let mut bed = Bed::build()?;
    for web in &mut bed.web {
        web.kill()?;
    }
    let reals = bed.topology.reals.iter();
    let greeters = reals.map(|real| Greeter::start(&real.namespace, OTHER_HTTP_PORT));
    let _greeters = greeters.collect::<Result<Vec<_>>>()?;
    for family in Family::BOTH {
        for _ in 0..3 {
            let said = greeter::visit(bed.client(), family.http())?;
            ensure!(said == "220 ready QUIT", "{family:?}: {said}");
        }
    }
    balanced(&bed.director)
}

/// The real server knows the director alone, and both ends of the splice have numbers of their own.
#[test]
fn by_fullnat_too() -> Result<()> {
    if !require::machine() || !require::programs(&["python3"]) {
        return Ok(());
    }
    let mut bed = Bed::build_by(ForwardingMethod::FullNat)?;
    let mut body = NamedTempFile::new()?;
    body.write_all(&vec![b'x'; 1 << 20])?;
    for family in Family::BOTH {
        serves_by_fullnat(&bed, family.http(), &body)?;
        asks_for_clients_alone(&bed, family)?;
    }
    ensure!(bed.half_open()? == 0);
    keys_change_while_clients_connect(&mut bed)?;
    comes_again(&mut bed)?;
    balanced(&bed.director)
}

fn serves_by_fullnat(bed: &Bed, vip: SocketAddr, body: &NamedTempFile) -> Result<()> {
    let names = tally(fetch_names(bed.client(), vip, 9)?);
    ensure!(names.values().eq(&[3, 3, 3]), "{names:?}");
    let expected = file_sha256(&big_file()?)?;
    ensure!(download_sha256(bed.client(), vip, "/big")? == expected);
    upload(bed.client(), vip, body.path())
}

/// Real servers see no client's address, but how often they are asked: at most three of them twice for
/// each client.
fn asks_for_clients_alone(bed: &Bed, family: Family) -> Result<()> {
    let before = bed.syns()?;
    let names = beside_a_flood(bed, family, || fetch_names(bed.client(), family.http(), 12))?;
    let syns = bed.syns()? - before;
    ensure!(names.len() == 12 && syns <= 6 * 12, "{syns} SYNs");
    Ok(())
}
