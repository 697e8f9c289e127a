//! `expire_nodest_conn`: connections whose real server is removed, or has weight 0.

use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::traffic::{HttpConnection, UdpClient, fetch_names};
use testbed::wait;

use crate::sysctl::bed::{Bench, HTTP, PATIENCE, SYN, connection, nobody};

#[test]
fn expire_nodest_conn_ends_the_connections_of_a_removed_real_server() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for (value, ends) in [(0, false), (1, true)] {
        let scene = Scene::start()?;
        let api = scene.director.api();
        api.set_sysctl("expire_nodest_conn", value)?;
        let mut open = HttpConnection::open(&scene.topology.client, HTTP.http())?;
        open.ask_name()?;
        let (service, client) = (HTTP.http_service(), open.client()?);
        let real = connection(&scene.director, service, client)?.real;
        api.remove_real(service, real)?;
        let is_listed = connection(&scene.director, service, client).is_ok();
        assert_eq!(is_listed, !ends, "expire_nodest_conn = {value}");
        if ends {
            let told = open.ask_name().expect_err("its real server is gone");
            let kind = told.downcast_ref::<std::io::Error>().map(|e| e.kind());
            assert_eq!(kind, Some(std::io::ErrorKind::ConnectionReset));
        }
        assert_eq!(
            fetch_names(&scene.topology.client, HTTP.http(), 4)?.len(),
            4
        );
        assert_accounts(&scene.director);
    }
    Ok(())
}

/// A real server that does not answer and has weight 0: the client's next SYN need not wait for
/// the end of the first one's entry.
#[test]
fn expire_nodest_conn_gives_a_repeated_syn_away_when_its_real_server_has_weight_0() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&[1, 1])?;
    for (port, value, stays) in [(3000, 0, true), (3001, 1, false)] {
        bench.set("expire_nodest_conn", value)?;
        let client = nobody(port);
        bench.segment(client, SYN, 1000, 0)?;
        let before = bench.reaches(client, "SYN_RECV")?.real;
        bench.set_weight(HTTP.http_service(), before, 0)?;
        // The real servers answer all the time: what they send is no sign of the SYN.
        let came = || -> Result<u64> {
            let service = bench.scene.director.api().service(HTTP.http_service())?;
            Ok(service.stats.in_packets)
        };
        let so_far = came()?;
        bench.segment(client, SYN, 1000, 0)?;
        wait::until_true("the SYN", PATIENCE, || came().is_ok_and(|n| n > so_far))?;
        wait::until(&format!("expire_nodest_conn = {value}"), PATIENCE, || {
            let after = bench.connection(client)?;
            ensure!(
                after.state == "SYN_RECV" && (before == after.real) == stays,
                "{after:?}"
            );
            Ok(())
        })?;
        bench.set_weight(HTTP.http_service(), before, 1)?;
    }
    assert_accounts(&bench.scene.director);
    Ok(())
}

/// An established connection of a real server of weight 0 is not ended by a SYN.
#[test]
fn expire_nodest_conn_lets_established_connections_drain() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&[1, 1])?;
    bench.set("expire_nodest_conn", 1)?;
    let mut open = HttpConnection::open(&bench.scene.topology.client, HTTP.http())?;
    let name = open.ask_name()?;
    let before = bench.connection(open.client()?)?;
    bench.set_weight(HTTP.http_service(), before.real, 0)?;
    bench.segment(open.client()?, SYN, 12345, 0)?;
    assert_eq!(open.ask_name()?, name);
    assert_eq!(bench.connection(open.client()?)?.real, before.real);
    assert_accounts(&bench.scene.director);
    Ok(())
}

#[test]
fn datagrams_of_a_removed_real_server_move_at_once() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    for family in Family::BOTH {
        let flow = UdpClient::open(&scene.topology.client, family.echo())?;
        let before = flow.echo(b"who?")?;
        let client = flow.socket().local_addr()?;
        let service = family.echo_service();
        let real = connection(&scene.director, service, client)?.real;
        scene.director.api().remove_real(service, real)?;
        let after = flow.echo(b"and now?")?;
        assert_ne!(before, after);
        assert_eq!(flow.echo(b"and then?")?, after);
    }
    assert_accounts(&scene.director);
    Ok(())
}
