//! How far the gate can be taken in: ACKs with numbers at random, to a service with cookies.
//!
//! `cargo run --release -p bulwark-tests --example blind`, as root. Packets are put through by
//! `BPF_PROG_TEST_RUN`; nothing is attached anywhere.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use anyhow::{Result, ensure};
use director::cookie::{Key, Recipe};
use testbed::bench::cookies::{self, COOKIES};
use testbed::packet::{self, Segment, ethernet, flag, tcp};
use testbed::scene::Family;

/// ACKs that are tried.
const BLIND: u32 = 10_000_000;

/// Connections that the gate has room for.
const ROOM: usize = 1000;

/// An ACK of nothing, from a random port of a random client.
fn ack(vip: SocketAddr) -> Vec<u8> {
    let host = rand::random::<u32>() & 0x00ff_ffff | 0x0a00_0000;
    let from = SocketAddr::new(Ipv4Addr::from(host).into(), rand::random());
    let segment = Segment {
        sequence: rand::random(),
        acknowledgement: rand::random(),
        flags: flag::ACK,
        ..Segment::default()
    };
    let (near, far) = (packet::Mac::of_host(1, 1), packet::Mac::of_host(1, 0xfe));
    ethernet(near, far, &tcp(from, vip, segment))
}

fn main() -> Result<()> {
    let recipe = Recipe {
        keys: [Some(Key::random()), Some(Key::random())],
        ..COOKIES
    };
    let gate = cookies::gate(Family::V4, &recipe, ROOM)?;
    let started = Instant::now();
    for _ in 0..BLIND {
        gate.put(&ack(Family::V4.http()))?;
    }
    let counts = gate.cookie_counts(recipe.slot)?;
    let judged = counts.accepted + counts.refused;
    ensure!(judged == u64::from(BLIND), "{counts:?}");
    println!(
        "{} of {BLIND} believed, in {:.0} s; by the 22 bits of the MAC {:.2} at most on average",
        counts.accepted,
        started.elapsed().as_secs_f64(),
        f64::from(BLIND) / f64::from(1 << 22)
    );
    Ok(())
}
