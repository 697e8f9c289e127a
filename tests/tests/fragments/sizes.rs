//! Datagrams that are longer than a link, by every method.

use adminapi::model::{ForwardingMethod, Tunnel, TunnelChecksum, TunnelType};
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::packet::{Packet, checksum, fragment, protocol, udp};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::Family;
use testbed::topology::{CLIENT_V4, HOST_SIDE, SHORTCUT};
use testbed::traffic::UdpClient;
use testbed::wait;

use crate::bed::{AGAIN, ByHand, OneWay, PATIENCE, bytes, client, nat};

const TUNNEL: Tunnel = Tunnel {
    kind: TunnelType::Ipip,
    port: None,
    checksum: TunnelChecksum::None,
};

#[test]
fn datagrams_of_any_size_pass_in_both_directions() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for queues in [1, 2] {
        let scene = nat(queues)?;
        for family in Family::BOTH {
            let client = UdpClient::open(&scene.topology.client, family.echo())?;
            for length in [1473, 8_000, 60_000] {
                let name = client.echo_again(&bytes(length))?;
                assert_eq!(name, "rs1", "{family:?} {length}");
            }
            let stats = scene.director.api().service(family.echo_service())?.stats;
            assert_eq!(stats.connections, 1);
            assert!(stats.in_bytes > 69_473 && stats.out_bytes > 69_473);
        }
        assert_accounts(&scene.director);
    }
    Ok(())
}

#[test]
fn datagrams_of_any_size_pass_by_direct_routing_and_tunnels() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for (method, tun) in [
        (ForwardingMethod::Dr, None),
        (ForwardingMethod::Tun, Some(TUNNEL)),
    ] {
        let bench = OneWay::start(method, tun)?;
        for family in Family::BOTH {
            for length in [8_000, 60_000] {
                bench.echo(family, length)?;
            }
        }
        assert_accounts(&bench.director);
    }
    Ok(())
}

#[test]
fn a_link_that_is_narrower_gets_more_fragments() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = nat(1)?;
    let narrow = ["link", "set", "rs0", "mtu", "1300"];
    scene.topology.director.run("ip", &narrow)?;
    let narrow = ["link", "set", HOST_SIDE, "mtu", "1300"];
    scene.topology.reals[0].namespace.run("ip", &narrow)?;
    let at_real = Tap::open(&scene.topology.reals[0].namespace, HOST_SIDE)?;
    let asker = UdpClient::open(&scene.topology.client, Family::V4.echo())?;
    asker.socket().set_read_timeout(Some(AGAIN))?;
    // Until the director has heard of the MTU, what is too long is lost.
    wait::until("the narrow link to be known", PATIENCE, || {
        asker.echo(&bytes(8_000)).map(drop)
    })?;
    at_real.drain(|_| true)?;
    for length in [8_000, 60_000] {
        assert_eq!(asker.echo_again(&bytes(length))?, "rs1", "{length}");
    }
    let answered = scene.echo[0].answered();
    let by_hand = ByHand::open(&scene.topology)?;
    let packet = udp(client(Family::V4), Family::V4.echo(), &bytes(1400));
    // All of it, without DF.
    let send = || by_hand.send(&fragment(&packet, 77, 0..1408, false));
    wait::until_repeated("the datagram in two parts", PATIENCE, send, || {
        ensure!(scene.echo[0].answered() > answered);
        Ok(())
    })?;
    let lengths = at_real.drain(|p| p.protocol == protocol::UDP && p.source == CLIENT_V4)?;
    assert!(lengths.iter().all(|p| p.payload.len() + 20 <= 1300));
    assert!(lengths.iter().all(|p| p.header_intact && p.hops == 63));
    assert_accounts(&scene.director);
    Ok(())
}

/// With `pmtu_disc` the client is told; without, its datagram arrives although it has DF.
#[test]
fn pmtu_disc_0_takes_through_a_tunnel_what_is_too_long_for_it() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = OneWay::start(ForwardingMethod::Tun, Some(TUNNEL))?;
    let by_hand = ByHand::open(&bench.topology)?;
    let answers = Tap::open(&bench.topology.client, SHORTCUT)?;
    let at_real = Tap::open(&bench.topology.reals[0].namespace, HOST_SIDE)?;
    // As the kernel of a client sends it: with DF and without an identification.
    let sized = |family: Family, length: usize| {
        let mut packet = udp(client(family), family.echo(), &bytes(length));
        if family == Family::V4 {
            packet[4..6].fill(0);
            packet[10..12].fill(0);
            let sum = checksum(&[&packet[..20]]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        packet
    };
    let send = |family, length| by_hand.send(&sized(family, length));
    let is_told = |p: &Packet| matches!(p.icmp(), Some((3, 4) | (2, 0)));
    let expect_echo = |length: usize| -> Result<()> {
        let ends = Some((Family::V4.echo(), client(Family::V4)));
        send(Family::V4, length)?;
        let echo = answers.expect("echo", |p| p.sockets() == ends)?;
        ensure!(echo.payload_intact() && echo.payload.ends_with(&bytes(length)));
        Ok(())
    };
    // The flags of the outer and inner headers of the datagrams that arrive; the client's kernel,
    // which knows of no such datagram, says so to the VIP.
    let arrived = || -> Result<Vec<(u8, u8)>> {
        let mut flags = Vec::new();
        while let Some(frame) = at_real.next_frame()? {
            let carries = |ip: &&[u8]| {
                let tunnelled = ip[0] == 0x45 && ip[9] == protocol::IPIP;
                tunnelled && ip[29] == protocol::UDP
            };
            let outer = frame.get(14..).filter(|ip| ip.len() >= 40).filter(carries);
            flags.extend(outer.map(|ip| (ip[6], ip[26])));
        }
        Ok(flags)
    };
    let (df, more) = (0x40, 0x20);

    send(Family::V4, 1460)?;
    by_hand.tap.expect("an error", is_told)?;
    expect_echo(100)?;
    assert_eq!(arrived()?, [(df, df)]);

    bench.director.api().set_sysctl("pmtu_disc", 0)?;
    expect_echo(1460)?;
    expect_echo(100)?;
    assert_eq!(arrived()?, [(0, more), (0, 0), (0, df)]);
    assert_eq!(by_hand.tap.drain(is_told)?, []);
    // Nobody on the way may fragment IPv6.
    send(Family::V6, 1450)?;
    by_hand.tap.expect("an error", is_told)?;
    assert_accounts(&bench.director);
    Ok(())
}
