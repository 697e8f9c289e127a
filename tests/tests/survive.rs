//! A director that is killed, or stopped, and started again: what was connected goes on, and what
//! was known is known again.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use adminapi::model::{
    Check, CheckKind, Condition, FilterList, FilterRules, ForwardingMethod, HealthPolicy, Listed,
    ListedView, Millis, NetworkQuery, OnFailure, Pace, Persistence, Prefix, Protocol, RealState,
    RealView, Scheduler, ServicePatch,
};
use anyhow::{Context, Result, ensure};
use director::keep::Tally;
use libbpf_rs::{MapCore, MapFlags, MapHandle};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, Director, by, run_to_end, service};
use testbed::haven::Haven;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::{Family, services};
use testbed::servers::{Nginx, OTHER_HTTP_PORT, UdpEcho, big_file};
use testbed::syns::{self, banning};
use testbed::topology::{CLIENT_SIDE, HOST_SIDE, Plan, Topology, VIP_V4, VIP_V6};
use testbed::traffic::{
    HttpConnection, UdpClient, download_slowly, fetch_names, file_sha256, tally,
};
use testbed::wait;

const PATIENCE: Duration = Duration::from_secs(10);

/// A second address of the client.
const STRANGER: &str = "10.0.1.66";

/// A director that keeps everything, with three real servers.
struct Bench {
    director: Director,
    configuration: Configuration,
    haven: Haven,
    web: Vec<Nginx>,
    _echo: Vec<UdpEcho>,
    topology: Topology,
}

impl Bench {
    fn start(method: ForwardingMethod) -> Result<Self> {
        let topology = Topology::build(Plan::default())?;
        let web = topology.reals.iter().map(Nginx::start);
        let echo = topology.reals.iter().map(|host| match method {
            ForwardingMethod::Nat => UdpEcho::start(host),
            _ => UdpEcho::start_at(host, [VIP_V4.into(), VIP_V6.into()]),
        });
        if method != ForwardingMethod::Nat {
            topology.bypass_director()?;
        }
        let (web, echo) = (web.collect::<Result<_>>()?, echo.collect::<Result<_>>()?);
        let haven = Haven::new()?;
        let configuration = services(&topology, Scheduler::Rr, &[1, 1, 1])
            .into_iter()
            .map(|service| by(service, method, None))
            .fold(
                haven.shelter(Configuration::new(topology.interfaces())),
                Configuration::service,
            );
        topology.meet_neighbours()?;
        Ok(Self {
            director: Director::start(&topology.director, &configuration)?,
            configuration,
            haven,
            web,
            _echo: echo,
            topology,
        })
    }

    /// Ends the director by `signal` and starts another one.
    fn restart(&mut self, signal: Signal) -> Result<()> {
        self.director.end_by(signal)?;
        assert!(self.has_gate()?, "the gate went with the director");
        self.director = Director::start(&self.topology.director, &self.configuration)?;
        Ok(())
    }

    /// Whether a program of XDP is on the interface towards the client.
    fn has_gate(&self) -> Result<bool> {
        let link = self
            .topology
            .director
            .run("ip", &["link", "show", "dev", CLIENT_SIDE])?;
        Ok(link.contains("xdp"))
    }

    /// A download that takes a while: its SHA-256.
    fn download(&self, family: Family) -> Result<JoinHandle<Result<String>>> {
        let download = download_slowly(&self.topology.client, family.http(), "/big")?;
        wait::until("the download to begin", PATIENCE, || {
            let carried = self.director.api().service(family.http_service())?.stats;
            ensure!(carried.in_packets > 100, "{carried:?}");
            Ok(())
        })?;
        Ok(download)
    }

    /// Waits until the first real server of a service is down, and the others are up; how it is.
    fn until_down(&self, family: Family) -> Result<Condition> {
        let first = self.topology.reals[0].address(family.vip());
        wait::until("the checks", PATIENCE, || {
            let service = self.director.api().service(family.http_service())?;
            let (first, others): (Vec<_>, Vec<_>) =
                (service.reals.into_iter()).partition(|real| real.address == first);
            let is_up = |real: &RealView| {
                let condition = real.condition.as_ref();
                condition.is_some_and(|condition| condition.state == RealState::Up)
            };
            ensure!(others.len() == 2 && others.iter().all(is_up), "{others:?}");
            let condition = first.into_iter().find_map(|real| real.condition);
            let condition = condition.context("the first one is not watched")?;
            let is_out = condition.percent == 0 || condition.removed;
            ensure!(
                condition.state == RealState::Down && is_out,
                "{condition:?}"
            );
            Ok(condition)
        })
    }

    /// SYNs of a stranger.
    fn send_syns(&self, count: u16) -> Result<()> {
        let to = Family::V4.http();
        let ports = 30_000..30_000 + count;
        syns::send(&self.topology.client, STRANGER.parse()?, to, ports)
    }

    /// The ban of a host, if there is one.
    fn ban_of(&self, host: &str) -> Result<Option<ListedView>> {
        let query = NetworkQuery::default();
        let api = self.director.api();
        let page = api.call(async |client| client.listed_networks(&query).await)?;
        let network: Prefix = host.parse()?;
        let mut bans = page.listings.into_iter().filter(|listed| listed.automatic);
        Ok(bans.find(|listed| listed.network == network))
    }

    /// Waits until `word` is written down for the next director.
    fn wait_kept(&self, word: &str) -> Result<()> {
        self.wait_kept_times(word, 1)
    }

    /// The same of a word that is to be there so many times.
    fn wait_kept_times(&self, word: &str, times: usize) -> Result<()> {
        wait::until("it to be kept", PATIENCE, || {
            let kept = fs::read_to_string(self.haven.kept("running")?)?;
            ensure!(kept.matches(word).count() >= times, "{kept}");
            Ok(())
        })
    }
}

/// A connection over HTTP that is asked before and after, in each family, and a flow of UDP.
struct Talk {
    http: Vec<(HttpConnection, String)>,
    echo: Vec<(UdpClient, String)>,
}

impl Talk {
    fn begin(bench: &Bench) -> Result<Self> {
        let client = &bench.topology.client;
        let http = Family::BOTH.map(|family| {
            let mut open = HttpConnection::open(client, family.http())?;
            let name = open.ask_name()?;
            Ok((open, name))
        });
        let echo = Family::BOTH.map(|family| {
            let open = UdpClient::open(client, family.echo())?;
            let name = open.echo(b"before")?;
            Ok((open, name))
        });
        Ok(Self {
            http: http.into_iter().collect::<Result<_>>()?,
            echo: echo.into_iter().collect::<Result<_>>()?,
        })
    }

    fn go_on(&mut self) -> Result<()> {
        for (open, name) in &mut self.http {
            ensure!(open.ask_name()? == *name, "another real server answers");
        }
        for (open, name) in &mut self.echo {
            ensure!(open.echo(b"after")? == *name, "another real server answers");
        }
        Ok(())
    }
}

#[test]
fn what_is_connected_outlives_a_killed_director() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let expected = file_sha256(&big_file()?)?;
    for method in [ForwardingMethod::Nat, ForwardingMethod::Dr] {
        let mut bench = Bench::start(method)?;
        let mut talk = Talk::begin(&bench)?;
        let downloads = Family::BOTH.map(|family| bench.download(family));
        bench.restart(Signal::Kill)?;
        fetch_names(&bench.topology.client, Family::V4.http(), 3)?;
        talk.go_on()?;
        for download in downloads {
            let sum = download?.join().expect("the download panicked")?;
            assert!(sum.starts_with(&expected), "{method:?}: {sum}");
        }
        bench.restart(Signal::Kill)?;
        talk.go_on()?;
        assert_accounts(&bench.director);
    }
    Ok(())
}

/// For as long as a director lives that knows better, and for as long as none does.
#[test]
fn what_the_gate_forwards_needs_no_director() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for method in [ForwardingMethod::Nat, ForwardingMethod::Dr] {
        let mut bench = Bench::start(method)?;
        bench.configuration = bench.configuration.clone().fast_path(true);
        bench.restart(Signal::Term)?;
        let mut talk = Talk::begin(&bench)?;
        let mut said = 1;
        let mut go_on = |times| {
            said += times;
            (0..times).try_for_each(|_| talk.go_on())
        };
        go_on(3)?;
        bench.director.end_by(Signal::Kill)?;
        go_on(5)?;
        for fast_path in [true, false, true] {
            bench.configuration = bench.configuration.clone().fast_path(fast_path);
            bench.director = Director::start(&bench.topology.director, &bench.configuration)?;
            go_on(3)?;
            fetch_names(&bench.topology.client, Family::V4.http(), 1)?;
            bench.director.end_by(Signal::Kill)?;
            go_on(if fast_path { 2 } else { 0 })?;
        }
        bench.director = Director::start(&bench.topology.director, &bench.configuration)?;
        go_on(1)?;
        let carried = bench
            .director
            .api()
            .service(Family::V4.echo_service())?
            .stats;
        // What a killed director had not told yet is missing.
        let is_right = carried.in_packets <= said && carried.in_packets * 2 > said;
        assert!(is_right, "{carried:?} of {said}");
        assert_accounts(&bench.director);
    }
    Ok(())
}

/// Says in the first word of a pinned map, which is the number of a layout, that it is another one.
fn misdate(pin: &Path, map: &str) -> Result<()> {
    let only = 0u32.to_ne_bytes();
    let map = MapHandle::from_pinned_path(pin.join("maps").join(map))?;
    let mut value = map.lookup(&only, MapFlags::ANY)?.context("it is empty")?;
    value[..4].copy_from_slice(&u32::MAX.to_ne_bytes());
    Ok(map.update(&only, &value, MapFlags::ANY)?)
}

/// What that gate has seen is not read then, so nobody knows how far a connection has come.
#[test]
fn a_gate_of_another_version_costs_nobody_a_connection() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    for (method, other) in [
        (ForwardingMethod::Nat, &["record", "heads"][..]),
        (ForwardingMethod::Dr, &["record"]),
    ] {
        let mut bench = Bench::start(method)?;
        bench.configuration = bench.configuration.clone().fast_path(true);
        bench.restart(Signal::Term)?;
        let mut talk = Talk::begin(&bench)?;
        talk.go_on()?;
        bench.director.end_by(Signal::Kill)?;
        for map in other {
            misdate(&bench.haven.pin(), map)?;
        }
        talk.go_on()?;
        bench.director = Director::start(&bench.topology.director, &bench.configuration)?;
        talk.go_on()?;
        talk.go_on()?;
        assert_accounts(&bench.director);
    }
    Ok(())
}

/// Who was down stays down until it has earned its way back, and gets none of the first connections.
#[test]
fn the_health_of_real_servers_outlives_a_killed_director() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    let slow_to_rise = Pace {
        interval: Millis(200),
        timeout: Millis(1000),
        rise: 1000,
        fall: 1,
        jitter: 10,
    };
    for (family, on_failure) in Family::BOTH
        .into_iter()
        .zip([OnFailure::Quiesce, OnFailure::Remove])
    {
        let policy = HealthPolicy {
            check: Some(Check::paced(CheckKind::Http, slow_to_rise)),
            on_failure,
            ..HealthPolicy::default()
        };
        let patch = ServicePatch {
            health: Some(Some(policy).into()),
            ..ServicePatch::default()
        };
        let id = family.http_service();
        let api = bench.director.api();
        api.call(async |client| client.change_service(id, patch).await)?;
    }
    // A server that answers by now does not show by its next check that it was down.
    bench.web[0].kill()?;
    let before = Family::BOTH.map(|family| bench.until_down(family));
    bench.web[0] = Nginx::start(&bench.topology.reals[0])?;
    bench.wait_kept_times("\"state\":\"down\"", Family::BOTH.len())?;
    for (family, before) in Family::BOTH.into_iter().zip(before) {
        let before = before?;
        bench.restart(Signal::Kill)?;
        let names = tally(fetch_names(&bench.topology.client, family.http(), 6)?);
        assert_eq!((names.get("rs1"), names["rs2"], names["rs3"]), (None, 3, 3));
        let after = bench.until_down(family)?;
        assert_eq!(after.reason, before.reason);
        assert!(after.since.abs_diff(before.since) <= 1, "{after:?}");
        assert_eq!(after.removed, before.removed);
    }
    assert_accounts(&bench.director);
    Ok(())
}

#[test]
fn what_is_known_outlives_a_killed_director() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    let client = &bench.topology.client;
    let (sticky, plain) = (Family::V4, Family::V6);
    let patch = ServicePatch {
        persistence: Some(Some(Persistence::default()).into()),
        ..ServicePatch::default()
    };
    let id = sticky.http_service();
    let api = bench.director.api();
    api.call(async |client| client.change_service(id, patch).await)?;
    let chosen = fetch_names(client, sticky.http(), 2)?;
    api.set_level(None, 2)?;
    let reals = bench.topology.reals.iter();
    let reals = reals.map(|real| ((real.v4, OTHER_HTTP_PORT).into(), 1));
    let added = service(Protocol::Tcp, (VIP_V4, 8000).into(), Scheduler::Rr, reals);
    api.add_service(&added)?;
    let ban = Listed {
        network: "203.0.113.0/24".parse()?,
        list: FilterList::Deny,
        seconds: Some(600),
        why: Some("a test".to_owned()),
    };
    let rules = FilterRules {
        loose: vec![bench.topology.interfaces()[0].clone()],
        ..FilterRules::default()
    };
    api.call(async |client| client.put_network(&ban).await)?;
    api.call(async |client| client.put_filter(&rules).await)?;
    let filtered = api.call(async |client| client.config().await)?;
    assert_eq!(filtered.listed.as_deref().map(<[_]>::len), Some(1));
    fetch_names(client, plain.http(), 3)?;
    let last = api.call(async |client| client.events(0).await)?.last;
    wait::until("the number of the last event to be kept", PATIENCE, || {
        let kept = fs::read_to_string(bench.haven.kept("running")?)?;
        let kept: serde_json::Value = serde_json::from_str(&kept)?;
        ensure!(kept["events"].as_u64() >= Some(last), "{kept}");
        Ok(())
    })?;
    bench.wait_kept("8000")?;
    bench.wait_kept("\"level\":2")?;
    bench.wait_kept("203.0.113.0/24")?;
    bench.wait_kept("\"loose\":[\"")?;
    // The last packets of those connections may still be under way.
    let before = wait::until("the counters to be kept", PATIENCE, || {
        let before = api.service(plain.http_service())?.stats;
        let kept = fs::read_to_string(bench.haven.kept("tally")?)?;
        let tally: Tally = serde_json::from_str(&kept)?;
        let mut services = tally.services.iter();
        let counted = services.find(|counted| counted.service == plain.http_service());
        let bytes = counted.map_or(0, |counted| counted.traffic.in_bytes);
        ensure!(bytes >= before.in_bytes, "{kept}");
        Ok(before)
    })?;

    bench.restart(Signal::Kill)?;

    let client = &bench.topology.client;
    let api = bench.director.api();
    let defense = api.defense(None)?;
    assert_eq!((defense.level, defense.automatic), (2, false));
    let events = api.call(async |client| client.events(0).await)?;
    assert!(events.last >= last && events.events.iter().all(|event| event.id > last));
    let config = api.call(async |client| client.config().await)?;
    assert_eq!(
        (config.filter, config.listed),
        (filtered.filter, filtered.listed)
    );
    let after = api.service(plain.http_service())?.stats;
    assert!(after.connections >= before.connections && after.in_bytes >= before.in_bytes);
    assert_eq!(
        fetch_names(client, sticky.http(), 3)?,
        vec![chosen[0].clone(); 3]
    );
    fetch_names(client, (VIP_V4, 8000).into(), 1)?;
    let templates = api.connections(id)?;
    let templates = templates.iter().filter(|connection| connection.template);
    assert_eq!(templates.count(), 1);
    assert_accounts(&bench.director);
    Ok(())
}

/// Who was over a limit too often stays banned for the time that is left.
#[test]
fn who_was_banned_by_a_limit_stays_banned() -> Result<()> {
    const SECONDS: u32 = 600;
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    // Who answers for it, so that nothing waits for it at the end.
    let address = format!("addr add {STRANGER}/24 dev {HOST_SIDE}\n");
    bench.topology.client.ip(&address)?;
    let api = bench.director.api();
    api.call(async |client| client.put_filter(&banning(SECONDS, SECONDS)).await)?;
    let banned = wait::until("the ban", PATIENCE, || {
        bench.send_syns(40)?;
        bench.ban_of(STRANGER)?.context("it is not banned")
    })?;
    bench.wait_kept(STRANGER)?;

    bench.restart(Signal::Kill)?;

    let again = bench.ban_of(STRANGER)?.context("it is banned no more")?;
    ensure!(
        again.why == banned.why && again.left <= banned.left,
        "{again:?}"
    );
    ensure!(again.left > Some(SECONDS / 2), "{again:?}");
    wait::until("what it sends to be denied", PATIENCE, || {
        bench.send_syns(1)?;
        let drops = bench.director.api().stats()?.drops;
        ensure!(
            drops.get("denied").is_some_and(|denied| *denied > 0),
            "{drops:?}"
        );
        Ok(())
    })?;
    fetch_names(&bench.topology.client, Family::V4.http(), 1)?;
    assert_accounts(&bench.director);
    Ok(())
}

#[test]
fn a_planned_restart_refuses_nobody() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    let mut talk = Talk::begin(&bench)?;
    let over = Arc::new((AtomicBool::new(false), AtomicU32::new(0)));
    let told = Arc::clone(&over);
    let clients = bench.topology.client.spawn(move || {
        let (over, served) = &*told;
        while !over.load(Relaxed) {
            let name = HttpConnection::open_here(Family::V4.http())?.ask_name();
            name.with_context(|| format!("after {served:?}"))?;
            served.fetch_add(1, Relaxed);
        }
        Ok(())
    })?;
    for _ in 0..2 {
        let before = over.1.load(Relaxed);
        bench.restart(Signal::Term)?;
        talk.go_on()?;
        wait::until("clients to be served again", PATIENCE, || {
            ensure!(over.1.load(Relaxed) > before + 10 || clients.is_finished());
            Ok(())
        })?;
    }
    over.0.store(true, Relaxed);
    clients.join().expect("the clients panicked")?;
    assert_accounts(&bench.director);
    Ok(())
}

#[test]
fn what_was_kept_goes_when_it_is_detached() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    let namespace = &bench.topology.director;
    let (status, said) = bench.director.ask(namespace, "detach")?;
    assert!(
        !status.success() && said.contains("another bulwarkd (process "),
        "{said}"
    );
    let second = bench
        .configuration
        .text(&bench.haven.state().join("other.sock"))?;
    let (status, said) = run_to_end(namespace, &[], &second)?;
    assert!(
        !status.success() && said.contains("of its own under [datapath]"),
        "{said}"
    );

    bench.director.stop()?;
    assert!(bench.has_gate()?);
    let (status, said) = bench.director.ask(&bench.topology.director, "detach")?;
    assert!(status.success(), "{said}");
    wait::until("the gate to go", PATIENCE, || {
        ensure!(!bench.has_gate()?);
        Ok(())
    })?;
    assert!(!bench.haven.pin().exists() && !bench.haven.state().exists());
    let (status, said) = bench.director.ask(&bench.topology.director, "detach")?;
    assert!(status.success() && said.contains("nothing"), "{said}");
    Ok(())
}

#[test]
fn what_cannot_be_read_is_refused_or_given_up() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    fetch_names(&bench.topology.client, Family::V4.http(), 3)?;
    bench.director.end_by(Signal::Kill)?;
    let about = bench.haven.kept("about")?;
    let whole = fs::read_to_string(&about)?;
    fs::write(&about, whole.replace("\"format\":", "\"format\":9"))?;
    let text = bench
        .configuration
        .text(&bench.haven.state().join("other.sock"))?;
    let (status, said) = run_to_end(&bench.topology.director, &[], &text)?;
    assert!(
        !status.success() && said.contains("bulwarkd detach"),
        "{said}"
    );
    fs::write(&about, whole)?;

    let connections = fs::File::options()
        .write(true)
        .open(bench.haven.kept("connections")?)?;
    connections.set_len(1000)?;
    fs::write(bench.haven.kept("running")?, b"{\"now\":")?;
    bench.director = Director::start(&bench.topology.director, &bench.configuration)?;
    fetch_names(&bench.topology.client, Family::V4.http(), 3)?;
    assert_accounts(&bench.director);
    Ok(())
}

#[test]
fn where_nothing_can_be_kept_the_start_says_so() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let topology = Topology::build(Plan::default())?;
    let haven = Haven::new()?;
    let socket = haven.state().join("api.sock");
    let bare = || Configuration::new(topology.interfaces());
    let state = || haven.state().display().to_string();
    let (disk, nowhere) = (
        std::env::current_dir()?.join("state"),
        "/sys/fs/bpf/bulwark",
    );
    let cases = [
        (
            bare().datapath("pin", nowhere).datapath("state", state()),
            "mount -t bpf",
        ),
        (
            haven
                .shelter(bare())
                .datapath("state", disk.display().to_string()),
            "is not on a tmpfs",
        ),
        (
            bare().datapath("state", state()),
            "is of no use without pin",
        ),
        (bare().datapath("pin", "gate"), "begin it with /"),
    ];
    for (configuration, expected) in cases {
        let text = configuration.text(&socket)?;
        let (status, said) = run_to_end(&topology.director, &[], &text)?;
        assert!(!status.success() && said.contains(expected), "{said}");
    }
    Ok(())
}
