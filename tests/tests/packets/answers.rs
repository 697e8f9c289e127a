//! What the director itself says to packets that it does not forward, as the sender sees it.

use std::net::SocketAddr;

use adminapi::model::Scheduler;
use anyhow::Result;
use testbed::accounts::assert_accounts;
use testbed::packet::{Mac, Packet, Segment, ethernet, protocol, tcp, udp};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::topology::{CLIENT_V4, CLIENT_V6, HOST_SIDE, Plan};
use testbed::traffic::UdpClient;

const ACK: u8 = 0x10;
const RST: u8 = 0x04;
const PORT: u16 = 40_000;

fn client(family: Family) -> SocketAddr {
    match family {
        Family::V4 => (CLIENT_V4, PORT).into(),
        Family::V6 => (CLIENT_V6, PORT).into(),
    }
}

/// Where TTL and hop limit stand in an IP packet.
const fn hops(family: Family) -> usize {
    match family {
        Family::V4 => 8,
        Family::V6 => 7,
    }
}

fn send(tap: &Tap, packet: &[u8]) -> Result<()> {
    tap.send(&ethernet(Mac::of_host(1, 1), Mac::of_host(1, 0xfe), packet))
}

fn scene(weights: &[u32]) -> Result<(Scene, Tap)> {
    let plan = Plan {
        reals: weights.len() as u8,
        ..Plan::default()
    };
    let scene = Scene::start_with(plan, Scheduler::Rr, weights)?;
    let tap = Tap::open(&scene.topology.client, HOST_SIDE)?;
    Ok((scene, tap))
}

fn drops(scene: &Scene, reason: &str) -> Result<u64> {
    scene.director.api().dropped(reason)
}

/// An error with this type and code about a packet that `sent` sent.
fn expect_error(tap: &Tap, kind: (u8, u8), sent: SocketAddr) -> Result<Packet> {
    let error = tap.expect("an ICMP error", |p| p.icmp() == Some(kind))?;
    assert_quotes(&error, sent);
    Ok(error)
}

fn assert_quotes(error: &Packet, sent: SocketAddr) {
    let quoted = error.quoted().expect("nothing is quoted");
    assert_eq!(quoted.sockets().map(|(source, _)| source), Some(sent));
    assert!(error.header_intact && error.payload_intact());
}

#[test]
fn a_segment_of_no_connection_is_reset() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let (scene, tap) = scene(&[1])?;
    for family in Family::BOTH {
        let stray = Segment {
            sequence: 1000,
            acknowledgement: 7000,
            flags: ACK,
            payload: b"",
        };
        send(&tap, &tcp(client(family), family.http(), stray))?;
        let is_reset = |p: &Packet| p.protocol == protocol::TCP && p.payload[13] & RST != 0;
        let reset = tap.expect("a reset", is_reset)?;
        assert_eq!(reset.sockets(), Some((family.http(), client(family))));
        assert_eq!(reset.payload[4..8], 7000u32.to_be_bytes(), "SEG.ACK");
        assert!(reset.payload_intact());
    }
    assert_eq!(drops(&scene, "no_connection")?, 2);
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn without_a_real_server_the_port_is_unreachable() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let (scene, tap) = scene(&[0])?;
    for (family, kind) in [(Family::V4, (3, 3)), (Family::V6, (1, 4))] {
        send(&tap, &udp(client(family), family.echo(), b"anyone?"))?;
        let error = expect_error(&tap, kind, client(family))?;
        assert_eq!(error.source, family.vip());
        let echo = scene.director.api().service(family.echo_service())?;
        assert_eq!(echo.drops.get("no_real"), Some(&1));
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn a_packet_without_hops_left_is_told_so() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let (scene, tap) = scene(&[1])?;
    for (family, kind) in [(Family::V4, (11, 0)), (Family::V6, (3, 0))] {
        let mut packet = udp(client(family), family.echo(), b"last hop");
        packet[hops(family)] = 1;
        if family == Family::V4 {
            packet[10..12].fill(0);
            let sum = testbed::packet::checksum(&[&packet[..20]]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        send(&tap, &packet)?;
        expect_error(&tap, kind, client(family))?;
        assert!(
            scene
                .director
                .api()
                .connections(family.echo_service())?
                .is_empty()
        );
    }
    assert_eq!(drops(&scene, "ttl_exceeded")?, 2);
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn what_the_next_link_cannot_take_is_too_big() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let (scene, tap) = scene(&[1])?;
    scene
        .topology
        .director
        .run("ip", &["link", "set", "rs0", "mtu", "1300"])?;
    for (family, kind) in [(Family::V4, (3, 4)), (Family::V6, (2, 0))] {
        let packet = udp(client(family), family.echo(), &[7; 1400]);
        // Until the new MTU is known, it goes on and is lost.
        let ask = || send(&tap, &packet);
        let error = tap.expect_answer("an ICMP error", ask, |p| p.icmp() == Some(kind))?;
        assert_quotes(&error, client(family));
        let mtu = match family {
            Family::V4 => 6..8,
            Family::V6 => 4..8,
        };
        let told = error.payload[mtu]
            .iter()
            .fold(0u32, |n, b| n << 8 | u32::from(*b));
        assert_eq!(told, 1300);
    }
    assert!(drops(&scene, "too_big")? >= 2);
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn a_first_datagram_waits_for_the_neighbour() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let (scene, _) = scene(&[1])?;
    for (family, flush) in [(Family::V4, "-4"), (Family::V6, "-6")] {
        let cold = || {
            scene
                .topology
                .director
                .run("ip", &[flush, "neigh", "flush", "dev", "rs0"])
        };
        cold()?;
        let client = UdpClient::open(&scene.topology.client, family.echo())?;
        assert_eq!(client.echo(b"first")?, "rs1");
    }
    assert_eq!(drops(&scene, "neighbour_unresolved")?, 0);
    assert_accounts(&scene.director);
    Ok(())
}
