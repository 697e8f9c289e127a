//! Clients whose addresses and ports were computed so that they collide (T16).

use std::net::{Ipv4Addr, SocketAddr};

use adminapi::model::ForwardingMethod;
use anyhow::{Result, ensure};
use testbed::director::Configuration;
use testbed::packet::flag;
use testbed::{require, wait};

use super::bench::{Bench, PATIENCE, Victim, segment};

/// The table of IPVS has so many buckets unless it is told otherwise.
const BUCKETS: u32 = 4096;
/// All of them in one bucket there.
const CLIENTS: usize = 2000;

/// `jhash_3words` (include/linux/jhash.h) with the start value 0, by which IPVS places a
/// connection when its random start value is known.
fn jhash(words: [u32; 3]) -> u32 {
    const START: u32 = 0xdead_beef + (3 << 2);
    let [mut a, mut b, mut c] = words.map(|word| word.wrapping_add(START));
    let mix = |x: &mut u32, y: u32, shift: u32| *x = (*x ^ y).wrapping_sub(y.rotate_left(shift));
    mix(&mut c, b, 14);
    mix(&mut a, c, 11);
    mix(&mut b, a, 25);
    mix(&mut c, b, 16);
    mix(&mut a, c, 4);
    mix(&mut b, a, 14);
    mix(&mut c, b, 24);
    c
}

fn colliding() -> Vec<SocketAddr> {
    let address = |n: u32| Ipv4Addr::from(u32::from(Ipv4Addr::new(172, 24, 0, 0)) + (n >> 14));
    let client = |n: u32| SocketAddr::from((address(n), 1024 + (n & 0x3fff) as u16));
    let collides = |client: &SocketAddr| match client {
        SocketAddr::V4(v4) => {
            let words = [
                u32::from(*v4.ip()),
                v4.port().into(),
                libc::IPPROTO_TCP as u32,
            ];
            jhash(words) % BUCKETS == 0
        }
        SocketAddr::V6(_) => false,
    };
    (0..).map(client).filter(collides).take(CLIENTS).collect()
}

/// Here they stand as far apart as any others: all have a place, and nobody had to go for them.
#[test]
fn colliding_clients_are_scattered() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    // Cookies would begin when half of all connections are half-open.
    let bench = Bench::start_with(ForwardingMethod::Nat, Configuration::without_cookies)?;
    let mut victim = Victim::open(&bench)?;
    let syns: Vec<_> = colliding()
        .into_iter()
        .map(|client| segment(client, flag::SYN, 1, 0))
        .collect();
    let come = || {
        syns.chunks(250).try_for_each(|some| {
            bench.send(some)?;
            victim.use_once()
        })
    };
    wait::until_repeated("all of them", PATIENCE, come, || {
        let held = bench.director.api().status()?.connections;
        ensure!(held.half_open >= CLIENTS as u64, "{held:?}");
        Ok(())
    })?;
    assert_eq!(bench.dropped("table_full")?, 0);
    victim.use_once()?;
    bench.end()
}
