//! How far the gate can be taken in: ACKs with numbers at random, to a service with cookies.
//!
//! `cargo run --release -p bulwark-tests --example blind`, as root. Packets are put through by
//! `BPF_PROG_TEST_RUN`; nothing is attached anywhere.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use anyhow::{Result, ensure};
use director::cookie::{Abilities, Key, Recipe};
use director::gate::{Roles, Trial};
use director::wire::{Mac, Protocol};
use testbed::packet::{self, Segment, ethernet, flag, tcp};

/// ACKs that are tried.
const BLIND: u32 = 10_000_000;

const VIP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), 80);

/// A gate that answers all SYNs to the service with cookies.
fn trial() -> Result<Trial> {
    let trial = Trial::new(1000)?;
    trial.set_station(Mac(packet::Mac::of_host(1, 0xfe).0))?;
    trial.set_endpoint(Protocol::Tcp, VIP.into(), Roles::SERVICE)?;
    let recipe = Recipe {
        slot: 0,
        service: 1,
        keys: [Some(Key::random()), Some(Key::random())],
        parity: 0,
        mints: true,
        resets: false,
        mss: 1460,
        abilities: Abilities::ALL,
        lenient: false,
        splices: false,
    };
    trial.set_cookies(VIP.into(), Some(&recipe))?;
    Ok(trial)
}

/// An ACK of nothing, from a random port of a random client.
fn ack() -> Vec<u8> {
    let host = rand::random::<u32>() & 0x00ff_ffff | 0x0a00_0000;
    let from = SocketAddr::new(Ipv4Addr::from(host).into(), rand::random());
    let segment = Segment {
        sequence: rand::random(),
        acknowledgement: rand::random(),
        flags: flag::ACK,
        ..Segment::default()
    };
    let (near, far) = (packet::Mac::of_host(1, 1), packet::Mac::of_host(1, 0xfe));
    ethernet(near, far, &tcp(from, VIP, segment))
}

fn main() -> Result<()> {
    let gate = trial()?;
    let started = Instant::now();
    for _ in 0..BLIND {
        gate.put(&ack())?;
    }
    let counts = gate.cookie_counts(0)?;
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
