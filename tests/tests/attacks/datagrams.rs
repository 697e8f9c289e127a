//! A flood of datagrams from addresses that are made up, to a UDP service: who is known goes on, and so
//! does who comes again.

use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use adminapi::model::{Defense, Protocol as Of, RepeatPolicy, Scheduler, ServicePatch};
use anyhow::{Context, Result, ensure};
use director::gate::{Repeating, Roles, Trial, Verdict};
use director::wire::{Endpoint, Mac, Protocol, Tuple};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testbed::accounts::assert_accounts;
use testbed::director::Configuration;
use testbed::packet::{self, ethernet, udp};
use testbed::process::Process;
use testbed::require;
use testbed::scene::{Family, Scene};
use testbed::servers::ECHO_PORT;
use testbed::topology::Plan;
use testbed::traffic::{UdpClient, fetch_names};
use testbed::wait;

const HIT: Family = Family::V4;
const PATIENCE: Duration = Duration::from_secs(60);
/// When a client asks again.
const AGAIN: Duration = Duration::from_secs(1);
const PROGRAMS: [&str; 7] = ["ip", "ethtool", "nginx", "curl", "sysctl", "ping", "hping3"];

/// A director whose levels change within seconds, and which has a way to every address.
fn start() -> Result<Scene> {
    start_shaped(|shape| shape)
}

fn start_shaped(more: impl FnOnce(Configuration) -> Configuration) -> Result<Scene> {
    let scene = Scene::start_shaped(Plan::default(), Scheduler::Rr, &[1, 1, 1], |shape| {
        let brisk = shape.defense("dwell", 1);
        // Some of a flood will do, where others have the machine.
        more(brisk.defense("new_udp", 200).defense("new_udp_leave", 10))
    })?;
    let director = &scene.topology.director;
    director.ip("route add default via 10.0.1.1\n")?;
    Ok(scene)
}

fn flood(scene: &Scene) -> Result<Process> {
    let port = ECHO_PORT.to_string();
    let mut command = scene.topology.client.command("hping3");
    command.args(["--udp", "--flood", "--rand-source", "-p", &port]);
    command.arg(HIT.vip().to_string());
    Process::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()))
}

fn defense(scene: &Scene) -> Result<Defense> {
    scene.director.api().defense(Some(HIT.echo_service()))
}

fn await_step(scene: &Scene, level: u8, rung: &str) -> Result<Defense> {
    wait::until(rung, PATIENCE, || {
        let now = defense(scene)?;
        ensure!((now.level, &*now.rung) == (level, rung), "{now:?}");
        Ok(now)
    })
}

fn dropped_first(scene: &Scene) -> Result<u64> {
    scene.director.api().dropped("first_datagram")
}

#[test]
fn a_flood_of_datagrams_has_clients_come_twice_until_it_is_over() -> Result<()> {
    if !require::programs(&PROGRAMS) {
        return Ok(());
    }
    let scene = start()?;
    let client = &scene.topology.client;
    let open = || -> Result<UdpClient> {
        let opened = UdpClient::open(client, HIT.echo())?;
        // Who asks no more often than once in 8 s may be forgotten in between.
        opened.socket().set_read_timeout(Some(AGAIN))?;
        Ok(opened)
    };
    let echo = |of: &UdpClient, word: &[u8]| wait::until("an echo", PATIENCE, || of.echo(word));
    let known = open()?;
    let name = echo(&known, b"first")?;
    echo(&known, b"again")?;

    let flood = flood(&scene)?;
    let now = await_step(&scene, 1, "repeats")?;
    ensure!(
        now.repeats.is_some_and(|repeats| repeats.active),
        "inactive"
    );
    for _ in 0..5 {
        echo(&open()?, b"new")?;
        assert_eq!(echo(&known, b"known")?, name);
        fetch_names(client, HIT.http(), 1)?;
    }
    let status = scene.director.api().status()?.connections;
    ensure!(status.entries < status.limit / 2, "{status:?}");
    ensure!(dropped_first(&scene)? > 100, "{}", dropped_first(&scene)?);

    drop(flood);
    await_step(&scene, 0, "none")?;
    let before = dropped_first(&scene)?;
    assert_eq!(echo(&known, b"known")?, name);
    echo(&open()?, b"new")?;
    assert_eq!(dropped_first(&scene)?, before);
    assert_accounts(&scene.director);
    Ok(())
}

/// The service says whether its clients come twice, and where it says nothing, the director.
#[test]
fn a_service_says_itself_whether_its_clients_come_twice() -> Result<()> {
    if !require::programs(&PROGRAMS) {
        return Ok(());
    }
    let scene = start_shaped(|shape| shape.defense("udp_repeats", "off"))?;
    let api = scene.director.api();
    let says = |policy| {
        let patch = ServicePatch {
            udp_repeats: Some(policy),
            ..ServicePatch::default()
        };
        let change =
            api.call(async |client| client.change_service(HIT.echo_service(), patch).await);
        change.map(drop)
    };
    let holds = |policy, active| {
        wait::until("what is said", PATIENCE, || {
            let repeats = defense(&scene)?.repeats.context("no repeats")?;
            ensure!(
                (repeats.policy, repeats.active) == (policy, active),
                "{repeats:?}"
            );
            Ok(())
        })
    };
    says(Some(RepeatPolicy::Auto))?;
    holds(RepeatPolicy::Auto, false)?;
    let _flood = flood(&scene)?;
    await_step(&scene, 1, "repeats")?;
    let explained = || {
        let told = api.explain(Of::Udp, "172.16.0.1:1000".parse()?, HIT.echo())?;
        anyhow::Ok(told.repeats)
    };
    assert!(explained()?);
    let (own, director) = (Some(RepeatPolicy::Off), None);
    for policy in [own, director] {
        says(policy)?;
        holds(RepeatPolicy::Off, false)?;
        assert!(!explained()?);
        // What the gate had dropped until then is counted for a while.
        wait::until("a second without a drop", PATIENCE, || {
            let before = dropped_first(&scene)?;
            std::thread::sleep(AGAIN);
            let more = dropped_first(&scene)? - before;
            ensure!(more == 0, "{policy:?}: {more} dropped");
            Ok(())
        })?;
        says(Some(RepeatPolicy::Auto))?;
        holds(RepeatPolicy::Auto, true)?;
    }
    Ok(())
}

const SLOT: u16 = 3;

/// A gate with a UDP service, whose clients have to come twice.
fn gate(vip: SocketAddr) -> Result<Trial> {
    let gate = Trial::new(1000)?;
    gate.set_station(Mac(packet::Mac::of_host(1, 254).0))?;
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        gate.endpoints()
            .set_roles(protocol, vip.into(), Roles::SERVICE)?;
    }
    let repeating = Repeating {
        slot: SLOT,
        shared: false,
    };
    gate.endpoints()
        .set_repeating(vip.into(), Some(repeating))?;
    Ok(gate)
}

/// Whether a packet from the client goes on to the director.
fn goes_on(gate: &Trial, packet: &[u8]) -> Result<bool> {
    let frame = ethernet(
        packet::Mac::of_host(1, 1),
        packet::Mac::of_host(1, 254),
        packet,
    );
    Ok(gate.put(&frame)?.0 == Verdict::Redirect)
}

fn vips() -> [SocketAddr; 2] {
    Family::BOTH.map(Family::echo)
}

fn client(vip: SocketAddr, host: u16, port: u16) -> SocketAddr {
    let [high, low] = host.to_be_bytes();
    let addr: IpAddr = match vip.ip() {
        IpAddr::V4(_) => [172, 16, high, low].into(),
        IpAddr::V6(_) => [0x2001, 0xdb8, 0, 0, 0, 0, 0, host].into(),
    };
    SocketAddr::new(addr, port)
}

#[test]
fn who_is_not_known_has_to_come_twice() -> Result<()> {
    if !require::programs(&[]) {
        return Ok(());
    }
    for vip in vips() {
        let gate = gate(vip)?;
        let asks = |host, port| goes_on(&gate, &udp(client(vip, host, port), vip, b"?"));
        assert!(!asks(1, 1000)?, "it is heard for the first time");
        assert!(asks(1, 1000)? && asks(1, 2000)?, "also from another port");
        let known = client(vip, 2, 1000);
        let tuple = Tuple {
            protocol: Protocol::Udp,
            src: Endpoint::from(known),
            dst: Endpoint::from(vip),
        };
        gate.roll().enter(&tuple);
        assert!(asks(2, 1000)?, "it has a connection");
        assert_eq!(gate.first_datagrams(SLOT)?, 1);
        let syn = packet::Segment {
            flags: packet::flag::SYN,
            ..packet::Segment::default()
        };
        let syn = packet::tcp(client(vip, 3, 1000), vip, syn);
        assert!(goes_on(&gate, &syn)?, "it is not about TCP");
        gate.endpoints().set_repeating(vip.into(), None)?;
        assert!(asks(4, 1000)?, "it is over");
        assert_eq!(gate.first_datagrams(SLOT)?, 1);
    }
    Ok(())
}

#[test]
fn little_of_what_comes_once_gets_by() -> Result<()> {
    const ALL: usize = 20_000;
    if !require::programs(&[]) {
        return Ok(());
    }
    let mut rng = StdRng::seed_from_u64(7);
    for vip in vips() {
        let gate = gate(vip)?;
        let mut by = 0;
        for _ in 0..ALL {
            let addr: IpAddr = match vip.ip() {
                IpAddr::V4(_) => rng.random::<[u8; 4]>().into(),
                IpAddr::V6(_) => rng.random::<[u16; 8]>().into(),
            };
            let from = SocketAddr::new(addr, rng.random());
            by += usize::from(goes_on(&gate, &udp(from, vip, b"?"))?);
        }
        assert!(by < ALL / 100, "{by} of {ALL}");
    }
    Ok(())
}
