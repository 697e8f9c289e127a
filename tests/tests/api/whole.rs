//! A whole configuration at once: a thousand services of ten real servers are others in one step.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use adminapi::model::{Configuration, Protocol, Scheduler, Service};
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::service;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::servers::ECHO_PORT;
use testbed::topology::Plan;
use testbed::traffic::UdpClient;
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(30);

const SERVICES: u16 = 1_000;

/// Real servers of each that nobody is there for, by weight 0.
const IDLE: u8 = 9;

/// The port of the first service.
const FIRST: u16 = 20_000;

fn vip(number: u16) -> SocketAddr {
    SocketAddr::new(Family::V4.vip(), FIRST + number)
}

/// All services, of which `serving` gets all connections.
fn all(serving: IpAddr) -> Vec<Service> {
    let idle = (0..IDLE).map(|n| (IpAddr::from(Ipv4Addr::new(10, 0, 2, 100 + n)), 0));
    let reals: Vec<_> = std::iter::once((serving, 1))
        .chain(idle)
        .map(|(address, weight)| (SocketAddr::new(address, ECHO_PORT), weight))
        .collect();
    let of = |number| service(Protocol::Udp, vip(number), Scheduler::Rr, reals.clone());
    (0..SERVICES).map(of).collect()
}

fn put(scene: &Scene, services: Vec<Service>) -> Result<()> {
    let whole = Configuration {
        services,
        ..Configuration::default()
    };
    let api = scene.director.api();
    api.call(async |client| client.put_config(&whole).await)
}

/// New clients, one after the other. They stay, since two from the same port would be the same to a real
/// server that several services have.
struct Crowd<'a> {
    scene: &'a Scene,
    clients: Vec<UdpClient>,
    names: Vec<String>,
}

impl Crowd<'_> {
    /// Asks some services who serves.
    fn ask(&mut self) -> Result<()> {
        for number in [0, SERVICES - 1, SERVICES / 2] {
            let client = UdpClient::open(&self.scene.topology.client, vip(number))?;
            // A busy machine may lose a datagram.
            let name = wait::until("an echo", PATIENCE, || client.echo(b"who?"))?;
            self.names.push(name);
            self.clients.push(client);
        }
        Ok(())
    }
}

/// Nobody who has been served by the new ones meets an old one after that, at whichever service.
#[test]
fn a_thousand_services_of_ten_are_others_in_one_step() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let plan = Plan {
        reals: 2,
        ..Plan::default()
    };
    let scene = Scene::start_with(plan, Scheduler::Rr, &[1, 1])?;
    let [old, new] = [0, 1].map(|n| IpAddr::from(scene.topology.reals[n].v4));
    put(&scene, all(old))?;

    let mut spoilt = all(new);
    spoilt[usize::from(SERVICES) - 1].reals[0].address = Family::V4.vip();
    spoilt[usize::from(SERVICES) - 1].reals[0].port = Some(FIRST);
    ensure!(put(&scene, spoilt).is_err(), "a circle was taken");

    let mut crowd = Crowd {
        scene: &scene,
        clients: Vec::new(),
        names: Vec::new(),
    };
    crowd.ask()?;
    thread::scope(|scope| {
        let change = scope.spawn(|| put(&scene, all(new)));
        while !change.is_finished() {
            crowd.ask()?;
        }
        change.join().expect("the change panicked")
    })?;
    crowd.ask()?;
    let names = crowd.names;
    let first_new = names.iter().position(|name| name == "rs2");
    let (before, after) = names.split_at(first_new.unwrap_or(names.len()));
    ensure!(
        before.iter().all(|name| name == "rs1") && before.len() >= 3,
        "{names:?}"
    );
    ensure!(
        after.iter().all(|name| name == "rs2") && after.len() >= 3,
        "{names:?}"
    );
    let listed = scene.director.api().service(all(new)[7].id)?.reals;
    ensure!(listed.len() == 1 + usize::from(IDLE));
    assert_accounts(&scene.director);
    Ok(())
}
