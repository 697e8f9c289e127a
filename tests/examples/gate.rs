//! What the gate's refusals cost and how far they hold: a packet that a list denies, beside the least
//! that a program does for it; and blind ACKs.
//!
//! `cargo run --release -p bulwark-tests --example gate`, as root. Packets are put through by
//! `BPF_PROG_TEST_RUN`; nothing is attached anywhere.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use director::cookie::{Abilities, Key, Recipe};
use director::filter::{List, Rules};
use director::gate::{Known, Roles, Trial, Verdict};
use director::wire::{Addr, Mac, Net, Protocol};
use libbpf_rs::{MapCore, MapFlags, ProgramInput};
use testbed::bpf::{self, Source};
use testbed::packet::{self, Segment, ethernet, flag, tcp};

/// Blind ACKs that are tried.
const BLIND: u32 = 10_000_000;

/// Runs of one packet that a time is the average of, and times of which the least counts.
const REPEATS: u32 = 2_000_000;
const ROUNDS: usize = 7;

/// Listed networks, of which one holds the source.
const NETWORKS: [u32; 3] = [1, 1000, 100_000];

/// One sample in so many packets: what the director has it be at some million a second.
const GAP: u32 = 1024;

const VIP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), 80);
const SOURCE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 9);

fn trial() -> Result<Trial> {
    let trial = Trial::new(1000)?;
    trial.set_station(Mac(packet::Mac::of_host(1, 0xfe).0))?;
    trial.set_endpoint(Protocol::Tcp, VIP.into(), Roles::SERVICE)?;
    Ok(trial)
}

fn frame(from: SocketAddr, segment: Segment<'_>) -> Vec<u8> {
    let (near, far) = (packet::Mac::of_host(1, 1), packet::Mac::of_host(1, 0xfe));
    ethernet(near, far, &tcp(from, VIP, segment))
}

/// The networks of a list: that of the source, and others.
fn networks(count: u32) -> impl Iterator<Item = [u8; 4]> {
    let [a, b, c, _] = SOURCE.octets();
    let others = (1..count).map(|n| (0x1400_0000 + (n << 8)).to_be_bytes());
    std::iter::once([a, b, c, 0]).chain(others)
}

/// The least of some times.
fn least(mut time: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    let times = (0..ROUNDS).map(|_| time()).collect::<Result<Vec<_>>>()?;
    times.into_iter().min().context("no rounds")
}

fn denied(networks_listed: u32, gap: u32) -> Result<()> {
    let syn = Segment {
        flags: flag::SYN,
        ..Segment::default()
    };
    let frame = frame((SOURCE, 4000).into(), syn);
    let gate = trial()?;
    let bare = bpf::load(Source::Peers)?;
    let map = bpf::map(&bare, "networks")?;
    for addr in networks(networks_listed) {
        let net = Net::new(Addr::v4(addr), Net::V4_BITS + 24);
        gate.filters().list(net, List::Deny, 0)?;
        let key = [24u32.to_ne_bytes(), addr].concat();
        map.update(&key, &1u32.to_ne_bytes(), MapFlags::ANY)?;
    }
    let known = Known {
        listed: [true, true],
        ..Known::default()
    };
    gate.filters().set_gap(gap, &Rules::default(), known)?;
    ensure!(gate.put(&frame)?.0 == Verdict::Drop);
    let program = bpf::program(&bare, "denied")?;
    let bare_time = || {
        let input = ProgramInput {
            data_in: Some(&frame),
            repeat: REPEATS,
            ..ProgramInput::default()
        };
        let ran = program.test_run(input)?;
        ensure!(ran.return_value == 1, "it does not drop");
        Ok(ran.duration)
    };
    let bare_time = least(bare_time)?;
    let gate_time = least(|| Ok(gate.time(&frame, REPEATS)?))?;
    let ratio = gate_time.as_nanos() as f64 / bare_time.as_nanos() as f64;
    println!(
        "denied, {networks_listed} networks, one in {gap} shown: gate {} ns, bare {} ns, {ratio:.2} times",
        gate_time.as_nanos(),
        bare_time.as_nanos()
    );
    Ok(())
}

/// ACKs of nothing, with random numbers, from random ports of random clients.
fn blind() -> Result<()> {
    let gate = trial()?;
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
    gate.set_cookies(VIP.into(), Some(&recipe))?;
    let started = std::time::Instant::now();
    for _ in 0..BLIND {
        let host = rand::random::<u32>() & 0x00ff_ffff | 0x0a00_0000;
        let ack = Segment {
            sequence: rand::random(),
            acknowledgement: rand::random(),
            flags: flag::ACK,
            ..Segment::default()
        };
        let from = SocketAddr::new(Ipv4Addr::from(host).into(), rand::random());
        gate.put(&frame(from, ack))?;
    }
    let counts = gate.cookie_counts(0)?;
    ensure!(
        counts.accepted + counts.refused == u64::from(BLIND),
        "{counts:?}"
    );
    let expected = f64::from(BLIND) / f64::from(1 << 22);
    println!(
        "blind ACKs: {} of {BLIND} believed in {:.0} s; by the 22 bits of the MAC {expected:.2} at most",
        counts.accepted,
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

fn main() -> Result<()> {
    for networks in NETWORKS {
        for gap in [0, GAP] {
            denied(networks, gap)?;
        }
    }
    blind()
}
