//! What clients and attackers do.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use adminapi::model::{
    CookiePolicy, CookieWay, ForwardingMethod, Persistence, RealPatch, ServicePatch,
};
use anyhow::{Context, Result, ensure};
use rand::Rng;
use testbed::accounts::balanced;
use testbed::generator::{Flows, Generator, Kind};
use testbed::packet::{Mac, Segment, ethernet, flag, tcp};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::HTTP_PORT;
use testbed::topology::HOST_SIDE;
use testbed::traffic::{HttpConnection, fetch_names};
use testbed::wait;

use crate::bed::{Agents, Bed, PATIENCE, Shape};

const HTTP: Family = Family::V4;

/// SYNs at once.
const ROUND: u32 = 20_000;

/// ACKs that are tried.
const GUESSES: usize = 500;

/// What all of them take to be refused, where none is lost.
const ROUND_TRIP: Duration = Duration::from_secs(2);

/// Connections of a client that stays.
const STAYS: usize = 20;

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
    // Beside it cookies do not end however slow the machine is.
    let work = || {
        bed.await_cookies(HTTP, 3, true)?;
        let syns = await_last_syn(&bed)?;
        ensure!(fetch_names(client, HTTP.http(), 6)?.len() == 6);
        ensure!(bed.syns()? == syns, "{} SYNs more", bed.syns()? - syns);
        Ok(syns)
    };
    let syns = generator.flood_beside(client, ROUND, work, || Ok(()))?;

    bed.await_cookies(HTTP, 3, false)?;
    ensure!(live.ask_name()? == name);
    ensure!(fetch_names(client, HTTP.http(), 1)?.len() == 1);
    ensure!(bed.syns()? > syns);
    balanced(&bed.director)
}

/// Waits until the SYNs that came before the cookies have got to the real servers: how many.
fn await_last_syn(bed: &Bed) -> Result<u64> {
    wait::until("the last SYN", PATIENCE, || {
        let syns = bed.syns()?;
        thread::sleep(Duration::from_millis(200));
        let more = bed.syns()? - syns;
        ensure!(more == 0, "{more} SYNs more");
        Ok(syns)
    })
}

#[test]
fn acks_of_nobody_are_dropped_at_the_gate_and_counted() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build(Shape::NAT)?;
    let tap = Tap::open(&bed.topology.client, HOST_SIDE)?;
    let mut all = 0;
    for family in Family::BOTH {
        bed.await_cookies(family, 3, true)?;
        let refused = || anyhow::Ok(bed.status(family)?.refused);
        // When the machine has lost one of them there is another round.
        wait::until("all of a round to be refused", PATIENCE, || {
            let before = refused()?;
            guess(&tap, family)?;
            wait::until("all of them", ROUND_TRIP, || {
                let refused = refused()? - before;
                ensure!(refused == GUESSES as u64, "{refused}");
                Ok(())
            })
        })?;
        all += refused()?;
    }
    let dropped = bed.director.api().dropped("bad_cookie")?;
    ensure!(dropped == all, "{dropped} of {all}");
    balanced(&bed.director)
}

fn guess(tap: &Tap, family: Family) -> Result<()> {
    let mut rng = rand::rng();
    (0..GUESSES).try_for_each(|port| {
        let source = SocketAddr::new(client_of(family), 20_000 + port as u16);
        let guess = Segment {
            flags: flag::ACK,
            sequence: rng.random(),
            acknowledgement: rng.random(),
            payload: b"GET / HTTP/1.0\r\n\r\n",
        };
        let packet = tcp(source, family.http(), guess);
        let (client, director) = (Mac::of_host(1, 1), Mac::of_host(1, 0xfe));
        tap.send(&ethernet(client, director, &packet))
    })
}

fn client_of(family: Family) -> std::net::IpAddr {
    match family {
        Family::V4 => testbed::topology::CLIENT_V4.into(),
        Family::V6 => testbed::topology::CLIENT_V6.into(),
    }
}

/// By an agent, and by the director, which asks the real server.
#[test]
fn a_client_that_talks_by_a_cookie_is_remembered_as_one_that_was_answered() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for (agents, able) in [(Agents::Trusted, 3), (Agents::Keyless, 0)] {
        let bed = Bed::build(Shape {
            agents,
            ..Shape::NAT
        })?;
        stick(&bed)?;
        bed.await_cookies(HTTP, able, true)?;
        let mut live = HttpConnection::open(&bed.topology.client, HTTP.http())?;
        live.ask_name()?;
        wait::until("it to be remembered", PATIENCE, || {
            let mut templates = bed.director.api().connections(HTTP.http_service())?;
            templates.retain(|entry| entry.template);
            let states: Vec<_> = templates.iter().map(|t| t.state.as_str()).collect();
            ensure!(states == ["ASSURED"], "{agents:?}: {states:?}");
            Ok(())
        })?;
    }
    Ok(())
}

/// Makes the service persistent.
fn stick(bed: &Bed) -> Result<()> {
    let patch = ServicePatch {
        persistence: Some(Some(Persistence::default()).into()),
        ..ServicePatch::default()
    };
    let api = bed.director.api();
    api.call(async |client| client.change_service(HTTP.http_service(), patch).await)?;
    Ok(())
}

/// Its agent keeps the keys as long as somebody sticks to it.
#[test]
fn who_sticks_to_a_real_server_of_weight_0_is_served_by_it() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build(Shape {
        method: ForwardingMethod::Dr,
        rotation: 2,
        ..Shape::NAT
    })?;
    stick(&bed)?;
    bed.await_cookies(HTTP, 3, true)?;
    let client = &bed.topology.client;
    let name = HttpConnection::open(client, HTTP.http())?.ask_name()?;
    let host = bed.topology.reals.iter().find(|real| real.name == name);
    let host = host.context("a stranger answers")?;
    let at = SocketAddr::new(host.v4.into(), HTTP_PORT);
    let quiesced = RealPatch {
        weight: Some(0),
        ..RealPatch::default()
    };
    let api = bed.director.api();
    api.change_real(HTTP.http_service(), at, quiesced)?;
    // The keys that it had are no good any more by the end.
    for _ in 0..STAYS {
        ensure!(HttpConnection::open(client, HTTP.http())?.ask_name()? == name);
        thread::sleep(Duration::from_millis(200));
    }
    bed.await_cookies(HTTP, 3, true)?;
    let status = bed.status(HTTP)?;
    ensure!(status.way == Some(CookieWay::Agents), "{status:?}");
    ensure!(bed.syns()? == 0, "{} SYNs", bed.syns()?);
    api.change_real(HTTP.http_service(), at, RealPatch::drain(600))?;
    bed.await_cookies(HTTP, 2, true)?;
    ensure!(HttpConnection::open(client, HTTP.http())?.ask_name()? != name);
    balanced(&bed.director)
}
