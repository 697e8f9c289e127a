//! `schedule_icmp` and `nat_icmp_send`: errors that come in, and those that are sent.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::packet::{Mac, Packet, Segment, ethernet, icmp, protocol, tcp, udp};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::{ECHO_PORT, OTHER_HTTP_PORT};
use testbed::topology::{CLIENT_V4, HOST_SIDE};
use testbed::traffic::UdpClient;
use testbed::wait;

use crate::sysctl::bed::{Bench, HTTP, PATIENCE, RST, nobody};

#[test]
fn schedule_icmp_gives_an_error_about_no_connection_to_a_real_server() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&[1])?;
    let api = bench.scene.director.api();
    let at_real = Tap::open(&bench.scene.topology.reals[0].namespace, HOST_SIDE)?;
    let (vip, client) = (HTTP.http(), nobody(5000));
    let real = SocketAddr::new(
        bench.scene.topology.reals[0].address(vip.ip()),
        OTHER_HTTP_PORT,
    );
    let answer = tcp(vip, client, Segment::default());
    let error = icmp(CLIENT_V4.into(), vip.ip(), (3, 4, 1400), &answer[..28]);
    for value in [0, 1] {
        bench.set("schedule_icmp", value)?;
        let send = || bench.send(&error);
        let is_error = |p: &Packet| p.icmp() == Some((3, 4));
        if value == 0 {
            wait::until_repeated("the drop", PATIENCE, send, || {
                let dropped = api.dropped("error_without_connection")?;
                ensure!(dropped > 0);
                Ok(())
            })?;
            assert_eq!(at_real.drain(is_error)?, []);
            continue;
        }
        let got = at_real.expect_answer("the error", send, is_error)?;
        assert_eq!(got.destination, real.ip());
        assert!(got.header_intact && got.payload_intact());
        let quoted = got.quoted().context("nothing is quoted")?;
        assert_eq!(quoted.sockets(), Some((real, client)));
    }
    assert!(
        bench.connection(client).is_err(),
        "an error opened a connection"
    );
    assert_accounts(&bench.scene.director);
    Ok(())
}

#[test]
fn nat_icmp_send_tells_a_real_server_that_nobody_waits_for_its_packet() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start(&[1])?;
    bench.set("nat_icmp_send", 1)?;
    let host = &bench.scene.topology.reals[0];
    let at_real = Tap::open(&host.namespace, HOST_SIDE)?;
    let send =
        |packet: &[u8]| at_real.send(&ethernet(Mac::of_host(2, 1), Mac::of_host(2, 0xfe), packet));
    for (family, kind) in [(Family::V4, (3, 3)), (Family::V6, (1, 4))] {
        let client = SocketAddr::new(family.client(), 6000);
        let real = |port| SocketAddr::new(host.address(family.vip()), port);
        let stray = udp(real(ECHO_PORT), client, b"anyone?");
        let is_told = |p: &Packet| p.icmp() == Some(kind);
        let told = at_real.expect_answer("an error", || send(&stray), is_told)?;
        assert_eq!(told.destination, real(0).ip());
        assert_ne!(told.source, client.ip(), "it speaks for another host");
        assert_ne!(told.source, family.vip());
        let quoted = told.quoted().context("nothing is quoted")?;
        assert_eq!(quoted.sockets(), Some((real(ECHO_PORT), client)));

        let reset = Segment {
            flags: RST,
            ..Segment::default()
        };
        let reset = tcp(real(OTHER_HTTP_PORT), client, reset);
        let is_reset = |p: &Packet| {
            p.protocol == protocol::TCP && p.sockets() == Some((real(OTHER_HTTP_PORT), client))
        };
        (bench.tap).expect_answer("the reset", || send(&reset), is_reset)?;
    }
    bench.set("nat_icmp_send", 0)?;
    let asked = UdpClient::open(
        &bench.scene.topology.client,
        SocketAddr::new(host.address(HTTP.vip()), ECHO_PORT),
    )?;
    assert_eq!(asked.echo(b"you")?, "rs1", "strays are routed again");
    assert_accounts(&bench.scene.director);
    Ok(())
}
