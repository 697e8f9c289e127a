//! Measures the next-hop tables: memory, time of a look-up, and what a change costs when
//! a snapshot is published after it.
//!
//! `cargo run --release -p bulwark-director --example fib`. Figures are the best of several
//! rounds; compare them only with others of the same run.

use std::hint::black_box;
use std::time::{Duration, Instant};

use director::neighbour::{
    Change, Fib, Form, Link, Neighbour, Placement, Prefix, Route, Table, Tables, Target, Via,
};
use director::wire::Addr;

const ROUTES: u32 = 1_000_000;
const NEIGHBOURS: u32 = 100_000;
const LOOKUPS: u32 = 1_000_000;
const ROUNDS: usize = 5;

fn main() {
    small();
    full_table();
    neighbours();
}

/// The table of most directors: two links, a default route, the local addresses.
fn small() {
    let mut tables = driven();
    tables.apply(route(Addr::v4([0; 4]), 0, Some(0)));
    tables.apply(route(Addr::v4([10, 0, 0, 0]), 24, None));
    tables.apply(route(Addr::v4([10, 0, 1, 0]), 24, None));
    tables.apply(route(Addr::v4([10, 0, 0, 1]), 32, None));
    for host in 0..=255 {
        tables.apply(neighbour(Addr::v4([10, 0, 0, host]), host));
    }
    tables.apply(neighbour(gateway(0), 1));
    let fib = tables.snapshot();
    let on_link = |n: u32| Addr::v4([10, 0, 0, (n % 254) as u8 + 1]);
    report("small table, on link", lookup(&fib, on_link));
    report("small table, by the default route", lookup(&fib, scattered));
}

fn full_table() {
    let before = resident();
    let mut tables = driven();
    let start = Instant::now();
    for n in 0..ROUTES {
        // Lengths about as in the public table: 60 % /24, the rest shorter.
        let len = [24, 24, 24, 22, 23, 24, 20, 24, 19, 24][n as usize % 10] - (n % 97 == 0) as u8;
        tables.apply(route(scattered(n), len, Some(n % 64)));
    }
    for n in 0..64 {
        tables.apply(neighbour(gateway(n), n as u8));
    }
    let fib = tables.snapshot();
    println!(
        "{ROUTES} routes: {:?}, {} B each",
        start.elapsed(),
        (resident() - before) / ROUTES as usize
    );
    report("full table, random destination", lookup(&fib, scattered));
    let flap = |n: u32| vec![route(scattered(n), 24, Some(n % 64))];
    report(
        "full table, one route + snapshot",
        publish(&mut tables, flap),
    );
    let burst = |n: u32| {
        (0..1000)
            .map(|i| route(scattered(n * 1000 + i), 24, Some(i % 64)))
            .collect()
    };
    report(
        "full table, 1000 routes + snapshot",
        publish(&mut tables, burst),
    );
    let mac = |n: u32| vec![neighbour(gateway(n % 64), n as u8)];
    report(
        "full table, one gateway + snapshot",
        publish(&mut tables, mac),
    );
}

fn neighbours() {
    let mut tables = driven();
    let host = |n: u32| Addr::v4((0x0a00_0000 + n % NEIGHBOURS).to_be_bytes());
    tables.apply(route(host(0), 8, None));
    let start = Instant::now();
    (0..NEIGHBOURS).for_each(|n| tables.apply(neighbour(host(n), n as u8)));
    let fib = tables.snapshot();
    println!("{NEIGHBOURS} neighbours: {:?}", start.elapsed());
    report(
        "100k neighbours, on link",
        lookup(&fib, |n| host(n.wrapping_mul(40_503))),
    );
    let one = |n: u32| vec![neighbour(host(n.wrapping_mul(40_503)), n as u8)];
    report("100k neighbours, one + snapshot", publish(&mut tables, one));
    let many = |n: u32| {
        (0..1000)
            .map(|i| neighbour(host(n * 7919 + i * 97), n as u8))
            .collect()
    };
    report(
        "100k neighbours, 1000 + snapshot",
        publish(&mut tables, many),
    );
}

fn driven() -> Tables {
    let mut tables = Tables::new(&["eth0"]);
    tables.apply(Change::Link(Link {
        ifindex: 2,
        name: "eth0".into(),
        mac: Some([2, 0, 0, 0, 0, 1]),
        mtu: 1500,
        up: true,
        port: None,
    }));
    tables
}

fn route(to: Addr, len: u8, via: Option<u32>) -> Change {
    let vias = vec![Via {
        ifindex: 2,
        gateway: via.map(gateway),
        weight: 1,
        mtu: 0,
    }];
    let route = Route {
        prefix: Prefix::new(to, len),
        table: Table::Main,
        metric: 0,
        form: Form::Single,
        target: Target::Forward(vias),
    };
    Change::Route(route, Placement::Replace)
}

fn gateway(n: u32) -> Addr {
    Addr::v4([10, 0, 0, 100 + n as u8])
}

fn neighbour(addr: Addr, last: u8) -> Change {
    let mac = [2, 0, 0, 0, 1, last];
    Change::Neighbour(2, addr, Neighbour { mac, pinned: false })
}

/// Addresses all over the space, the same for the same `n`.
fn scattered(n: u32) -> Addr {
    let mixed = n.wrapping_mul(2_654_435_769).rotate_left(13);
    Addr::v4(mixed.wrapping_mul(2_246_822_519).to_be_bytes())
}

fn lookup(fib: &Fib, dst: impl Fn(u32) -> Addr) -> Duration {
    best(LOOKUPS, || {
        for n in 0..LOOKUPS {
            let _ = black_box(fib.next_hop(dst(n), u64::from(n)));
        }
    })
}

/// Time of a batch of changes with the snapshot after it, the one before still being held.
fn publish(tables: &mut Tables, batch: impl Fn(u32) -> Vec<Change>) -> Duration {
    let mut held = tables.snapshot();
    let mut n = 0;
    best(100, || {
        for _ in 0..100 {
            n += 1;
            batch(n).into_iter().for_each(|change| tables.apply(change));
            held = tables.snapshot();
        }
        black_box(&held);
    })
}

/// The best time of one of `times` things that `work` does.
fn best(times: u32, mut work: impl FnMut()) -> Duration {
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed()
    });
    rounds.min().unwrap_or_default() / times
}

fn report(what: &str, time: Duration) {
    println!("{what:<44} {time:?}");
}

/// Resident memory, bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|text| text.parse::<usize>().ok());
    pages.unwrap_or_default() * 4096
}
