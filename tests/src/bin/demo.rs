//! Three web servers behind one virtual address, in network namespaces of their own: serves real
//! HTTP through a director, shows who served what, and checks that both sides counted the same.
//! Exits with 0 only if all of it held.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::{Command, ExitCode};
use std::sync::mpsc;

use adminapi::model::{Scheduler, Traffic};
use anyhow::{Context, Result};
use testbed::accounts;
use testbed::director::{Configuration, binary};
use testbed::generator::{Flows, Generator, Kind};
use testbed::namespace::{self, Namespace};
use testbed::process::output;
use testbed::scene::{Family, Scene};
use testbed::servers::{Served, big_file};
use testbed::topology::{Plan, RealHost};
use testbed::traffic::{HttpConnection, download_sha256, file_sha256, tally};
use testbed::wait;

const WEIGHTS: [u32; 3] = [3, 2, 1];
const CURLS: usize = 12;
const WRK: [&str; 3] = ["-t2", "-c60", "-d5s"];
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
const FLOOD: u32 = 20_000;
const FLOOD_PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

fn main() -> ExitCode {
    match run_until_interrupted() {
        Ok(true) => {
            println!("\nAll of it held.");
            ExitCode::SUCCESS
        }
        Ok(false) => {
            println!("\nNot all of it held.");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("\ndemo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the demo; Ctrl-C takes the namespaces down and ends it.
fn run_until_interrupted() -> Result<bool> {
    let (report, done) = mpsc::channel();
    let interrupted = report.clone();
    std::thread::spawn(move || report.send(demo()));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(tokio::signal::ctrl_c())?;
        namespace::remove_own();
        let _ = interrupted.send(Err(anyhow::anyhow!("interrupted")));
        anyhow::Ok(())
    });
    done.recv().context("the demo broke off")?
}

fn demo() -> Result<bool> {
    title("Set-up");
    let mut scene = Scene::start_shaped(Plan::default(), Scheduler::Wrr, &WEIGHTS, brief)?;
    describe(&scene);
    let mut checks = Checks::default();
    curls(&scene, &mut checks)?;
    download(&scene, &mut checks)?;
    load(&scene, &mut checks)?;
    compare(&scene, &mut checks)?;
    show(&scene, &["-Ln", "--stats"]);
    flood(&scene, &mut checks)?;
    take_down(&mut scene, &mut checks)?;
    Ok(checks.all_held)
}

fn title(text: &str) {
    println!("\n== {text}");
}

fn describe(scene: &Scene) {
    let topology = &scene.topology;
    println!("client    {}  10.0.1.1, fd00:1::1", topology.client.name());
    println!(
        "director  {}  {} and {} on {}",
        topology.director.name(),
        Family::V4.vip(),
        Family::V6.vip(),
        topology.interfaces().join(", ")
    );
    for (host, weight) in topology.reals.iter().zip(WEIGHTS) {
        let RealHost {
            name,
            namespace,
            v4,
            v6,
        } = host;
        println!(
            "{name}       {}  {v4}, {v6}, nginx, weight {weight}",
            namespace.name()
        );
    }
}

/// A few requests by hand, one connection each.
fn curls(scene: &Scene, checks: &mut Checks) -> Result<()> {
    for family in Family::BOTH {
        let url = format!("http://{}/", family.http());
        title(&format!("curl {url}, {CURLS} times"));
        let names = (0..CURLS)
            .map(|_| curl(&scene.topology.client, &url))
            .collect::<Result<Vec<_>>>()?;
        println!("{}", names.join(" "));
        let tally = tally(names);
        let share = |index: usize| tally.get(&format!("rs{}", index + 1)).copied();
        let total: u32 = WEIGHTS.iter().sum();
        let expected = |weight: u32| Some(CURLS as u64 * u64::from(weight) / u64::from(total));
        let held = (0..WEIGHTS.len()).all(|index| share(index) == expected(WEIGHTS[index]));
        checks.note(
            held,
            &format!("connections are shared out as the weights are, {WEIGHTS:?}"),
        );
    }
    Ok(())
}

fn curl(client: &Namespace, url: &str) -> Result<String> {
    let answer = client.run("curl", &["-gsS", "--fail", "--max-time", "5", url])?;
    Ok(answer.trim_end().to_owned())
}

fn download(scene: &Scene, checks: &mut Checks) -> Result<()> {
    title("A download of 100 MiB");
    let expected = file_sha256(&big_file()?)?;
    for family in Family::BOTH {
        let sum = download_sha256(&scene.topology.client, family.http(), "/big")?;
        println!("{}  http://{}/big", &sum[..16], family.http());
        checks.note(sum == expected, "its SHA-256 is the file's");
    }
    Ok(())
}

/// Many requests on many connections at once.
fn load(scene: &Scene, checks: &mut Checks) -> Result<()> {
    let url = format!("http://{}/", Family::V4.http());
    title(&format!("wrk {} {url}", WRK.join(" ")));
    let report = scene
        .topology
        .client
        .run("wrk", &[&WRK[..], &[&url]].concat())?;
    print!("{report}");
    let clean = !report.contains("Socket errors") && !report.contains("Non-2xx");
    checks.note(clean, "no request failed");
    Ok(())
}

/// What one real server did, as the director counted it over all services.
fn counted(scene: &Scene) -> Result<BTreeMap<IpAddr, Traffic>> {
    let mut reals = BTreeMap::new();
    for family in Family::BOTH {
        for real in scene.director.api().service(family.http_service())?.reals {
            reals.insert(real.address, real.stats);
        }
    }
    Ok(reals)
}

fn compare(scene: &Scene, checks: &mut Checks) -> Result<()> {
    title("Who served what");
    println!(
        "{:6} {:>6} | {:>11} {:>9} | {:>11} {:>11} {:>11} {:>13} {:>13}",
        "",
        "weight",
        "nginx conns",
        "requests",
        "dir. conns",
        "packets in",
        "out",
        "bytes in",
        "out"
    );
    let counted = counted(scene)?;
    for ((host, web), weight) in scene.topology.reals.iter().zip(&scene.web).zip(WEIGHTS) {
        let both = [IpAddr::from(host.v4), IpAddr::from(host.v6)]
            .map(|address| counted.get(&address).copied().unwrap_or_default());
        let sum = |part: fn(&Traffic) -> u64| both.iter().map(part).sum::<u64>();
        let director = sum(|traffic| traffic.connections);
        let served = settled(|| web.served(), director)?;
        println!(
            "{:6} {weight:>6} | {:>11} {:>9} | {director:>11} {:>11} {:>11} {:>13} {:>13}",
            host.name,
            served.connections,
            served.requests,
            sum(|t| t.in_packets),
            sum(|t| t.out_packets),
            sum(|t| t.in_bytes),
            sum(|t| t.out_bytes),
        );
        let held = served.connections == director && served.requests >= served.connections;
        checks.note(
            held,
            &format!("{} and the director count the same connections", host.name),
        );
    }
    let balanced = accounts::balanced(&scene.director);
    if let Err(error) = &balanced {
        println!("{error:#}");
    }
    checks.note(
        balanced.is_ok(),
        "every packet was sent, passed or dropped under a reason, and no frame is lost",
    );
    Ok(())
}

/// nginx accepts a moment after the handshake is over: waits for it to have `expected`.
fn settled(served: impl Fn() -> Result<Served>, expected: u64) -> Result<Served> {
    let _ = wait::until_true("nginx to have accepted", PATIENCE, || {
        served().is_ok_and(|served| served.connections >= expected)
    });
    served()
}

/// A director whose levels change within seconds, so that one can wait for them.
fn brief(configuration: Configuration) -> Configuration {
    configuration
        .limit("half_open", 4000)
        .defense("dwell", 2)
        .defense("syn_recv", 2)
        .defense("syn_ack", 3)
}

/// SYNs of clients that are not there: the level rises by itself and falls again, and who is
/// connected does not notice.
fn flood(scene: &Scene, checks: &mut Checks) -> Result<()> {
    let client = &scene.topology.client;
    let director = &scene.topology.director;
    director.ip("route add 172.16.0.0/12 via 10.0.1.1\n")?;
    let mut live = HttpConnection::open(client, Family::V4.http())?;
    let name = live.ask_name()?;

    title(&format!("A flood of {FLOOD} SYNs from addresses at random"));
    let flows = Flows {
        kind: Kind::TcpSyn,
        source: "172.16.0.0:1024".parse()?,
        destination: Family::V4.http(),
        count: 0,
        frame: 60,
    };
    Generator::new(client, &flows)?.send(client, FLOOD)?;
    checks.note(reaches(scene, 1), "the level rises to 1 by itself");
    show(scene, &["defense"]);
    let expected = file_sha256(&big_file()?)?;
    let sum = download_sha256(client, Family::V4.http(), "/big")?;
    checks.note(sum == expected, "a new client downloads the file, whole");
    checks.note(live.ask_name()? == name, "the open connection goes on");

    title("When it is over");
    checks.note(reaches(scene, 0), "the level falls back to 0 by itself");
    show(scene, &["events"]);
    checks.note(live.ask_name()? == name, "the open connection goes on");
    Ok(())
}

/// Whether the director comes to this level in time.
fn reaches(scene: &Scene, level: u8) -> bool {
    let is_there = || {
        let now = scene.director.api().defense(None);
        now.is_ok_and(|defense| defense.level == level)
    };
    wait::until_true("the level", FLOOD_PATIENCE, is_there).is_ok()
}

/// What a user would see.
fn show(scene: &Scene, words: &[&str]) {
    title(&format!("bulwark {}", words.join(" ")));
    let listing = binary("bulwark").and_then(|bulwark| {
        let api = format!("unix:{}", scene.director.socket().display());
        output(Command::new(bulwark).args(words).env("BULWARK_API", api))
    });
    match listing {
        Ok(text) => print!("{text}"),
        Err(error) => println!("{error:#}"),
    }
}

fn take_down(scene: &mut Scene, checks: &mut Checks) -> Result<()> {
    title("SIGTERM");
    let status = scene.director.stop()?;
    checks.note(status.success(), "the director ends cleanly");
    let links = scene.topology.director.run("ip", &["link", "show"])?;
    checks.note(
        !links.contains("xdp"),
        "no XDP program is left on its interfaces",
    );
    Ok(())
}

/// What has been checked so far.
struct Checks {
    all_held: bool,
}

impl Default for Checks {
    fn default() -> Self {
        Self { all_held: true }
    }
}

impl Checks {
    fn note(&mut self, held: bool, what: &str) {
        println!("{} {what}", if held { "  ok " } else { "  NOT" });
        self.all_held &= held;
    }
}
