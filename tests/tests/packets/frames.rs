//! No frame and no packet is lost, whatever comes.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::generator::{Flows, Generator, Kind, Sink};
use testbed::packet::{Mac, ethernet};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::topology::HOST_SIDE;
use testbed::traffic::fetch_names;
use testbed::wait;

const MILLION: u32 = 1_000_000;
const PATIENCE: Duration = Duration::from_secs(60);

fn first_source(family: Family) -> SocketAddr {
    match family {
        Family::V4 => "172.16.0.0:1024".parse(),
        Family::V6 => "[fd00:16::]:1024".parse(),
    }
    .expect("a socket address")
}

/// Floods of every kind, a million packets together.
fn floods() -> Vec<(Flows, u32)> {
    let flows = |family: Family, kind, count| Flows {
        kind,
        source: first_source(family),
        destination: if kind == Kind::Udp {
            family.echo()
        } else {
            family.http()
        },
        count,
        frame: if family == Family::V4 { 60 } else { 74 },
    };
    vec![
        (flows(Family::V4, Kind::Udp, 1024), MILLION * 3 / 10),
        (flows(Family::V6, Kind::Udp, 1024), MILLION * 2 / 10),
        (flows(Family::V4, Kind::TcpSyn, 0), MILLION * 2 / 10),
        (flows(Family::V6, Kind::TcpSyn, 0), MILLION / 10),
        (flows(Family::V4, Kind::TcpData, 0), MILLION * 2 / 10),
    ]
}

#[test]
fn a_million_packets_leave_every_frame_accounted_for() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let topology = &scene.topology;
    topology
        .director
        .ip("route add 172.16.0.0/12 via 10.0.1.1\nroute add fd00:16::/64 via fd00:1::1\n")?;
    let sink = Sink::new(topology.bridge.as_ref().context("no bridge")?, "uplink")?;
    for (flows, count) in floods() {
        let generator = Generator::new(&topology.client, &flows)?;
        let received = || anyhow::Ok(scene.director.api().stats()?.total.received);
        let enough = received()? + u64::from(count);
        wait::until("the whole flood", PATIENCE, || {
            let missing = enough.saturating_sub(received()?);
            if missing > 0 {
                // Also what a busy machine loses on the way.
                generator.send(&topology.client, u32::try_from(missing)?)?;
            }
            ensure!(missing == 0, "{missing} packets are missing");
            Ok(())
        })?;
        assert_accounts(&scene.director);
    }
    assert!(
        sink.sunk()? > 0 && sink.answered()? > 0,
        "nothing was forwarded"
    );
    drop(sink);
    assert_eq!(
        fetch_names(&topology.client, Family::V4.http(), 3)?.len(),
        3
    );
    assert_accounts(&scene.director);
    Ok(())
}

/// Frames that no sender should send: each is passed or dropped, none kills the director.
fn odd_frames() -> Vec<Vec<u8>> {
    let good = testbed::packet::udp(first_source(Family::V4), Family::V4.echo(), b"payload");
    let (client, director) = (Mac::of_host(1, 1), Mac::of_host(1, 0xfe));
    let frame = ethernet(client, director, &good);
    let changed = |at: usize, value: u8| {
        let mut odd = frame.clone();
        odd[at] = value;
        odd
    };
    let cut = (14..frame.len()).map(|length| frame[..length].to_vec());
    let headers = [
        (14, 0x44),
        (14, 0x4f),
        (14, 0x55),
        (16, 0xff),
        (17, 0),
        (20, 0x20),
        (21, 1),
        (38, 0xff),
    ];
    cut.chain(headers.map(|(at, value)| changed(at, value)))
        .collect()
}

#[test]
fn odd_frames_are_accounted_for_too() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let tap = Tap::open(&scene.topology.client, HOST_SIDE)?;
    for frame in odd_frames() {
        tap.send(&frame)?;
    }
    assert_eq!(
        fetch_names(&scene.topology.client, Family::V4.http(), 3)?.len(),
        3
    );
    assert_accounts(&scene.director);
    Ok(())
}

/// A datagram of IPv6 behind as many extension headers that say nothing (RFC 8200 4.6).
fn behind_options(packet: &[u8], headers: usize) -> Vec<u8> {
    const OPTIONS: u8 = 60;
    const PADDING: [u8; 6] = [1, 4, 0, 0, 0, 0];
    let (header, payload) = packet.split_at(40);
    let protocols = std::iter::repeat_n(OPTIONS, headers).chain([header[6]]);
    let chain: Vec<u8> = protocols
        .clone()
        .skip(1)
        .flat_map(|next| [&[next, 0], &PADDING[..]].concat())
        .collect();
    let mut header = header.to_vec();
    let length = (chain.len() + payload.len()) as u16;
    header[4..6].copy_from_slice(&length.to_be_bytes());
    header[6] = protocols.clone().next().unwrap_or(OPTIONS);
    [header, chain, payload.to_vec()].concat()
}

/// The gate and the workers agree on how many extension headers are read.
#[test]
fn eight_extension_headers_are_read() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let tap = Tap::open(&scene.topology.client, HOST_SIDE)?;
    let datagram = testbed::packet::udp(first_source(Family::V6), Family::V6.echo(), b"payload");
    let forwarded = || anyhow::Ok(scene.director.api().stats()?.traffic.in_packets);
    for (headers, read) in [(0, true), (7, true), (8, true), (9, false)] {
        let before = forwarded()?;
        let packet = behind_options(&datagram, headers);
        tap.send(&ethernet(
            Mac::of_host(1, 1),
            Mac::of_host(1, 0xfe),
            &packet,
        ))?;
        // One that is not taken has to be waited for.
        let patience = if read {
            PATIENCE
        } else {
            Duration::from_secs(2)
        };
        let taken = wait::until("the datagram", patience, || {
            ensure!(forwarded()? > before);
            Ok(())
        });
        assert_eq!(taken.is_ok(), read, "{headers} extension headers");
    }
    let drops = scene.director.api().stats()?.drops;
    assert_eq!(drops.get("too_many_extensions"), None);
    assert_accounts(&scene.director);
    Ok(())
}
