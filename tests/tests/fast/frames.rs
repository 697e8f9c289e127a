//! What the gate makes of single frames: lengths that do not agree, and resets.

use adminapi::model::{ExplainQuery, Protocol, Scheduler};
use anyhow::{Context, Result, ensure};
use testbed::accounts::balanced;
use testbed::api::dropped;
use testbed::packet::{Mac, Segment, ethernet, flag, ip, protocol, tcp, udp};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::topology::{CLIENT_V4, HOST_SIDE, Plan};
use testbed::traffic::UdpClient;
use testbed::wait;

use crate::bed::{FAMILY, PATIENCE, cached, flows, forwarded, lane, scene, state};

/// Waits until the director knows how long packets to the real servers may be.
fn await_mtu(scene: &Scene, mtu: u32) -> Result<()> {
    let query = ExplainQuery {
        protocol: Protocol::Udp,
        from: (CLIENT_V4, 9).into(),
        to: FAMILY.echo(),
        interface: None,
        call_id: None,
        flags: None,
    };
    wait::until("the MTU to be known", PATIENCE, || {
        let api = scene.director.api();
        let told = api.call(async |api| api.explain(&query).await)?;
        let hop = told.next_hop.context("no way")?;
        ensure!(hop.mtu == mtu, "{hop:?}");
        Ok(())
    })
}

/// A datagram that ends before its own header is none, whatever stands behind its end.
#[test]
fn a_header_in_the_padding_is_not_believed() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(|configuration| configuration)?;
    let tap = Tap::open(&scene.topology.client, HOST_SIDE)?;
    for (family, refused) in Family::BOTH.into_iter().zip(1..) {
        let echo = UdpClient::open(&scene.topology.client, family.echo())?;
        for _ in 0..3 {
            echo.echo(b"x")?;
        }
        let before = forwarded(&scene.director.api().stats()?);
        ensure!(before > 0);
        let (client, vip) = (echo.socket().local_addr()?, family.echo());
        let whole = udp(client, vip, b"");
        let mut header = whole[whole.len() - 8..].to_vec();
        header[4..6].fill(0);
        let empty = ip(client.ip(), vip.ip(), protocol::UDP, b"");
        let frame = [empty, header].concat();
        tap.send(&ethernet(Mac::of_host(1, 1), Mac::of_host(1, 0xfe), &frame))?;
        wait::until("the datagram to be refused", PATIENCE, || {
            let stats = scene.director.api().stats()?;
            let dropped = dropped(&stats, "truncated");
            ensure!(
                forwarded(&stats) == before && dropped == refused,
                "{stats:?}"
            );
            Ok(())
        })?;
    }
    balanced(&scene.director)
}

/// As a switch between may do, for whose sake the interface is not to be given up.
#[test]
fn padding_beyond_the_mtu_of_the_next_hop_is_left_behind() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let plan = Plan {
        reals: 1,
        mtu: 3000,
        ..Plan::default()
    };
    let scene = Scene::start_shaped(plan, Scheduler::Rr, &[1], |configuration| {
        configuration.fast_path(true)
    })?;
    let out = &scene.topology.interfaces()[1];
    scene
        .topology
        .director
        .ip(&format!("link set {out} mtu 1500\n"))?;
    await_mtu(&scene, 1500)?;
    let tap = Tap::open(&scene.topology.client, HOST_SIDE)?;
    for family in Family::BOTH {
        let echo = UdpClient::open(&scene.topology.client, family.echo())?;
        for _ in 0..3 {
            echo.echo(b"x")?;
        }
        let before = forwarded(&scene.director.api().stats()?);
        let packet = udp(echo.socket().local_addr()?, family.echo(), &[7; 1300]);
        let frame = [packet, vec![0; 300]].concat();
        for _ in 0..3 {
            wait::until("an answer", PATIENCE, || {
                tap.send(&ethernet(Mac::of_host(1, 1), Mac::of_host(1, 0xfe), &frame))?;
                let mut answer = [0; 2000];
                let length = echo.socket().recv(&mut answer)?;
                ensure!(answer[..length].ends_with(&[7; 1300]), "{family:?}");
                Ok(())
            })?;
        }
        ensure!(lane(&scene, out)? == (true, None));
        echo.echo(b"x")?;
        ensure!(forwarded(&scene.director.api().stats()?) >= before + 2);
    }
    balanced(&scene.director)
}

/// Resets at all distances from the number that would be right: those in the window are forwarded
/// and the endpoint challenges them, others are dropped, and only the exact one ends anything.
#[test]
fn a_reset_is_judged_by_what_the_gate_has_seen() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(|configuration| configuration)?;
    let mut open = cached(&scene)?;
    let tap = Tap::open(&scene.topology.client, HOST_SIDE)?;
    let reset = |sequence: u32| -> Result<()> {
        let segment = Segment {
            flags: flag::RST,
            sequence,
            ..Segment::default()
        };
        let packet = tcp(open.client()?, FAMILY.http(), segment);
        tap.send(&ethernet(
            Mac::of_host(1, 1),
            Mac::of_host(1, 0xfe),
            &packet,
        ))
    };
    let (next, _) = open.numbers()?;
    for away in [
        1,
        1000,
        1 << 20,
        1 << 30,
        1 << 31,
        u32::MAX,
        u32::MAX - 90_000,
    ] {
        reset(next.wrapping_add(away))?;
    }
    wait::until("the resets to be judged", PATIENCE, || {
        let dropped = scene.director.api().dropped("tcp_reset")?;
        ensure!(dropped >= 4, "{dropped}");
        Ok(())
    })?;
    ensure!(state(&scene)?[0].0 == "ESTABLISHED");
    ensure!(flows(&scene)? == 1, "it has left the gate");
    open.ask_name()?;
    let (next, _) = open.numbers()?;
    let packet = Segment {
        flags: flag::RST,
        sequence: next,
        ..Segment::default()
    };
    let packet = tcp(open.client()?, FAMILY.http(), packet);
    tap.send(&ethernet(
        Mac::of_host(1, 1),
        Mac::of_host(1, 0xfe),
        &packet,
    ))?;
    wait::until("the exact reset to close", PATIENCE, || {
        ensure!(flows(&scene)? == 0);
        ensure!(state(&scene)?.iter().all(|(state, _)| state == "CLOSE"));
        Ok(())
    })?;
    balanced(&scene.director)
}
