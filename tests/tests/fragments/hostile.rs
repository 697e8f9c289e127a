//! Fragments as attackers send them.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::packet::{Segment, flag, fragment, tcp, udp};
use testbed::require;
use testbed::scene::Family;
use testbed::traffic::{HttpConnection, UdpClient};
use testbed::wait;

use crate::bed::{AGAIN, ByHand, PATIENCE, bytes, client, dropped, header, is_echo, nat};

#[test]
fn a_first_fragment_without_its_headers_is_dropped() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = nat(1)?;
    let by_hand = ByHand::open(&scene.topology)?;
    for family in Family::BOTH {
        let syn = Segment {
            flags: flag::SYN,
            ..Segment::default()
        };
        let packet = tcp(client(family), family.http(), syn);
        // RFC 1858: the flags come in the second fragment.
        by_hand.send(&fragment(&packet, 1, 0..8, true))?;
        by_hand.send(&fragment(&packet, 1, 8..20, false))?;
        // No TCP sends its SYN in fragments.
        let long = tcp(
            client(family),
            family.http(),
            Segment {
                payload: &[7; 64],
                ..syn
            },
        );
        by_hand.send(&fragment(&long, 2, 0..40, true))?;
    }
    for (reason, count) in [
        ("fragment_first_too_small", 2),
        ("tcp_flags", 2),
        ("fragment_orphan", 2),
    ] {
        wait::until(reason, PATIENCE, || {
            ensure!(dropped(&scene.director, reason)? == count);
            Ok(())
        })?;
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn what_overlaps_is_dropped_with_its_datagram() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = nat(1)?;
    let by_hand = ByHand::open(&scene.topology)?;
    let message = bytes(1200);
    for (family, before) in Family::BOTH.into_iter().zip([0, 1]) {
        let packet = udp(client(family), family.echo(), &message);
        let end = packet.len() - header(family);
        for (part, more) in [(0..800, true), (400..1000, true), (800..end, false)] {
            by_hand.send(&fragment(&packet, 1, part, more))?;
        }
        // Another datagram, one of whose fragments comes twice, is not hurt.
        for (part, more) in [(0..800, true), (0..800, true), (800..end, false)] {
            by_hand.send(&fragment(&packet, 2, part, more))?;
        }
        let echo = by_hand.tap.expect("echo", is_echo(family))?;
        ensure!(echo.payload_intact() && echo.payload.ends_with(&message));
        // The server counts after it has answered.
        wait::until("one answer to be counted", PATIENCE, || {
            ensure!(scene.echo[0].answered() == before + 1);
            Ok(())
        })?;
        assert_eq!(
            dropped(&scene.director, "fragment_overlap")?,
            2 * (before + 1)
        );
        assert_eq!(dropped(&scene.director, "fragment_orphan")?, before + 1);
    }
    assert_accounts(&scene.director);
    Ok(())
}

/// Floods of fragments whose datagrams are never complete: with a first one, and without.
#[test]
fn a_flood_of_fragments_leaves_others_alone() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = nat(1)?;
    // The real server gets first fragments, too, and takes nothing while too many wait for the rest.
    scene.topology.reals[0].namespace.sysctl(&[
        "net.ipv4.ipfrag_time=2",
        "net.ipv6.ip6frag_time=2",
        "net.ipv4.ipfrag_high_thresh=134217728",
        "net.ipv6.ip6frag_high_thresh=134217728",
    ])?;
    let by_hand = ByHand::open(&scene.topology)?;
    let mut web = HttpConnection::open(&scene.topology.client, Family::V4.http())?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| -> Result<()> {
        let flood = scope.spawn(|| -> Result<()> {
            let packets = Family::BOTH.map(|family| {
                let packet = udp(client(family), family.echo(), &bytes(1200));
                [(0..400, true), (400..800, true)].map(|part| (packet.clone(), part))
            });
            for ident in 100.. {
                for (packet, (part, more)) in packets.iter().flatten() {
                    // Those without a first one have another identification.
                    let ident = ident * 2 + u32::from(part.start > 0);
                    by_hand.send(&fragment(packet, ident, part.clone(), *more))?;
                }
                if ident % 8 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                if done.load(Relaxed) {
                    break;
                }
            }
            Ok(())
        });
        let legitimate = || -> Result<()> {
            for family in Family::BOTH {
                let client = UdpClient::open(&scene.topology.client, family.echo())?;
                client.socket().set_read_timeout(Some(AGAIN))?;
                for _ in 0..50 {
                    // One that the flood displaces, or whose part a full ring loses, is sent again.
                    let served = || {
                        ensure!(client.echo(&bytes(8_000))? == "rs1");
                        Ok(())
                    };
                    wait::until("an echo", PATIENCE, served)?;
                    ensure!(web.ask_name()? == "rs1");
                }
            }
            Ok(())
        };
        let mut legitimate = legitimate;
        let outcome = legitimate();
        done.store(true, Relaxed);
        flood.join().expect("the flood")?;
        outcome
    })?;
    wait::until("the flood to be counted", PATIENCE, || {
        let orphans = dropped(&scene.director, "fragment_orphan")?;
        let crowded = dropped(&scene.director, "fragment_no_room")?;
        ensure!(orphans + crowded > 0);
        Ok(())
    })?;
    assert_accounts(&scene.director);
    Ok(())
}
