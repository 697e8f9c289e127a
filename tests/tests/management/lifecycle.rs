//! Starts, ends and changes: what users do to a director while others use it.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use adminapi::model::{ForwardingMethod, Real, Scheduler};
use anyhow::{Result, ensure};
use director::datapath::{self, Datapath, Mode, Settings};
use director::gate::Roles;
use director::time::{Clock, Tick};
use director::worker::{Outbox, Walk};
use director::xsk::{Frame, Umem};
use libbpf_rs::query::ProgInfoIter;
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, Director, run_to_end};
use testbed::packet::{Mac, Packet, Segment, ethernet, protocol, tcp};
use testbed::process::Signal;
use testbed::raw::Tap;
use testbed::require;
use testbed::scene::{Family, Scene, services};
use testbed::servers::{Nginx, OTHER_HTTP_PORT};
use testbed::topology::{CLIENT_V4, HOST_SIDE, Plan, Topology};
use testbed::traffic::{HttpConnection, fetch_names, is_served, tally};
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(30);
const HTTP: Family = Family::V4;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Instructions that the kernel looks at before it takes a program (`BPF_COMPLEXITY_LIMIT_INSNS`).
const VERIFIER_LIMIT: u32 = 1_000_000;

/// A connection to each of the three real servers, with its name.
fn one_each(scene: &Scene) -> Result<Vec<(String, HttpConnection)>> {
    let mut open = (0..3)
        .map(|_| {
            let mut connection = HttpConnection::open(&scene.topology.client, HTTP.http())?;
            Ok((connection.ask_name()?, connection))
        })
        .collect::<Result<Vec<_>>>()?;
    open.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(
        open.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        ["rs1", "rs2", "rs3"]
    );
    Ok(open)
}

/// Another compiler or kernel may take a longer way through the gate; and what is checked once for
/// each interface is the better part of a start.
#[test]
fn the_kernel_checks_the_gate_with_room_to_spare() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let _scene = Scene::start()?;
    let gates = ProgInfoIter::default().filter(|program| program.name == "gate");
    let longest = gates.map(|gate| gate.verified_insns).max();
    assert!(longest > Some(0), "no gate is loaded");
    assert!(longest < Some(VERIFIER_LIMIT / 2), "{longest:?}");
    Ok(())
}

#[test]
fn a_dead_real_takes_only_its_own_connections_with_it() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut scene = Scene::start()?;
    let mut open = one_each(&scene)?;
    scene.web[1].kill()?;
    assert!(open[1].1.ask_name().is_err());
    assert_eq!(open[0].1.ask_name()?, "rs1");
    assert_eq!(open[2].1.ask_name()?, "rs3");

    let dead = (scene.topology.reals[1].v4, OTHER_HTTP_PORT).into();
    scene
        .director
        .api()
        .remove_real(HTTP.http_service(), dead)?;
    let names = tally(fetch_names(&scene.topology.client, HTTP.http(), 10)?);
    assert_eq!(
        names.values().copied().collect::<Vec<_>>(),
        [5, 5],
        "{names:?}"
    );
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn established_connections_stay_when_their_service_changes() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let mut open = one_each(&scene)?;
    let changed = services(&scene.topology, Scheduler::Wlc, &[0, 1, 1])
        .into_iter()
        .find(|service| service.id == HTTP.http_service())
        .expect("the scene has it");
    scene.director.api().put_service(&changed)?;
    let names = tally(fetch_names(&scene.topology.client, HTTP.http(), 10)?);
    assert!(
        !names.contains_key("rs1"),
        "weight 0 still gets new connections: {names:?}"
    );
    for (name, connection) in &mut open {
        assert_eq!(connection.ask_name()?, *name);
    }
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn services_and_reals_come_and_go_under_traffic() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let (client, api) = (&scene.topology.client, scene.director.api());
    let service = api.service(HTTP.http_service())?;
    api.remove_service(service.id)?;
    assert!(!is_served(client, HTTP.http()), "a removed service answers");
    assert_eq!(fetch_names(client, Family::V6.http(), 3)?.len(), 3);

    let mut again = services(&scene.topology, Scheduler::Rr, &[1])
        .into_iter()
        .find(|service| service.id == HTTP.http_service())
        .expect("the scene has it");
    api.add_service(&again)?;
    assert_eq!(tally(fetch_names(client, HTTP.http(), 4)?)["rs1"], 4);
    let real = Real {
        address: scene.topology.reals[1].v4.into(),
        port: Some(OTHER_HTTP_PORT),
        weight: 1,
        method: ForwardingMethod::Nat,
        tun: None,
        upper: 0,
        lower: 0,
        check: None,
    };
    api.add_real(again.id, &real)?;
    again.reals.push(real);
    assert_eq!(api.service(again.id)?.reals.len(), 2);
    let names = tally(fetch_names(client, HTTP.http(), 4)?);
    assert_eq!((names["rs1"], names["rs2"]), (2, 2));
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn a_client_port_that_is_used_again_gets_past_a_removed_real() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut scene = Scene::start_with(Plan::default(), Scheduler::Rr, &[1, 0, 0])?;
    scene.web[0].kill()?;
    let tap = Tap::open(&scene.topology.client, HOST_SIDE)?;
    let client = (CLIENT_V4, 40_000).into();
    let answer = |sequence, flags: u8| -> Result<Packet> {
        let syn = Segment {
            sequence,
            acknowledgement: 0,
            flags: SYN,
            payload: b"",
        };
        let syn = tcp(client, HTTP.http(), syn);
        let syn = ethernet(Mac::of_host(1, 1), Mac::of_host(1, 0xfe), &syn);
        let what = format!("a segment with the flags {flags:#x}");
        let is_answer = |p: &Packet| p.protocol == protocol::TCP && p.payload[13] == flags;
        tap.expect_answer(&what, || tap.send(&syn), is_answer)
    };
    answer(1000, RST | ACK)?;
    let mut changed = services(&scene.topology, Scheduler::Rr, &[1, 1])
        .into_iter()
        .find(|service| service.id == HTTP.http_service())
        .expect("the scene has it");
    changed.reals.remove(0);
    scene.director.api().put_service(&changed)?;
    answer(900_000, SYN | ACK)?;
    assert_accounts(&scene.director);
    Ok(())
}

/// The director's interfaces carry no XDP program soon after its end: until it has become another
/// program, a process that is begun meanwhile has all that is open here.
fn await_bare(topology: &Topology) -> Result<()> {
    wait::until("bare interfaces", PATIENCE, || {
        let links = topology.director.run("ip", &["link", "show"])?;
        ensure!(!links.contains("xdp"), "{links}");
        Ok(())
    })
}

/// The director's interfaces carry no XDP program, and the network works.
fn assert_as_it_was(topology: &Topology) -> Result<()> {
    await_bare(topology)?;
    for address in ["10.0.1.254", "fd00:1::fe", "10.9.9.9", "10.0.2.1"] {
        wait::until("an answer", PATIENCE, || {
            topology.client.run("ping", &["-c1", "-W2", address])
        })?;
    }
    Ok(())
}

#[test]
fn every_end_leaves_the_interfaces_usable_and_a_restart_works() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let topology = Topology::build(Plan::default())?;
    let _web = topology
        .reals
        .iter()
        .map(Nginx::start)
        .collect::<Result<Vec<_>>>()?;
    let configuration = Configuration::new(topology.interfaces()).services(services(
        &topology,
        Scheduler::Rr,
        &[1, 1, 1],
    ));
    for signal in [Signal::Term, Signal::Kill, Signal::Term] {
        let mut director = Director::start(&topology.director, &configuration)?;
        let links = topology.director.run("ip", &["link", "show"])?;
        assert!(links.contains("xdp"), "{links}");
        assert_eq!(fetch_names(&topology.client, HTTP.http(), 3)?.len(), 3);
        let status = director.end_by(signal)?;
        assert_eq!(
            status.success(),
            signal == Signal::Term,
            "{status}\n{}",
            director.log()
        );
        assert_as_it_was(&topology)?;
    }
    Ok(())
}

/// A path with a fault in it.
struct Faulty;

impl Walk for Faulty {
    fn walk(&mut self, _: &Umem, _: u16, _: &mut Vec<Frame>, _: &mut Outbox, _: Tick) {
        panic!("a fault, made by the test");
    }

    fn tidy(&mut self, _: &Umem, _: &mut Outbox, _: Tick) {}
}

#[test]
fn a_panic_of_a_worker_is_told_and_leaves_the_interfaces_usable() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let topology = Topology::build(Plan::default())?;
    let settings = Settings {
        interfaces: topology.interfaces(),
        mode: Mode::Auto,
        workers: None,
        frames: 8192,
        ring: 1024,
        flows: 0,
        connections: 1000,
        pin: None,
    };
    let (tell, told) = mpsc::channel();
    let client = &topology.client;
    topology.director.enter(move || {
        let mut datapath = Datapath::open(&settings)?;
        let stop = Arc::new(AtomicBool::new(false));
        let ended = move |_, why| tell.send(why).unwrap_or_default();
        let workers = datapath.start(Clock::start(), &stop, vec![Faulty], ended)?;
        let station = Mac::of_host(1, 0xfe).0;
        datapath.gate.set_station(0, director::wire::Mac(station))?;
        let service = director::wire::Endpoint::from(HTTP.http());
        datapath.gate.endpoints().set_roles(
            director::wire::Protocol::Tcp,
            service,
            Roles::SERVICE,
        )?;
        assert!(!is_served(client, HTTP.http()));
        assert!(told.recv_timeout(PATIENCE)?.contains("panic"));
        datapath::stop(&stop, workers);
        Ok(())
    })?;
    assert_as_it_was(&topology)
}

#[test]
fn an_interface_that_goes_ends_the_director_with_a_word() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut scene = Scene::start()?;
    scene.topology.director.ip("link del rs0")?;
    let status = scene.director.process().wait(PATIENCE)?;
    assert!(!status.success());
    let log = scene.director.log();
    assert!(log.contains("interface is gone"), "{log}");
    await_bare(&scene.topology)
}

#[test]
fn a_hangup_reloads_services_and_a_bad_file_changes_nothing() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut scene = Scene::start()?;
    let mut open = one_each(&scene)?;
    let interfaces = scene.topology.interfaces();
    let fewer =
        Configuration::new(interfaces).services(services(&scene.topology, Scheduler::Rr, &[1]));
    let served = |scene: &Scene| -> Result<usize> {
        Ok(scene
            .director
            .api()
            .service(HTTP.http_service())?
            .reals
            .len())
    };
    scene.director.reload("not TOML [")?;
    wait::until_true("the refusal", PATIENCE, || {
        scene.director.log().contains("not reloaded")
    })?;
    assert_eq!(served(&scene)?, 3);
    let text = fewer.text(&scene.director.socket())?;
    scene.director.reload(&text)?;
    wait::until_true("the new services", PATIENCE, || {
        served(&scene).is_ok_and(|n| n == 1)
    })?;
    assert_eq!(
        tally(fetch_names(&scene.topology.client, HTTP.http(), 4)?)["rs1"],
        4
    );
    assert_eq!(open[0].1.ask_name()?, "rs1");
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn a_second_director_on_the_same_interfaces_is_refused() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let scene = Scene::start()?;
    let second = Configuration::new(scene.topology.interfaces());
    let text = second.text(Path::new("/tmp/bulwark-second.sock"))?;
    let (status, said) = run_to_end(&scene.topology.director, &[], &text)?;
    assert!(!status.success());
    assert!(said.contains("cl0"), "it names no interface: {said}");
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(
        fetch_names(&scene.topology.client, HTTP.http(), 3)?.len(),
        3
    );
    assert_accounts(&scene.director);
    Ok(())
}

#[test]
fn what_cannot_start_says_why() -> Result<()> {
    if !require::programs(&["ip", "ethtool", "setpriv"]) {
        return Ok(());
    }
    let topology = Topology::with_one_real()?;
    let socket = Path::new("/tmp/bulwark-refused.sock");
    let good = Configuration::new(topology.interfaces()).text(socket)?;
    let missing = Configuration::new(vec!["nic7".to_owned()]).text(socket)?;
    let unknown = good.replace("fast_path", "fast_paht");
    let powerless: &[&str] = &["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    let cases: [(&[&str], &str, &[&str]); 4] = [
        (&[], &missing, &["nic7"]),
        (&[], &unknown, &["bulwark.toml:", "fast_paht", "fast_path"]),
        (&[], "[datapath", &["bulwark.toml:1"]),
        (powerless, &good, &["CAP_"]),
    ];
    for (wrapper, text, words) in cases {
        let (status, said) = run_to_end(&topology.director, wrapper, text)?;
        assert!(!status.success(), "started with {text}");
        assert!(
            words.iter().all(|word| said.contains(word)),
            "no {words:?} in: {said}"
        );
        assert!(!said.contains("panicked"), "{said}");
    }
    assert_as_it_was(&topology)
}
