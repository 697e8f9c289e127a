//! What clients and attackers do.

use std::net::SocketAddr;

use adminapi::model::CookiePolicy;
use anyhow::{Result, ensure};
use rand::Rng;
use testbed::accounts::balanced;
use testbed::generator::{Flows, Generator, Kind};
use testbed::packet::{Mac, Segment, ethernet, flag, tcp};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::Family;
use testbed::topology::HOST_SIDE;
use testbed::traffic::{HttpConnection, fetch_names};
use testbed::wait;

use crate::bed::{Bed, PATIENCE, Shape};

const HTTP: Family = Family::V4;

/// Cookies that a flood has to be sent.
const FLOOD: u64 = 50_000;

/// SYNs at once.
const ROUND: u32 = 20_000;

/// ACKs that are tried.
const GUESSES: usize = 500;

#[test]
fn clients_connect_while_nobody_sends_syns_from_everywhere() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build(Shape::NAT)?;
    bed.await_cookies(HTTP, 3, true)?;
    let flows = Flows {
        kind: Kind::SpoofedSyn,
        source: "172.16.0.0:1024".parse()?,
        destination: HTTP.http(),
        count: 0,
        frame: 60,
    };
    let client = &bed.topology.client;
    let generator = Generator::beside(client, &flows)?;
    let work = || fetch_names(client, HTTP.http(), 50);
    let names = generator.flood_beside(client, ROUND, work, || {
        let status = bed.status(HTTP)?;
        ensure!(status.sent > FLOOD, "{status:?}");
        Ok(())
    })?;
    ensure!(names.len() == 50);
    ensure!(bed.syns()? == 0 && bed.half_open()? == 0);
    balanced(&bed.director)
}

#[test]
fn under_attack_cookies_come_by_themselves_and_go_when_it_is_over() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let shape = Shape {
        policy: CookiePolicy::Auto,
        ..Shape::NAT
    };
    let bed = Bed::build_with(shape, |configuration| {
        configuration
            .limit("half_open", 2000)
            .defense("dwell", 3)
            .defense("syn_recv", 2)
            .defense("syn_ack", 2)
    })?;
    let client = &bed.topology.client;
    let director = &bed.topology.director;
    director.ip("route add 172.16.0.0/12 via 10.0.1.1\n")?;
    bed.await_cookies(HTTP, 3, false)?;
    let mut live = HttpConnection::open(client, HTTP.http())?;
    let name = live.ask_name()?;

    let flows = Flows {
        kind: Kind::TcpSyn,
        source: "172.16.0.0:1024".parse()?,
        destination: HTTP.http(),
        count: 0,
        frame: 60,
    };
    let generator = Generator::beside(client, &flows)?;
    let cookies = || bed.await_cookies(HTTP, 3, true);
    generator.flood_beside(client, ROUND, cookies, || Ok(()))?;
    let syns = bed.syns()?;
    ensure!(fetch_names(client, HTTP.http(), 6)?.len() == 6);
    ensure!(bed.syns()? == syns, "{} SYNs more", bed.syns()? - syns);

    bed.await_cookies(HTTP, 3, false)?;
    ensure!(live.ask_name()? == name);
    ensure!(fetch_names(client, HTTP.http(), 1)?.len() == 1);
    ensure!(bed.syns()? == syns + 1);
    balanced(&bed.director)
}

#[test]
fn acks_of_nobody_are_dropped_at_the_gate_and_counted() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build(Shape::NAT)?;
    let tap = Tap::open(&bed.topology.client, HOST_SIDE)?;
    let mut rng = rand::rng();
    for family in Family::BOTH {
        bed.await_cookies(family, 3, true)?;
        let before = bed.status(family)?.refused;
        for port in 0..GUESSES {
            let source = SocketAddr::new(client_of(family), 20_000 + port as u16);
            let guess = Segment {
                flags: flag::ACK,
                sequence: rng.random(),
                acknowledgement: rng.random(),
                payload: b"GET / HTTP/1.0\r\n\r\n",
            };
            let packet = tcp(source, family.http(), guess);
            tap.send(&ethernet(
                Mac::of_host(1, 1),
                Mac::of_host(1, 0xfe),
                &packet,
            ))?;
        }
        wait::until("all of them to be refused", PATIENCE, || {
            let refused = bed.status(family)?.refused - before;
            ensure!(refused == GUESSES as u64, "{refused}");
            Ok(())
        })?;
    }
    let drops = bed.director.api().stats()?.drops;
    ensure!(
        drops.get("bad_cookie") == Some(&(2 * GUESSES as u64)),
        "{drops:?}"
    );
    balanced(&bed.director)
}

/// The client's first ACK is lost, and it speaks: its first data bring the cookie.
#[test]
fn data_stand_for_an_ack_that_was_lost() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build(Shape::NAT)?;
    bed.await_cookies(HTTP, 3, true)?;
    let client = &bed.topology.client;
    let rules = "table inet loss {\n chain output {\n  type filter hook output priority 0;\n  \
         tcp dport 80 tcp flags & (syn | ack | psh | fin | rst) == ack \
         numgen inc mod 1000000 0 counter drop\n }\n}\n";
    let mut nft = client.command("nft");
    testbed::process::output_with_input(nft.args(["-f", "-"]), rules)?;
    ensure!(fetch_names(client, HTTP.http(), 1)?.len() == 1);
    let listed = client.run("nft", &["list", "table", "inet", "loss"])?;
    ensure!(listed.contains("packets 1 "), "no ACK was lost: {listed}");
    ensure!(bed.syns()? == 0);
    Ok(())
}

/// The real server holds the last connection of the same client port in TIME_WAIT.
#[test]
fn a_client_port_can_be_used_again_at_once() -> Result<()> {
    // By HTTP 1.0 it is the server that closes, and the client waits for it to.
    const CLIENT: &str = "import socket, sys\n\
        s = socket.socket(); s.settimeout(10)\n\
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n\
        s.bind(('', 45000)); s.connect((sys.argv[1], 80))\n\
        s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\n\
        print(b''.join(iter(lambda: s.recv(4096), b'')).split()[-1].decode())\n";
    if !require::machine() || !require::programs(&["python3"]) {
        return Ok(());
    }
    let bed = Bed::build(Shape::NAT)?;
    bed.await_cookies(HTTP, 3, true)?;
    let vip = HTTP.vip().to_string();
    let ask = || bed.topology.client.run("python3", &["-c", CLIENT, &vip]);
    let first = ask()?;
    let held = bed.topology.reals.iter().map(|real| {
        real.namespace
            .run("ss", &["-tanH", "state", "time-wait", "dport = :45000"])
    });
    let held: String = held.collect::<Result<_>>()?;
    ensure!(held.contains(":45000"), "no real server waits: {held}");
    for _ in 0..3 {
        let again = ask()?;
        ensure!(again == first, "{again} instead of {first}");
    }
    // It was not challenged: its real server alone knows what it has of that client.
    ensure!(bed.syns()? == 3, "{} SYNs", bed.syns()?);
    Ok(())
}

fn client_of(family: Family) -> std::net::IpAddr {
    match family {
        Family::V4 => testbed::topology::CLIENT_V4.into(),
        Family::V6 => testbed::topology::CLIENT_V6.into(),
    }
}
