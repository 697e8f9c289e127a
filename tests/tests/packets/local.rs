//! Local node: the director itself as a real server, by direct routing. By NAT: `local_nat.rs`.

use adminapi::model::{ForwardingMethod, Real, Scheduler};
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, Director, by};
use testbed::require;
use testbed::scene::{Family, services};
use testbed::servers::{Nginx, UdpEcho, big_file};
use testbed::topology::{Topology, VIP_V4, VIP_V6};
use testbed::traffic::{
    HttpConnection, UdpClient, download_sha256, fetch_names, file_sha256, is_served, tally,
};
use testbed::wait;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// The director's own address by which it is a real server.
fn own(family: Family) -> std::net::IpAddr {
    match family {
        Family::V4 => [10, 0, 2, 254].into(),
        Family::V6 => "fd00:2::fe".parse().unwrap_or_else(|_| unreachable!()),
    }
}

fn real(address: std::net::IpAddr, method: ForwardingMethod) -> Result<Real> {
    let text = format!("address = \"{address}\"\nmethod = \"{}\"\n", method.name());
    Ok(toml::from_str(&text)?)
}

/// One real server outside, and the director with servers of its own.
struct Bench {
    director: Director,
    _web: Vec<Nginx>,
    _echo: Vec<UdpEcho>,
    topology: Topology,
}

impl Bench {
    fn start() -> Result<Self> {
        let topology = Topology::with_one_real()?;
        topology.bypass_director()?;
        topology.meet_neighbours()?;
        let vips = [VIP_V4.into(), VIP_V6.into()];
        let (outside, here) = (&topology.reals[0], &topology.director);
        let web = vec![Nginx::start(outside)?, Nginx::start_in(here, "director")?];
        let echo = vec![
            UdpEcho::start_at(outside, vips)?,
            UdpEcho::start_in(here, "director", vips)?,
        ];
        // As strict as a distribution may set it.
        topology.director.sysctl(&[
            "net.ipv4.conf.all.rp_filter=1",
            "net.ipv4.conf.default.rp_filter=1",
        ])?;
        let configuration = Configuration::new(topology.interfaces())
            .datapath("local_addresses", vec!["10.0.2.253"])
            .services(
                services(&topology, Scheduler::Rr, &[1])
                    .into_iter()
                    .map(|service| by(service, ForwardingMethod::Dr, None)),
            );
        let director = Director::start(&topology.director, &configuration)?;
        Ok(Self {
            director,
            _web: web,
            _echo: echo,
            topology,
        })
    }
}

#[test]
fn the_director_serves_beside_another_real_server() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start()?;
    let (api, client) = (bench.director.api(), &bench.topology.client);
    let expected = file_sha256(&big_file()?)?;
    for family in Family::BOTH {
        for service in [family.http_service(), family.echo_service()] {
            api.add_real(service, &real(own(family), ForwardingMethod::Dr)?)?;
        }
        let names = tally(fetch_names(client, family.http(), 8)?);
        let both = [("director".to_owned(), 4), ("rs1".to_owned(), 4)];
        assert_eq!(names.into_iter().collect::<Vec<_>>(), both);
        let names = (0..4)
            .map(|_| UdpClient::open(client, family.echo())?.echo(b"hello"))
            .collect::<Result<Vec<_>>>()?;
        assert!(tally(names).values().all(|&count| count == 2));
        for _ in 0..2 {
            assert_eq!(download_sha256(client, family.http(), "/big")?, expected);
        }
        let mut open = HttpConnection::open(client, family.http())?;
        open.ask_name()?;
        let connections = api.connections(family.http_service())?;
        let here = |real: std::net::SocketAddr| real.ip() == own(family);
        ensure!(connections.iter().any(|c| here(c.real)), "{connections:?}");
    }
    assert_accounts(&bench.director);
    Ok(())
}

/// The service as its own real server, which is what IPVS calls a local node most plainly.
#[test]
fn a_service_can_be_served_by_the_host_alone() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start()?;
    let (api, client) = (bench.director.api(), &bench.topology.client);
    let (dr, tun) = (ForwardingMethod::Dr, ForwardingMethod::Tun);
    // What has arrived needs no hop more (RFC 1812 §5.3.1).
    client.sysctl(&["net.ipv4.ip_default_ttl=1"])?;
    for (family, loopback) in [(Family::V4, "127.0.0.1"), (Family::V6, "::1")] {
        let loopback = loopback.parse()?;
        for (address, method) in [(family.vip(), dr), (loopback, dr), (loopback, tun)] {
            let service = api.service(family.http_service())?;
            for real in service.reals {
                api.remove_real(service.id, real.endpoint())?;
            }
            api.add_real(service.id, &real(address, method)?)?;
            let names = tally(fetch_names(client, family.http(), 3)?);
            assert_eq!(
                names.into_iter().collect::<Vec<_>>(),
                [("director".to_owned(), 3)]
            );
        }
    }
    assert_accounts(&bench.director);
    Ok(())
}

/// It is kept, as by IPVS; its packets are dropped, and the log says why.
#[test]
fn what_the_host_cannot_serve_is_dropped_and_told() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start()?;
    let (api, client) = (bench.director.api(), &bench.topology.client);
    let service = api.service(Family::V4.http_service())?;
    for real in &service.reals {
        api.remove_real(service.id, real.endpoint())?;
    }
    let (loopback, nat, fullnat) = (
        [127, 0, 0, 1].into(),
        ForwardingMethod::Nat,
        ForwardingMethod::FullNat,
    );
    for (address, method, why) in [
        (loopback, nat, "takes nothing for a loopback address"),
        (own(Family::V4), fullnat, "would speak to itself"),
    ] {
        let real = real(address, method)?;
        let before = dropped_here(&bench)?;
        api.add_real(service.id, &real)?;
        ensure!(!is_served(client, Family::V4.http()), "{address} serves");
        wait::until("a drop", PATIENCE, || {
            let dropped = dropped_here(&bench)?;
            ensure!(dropped > before, "nothing was dropped for {address}");
            Ok(())
        })?;
        api.remove_real(service.id, real.endpoint(service.id.port()))?;
        wait::until("the reason", PATIENCE, || {
            let log = bench.director.log();
            ensure!(log.contains(why), "{log}");
            Ok(())
        })?;
    }
    let lo = format!("addr del {VIP_V4}/32 dev lo\n");
    bench.topology.director.ip(&lo)?;
    let told = "it is the director itself, which does not have 10.9.9.9:80";
    wait::until("the address to be gone", PATIENCE, || {
        let dr = real(own(Family::V4), ForwardingMethod::Dr)?;
        api.add_real(service.id, &dr)?;
        api.remove_real(service.id, dr.endpoint(service.id.port()))?;
        ensure!(
            bench.director.log().contains(told),
            "{}",
            bench.director.log()
        );
        Ok(())
    })?;
    assert_accounts(&bench.director);
    Ok(())
}

fn dropped_here(bench: &Bench) -> Result<u64> {
    bench.director.api().dropped("local_destination")
}
