//! The connection table in figures: bytes a connection all told, and the time that one packet
//! of a known connection costs, from 10 thousand to 10 million of them.
//!
//! `cargo bench -p bulwark-director --bench table [-- CONNECTIONS...]`
//!
//! Half of the connections are IPv4, half IPv6. Packets hit random connections in both
//! directions; each is found, counted and its connection prolonged, in batches as a worker does
//! it. The best of many short rounds stands, since a shared machine only ever adds time.
//!
//! At the end, the same for tables that outlive their process, as a ratio to those that do not, and how
//! fast such a one is taken over. They are files in `BULWARK_KEEP`, a tmpfs; `/dev/shm` by default.

use std::time::{Duration, Instant};

use director::flow::{Class, Direction, Entry, Found, Limits, Place, Reader, Table, Tracked};
use director::service::RealId;
use director::tcp::State;
use director::time::Tick;
use director::wire::{Addr, Endpoint, Protocol, Tuple};

const BATCHES: usize = 1024;
const ROUNDS: usize = 50;
const REALS: u32 = 64;

/// What of a batch is asked for ahead.
#[derive(Clone, Copy, PartialEq)]
enum Ahead {
    Nothing,
    Buckets,
    BucketsAndEntries,
}

/// The `n`-th connection's client: any two differ.
fn client(n: u32) -> Endpoint {
    let [a, b, c, d] = n.wrapping_mul(0x9e37_79b1).to_be_bytes();
    let addr = if n % 2 == 0 {
        Addr::v4([a, b, c, d])
    } else {
        Addr::v6([0x20, 1, 0xd, 0xb8, d, c, b, a, 0, 0, 0, 0, a, b, c, d])
    };
    Endpoint::new(addr, 1024 + (n % 60_000) as u16)
}

fn vip(n: u32) -> Endpoint {
    let host = (n % 4) as u8;
    let addr = if n % 2 == 0 {
        Addr::v4([192, 0, 2, host])
    } else {
        Addr::v6([0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, host])
    };
    Endpoint::new(addr, 443)
}

fn real_addr(real: RealId) -> Addr {
    Addr::v4([10, 0, 0, real.0 as u8])
}

fn original(n: u32) -> Tuple {
    Tuple {
        protocol: Protocol::Tcp,
        src: client(n),
        dst: vip(n),
    }
}

fn reply(n: u32) -> Tuple {
    Tuple {
        protocol: Protocol::Tcp,
        src: Endpoint::new(real_addr(RealId(n % REALS)), 8443),
        dst: client(n),
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc is mounted");
    let pages: usize = statm
        .split_whitespace()
        .nth(1)
        .and_then(|field| field.parse().ok())
        .expect("statm has a resident size");
    pages * 4096
}

fn fill(table: &Table, connections: u32) {
    for n in 0..connections {
        let tuple = original(n);
        let forth = table.locate(Direction::Original, &tuple);
        let back = table.locate(Direction::Reply, &reply(n));
        let real = RealId(n % REALS);
        let expires = Tick(9000 + n % 9000);
        let entry = Entry::new(&tuple, real, 8443, Class::Established, expires);
        table
            .lock(&forth)
            .insert(entry, &forth, Some(&back), &mut |_, _| panic!("evicted"))
            .expect("there is room");
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn packets(random: &mut Random, connections: u32, batch: &mut [(Direction, Tuple)]) {
    for packet in batch {
        let random = random.next();
        let n = (((random >> 32) * u64::from(connections)) >> 32) as u32;
        *packet = if random & 1 == 0 {
            (Direction::Original, original(n))
        } else {
            (Direction::Reply, reply(n))
        };
    }
}

/// One batch as a worker does it; returns how many packets have found their connection.
fn serve(
    table: &Table,
    batch: &[(Direction, Tuple)],
    places: &mut Vec<Place>,
    ahead: Ahead,
) -> usize {
    places.clear();
    for (direction, tuple) in batch {
        let place = table.locate(*direction, tuple);
        if ahead != Ahead::Nothing {
            table.prefetch(&place);
        }
        places.push(place);
    }
    if ahead == Ahead::BucketsAndEntries {
        for place in places.iter_mut() {
            table.prefetch_entry(place);
        }
    }
    let found = |((direction, tuple), place): &(&(Direction, Tuple), &Place)| {
        let mut shard = table.lock(place);
        let handle = match direction {
            Direction::Original => shard.find(place, |entry| entry.matches_original(tuple)),
            Direction::Reply => shard.find(place, |entry| {
                entry.matches_reply(tuple, real_addr(entry.real()), entry.client())
            }),
        };
        if let Some(handle) = handle {
            let entry = shard.entry_mut(handle);
            entry.count_packet();
            if let Tracked::Tcp(tracking) = &mut entry.tracked {
                tracking.state = State::Established;
            }
            shard.touch(handle, Tick(20_000));
        }
        handle.is_some()
    };
    batch.iter().zip(places.iter()).filter(found).count()
}

/// Nanoseconds a packet, the best of all rounds.
fn nanoseconds(table: &Table, connections: u32, batch: usize, ahead: Ahead) -> f64 {
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut packet = vec![(Direction::Original, original(0)); batch];
    let mut places = Vec::with_capacity(batch);
    let batches = BATCHES * 64 / batch;
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let mut spent = Duration::ZERO;
        for _ in 0..batches {
            packets(&mut random, connections, &mut packet);
            let start = Instant::now();
            let found = serve(table, &packet, &mut places, ahead);
            spent += start.elapsed();
            assert_eq!(found, batch);
        }
        best = best.min(spent);
    }
    best.as_nanos() as f64 / (batches * batch) as f64
}

fn measure(connections: u32) {
    let limits = Limits {
        connections: connections as usize,
        half_open: connections as usize / 16,
        workers: 2,
    };
    let before = resident_bytes();
    let table = Table::new(&limits).expect("there is address space");
    let start = Instant::now();
    fill(&table, connections);
    let insert = start.elapsed().as_nanos() as f64 / f64::from(connections);
    let bytes = (resident_bytes() - before) as f64 / f64::from(connections);
    assert_eq!(table.len(), connections as usize);
    let time = |batch, ahead| nanoseconds(&table, connections, batch, ahead);
    println!(
        "{connections:>11} {bytes:>8.1} {:>8.1} {insert:>8.0} {:>9.1} {:>9.1} {:>9.1} {:>9.1} {:>9.1}",
        table.footprint() as f64 / (limits.connections + limits.half_open) as f64,
        time(64, Ahead::Nothing),
        time(64, Ahead::Buckets),
        time(32, Ahead::BucketsAndEntries),
        time(64, Ahead::BucketsAndEntries),
        time(256, Ahead::BucketsAndEntries),
    );
}

/// A table in a file beside one in memory of its own, and how a third one takes it over.
fn measure_kept(directory: &str, connections: u32) {
    let limits = Limits {
        connections: connections as usize,
        half_open: connections as usize / 16,
        workers: 2,
    };
    let file = || tempfile::tempfile_in(directory).expect("there is a tmpfs");
    let (left, heir_file) = (file(), file());
    let own = Table::new(&limits).expect("there is address space");
    let kept = Table::kept(&limits, &left, None, Tick(0)).expect("there is address space");
    let spent = [&own, &kept].map(|table| {
        let start = Instant::now();
        fill(table, connections);
        start.elapsed().as_nanos() as f64
    });
    let time = |table| nanoseconds(table, connections, 64, Ahead::BucketsAndEntries);
    let (own_time, kept_time) = (time(&own), time(&kept));
    let shape = kept.shape();
    drop((own, kept));
    let heir = Table::kept(&limits, &heir_file, Some(&shape), Tick(0)).expect("address space");
    let start = Instant::now();
    let take_in = |found: &Found| {
        let Found::Entry(entry) = found else {
            panic!("damaged")
        };
        let back = Tuple {
            protocol: Protocol::Tcp,
            src: Endpoint::new(real_addr(entry.real()), entry.real_port()),
            dst: entry.client(),
        };
        let forth = heir.locate(Direction::Original, &entry.original());
        let back = heir.locate(Direction::Reply, &back);
        heir.take_in(*entry, &forth, Some(&back), &mut |_, _| panic!("evicted"))
            .expect("there is room");
    };
    let read = Reader::ALONE.read(&left, &shape, |batch| batch.iter().for_each(take_in));
    read.expect("it can be read");
    let taken = start.elapsed();
    assert_eq!(heir.len(), connections as usize);
    println!(
        "{connections:>11} {own_time:>8.1} {kept_time:>8.1} {:>7.2} {:>14.2} {:>14.2}",
        kept_time / own_time,
        spent[1] / spent[0],
        f64::from(connections) / taken.as_secs_f64() / 1e6,
    );
}

fn main() {
    let asked: Vec<u32> = std::env::args()
        .skip(1)
        .filter_map(|arg| arg.parse().ok())
        .collect();
    let sizes = match asked.as_slice() {
        [] => &[10_000, 100_000, 1_000_000, 10_000_000],
        some => some,
    };
    println!(
        "                bytes a connection     ns      ns a packet, by batch and what is prefetched"
    );
    println!(
        "connections  resident   budget   insert   64 none 64 bucket   32 both   64 both  256 both"
    );
    for &connections in sizes {
        measure(connections);
    }
    let directory = std::env::var("BULWARK_KEEP").unwrap_or_else(|_| "/dev/shm".to_owned());
    println!();
    println!("                ns a packet             insert, as   taken over,");
    println!("connections      own     kept   ratio        a ratio    M a second");
    for &connections in sizes {
        measure_kept(&directory, connections);
    }
}
