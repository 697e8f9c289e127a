//! Datagrams in fragments, in any order and of either side, and errors about them.

use std::net::SocketAddr;

use adminapi::model::ServicePatch;
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::packet::{Mac, Packet, ethernet, fragment, icmp, ip, udp};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::Family;
use testbed::topology::HOST_SIDE;
use testbed::traffic::UdpClient;
use testbed::wait;

use crate::bed::{ByHand, PATIENCE, bytes, client, dropped, header, nat};

#[test]
fn fragments_come_in_any_order() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = nat(1)?;
    let by_hand = ByHand::open(&scene.topology)?;
    let message = bytes(1200);
    for family in Family::BOTH {
        let packet = udp(client(family), family.echo(), &message);
        let end = packet.len() - header(family);
        let parts = [(0..400, true), (400..800, true), (800..end, false)];
        let orders = [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ];
        let mut ident = 0;
        for order in orders {
            by_hand.expect_echo(family, &message, || {
                ident += 1;
                let mut fragments = order.into_iter().map(|n| parts[n].clone());
                fragments.try_for_each(|(part, more)| {
                    by_hand.send(&fragment(&packet, ident, part, more))
                })
            })?;
        }
    }
    assert_eq!(dropped(&scene.director, "fragment_orphan")?, 0);
    assert_accounts(&scene.director);
    Ok(())
}

/// An error that quotes a first fragment reaches the real server that has sent it.
#[test]
fn an_error_about_a_fragment_reaches_its_sender() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = nat(1)?;
    let by_hand = ByHand::open(&scene.topology)?;
    let at_real = Tap::open(&scene.topology.reals[0].namespace, HOST_SIDE)?;
    for (family, kind) in [(Family::V4, (3, 4, 1400)), (Family::V6, (2, 0, 1400))] {
        let client = UdpClient::open(&scene.topology.client, family.echo())?;
        client.echo_again(&bytes(8_000))?;
        // The next are the fragments of the answer.
        let is_answer = |p: &Packet| p.source == family.vip();
        let first = by_hand.tap.expect("first fragment", is_answer)?;
        let (vip, host) = (first.source, first.destination);
        let mut quoted = ip(vip, host, first.protocol, &first.payload[..200]);
        if family == Family::V4 {
            quoted[6..8].copy_from_slice(&0x2000u16.to_be_bytes());
        }
        let says = || by_hand.send(&icmp(host, vip, kind, &quoted));
        let is_error = |p: &Packet| p.icmp() == Some((kind.0, kind.1));
        let error = at_real.expect_answer("error", says, is_error)?;
        let real = scene.topology.reals[0].address(family.vip());
        assert_eq!((error.source, error.destination), (host, real));
        assert_eq!(error.quoted().expect("a quote").source, real);
        assert!(error.payload_intact());
        by_hand.tap.drain(|_| true)?;
    }
    assert_accounts(&scene.director);
    Ok(())
}

/// What a real server sends in fragments on its own account is routed.
#[test]
fn a_real_server_sends_fragments_of_its_own() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = nat(1)?;
    let at_client = Tap::open(&scene.topology.client, HOST_SIDE)?;
    let at_real = Tap::open(&scene.topology.reals[0].namespace, HOST_SIDE)?;
    for family in Family::BOTH {
        let real = scene.topology.reals[0].address(family.vip());
        let packet = udp(SocketAddr::new(real, 5000), client(family), &bytes(800));
        let end = packet.len() - header(family);
        let pieces = [(400..end, false), (0..400, true)]
            .map(|(part, more)| fragment(&packet, 9, part, more));
        let send = || {
            let frame = |piece| ethernet(Mac::of_host(2, 1), Mac::of_host(2, 0xfe), piece);
            let mut frames = pieces.iter().map(|piece| frame(piece));
            frames.try_for_each(|frame| at_real.send(&frame))
        };
        let mut got = Vec::new();
        wait::until_repeated("both fragments", PATIENCE, send, || {
            got.extend(at_client.drain(|p| p.source == real)?);
            let has_come = |piece: &Vec<u8>| {
                let sent = Packet::read(piece);
                sent.is_some_and(|sent| got.iter().any(|p| p.payload == sent.payload))
            };
            ensure!(pieces.iter().all(has_come), "{got:?}");
            Ok(())
        })?;
        assert!(got.iter().all(|p| p.hops == 63), "{got:?}");
    }
    assert_accounts(&scene.director);
    Ok(())
}

/// Fragments are counted one by one, also those of a datagram that leaves no connection behind.
#[test]
fn all_fragments_count_with_one_packet() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = nat(1)?;
    let by_hand = ByHand::open(&scene.topology)?;
    for family in Family::BOTH {
        let (api, id) = (scene.director.api(), family.echo_service());
        let patch = ServicePatch {
            one_packet: Some(true),
            ..ServicePatch::default()
        };
        api.call(async |client| client.change_service(id, patch).await)?;
        let packet = udp(client(family), family.echo(), &bytes(1200));
        let end = packet.len() - header(family);
        let parts = [(0..400, true), (400..800, true), (800..end, false)];
        let fragments = parts.map(|(part, more)| fragment(&packet, 7, part, more));
        for each in &fragments {
            by_hand.send(each)?;
        }
        let bytes: usize = fragments.iter().map(Vec::len).sum();
        wait::until("all fragments to be counted", PATIENCE, || {
            let stats = &api.service(id)?.reals[0].stats;
            let carried = (stats.connections, stats.in_packets, stats.in_bytes);
            ensure!(carried == (1, 3, bytes as u64), "{carried:?}, not {bytes}");
            Ok(())
        })?;
    }
    assert_accounts(&scene.director);
    Ok(())
}
