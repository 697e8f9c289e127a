//! Clients that change what their cookie says: its data are masked, not proved.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use testbed::packet::{Mac, Packet, Segment, ethernet, flag, tcp};
use testbed::process::Signal;
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::Family;
use testbed::topology::{CLIENT_V4, HOST_SIDE};

use crate::bed::{Bed, Shape};

const HTTP: Family = Family::V4;

/// The bit of a cookie that asks for SACK.
const SACK: u32 = 1 << 2;

#[test]
fn who_asks_for_what_its_real_server_does_not_do_takes_none_out_of_use() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bed = Bed::build(Shape::NAT)?;
    for number in 0..bed.agents.len() {
        let real = &bed.topology.reals[number].namespace;
        real.run("sysctl", &["-qw", "net.ipv4.tcp_sack=0"])?;
        bed.agents[number].end_by(Signal::Term)?;
        bed.agents[number] = bed.agent(number)?;
    }
    bed.await_cookies(HTTP, 3, true)?;
    let tap = Tap::open(&bed.topology.client, HOST_SIDE)?;
    // One for each of them.
    for port in 30_000..30_003 {
        alter(&tap, port)?;
    }
    let mut strays = 0;
    for agent in &bed.agents {
        let welcomes = agent.welcomes()?;
        ensure!(welcomes["declined"] == 0, "{welcomes:?}");
        strays += welcomes["stray"];
    }
    ensure!(strays >= 3, "{strays}");
    bed.await_cookies(HTTP, 3, true)
}

/// Asks for a connection without SACK, and acknowledges one with it, until that is reset.
fn alter(tap: &Tap, port: u16) -> Result<()> {
    let client = SocketAddr::from((CLIENT_V4, port));
    let send = |segment| {
        let packet = tcp(client, HTTP.http(), segment);
        tap.send(&ethernet(
            Mac::of_host(1, 1),
            Mac::of_host(1, 0xfe),
            &packet,
        ))
    };
    let answers = |packet: &Packet, flags| {
        packet.sockets() == Some((HTTP.http(), client)) && packet.payload[13] & flags == flags
    };
    let syn = Segment {
        flags: flag::SYN,
        sequence: 1000,
        ..Segment::default()
    };
    let answer = tap.expect_answer(
        "SYN+ACK",
        || send(syn),
        |packet| answers(packet, flag::SYN | flag::ACK),
    )?;
    let cookie = answer.payload[4..8].first_chunk().context("cut off")?;
    let altered = Segment {
        flags: flag::ACK,
        sequence: 1001,
        acknowledgement: (u32::from_be_bytes(*cookie) ^ SACK).wrapping_add(1),
        payload: b"GET / HTTP/1.0\r\n\r\n",
    };
    let reset = |packet: &Packet| answers(packet, flag::RST);
    tap.expect_answer("RST", || send(altered), reset).map(drop)
}
