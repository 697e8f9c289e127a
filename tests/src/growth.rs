//! `bench growth`: what it costs to add a real server to a service that has many, as who adds it
//! has it: one request to the API, until it is answered.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use adminapi::model::{Protocol, Scheduler, Service, ServiceId};
use anyhow::Result;

use crate::director::{Configuration, Director, service};
use crate::scene::Family;
use crate::topology::{Plan, Topology};

/// How many there are before one is added.
const SIZES: [u32; 4] = [0, 100, 1_000, 10_000];

/// Additions that are timed; each is taken back.
const ROUNDS: u32 = 300;

/// Measures it with each scheduler whose work differs, and prints the medians.
///
/// # Errors
/// When a part of the testbed does not come up.
pub fn run() -> Result<()> {
    let topology = Topology::build(Plan::default())?;
    let configuration = Configuration::new(topology.interfaces());
    let director = Director::start(&topology.director, &configuration)?;
    println!("microseconds to add one real server, API included, when there are so many");
    print!("{:6}", "");
    SIZES.iter().for_each(|size| print!("{size:>9}"));
    println!("{:>20}", "last over first");
    for scheduler in [Scheduler::Rr, Scheduler::Wlc, Scheduler::Sh, Scheduler::Mh] {
        let services = SIZES.map(|size| with_reals(scheduler, size));
        for service in &services {
            director.api().put_service(service)?;
        }
        let times = measure(&director, &services)?;
        print!("{:6}", scheduler.name());
        times.iter().for_each(|time| print!("{time:9.0}"));
        println!("{:20.2}", times[times.len() - 1] / times[0]);
        for service in &services {
            director.api().remove_service(service.id)?;
        }
    }
    Ok(())
}

/// A service of so many, at a port of that number.
fn with_reals(scheduler: Scheduler, size: u32) -> Service {
    let vip = SocketAddr::new(Family::V4.vip(), 1 + size as u16);
    let reals = (0..size).map(|n| (real(n), 1 + n % 3));
    service(Protocol::Tcp, vip, scheduler, reals)
}

fn real(n: u32) -> SocketAddr {
    let address = IpAddr::from(Ipv4Addr::from(0x0a80_0000 + n));
    SocketAddr::new(address, 80)
}

/// The median for each of the services. They take turns, so that a slow moment meets all.
fn measure(director: &Director, services: &[Service]) -> Result<Vec<f64>> {
    let mut times = vec![Vec::new(); services.len()];
    for round in 0..ROUNDS {
        for (service, times) in services.iter().zip(&mut times) {
            times.push(addition(director, service.id, real(1 << 20 | round))?);
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    Ok(times.into_iter().map(median).collect())
}

fn addition(director: &Director, id: ServiceId, real: SocketAddr) -> Result<f64> {
    let one = service(Protocol::Tcp, real, Scheduler::Rr, [(real, 1)]);
    let start = Instant::now();
    director.api().add_real(id, &one.reals[0])?;
    let took = start.elapsed();
    director.api().remove_real(id, real)?;
    Ok(took.as_secs_f64() * 1e6)
}
