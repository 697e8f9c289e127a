//! Each way to the real servers, with both families.

use std::io::Write;

use adminapi::model::{ForwardingMethod, Tunnel, TunnelChecksum, TunnelType};
use anyhow::{Result, ensure};
use tempfile::NamedTempFile;
use testbed::accounts::balanced;
use testbed::greeter::{self, Greeter};
use testbed::process::output_with_input;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::{Nginx, serve_alike};
use testbed::traffic::{HttpConnection, fetch_names};
use testbed::wait;

use crate::bed::{Bed, PATIENCE, Shape};

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
fn by_ipip() -> Result<()> {
    serves_without_a_syn(Shape {
        method: ForwardingMethod::Tun,
        tun: Some(Tunnel {
            kind: TunnelType::Ipip,
            port: None,
            checksum: TunnelChecksum::None,
        }),
        ..Shape::NAT
    })
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
    }
    ensure!(bed.syns()? == 0, "{} SYNs", bed.syns()?);
    ensure!(bed.half_open()? == 0);
    for family in Family::BOTH {
        data_stand_for_an_ack_that_was_lost(&bed, family)?;
        a_client_port_can_be_used_again_at_once(&bed, family)?;
    }
    servers_may_speak_first(bed, shape)
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

/// The real server holds the last connection of the same client port in TIME_WAIT.
fn a_client_port_can_be_used_again_at_once(bed: &Bed, family: Family) -> Result<()> {
    // By HTTP 1.0 it is the server that closes, and the client waits for it to.
    const CLIENT: &str = "import socket, sys\n\
        s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET)\n\
        s.settimeout(30); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n\
        s.bind(('', 25000)); s.connect((sys.argv[1], 80))\n\
        s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\n\
        print(b''.join(iter(lambda: s.recv(4096), b'')).split()[-1].decode())\n";
    let (vip, before) = (family.vip().to_string(), bed.syns()?);
    let ask = || bed.topology.client.run("python3", &["-c", CLIENT, &vip]);
    let first = ask()?;
    wait::until("a real server to wait", PATIENCE, || {
        let held = bed.topology.reals.iter().map(|real| {
            real.namespace
                .run("ss", &["-tanH", "state", "time-wait", "dport = :25000"])
        });
        let held: String = held.collect::<Result<_>>()?;
        ensure!(held.contains(":25000"), "{held}");
        Ok(())
    })?;
    for _ in 0..3 {
        let again = ask()?;
        ensure!(again == first, "{family:?}: {again} instead of {first}");
    }
    // It was not challenged: its real server alone knows what it has of that client.
    let syns = bed.syns()? - before;
    ensure!(syns >= 3, "{family:?}: {syns} SYNs");
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
