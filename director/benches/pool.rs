//! What it costs to add one real server to a service that has many, and to choose one of them.
//!
//! `cargo bench -p bulwark-director --bench pool`
//!
//! An addition is what the control plane does for one: the next pool from the present one, the
//! real server in it, the scheduler told. The median of many stands. The table of mh is filled beside;
//! what that takes stands by itself.
//!
//! Then what it costs a service to be listed, removed, and listed again while what was removed is
//! still remembered: the same for each of many as for each of a few.

use std::hint::black_box;
use std::time::Instant;

use adminapi::model::{Scheduler, SchedulerFlags};
use director::pool::Pool;
use director::service::{Choice, Newcomer, ServiceKey, Settings};
use director::time::Tick;
use director::wire::{Addr, Endpoint, Protocol, Tuple};

const SIZES: [u32; 4] = [1, 100, 1_000, 10_000];
const ROUNDS: u32 = 200;

fn vip() -> Endpoint {
    Endpoint::new(Addr::v4([10, 9, 9, 9]), 80)
}

fn key() -> ServiceKey {
    ServiceKey::at(Protocol::Tcp, vip())
}

fn real(n: u32) -> Endpoint {
    Endpoint::new(Addr::v4((0x0a80_0000 + n).to_be_bytes()), 80)
}

fn with_reals(scheduler: Scheduler, count: u32) -> Pool {
    let mut pool = Pool::new(2);
    pool.add_service(key(), scheduler).unwrap();
    (0..count).for_each(|n| add(&mut pool, n));
    pool.settle();
    pool
}

fn add(pool: &mut Pool, n: u32) {
    pool.add_real(&key(), real(n), Settings::weight(1 + n % 3))
        .unwrap();
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Microseconds for the addition that makes them `size`.
fn addition(scheduler: Scheduler, size: u32) -> f64 {
    let before = with_reals(scheduler, size - 1);
    let round = |n| {
        let start = Instant::now();
        let mut next = before.clone();
        add(&mut next, size + n);
        next.settle();
        let took = start.elapsed();
        black_box(next);
        took.as_nanos() as f64 / 1000.0
    };
    median((0..ROUNDS).map(round).collect())
}

/// Microseconds to fill the table that the addition before calls for, beside it.
fn filling(scheduler: Scheduler, size: u32) -> f64 {
    let mut pool = with_reals(scheduler, size - 1);
    add(&mut pool, size);
    pool.settle();
    let round = |_| {
        let start = Instant::now();
        black_box(pool.prepare());
        start.elapsed().as_nanos() as f64 / 1000.0
    };
    median((0..ROUNDS).map(round).collect())
}

/// Microseconds for one choice among `size`.
fn choice(scheduler: Scheduler, size: u32) -> f64 {
    let pool = with_reals(scheduler, size);
    let service = pool.service(&key()).unwrap();
    let round = |n| {
        let tuple = Tuple {
            protocol: Protocol::Tcp,
            src: Endpoint::new(Addr::v4([172, 16, 0, n as u8]), 40_000),
            dst: vip(),
        };
        let newcomer = Newcomer {
            tuple: &tuple,
            now: Tick(0),
            flags: SchedulerFlags::NONE,
            choice: Choice::All,
        };
        let start = Instant::now();
        black_box(service.scheduler.pick(&service.reals, &newcomer));
        start.elapsed().as_nanos() as f64 / 1000.0
    };
    median((0..ROUNDS).map(round).collect())
}

/// Services of ten real servers each, as a configuration has them.
fn list_services(pool: &mut Pool, count: u32) {
    for n in 0..count {
        let key = nth(n);
        pool.add_service(key, Scheduler::Wlc).unwrap();
        for m in 0..10 {
            pool.add_real(&key, real(n * 10 + m), Settings::weight(1))
                .unwrap();
        }
    }
    pool.settle();
}

fn nth(n: u32) -> ServiceKey {
    let vip = Addr::v4((0x0a09_0000 + n).to_be_bytes());
    ServiceKey::at(Protocol::Tcp, Endpoint::new(vip, 80))
}

/// Microseconds a service when there are `count`: listed, removed, listed again.
fn configuration(count: u32) -> [f64; 3] {
    let mut pool = Pool::new(2);
    let mut timed = |change: &dyn Fn(&mut Pool)| {
        let start = Instant::now();
        change(&mut pool);
        start.elapsed().as_nanos() as f64 / 1000.0 / f64::from(count)
    };
    let list = |pool: &mut Pool| list_services(pool, count);
    let remove = |pool: &mut Pool| (0..count).for_each(|n| pool.remove_service(&nth(n)).unwrap());
    [timed(&list), timed(&remove), timed(&list)]
}

fn main() {
    println!("microseconds to add the n-th real server | to choose one of n");
    print!("{:6}", "");
    for size in SIZES.iter().chain(&SIZES) {
        print!("{size:>9}");
    }
    println!();
    for scheduler in Scheduler::ALL {
        print!("{:6}", scheduler.name());
        for size in SIZES {
            print!("{:9.2}", addition(scheduler, size));
        }
        for size in SIZES {
            print!("{:9.2}", choice(scheduler, size));
        }
        println!();
    }
    print!("\nmicroseconds to fill the table of mh beside that:");
    for size in SIZES {
        print!("{:9.2}", filling(Scheduler::Mh, size));
    }
    println!("\n\nmicroseconds a service of 10 real servers | listed, removed, listed again");
    for count in [10, 100, 1_000, 4_000] {
        let [listed, removed, again] = configuration(count);
        println!("{count:6}{listed:9.2}{removed:9.2}{again:9.2}");
    }
}
