//! Each way to the real servers, with both families.

use std::io::Write;
use std::path::Path;

use adminapi::model::{ForwardingMethod, TunnelType};
use anyhow::{Result, ensure};
use tempfile::NamedTempFile;
use testbed::accounts::balanced;
use testbed::greeter::{self, Greeter};
use testbed::process::output_with_input;
use testbed::rekeying;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::{Nginx, serve_alike};
use testbed::traffic::{HttpConnection, fetch_names, upload};

use crate::bed::{Bed, SUMMED, Shape, TUNNELS};
use crate::floods::beside_a_flood;

#[test]
fn by_nat() -> Result<()> {
    serves_without_a_syn(Shape::NAT)
}

#[test]
fn by_dr() -> Result<()> {
    serves_without_a_syn(Shape {
        method: ForwardingMethod::Dr,
        ..Shape::NAT
    })
}

#[test]
fn in_tunnels() -> Result<()> {
    serves_without_a_syn(Shape::TUN)
}

fn serves_without_a_syn(shape: Shape) -> Result<()> {
    if !require::machine() || !require::programs(&["python3"]) {
        return Ok(());
    }
    let bed = Bed::build(shape)?;
    let client = &bed.topology.client;
    let mut body = NamedTempFile::new()?;
    body.write_all(&vec![b'x'; 1 << 20])?;
    for family in Family::BOTH {
        bed.await_cookies(family, 3, true)?;
        serve_alike(&bed.web, client, family.http(), body.path())?;
        agreed_on_options(&bed, family)?;
        let status = bed.status(family)?;
        ensure!(status.sent >= 12 && status.accepted >= 12, "{status:?}");
        if shape.tunnels.is_some() {
            serves_in_tunnels_with_checksums(&bed, family, body.path())?;
        }
        let names = beside_a_flood(&bed, family, || fetch_names(client, family.http(), 12))?;
        ensure!(names.len() == 12);
    }
    keys_change_while_clients_connect(&bed)?;
    ensure!(bed.syns()? == 0, "{} SYNs", bed.syns()?);
    ensure!(bed.half_open()? == 0);
    for family in Family::BOTH {
        data_stand_for_an_ack_that_was_lost(&bed, family)?;
        bed.comeback().is_known(family)?;
    }
    if shape.tunnels.is_some() {
        each_has_come(&bed)?;
    }
    servers_may_speak_first(bed, shape)
}

/// What is loaded up fits into each of them.
fn serves_in_tunnels_with_checksums(bed: &Bed, family: Family, body: &Path) -> Result<()> {
    bed.wrap(family, SUMMED)?;
    bed.await_cookies(family, 3, true)?;
    for _ in SUMMED {
        upload(&bed.topology.client, family.http(), body)?;
    }
    for web in &bed.web {
        let uploads = web.take_uploads()?;
        ensure!(uploads.len() == 1, "{}: {uploads:?}", web.name());
    }
    bed.wrap(family, TUNNELS)
}

/// Each real server's agent has taken off what it was to get.
fn each_has_come(bed: &Bed) -> Result<()> {
    for (agent, (plain, summed)) in bed.agents.iter().zip(TUNNELS.into_iter().zip(SUMMED)) {
        let outcomes = agent.outcomes()?;
        for tunnel in [plain, summed] {
            let name = match tunnel.kind {
                TunnelType::Ipip => "ipip",
                TunnelType::Gre => "gre",
                TunnelType::Gue => "gue",
            };
            ensure!(outcomes[name] > 0, "no {name}: {outcomes:?}");
        }
    }
    Ok(())
}

fn keys_change_while_clients_connect(bed: &Bed) -> Result<()> {
    // An agent that is stalled for a second falls behind.
    bed.rotate(2)?;
    rekeying::hinders_nobody(&bed.topology.client, &bed.director)?;
    bed.rotate(30)
}

/// The client's first ACK is lost, and it speaks: its first data bring the cookie.
fn data_stand_for_an_ack_that_was_lost(bed: &Bed, family: Family) -> Result<()> {
    const RULES: &str = "table inet loss {\n chain output {\n  type filter hook output priority 0;\n  \
         tcp dport 80 tcp flags & (syn | ack | psh | fin | rst) == ack \
         numgen inc mod 1000000 0 counter drop\n }\n}\n";
    let (client, before) = (&bed.topology.client, bed.syns()?);
    output_with_input(client.command("nft").args(["-f", "-"]), RULES)?;
    ensure!(fetch_names(client, family.http(), 1)?.len() == 1);
    let listed = client.run("nft", &["list", "table", "inet", "loss"])?;
    ensure!(listed.contains("packets 1 "), "no ACK was lost: {listed}");
    client.run("nft", &["delete", "table", "inet", "loss"])?;
    ensure!(bed.syns()? == before, "{family:?}");
    Ok(())
}

/// The client says nothing, so nothing but its ACK brings the cookie.
fn servers_may_speak_first(mut bed: Bed, shape: Shape) -> Result<()> {
    bed.web.iter_mut().try_for_each(Nginx::kill)?;
    bed.await_able(Family::V4, 0)?;
    let reals = bed.topology.reals.iter();
    let greeters = reals.map(|real| Greeter::start(&real.namespace, shape.port()));
    let _greeters = greeters.collect::<Result<Vec<_>>>()?;
    let before = bed.syns()?;
    for family in Family::BOTH {
        bed.await_cookies(family, 3, true)?;
        for _ in 0..3 {
            let said = greeter::visit(&bed.topology.client, family.http())?;
            ensure!(said == "220 ready QUIT", "{family:?}: {said}");
        }
    }
    ensure!(bed.syns()? == before);
    balanced(&bed.director)
}

/// The real server's kernel has what the client has offered in its SYN, which it never saw.
fn agreed_on_options(bed: &Bed, family: Family) -> Result<()> {
    let mut connection = HttpConnection::open(&bed.topology.client, family.http())?;
    let name = connection.ask_name()?;
    let real = bed.topology.reals.iter().find(|real| real.name == name);
    let real = real.expect("a real server has answered");
    let port = connection.client()?.port();
    let filter = format!("dport = :{port}");
    let shown = real.namespace.run("ss", &["-tinoH", &filter])?;
    for option in [" ts ", " sack ", " wscale:"] {
        ensure!(shown.contains(option), "{family:?}: no {option} in {shown}");
    }
    Ok(())
}
