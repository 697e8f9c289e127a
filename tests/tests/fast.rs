//! The fast path: what the gate forwards by itself obeys all that the director decides, and no
//! interface is trusted that does not deliver.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use adminapi::model::{
    Connection, ExplainQuery, Protocol, Real, Scheduler, ServiceId, Stats, Status, TimeoutsPatch,
    Traffic,
};
use anyhow::{Context, Result, ensure};
use testbed::accounts::balanced;
use testbed::api::dropped;
use testbed::director::{Configuration, binary};
use testbed::haven::Haven;
use testbed::packet::{Mac, Segment, ethernet, flag, ip, protocol, tcp, udp};
use testbed::process::{Signal, output};
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::servers::big_file;
use testbed::topology::{CLIENT_SIDE, CLIENT_V4, HOST_SIDE, Plan, REAL_SIDE};
use testbed::traffic::{HttpConnection, UdpClient, download_sha256, file_sha256};
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(30);
const FAMILY: Family = Family::V4;

/// A director with the fast path, and one real server.
fn scene(shape: impl FnOnce(Configuration) -> Configuration) -> Result<Scene> {
    let plan = Plan {
        reals: 1,
        ..Plan::default()
    };
    Scene::start_shaped(plan, Scheduler::Rr, &[1], |configuration| {
        shape(configuration.fast_path(true))
    })
}

fn forwarded(stats: &Stats) -> u64 {
    stats.interfaces.iter().map(|each| each.forwarded).sum()
}

fn flows(scene: &Scene) -> Result<u64> {
    let status: Status = scene.director.api().status()?;
    Ok(status.fast_path.context("it has no fast path")?.flows)
}

/// A connection that the gate forwards both ways.
fn cached(scene: &Scene) -> Result<HttpConnection> {
    let mut open = HttpConnection::open(&scene.topology.client, FAMILY.http())?;
    let before = forwarded(&scene.director.api().stats()?);
    for _ in 0..3 {
        open.ask_name()?;
    }
    let after = forwarded(&scene.director.api().stats()?);
    ensure!(after > before && flows(scene)? == 1, "{before} {after}");
    Ok(open)
}

fn state(scene: &Scene) -> Result<Vec<(String, u32)>> {
    let listed = scene.director.api().connections(FAMILY.http_service())?;
    Ok(listed.into_iter().map(|c| (c.state, c.expires)).collect())
}

fn real(scene: &Scene) -> Real {
    let address = scene.topology.reals[0].address(FAMILY.vip());
    let service = testbed::director::service(
        Protocol::Tcp,
        FAMILY.http(),
        Scheduler::Rr,
        [(SocketAddr::new(address, 8080), 1)],
    );
    service.reals[0].clone()
}

#[test]
fn most_of_a_download_never_reaches_the_director() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(|configuration| configuration)?;
    let expected = file_sha256(&big_file()?)?;
    for family in Family::BOTH {
        let before = scene.director.api().stats()?;
        let client = &scene.topology.client;
        assert_eq!(download_sha256(client, family.http(), "/big")?, expected);
        let stats = scene.director.api().stats()?;
        let fast = forwarded(&stats) - forwarded(&before);
        let all = stats.total.received - before.total.received;
        ensure!(fast * 10 > all * 9, "{fast} of {all}, {family:?}");
    }
    balanced(&scene.director)?;
    wait::until("closed connections to leave the gate", PATIENCE, || {
        ensure!(flows(&scene)? == 0);
        Ok(())
    })
}

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

/// What a service and its real server say that they have carried.
fn carried(fast_path: bool) -> Result<(Traffic, Traffic)> {
    let scene = scene(|configuration| configuration.fast_path(fast_path))?;
    for family in Family::BOTH {
        let client = UdpClient::open(&scene.topology.client, family.echo())?;
        for length in 1..50 {
            client.echo(&vec![b'x'; length * 20])?;
        }
    }
    let stats = scene.director.api().stats()?;
    ensure!((forwarded(&stats) > 180) == fast_path, "{stats:?}");
    balanced(&scene.director)?;
    for family in Family::BOTH {
        let shown = only(&scene, family.echo_service())?.forwarded;
        ensure!(shown.is_some() == fast_path, "{shown:?}");
    }
    let v6 = scene.director.api().service(Family::V6.echo_service())?;
    ensure!(v6.stats == v6.reals[0].stats, "{v6:?}");
    let v4 = scene.director.api().service(Family::V4.echo_service())?;
    Ok((v4.stats, v6.stats))
}

#[test]
fn what_was_carried_is_counted_the_same_on_both_paths() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let fast = carried(true)?;
    assert_eq!(fast, carried(false)?);
    assert_eq!((fast.0.in_packets, fast.1.out_packets), (49, 49));
    Ok(())
}

/// What the gate counts of a connection is what it counts of all that it forwards, when there is no
/// other one, and is shown by the API and by the command line.
#[test]
fn what_the_gate_forwards_of_a_connection_is_shown_with_it() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(|configuration| configuration)?;
    let mut all = 0;
    for family in Family::BOTH {
        let header = if family == Family::V4 { 20 } else { 40 };
        let client = UdpClient::open(&scene.topology.client, family.echo())?;
        let echoed = (0..40).map(|_| client.echo(&[b'x'; 100]));
        let name = echoed.collect::<Result<Vec<_>>>()?.remove(0);
        let shown = only(&scene, family.echo_service())?.forwarded;
        let shown = shown.context("it is not cached")?;
        ensure!((30..40).contains(&shown.in_packets), "{shown:?}");
        ensure!((30..40).contains(&shown.out_packets), "{shown:?}");
        let bytes = |packets: u32, data: usize| u64::from(packets) * (header + 8 + data as u64);
        assert_eq!(shown.in_bytes, bytes(shown.in_packets, 100));
        let answer = name.len() + 1 + 100;
        assert_eq!(shown.out_bytes, bytes(shown.out_packets, answer));
        let now = forwarded(&scene.director.api().stats()?);
        assert_eq!(now - all, u64::from(shown.in_packets + shown.out_packets));
        all = now;
    }
    let socket = format!("unix:{}", scene.director.socket().display());
    let mut command = scene.topology.director.command(binary("bulwark")?);
    let told = output(command.env("BULWARK_API", socket).args(["-Lnc", "--json"]))?;
    ensure!(told.matches("\"forwarded\":").count() == 2, "{told}");
    Ok(())
}

/// The one connection of a service.
fn only(scene: &Scene, service: ServiceId) -> Result<Connection> {
    let mut listed = scene.director.api().connections(service)?;
    ensure!(listed.len() == 1, "{listed:?}");
    Ok(listed.remove(0))
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

#[test]
fn a_busy_connection_lives_and_an_idle_one_dies() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(|configuration| configuration.timeout("tcp", 4))?;
    let mut open = cached(&scene)?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(7) {
        open.ask_name()?;
        std::thread::sleep(Duration::from_millis(200));
    }
    ensure!(
        state(&scene)?
            .first()
            .is_some_and(|(_, expires)| *expires > 0)
    );
    wait::until("the idle connection to be forgotten", PATIENCE, || {
        ensure!(state(&scene)?.is_empty() && flows(&scene)? == 0);
        Ok(())
    })
}

/// As in the kernel, whose connections keep their end until their next packet.
#[test]
fn an_idle_connection_keeps_its_end_when_timeouts_get_shorter() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(|configuration| configuration)?;
    let mut open = cached(&scene)?;
    std::thread::sleep(Duration::from_secs(3));
    let set = |tcp, udp| {
        let patch = TimeoutsPatch {
            tcp,
            udp,
            ..TimeoutsPatch::default()
        };
        let api = scene.director.api();
        api.call(async |api| api.change_timeouts(patch).await)
    };
    set(Some(100), None)?;
    let listed = state(&scene)?;
    ensure!(matches!(&listed[..], [(_, 600..)]), "{listed:?}");
    let spoke = Instant::now();
    open.ask_name()?;
    let keeps = || {
        let listed = state(&scene)?;
        let gone = u32::try_from(spoke.elapsed().as_secs() + 1)?;
        let is_kept =
            matches!(&listed[..], [(_, left)] if (100..=100 + gone).contains(&(left + gone)));
        ensure!(is_kept, "{listed:?} after {gone} s");
        Ok(())
    };
    set(None, Some(60))?;
    keeps()?;
    set(Some(2), None)?;
    std::thread::sleep(Duration::from_secs(2));
    keeps()?;
    open.ask_name()?;
    wait::until("the idle connection to be forgotten", PATIENCE, || {
        ensure!(state(&scene)?.is_empty() && flows(&scene)? == 0);
        Ok(())
    })
}

/// The gate goes on, but with the time that it was told last.
#[test]
fn who_talks_while_the_director_stands_still_lives() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut scene = scene(|configuration| configuration.timeout("tcp", 4))?;
    let mut open = cached(&scene)?;
    scene.director.process().signal(Signal::Stop)?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(7) {
        open.ask_name().context("while it stands still")?;
        std::thread::sleep(Duration::from_millis(100));
    }
    scene.director.process().signal(Signal::Cont)?;
    for _ in 0..5 {
        open.ask_name().context("when it goes on")?;
        std::thread::sleep(Duration::from_millis(100));
    }
    balanced(&scene.director)
}

#[test]
fn a_removed_real_server_gets_nothing_until_it_is_back() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(|configuration| configuration)?;
    let mut open = cached(&scene)?;
    let (api, real) = (scene.director.api(), real(&scene));
    let id = FAMILY.http_service();
    api.remove_real(id, SocketAddr::new(real.address, 8080))?;
    std::thread::scope(|scope| -> Result<()> {
        let asked = scope.spawn(|| open.ask_name());
        wait::until("a packet to be refused", PATIENCE, || {
            ensure!(api.dropped("real_removed")? > 0);
            Ok(())
        })?;
        api.add_real(id, &real)?;
        asked.join().expect("no panic").map(drop)
    })?;
    balanced(&scene.director)
}

#[test]
fn another_station_and_another_route_are_followed() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(|configuration| configuration)?;
    let mut open = cached(&scene)?;
    let (host, director) = (&scene.topology.reals[0], &scene.topology.director);
    let other = Mac::of_host(2, 77);
    host.namespace
        .ip(&format!("link set {HOST_SIDE} address {other}\n"))?;
    director.ip(&format!(
        "neigh replace {} lladdr {other} dev {REAL_SIDE} nud reachable\n",
        host.v4
    ))?;
    open.ask_name().context("with another station")?;
    director.ip(&format!("route add blackhole {}/32\n", host.v4))?;
    wait::until("the route to be obeyed", PATIENCE, || {
        open.send_request()?;
        ensure!(scene.director.api().dropped("unreachable")? > 0);
        Ok(())
    })
}

fn lane(scene: &Scene, name: &str) -> Result<(bool, Option<String>)> {
    let status = scene.director.api().status()?;
    let mut interfaces = status.interfaces.into_iter();
    let found = interfaces.find(|each| each.name == name);
    let found = found.context("no such interface")?;
    Ok((found.fast_path, found.slow_because))
}

fn set_gro(scene: &Scene, word: &str) -> Result<()> {
    let client = &scene.topology.client;
    client
        .run("ethtool", &["-K", HOST_SIDE, "gro", word])
        .map(drop)
}

/// The gate is pinned, and forwards what was established without a director; the next one knows how
/// far both ends have come meanwhile.
#[test]
fn connections_go_on_while_there_is_no_director_and_after() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let haven = Haven::new()?;
    let mut scene = scene(|configuration| haven.shelter(configuration))?;
    let mut open = cached(&scene)?;
    scene.director.end_by(Signal::Kill)?;
    for _ in 0..50 {
        open.ask_name().context("without a director")?;
    }
    scene.start_next()?;
    for _ in 0..3 {
        open.ask_name().context("with another director")?;
    }
    ensure!(flows(&scene)? == 1);
    balanced(&scene.director)?;

    scene.director.end_by(Signal::Kill)?;
    scene.configuration = (scene.configuration.clone()).filter("black_hole", vec!["10.0.1.0/24"]);
    scene.start_next()?;
    wait::until("the black hole to take it", PATIENCE, || {
        ensure!(flows(&scene)? == 0 && state(&scene)?.is_empty());
        Ok(())
    })
}

/// A veth whose far end has no NAPI takes redirected frames and loses them. It is found before it
/// is used; when it stops to deliver in the midst of a download, that goes on all the same.
#[test]
fn an_interface_that_does_not_deliver_stays_slow_and_loses_no_connection() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = scene(|configuration| configuration)?;
    let expected = file_sha256(&big_file()?)?;
    let client = &scene.topology.client;
    std::thread::scope(|scope| -> Result<()> {
        let download = scope.spawn(|| download_sha256(client, FAMILY.http(), "/big"));
        wait::until("the download to be under way", PATIENCE, || {
            ensure!(forwarded(&scene.director.api().stats()?) > 1000);
            Ok(())
        })?;
        set_gro(&scene, "off")?;
        assert_eq!(download.join().expect("no panic")?, expected);
        Ok(())
    })?;
    let lane_is = |on: bool| {
        wait::until("the lane to be known", PATIENCE, || {
            let (is_on, why) = lane(&scene, CLIENT_SIDE)?;
            ensure!(is_on == on && why.is_none() == on, "{why:?}");
            Ok(())
        })
    };
    // Something has to be sent to be refused.
    assert_eq!(download_sha256(client, FAMILY.http(), "/big")?, expected);
    lane_is(false)?;
    ensure!(lane(&scene, REAL_SIDE)? == (true, None));
    set_gro(&scene, "on")?;
    lane_is(true)?;
    assert_eq!(download_sha256(client, FAMILY.http(), "/big")?, expected);
    Ok(())
}
