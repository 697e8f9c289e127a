//! The levels of defence: a flood raises them, its end lowers them, and who is connected does not
//! notice.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use adminapi::model::{Defense, Scheduler};
use anyhow::{Context, Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, Director};
use testbed::generator::{Flows, Generator, Kind};
use testbed::require;
use testbed::scene::{Family, services};
use testbed::servers::{Nginx, big_file};
use testbed::topology::{Plan, RealHost, Topology};
use testbed::traffic::{HttpConnection, download_sha256, fetch_names, file_sha256};
use testbed::wait;

const HTTP: Family = Family::V4;
const PATIENCE: Duration = Duration::from_secs(30);
const POOL: i64 = 2000;
/// Fills the half-open pool more than once.
const FLOOD: u32 = 6000;

struct Bench {
    director: Director,
    _web: Vec<Nginx>,
    topology: Topology,
}

impl Bench {
    /// Three real servers by NAT; the levels change within seconds.
    fn start() -> Result<Self> {
        Self::start_with(|configuration| configuration.limit("half_open", POOL))
    }

    fn start_with(shape: impl FnOnce(Configuration) -> Configuration) -> Result<Self> {
        let topology = Topology::build(Plan::default())?;
        topology
            .director
            .ip("route add 172.16.0.0/12 via 10.0.1.1\n")?;
        let web = topology.reals.iter().map(Nginx::start);
        let web = web.collect::<Result<_>>()?;
        let bare = Configuration::new(topology.interfaces())
            .defense("dwell", 1)
            .defense("syn_recv", 1)
            .defense("syn_ack", 2);
        let services = services(&topology, Scheduler::Rr, &[1, 1, 1]).into_iter();
        let configuration = shape(bare).services(services).without_cookies();
        topology.meet_neighbours()?;
        Ok(Self {
            director: Director::start(&topology.director, &configuration)?,
            _web: web,
            topology,
        })
    }

    fn flood(&self, count: u32) -> Result<()> {
        self.flood_from("172.16.0.0:1024".parse()?, count)
    }

    fn flood_from(&self, source: SocketAddr, count: u32) -> Result<()> {
        let flows = Flows {
            kind: Kind::TcpSyn,
            source,
            destination: HTTP.http(),
            count: 0,
            frame: 60,
        };
        Generator::new(&self.topology.client, &flows)?.send(&self.topology.client, count)
    }

    fn write(&self, name: &str, value: i64) -> Result<()> {
        let value = adminapi::sysctl::Value::Number(value);
        let api = self.director.api();
        api.call(async |api| api.change_sysctl(name, value.clone()).await)?;
        Ok(())
    }

    fn half_open(&self) -> Result<u64> {
        Ok(self.director.api().status()?.connections.half_open)
    }

    /// Connections that were opened.
    fn opened(&self) -> Result<u64> {
        let service = self.director.api().service(HTTP.http_service())?;
        Ok(service.stats.connections)
    }

    fn level(&self) -> Result<u8> {
        Ok(self.director.api().defense(None)?.level)
    }

    /// Floods until it is noticed, while the pool is seen to be taken: a busy machine loses a part on
    /// the way.
    fn flood_to_level_1(&self) -> Result<Defense> {
        let flood = || self.flood(FLOOD);
        wait::until_repeated("level 1", PATIENCE, flood, || {
            let defense = self.director.api().defense(None)?;
            let pool = defense.resources.iter().find(|of| of.name == "pool");
            let is_taken = pool.is_some_and(|pool| pool.used > 10.0);
            ensure!(defense.level == 1 && is_taken, "{defense:?}");
            Ok(defense)
        })
    }

    fn await_level_0(&self) -> Result<()> {
        wait::until("level 0", PATIENCE, || {
            let now = self.level()?;
            ensure!(now == 0, "level {now}");
            Ok(())
        })
    }
}

#[test]
fn a_flood_raises_the_level_and_its_end_lowers_it() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start()?;
    let client = &bench.topology.client;
    let mut live = HttpConnection::open(client, HTTP.http())?;
    let name = live.ask_name()?;
    assert_eq!(bench.level()?, 0);

    let defense = bench.flood_to_level_1()?;
    assert!(defense.automatic, "{defense:?}");
    assert!(defense.reason.contains("half-open"), "{defense:?}");
    assert!(["tables", "share"].contains(&&*defense.rung), "{defense:?}");
    let expected = file_sha256(&big_file()?)?;
    assert_eq!(download_sha256(client, HTTP.http(), "/big")?, expected);
    assert_eq!(live.ask_name()?, name);
    let held = bench.director.api().status()?.connections;
    assert!(held.half_open <= POOL as u64, "{held:?}");

    bench.await_level_0()?;
    let rung = bench.director.api().defense(None)?.rung;
    assert_eq!((live.ask_name()?, &*rung), (name, "none"));
    assert_eq!(fetch_names(client, HTTP.http(), 3)?.len(), 3);
    let events = bench.director.api().call(async |api| api.events(0).await)?;
    let is_level = |event: &&adminapi::model::Event| event.kind == "defense_level";
    let of_all = events.events.iter().filter(|event| event.service.is_none());
    let of_all = of_all.filter(is_level);
    let told: Vec<_> = of_all.map(|event| event.message.clone()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    for message in &told {
        let line = format!("watch: {message}");
        wait::until(&line, PATIENCE, || {
            let times = bench.director.log().matches(&line).count();
            ensure!(times == 1, "logged {times} times");
            Ok(())
        })?;
    }
    assert_accounts(&bench.director);
    Ok(())
}

#[test]
fn a_pinned_level_stays_and_a_service_has_its_own() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    // Who is silent has to be there when he speaks.
    let bench = Bench::start_with(|configuration| configuration.defense("syn_ack", 60))?;
    let (api, client) = (bench.director.api(), &bench.topology.client);
    let (one, other) = (Some(HTTP.http_service()), Some(Family::V6.http_service()));
    let set = api.set_level(one, 2)?;
    assert_eq!((set.level, set.automatic), (2, false));
    assert_eq!(set.rung, "tables");
    assert_eq!((api.defense(other)?.level, bench.level()?), (0, 0));

    // The client's word establishes nothing; the real server's does.
    let mut silent = HttpConnection::open(client, HTTP.http())?;
    let states = || -> Result<Vec<String>> {
        let connections = api.connections(HTTP.http_service())?;
        Ok(connections.into_iter().map(|c| c.state).collect())
    };
    wait::until("SYNACK", PATIENCE, || {
        let now = states()?;
        ensure!(now == ["SYNACK"], "{now:?}");
        Ok(())
    })?;
    silent.ask_name()?;
    assert_eq!(states()?, ["ESTABLISHED"]);

    let all = api.set_level(None, 2)?;
    assert_eq!((all.level, api.defense(other)?.level), (2, 2));
    assert!(api.defense(other)?.reason.contains("set by the user"));
    api.set_level(None, 0)?;
    api.set_level(one, 0)?;
    assert_eq!((api.defense(one)?.level, bench.level()?), (0, 0));
    assert!(api.set_level(None, 3).is_err());
    assert_accounts(&bench.director);
    Ok(())
}

/// The share of SYNs that is dropped is counted, and spares who is connected.
#[test]
fn a_rate_drops_new_connections_only() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start()?;
    let (api, client) = (bench.director.api(), &bench.topology.client);
    let mut live = HttpConnection::open(client, HTTP.http())?;
    let name = live.ask_name()?;
    bench.write("net.ipv4.vs.am_droprate", 4)?;
    bench.write("net.ipv4.vs.drop_packet", 3)?;
    assert_eq!(api.defense(None)?.drop_rate, 0.25);
    assert_eq!(api.defense(None)?.rung, "share");
    let before = bench.opened()?;
    let counted = || -> Result<(u64, u64)> {
        let dropped = api.dropped("defense_rate")?;
        Ok((bench.opened()? - before, dropped))
    };
    let flood = || bench.flood(500);
    wait::until_repeated("SYNs", PATIENCE, flood, || {
        let (opened, dropped) = counted()?;
        ensure!(opened + dropped > 800, "{opened} opened, {dropped} dropped");
        Ok(())
    })?;
    let (opened, dropped) = wait::until("all to be counted on both sides", PATIENCE, || {
        let now = counted()?;
        ensure!(now == counted()?, "more come");
        Ok(now)
    })?;
    let share = dropped as f64 / (opened + dropped) as f64;
    assert!((0.15..0.35).contains(&share), "{dropped} beside {opened}");
    for _ in 0..50 {
        assert_eq!(live.ask_name()?, name);
    }
    bench.write("net.ipv4.vs.drop_packet", 0)?;
    assert_eq!(fetch_names(client, HTTP.http(), 3)?.len(), 3);
    assert_accounts(&bench.director);
    Ok(())
}

/// Who fills the pool has his own SYNs dropped, and nobody else's.
#[test]
fn a_flood_of_one_service_drops_no_connections_of_another() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start_with(|configuration| configuration.limit("half_open", 200))?;
    let api = bench.director.api();
    let (one, other) = (HTTP.http_service(), Family::V6.http_service());
    let bystander = wait::until("a share to be dropped", PATIENCE, || {
        bench.flood(1000)?;
        let bystander = api.defense(Some(other))?;
        let (share, of_all) = (api.defense(Some(one))?.drop_rate, api.defense(None)?);
        ensure!(share > 0.2 && of_all.drop_rate > 0.0, "{share}, {of_all:?}");
        ensure!(of_all.rung == "share", "{of_all:?}");
        Ok(bystander)
    })?;
    assert_eq!((bystander.half_open, bystander.drop_rate), (0, 0.0));
    assert_accounts(&bench.director);
    Ok(())
}

/// `drop_entry` empties a 32nd of the half-open pool in a second, and nothing else.
#[test]
fn entries_are_dropped_by_lot_and_established_ones_are_not() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    // So large that a flood which is noticed late does not raise the level.
    let bench = Bench::start_with(|configuration| configuration.limit("half_open", 10 * POOL))?;
    let mut live = HttpConnection::open(&bench.topology.client, HTTP.http())?;
    let name = live.ask_name()?;
    let flood = || bench.flood(200);
    let mut before = wait::until_repeated("a pool with something in it", PATIENCE, flood, || {
        let held = bench.half_open()?;
        ensure!(held > 100, "{held} of 200 are held");
        Ok(held)
    })?;
    let held = wait::until("a pool that fills no more", PATIENCE, || {
        let held = bench.half_open()?;
        let is_steady = std::mem::replace(&mut before, held) == held;
        ensure!(is_steady, "{held} are held");
        Ok(held)
    })?;
    bench.write("net.ipv4.vs.drop_entry", 3)?;
    wait::until("a tenth to be dropped", PATIENCE, || {
        let now = bench.half_open()?;
        ensure!(now > 0 && now < held * 9 / 10, "{now} of {held} are left");
        Ok(())
    })?;
    assert_eq!((bench.level()?, live.ask_name()?), (0, name));
    assert_accounts(&bench.director);
    Ok(())
}

/// Under attack a client that sends nothing is proved by what acknowledges its FIN.
#[test]
fn who_has_come_and_gone_leaves_the_half_open_pool() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bench = Bench::start()?;
    let api = bench.director.api();
    api.set_level(None, 2)?;
    for _ in 0..5 {
        let connect = || Ok(TcpStream::connect(HTTP.http())?);
        drop(bench.topology.client.enter(connect)?);
    }
    wait::until("all of them to be proved", PATIENCE, || {
        let listed = api.connections(HTTP.http_service())?;
        ensure!(listed.len() == 5, "{listed:?}");
        let half_open = api.status()?.connections.half_open;
        ensure!(half_open == 0, "{half_open} half-open");
        Ok(())
    })?;
    assert_accounts(&bench.director);
    Ok(())
}

#[test]
fn real_servers_are_told_of_what_is_dropped_by_a_reset() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    real_servers_are_told("reset")
}

#[test]
fn real_servers_are_told_of_what_is_dropped_by_icmp() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    real_servers_are_told("icmp")
}

/// How often a real server was told by ICMP that something is unreachable.
fn unreachables(real: &RealHost) -> Result<u64> {
    let snmp = real.namespace.run("cat", &["/proc/net/snmp"])?;
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Icmp: "));
    let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let mut fields = names.split(' ').zip(values.split(' '));
    let found = fields.find(|(name, _)| *name == "InDestUnreachs");
    Ok(found.context("no such counter")?.1.parse()?)
}

/// What the director gives up, its real server need not keep either.
fn real_servers_are_told(how: &str) -> Result<()> {
    let bench = Bench::start_with(|configuration| {
        let small = configuration.limit("half_open", 50);
        small.defense("tell_reals", how).defense("syn_ack", 60)
    })?;
    for few in 0..10 {
        bench.flood_from(([172, 16, few, 0], 1024).into(), 25)?;
        // So that the real servers have answered those who have to go for the next.
        fetch_names(&bench.topology.client, HTTP.http(), 1)?;
    }
    let backlogs = || -> Result<usize> {
        let reals = bench.topology.reals.iter();
        let listed = reals.map(|real| {
            let listed = real.namespace.run("ss", &["-Htn", "state", "syn-recv"])?;
            Ok(listed.lines().count())
        });
        listed.sum()
    };
    wait::until("the backlogs to be as short as the pool", PATIENCE, || {
        let held = backlogs()?;
        ensure!(
            (1..=60).contains(&held),
            "{held} half-open at the real servers"
        );
        Ok(())
    })?;
    wait::until("them to be told", PATIENCE, || {
        let status = bench.director.api().status()?;
        let told: u64 = status.workers.iter().map(|worker| worker.answered).sum();
        let reals = bench.topology.reals.iter();
        let errors: u64 = reals.map(unreachables).sum::<Result<u64>>()?;
        ensure!(told >= 100, "{told} were told");
        ensure!((errors >= 100) == (how == "icmp"), "{errors} errors");
        Ok(())
    })?;
    assert_accounts(&bench.director);
    Ok(())
}
