//! Long streams, merged by the kernel before the agent sees them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Context, Result, bail};
use testbed::packet::{Mac, Packet, ethernet};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::Family;
use testbed::topology::{CLIENT_SIDE, HOST_SIDE, VIP_V4, VIP_V6};
use testbed::tunnel::Tunnel;

use crate::bed::{Bed, PATIENCE, PLAIN, REAL_PORT, outcome_of, pairs, wrapped};

/// Wraps what the client sends to the VIPs, as a director does, until it is stopped.
fn relay(from: &Tap, to: &Tap, tunnel: Tunnel, outer: Family, stop: &AtomicBool) -> Result<()> {
    let (here, there) = (Mac::of_host(2, 0xfe), Mac::of_host(2, 1));
    while !stop.load(Relaxed) {
        let Some(frame) = from.next_frame()? else {
            continue;
        };
        let to_vip = Packet::in_frame(&frame)
            .is_some_and(|p| p.destination == VIP_V4 || p.destination == VIP_V6);
        if to_vip {
            let packet = wrapped(tunnel, outer, &frame[14..]);
            to.send(&ethernet(here, there, &packet))?;
        }
    }
    Ok(())
}

/// What a server on the VIP gets of a client that sends it `sent`.
fn upload(bed: &Bed, server: SocketAddr, sent: &[u8]) -> Result<Vec<u8>> {
    let listener = bed
        .real()
        .namespace
        .enter(|| Ok(TcpListener::bind(server)?))?;
    let receiver = std::thread::spawn(move || -> Result<Vec<u8>> {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut got = Vec::new();
        stream.read_to_end(&mut got)?;
        Ok(got)
    });
    bed.topology.client.enter(|| {
        let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(sent)?;
        Ok(stream.shutdown(Shutdown::Write)?)
    })?;
    match receiver.join() {
        Ok(got) => got,
        Err(_) => bail!("the receiver panicked"),
    }
}

/// The kernel of the real server merges what arrives (GRO) before the agent sees it.
#[test]
fn streams_through_every_tunnel_are_whole() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    // Room for the outer headers.
    bed.topology.client.ip("link set eth0 mtu 1400\n")?;
    bed.topology.director.ip(&format!(
        "route add blackhole {VIP_V4}/32\nroute add blackhole {VIP_V6}/128\n"
    ))?;
    // Packets wait for others to be merged with.
    let wait = format!("echo 1000000 >/sys/class/net/{HOST_SIDE}/gro_flush_timeout");
    bed.real().namespace.run("sh", &["-c", &wait])?;
    let agent = bed.agent(PLAIN)?;
    let sent: Vec<u8> = (0..1u32 << 20).map(|i| ((i * 31) >> 7) as u8).collect();
    for tunnel in Tunnel::ALL {
        for (outer, inner) in pairs() {
            let stop = Arc::new(AtomicBool::new(false));
            let from = Tap::open(&bed.topology.director, CLIENT_SIDE)?;
            let to = Tap::open(&bed.topology.director, REAL_PORT)?;
            let stopped = Arc::clone(&stop);
            let relay = std::thread::spawn(move || relay(&from, &to, tunnel, outer, &stopped));
            let seen = Tap::open(&bed.real().namespace, HOST_SIDE)?;
            let got = upload(&bed, SocketAddr::new(inner.vip(), 9), &sent);
            let longest = seen.drain(|_| true)?.iter().map(|p| p.payload.len()).max();
            stop.store(true, Relaxed);
            let relayed = relay.join();
            let case = format!("{tunnel:?}, {inner:?} in {outer:?}");
            relayed
                .map_err(|_| anyhow::anyhow!("relay"))
                .context(case.clone())??;
            assert!(got.context(case.clone())? == sent, "{case}");
            if tunnel == Tunnel::Ipip {
                assert!(longest > Some(1500), "{case}: nothing was merged");
            }
        }
    }
    let outcomes = agent.outcomes()?;
    for tunnel in Tunnel::ALL {
        assert!(outcomes[outcome_of(tunnel)] > 0, "{outcomes:?}");
    }
    for fault in ["malformed", "checksum", "no_room", "destination", "form"] {
        assert_eq!(outcomes[fault], 0, "{outcomes:?}");
    }
    Ok(())
}
