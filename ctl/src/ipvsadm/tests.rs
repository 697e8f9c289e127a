//! Whole lines, against a director in memory: transcripts in the form
//!
//! ```text
//! # title
//! $ ipvsadm -Ln          words as a shell splits them; `<<EOF` gives it standard input
//! > a line of its standard output
//! ! a line of its standard error
//! = its exit status
//! ```

use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context as TaskContext, Poll, Waker};

use adminapi::model::{
    Configuration, Connection, ConnectionPage, Cursor, ForwardingMethod, Protocol, Rates, Real,
    RealView, Scheduler, SchedulerFlags, Service, ServiceId, ServicePatch, ServiceView, Stats,
    SyncDaemon, SyncRole, Timeouts, TimeoutsPatch, Traffic,
};
use proptest::prelude::*;

use super::names::fake::FakeNames;
use super::{Context, Dialect, Streams, run};
use crate::director::{Director, DirectorError, Edit, Result};

/// A director that forwards nothing.
#[derive(Debug, Default)]
struct MemoryDirector {
    services: RefCell<Vec<ServiceView>>,
    connections: Vec<Connection>,
    timeouts: RefCell<Timeouts>,
    daemons: RefCell<Vec<SyncDaemon>>,
}

impl MemoryDirector {
    fn with<T>(&self, id: ServiceId, act: impl FnOnce(&mut ServiceView) -> T) -> Result<T> {
        let mut services = self.services.borrow_mut();
        let service = services.iter_mut().find(|service| service.id == id);
        service.map(act).ok_or(DirectorError::NoService)
    }
}

fn view(real: &Real) -> RealView {
    RealView {
        address: real.address,
        port: real.port.unwrap(),
        weight: real.weight,
        method: real.method,
        tun: real.tunnel(),
        upper: real.upper,
        lower: real.lower,
        overloaded: false,
        active: 0,
        inactive: 0,
        check: None,
        condition: None,
        draining: None,
        persistent: 0,
        local_ports: None,
        stats: Traffic::default(),
        rates: Rates::default(),
        drops: Default::default(),
    }
}

fn is_at(real: &RealView, at: SocketAddr) -> bool {
    (real.address, real.port) == (at.ip(), at.port())
}

fn service_view(service: &Service) -> ServiceView {
    ServiceView {
        id: service.id,
        naming: service.id.into(),
        scheduler: service.scheduler,
        scheduler_flags: service.scheduler_flags,
        persistence: service.persistence,
        one_packet: service.one_packet,
        health: None,
        condition: None,
        sorry: None,
        stats: Traffic::default(),
        rates: Rates::default(),
        drops: Default::default(),
        reals: service.reals.iter().map(view).collect(),
    }
}

impl Edit for &MemoryDirector {
    async fn has_service(&self, id: ServiceId) -> Result<bool> {
        Ok(self.with(id, |_| ()).is_ok())
    }

    async fn add_service(&self, service: Service) -> Result<()> {
        let id = service.id;
        if self.with(id, |_| ()).is_ok() {
            return Err(DirectorError::Exists);
        }
        if id.vip().is_some_and(|vip| vip.ip().is_multicast()) {
            return Err(DirectorError::Refused("/address: multicast".into()));
        }
        self.services.borrow_mut().push(service_view(&service));
        Ok(())
    }

    async fn change_service(&self, id: ServiceId, patch: ServicePatch) -> Result<()> {
        self.with(id, |service| {
            service.scheduler = patch.scheduler.unwrap_or(service.scheduler);
            service.scheduler_flags = patch.scheduler_flags.unwrap_or(service.scheduler_flags);
            service.persistence = patch.persistence.unwrap_or(service.persistence);
            service.one_packet = patch.one_packet.unwrap_or(service.one_packet);
        })
    }

    async fn remove_service(&self, id: ServiceId) -> Result<()> {
        self.with(id, |_| ())?;
        self.services
            .borrow_mut()
            .retain(|service| service.id != id);
        Ok(())
    }

    async fn flush(&self) -> Result<()> {
        self.services.borrow_mut().clear();
        Ok(())
    }

    async fn add_real(&self, id: ServiceId, real: Real) -> Result<()> {
        self.with(id, |service| {
            let at = SocketAddr::new(real.address, real.port.unwrap());
            if service.reals.iter().any(|known| is_at(known, at)) {
                return Err(DirectorError::Exists);
            }
            service.reals.push(view(&real));
            Ok(())
        })?
    }

    async fn change_real(&self, id: ServiceId, real: Real) -> Result<()> {
        self.with(id, |service| {
            let at = SocketAddr::new(real.address, real.port.unwrap());
            let known = service.reals.iter_mut().find(|known| is_at(known, at));
            *known.ok_or(DirectorError::NoReal)? = view(&real);
            Ok(())
        })?
    }

    async fn remove_real(&self, id: ServiceId, at: SocketAddr) -> Result<()> {
        self.with(id, |service| {
            let before = service.reals.len();
            service.reals.retain(|known| !is_at(known, at));
            if service.reals.len() == before {
                return Err(DirectorError::NoReal);
            }
            Ok(())
        })?
    }

    async fn change_timeouts(&self, patch: TimeoutsPatch) -> Result<()> {
        self.timeouts.replace_with(|now| now.changed(patch));
        Ok(())
    }
}

impl Director for &MemoryDirector {
    async fn services(&self) -> Result<Vec<ServiceView>> {
        Ok(self.services.borrow().clone())
    }

    async fn service(&self, id: ServiceId) -> Result<ServiceView> {
        self.with(id, |service| service.clone())
    }

    async fn config(&self) -> Result<Configuration> {
        Ok(Configuration {
            timeouts: *self.timeouts.borrow(),
            services: self.services.borrow().iter().map(Service::from).collect(),
        })
    }

    async fn put_config(&self, wanted: &Configuration) -> Result<()> {
        self.check_config(wanted).await?;
        self.timeouts.replace(wanted.timeouts);
        let services = wanted.services.iter().map(service_view);
        self.services.replace(services.collect());
        Ok(())
    }

    async fn check_config(&self, wanted: &Configuration) -> Result<()> {
        let full = wanted.services.len() > 3;
        full.then(|| DirectorError::Full("no room".into()))
            .map_or(Ok(()), Err)
    }

    /// One connection a page, so that every listing has to turn pages.
    async fn connections(&self, from: Option<Cursor>) -> Result<ConnectionPage> {
        let at = from.map_or(0, |cursor| cursor.0);
        let following = self.connections.get(at as usize..).unwrap_or_default();
        Ok(ConnectionPage {
            connections: following.iter().take(1).cloned().collect(),
            next: (following.len() > 1).then_some(Cursor(at + 1)),
        })
    }

    async fn zero(&self, id: Option<ServiceId>) -> Result<()> {
        if let Some(id) = id {
            self.with(id, |_| ())?;
        }
        for service in self.services.borrow_mut().iter_mut() {
            if id.is_none_or(|id| id == service.id) {
                service.stats = Traffic::default();
                service
                    .reals
                    .iter_mut()
                    .for_each(|r| r.stats = Traffic::default());
            }
        }
        Ok(())
    }

    async fn timeouts(&self) -> Result<Timeouts> {
        Ok(*self.timeouts.borrow())
    }

    async fn stats(&self) -> Result<Stats> {
        let services = self.services.borrow();
        let first = services.first();
        Ok(Stats {
            traffic: first.map_or(Traffic::default(), |service| service.stats),
            rates: first.map_or(Rates::default(), |service| service.rates),
            ..Stats::default()
        })
    }

    async fn daemons(&self) -> Result<Vec<SyncDaemon>> {
        Ok(self.daemons.borrow().clone())
    }

    async fn start_daemon(&self, daemon: SyncDaemon) -> Result<()> {
        let mut daemons = self.daemons.borrow_mut();
        if daemons.iter().any(|known| known.role == daemon.role) {
            return Err(DirectorError::Exists);
        }
        if daemon.interface != "eth0" {
            return Err(DirectorError::NoInterface("it has eth0".into()));
        }
        daemons.push(daemon);
        Ok(())
    }

    async fn stop_daemon(&self, role: SyncRole) -> Result<()> {
        let mut daemons = self.daemons.borrow_mut();
        let place = daemons.iter().position(|known| known.role == role);
        daemons.remove(place.ok_or(DirectorError::NoDaemon)?);
        Ok(())
    }
}

/// What a command said.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    out: String,
    err: String,
    status: u8,
}

fn say(director: &MemoryDirector, dialect: Dialect, args: &[String], input: &[u8]) -> Said {
    say_to(dialect, args, input, |_| Ok(director))
}

fn say_to<'a>(
    dialect: Dialect,
    args: &[String],
    mut input: &[u8],
    find: impl FnOnce(Option<&str>) -> Result<&'a MemoryDirector>,
) -> Said {
    let context = Context {
        program: match dialect {
            Dialect::Bulwark => "bulwark",
            Dialect::Ipvsadm => "ipvsadm",
        },
        dialect,
        names: &FakeNames,
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = {
        let streams = Streams {
            input: &mut input,
            out: &mut out,
            err: &mut err,
            on_terminal: false,
        };
        let future = pin!(run(args, context, find, streams));
        match future.poll(&mut TaskContext::from_waker(Waker::noop())) {
            Poll::Ready(status) => status,
            Poll::Pending => panic!("the director in memory never waits"),
        }
    };
    Said {
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
        status,
    }
}

fn ipvsadm(director: &MemoryDirector, line: &str) -> Said {
    say(director, Dialect::Ipvsadm, &words(line), b"")
}

fn bulwark(director: &MemoryDirector, line: &str) -> Said {
    say(director, Dialect::Bulwark, &words(line), b"")
}

/// Splits as a shell does, quotes included.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// One command of a transcript and what it has to say.
#[derive(Debug)]
struct Step {
    line: String,
    input: String,
    want: Said,
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = text.lines();
    while let Some(text) = lines.next() {
        let (mark, rest) = text.split_at_checked(2).unwrap_or((text, ""));
        match (mark, steps.last_mut()) {
            ("$ ", _) => {
                let (line, here) = match rest.strip_suffix(" <<EOF") {
                    Some(line) => (line, true),
                    None => (rest, false),
                };
                let input = lines.by_ref().take_while(|line| here && *line != "EOF");
                let input = if here {
                    input.map(|line| format!("{line}\n")).collect()
                } else {
                    String::new()
                };
                steps.push(Step {
                    line: line.to_owned(),
                    input,
                    want: Said {
                        out: String::new(),
                        err: String::new(),
                        status: 0,
                    },
                });
            }
            ("> ", Some(step)) => step.want.out += &format!("{rest}\n"),
            ("! ", Some(step)) => step.want.err += &format!("{rest}\n"),
            ("= ", Some(step)) => step.want.status = rest.parse().unwrap(),
            ("# ", _) => {}
            _ => panic!("no line of a transcript: {text:?}"),
        }
    }
    steps
}

fn replay(text: &str, director: &MemoryDirector) {
    for step in steps(text) {
        let (program, line) = step.line.split_once(' ').unwrap_or((&step.line, ""));
        let dialect = match program {
            "ipvsadm" => Dialect::Ipvsadm,
            _ => Dialect::Bulwark,
        };
        let said = say(director, dialect, &words(line), step.input.as_bytes());
        assert_eq!(said, step.want, "$ {}", step.line);
    }
}

fn traffic(values: [u64; 5]) -> Traffic {
    let [connections, in_packets, out_packets, in_bytes, out_bytes] = values;
    Traffic {
        connections,
        in_packets,
        out_packets,
        in_bytes,
        out_bytes,
    }
}

fn connection(protocol: Protocol, ends: [&str; 3], state: &str, expires: u32) -> Connection {
    let [client, vip, real] = ends.map(|end| end.parse().unwrap());
    Connection {
        service: ServiceId::at(protocol, vip),
        protocol: Some(protocol),
        template: false,
        client,
        vip,
        real,
        local: None,
        state: state.to_owned(),
        expires,
    }
}

macro_rules! transcripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let text = include_str!(concat!("cases/", stringify!($name), ".case"));
            replay(text, &MemoryDirector::default());
        })*
    };
}

transcripts!(arguments services schedulers reals methods listings restoring atomic daemons missing);

#[test]
fn counters_and_connections_are_listed_as_ipvsadm_does() {
    let director = MemoryDirector {
        connections: vec![
            connection(
                Protocol::Tcp,
                ["203.0.113.9:51514", "192.0.2.10:80", "10.0.0.11:8080"],
                "ESTABLISHED",
                14 * 60 + 57,
            ),
            connection(
                Protocol::Udp,
                ["203.0.113.9:5353", "192.0.2.53:53", "10.0.0.53:53"],
                "UDP",
                4 * 60 + 12,
            ),
            connection(
                Protocol::Tcp,
                [
                    "[2001:db8:ffff::9]:51514",
                    "[2001:db8::1]:80",
                    "[2001:db8:0:1::11]:80",
                ],
                "SYN_RECV",
                43,
            ),
            connection(
                Protocol::Tcp,
                ["172.16.123.123:65535", "192.0.2.10:80", "10.0.0.11:80"],
                "ESTABLISHED",
                2_678_400,
            ),
        ],
        ..MemoryDirector::default()
    };
    director.services.borrow_mut().push(ServiceView {
        id: "tcp:192.0.2.10:80".parse().unwrap(),
        naming: Default::default(),
        scheduler: Scheduler::Wlc,
        scheduler_flags: SchedulerFlags::NONE,
        persistence: None,
        one_packet: false,
        health: None,
        condition: None,
        sorry: None,
        stats: traffic([
            123_456_789,
            9_876_543_210,
            99_999_999,
            1_234_567_890_123,
            987_654_321_098_765,
        ]),
        rates: Rates {
            connections: 1200,
            in_packets: 250_000_000,
            out_packets: 249_000,
            in_bytes: 160_000_000,
            out_bytes: 1_500_000_000,
        },
        drops: Default::default(),
        reals: vec![RealView {
            address: [10, 0, 0, 11].into(),
            port: 8080,
            weight: 1,
            method: ForwardingMethod::Nat,
            tun: None,
            upper: 0,
            lower: 0,
            overloaded: false,
            active: 12,
            inactive: 340,
            check: None,
            condition: None,
            draining: None,
            persistent: 0,
            local_ports: None,
            stats: traffic([61_728_394, 4_938_271_605, 0, 617_283_945_061, 0]),
            rates: Rates::default(),
            drops: Default::default(),
        }],
    });
    replay(include_str!("cases/counters.case"), &director);
}

#[test]
fn json_holds_what_the_tables_hold() {
    let director = MemoryDirector {
        connections: vec![
            connection(
                Protocol::Tcp,
                ["203.0.113.9:51514", "192.0.2.10:80", "10.0.0.11:8080"],
                "ESTABLISHED",
                5,
            );
            3
        ],
        ..MemoryDirector::default()
    };
    for line in [
        "-A -t 192.0.2.10:80",
        "-a -t 192.0.2.10:80 -r 10.0.0.1:80 -m",
    ] {
        assert_eq!(bulwark(&director, line).status, 0);
    }
    let listed: Vec<ServiceView> =
        serde_json::from_str(&bulwark(&director, "-Ln --json").out).unwrap();
    assert_eq!(listed, *director.services.borrow());
    let listed: Vec<Connection> =
        serde_json::from_str(&bulwark(&director, "--json -Lc").out).unwrap();
    assert_eq!(listed, director.connections);
    let timeouts = bulwark(&director, "-L --timeout --json").out;
    let timeouts: serde_json::Value = serde_json::from_str(&timeouts).unwrap();
    assert_eq!(
        timeouts,
        serde_json::json!({"tcp": 900, "tcpfin": 120, "udp": 300})
    );
    let none = bulwark(&MemoryDirector::default(), "-Lc --json").out;
    assert_eq!(none, "[]\n");
}

/// What `bulwark proc` prints.
fn proc_text(director: &MemoryDirector, file: super::proc::File) -> String {
    let future = pin!(super::proc::text(file, &director));
    match future.poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(text) => text.unwrap(),
        Poll::Pending => panic!("the director in memory never waits"),
    }
}

#[test]
fn the_files_of_proc_read_as_the_kernel_writes_them() {
    use super::proc::File;
    let director = MemoryDirector {
        connections: vec![connection(
            Protocol::Tcp,
            ["203.0.113.9:51514", "192.0.2.10:80", "10.0.0.11:8080"],
            "ESTABLISHED",
            897,
        )],
        ..MemoryDirector::default()
    };
    for line in [
        "-A -t 192.0.2.10:80 -s rr",
        "-a -t 192.0.2.10:80 -r 10.0.0.11:80 -m -w 5",
        "-a -t 192.0.2.10:80 -r 10.0.0.12:8080 -m",
        "-A -t [2001:db8::1]:80 -s rr",
        "-a -t [2001:db8::1]:80 -r [2001:db8:0:1::11]:80 -g",
        "-A -f 7 -s rr",
    ] {
        assert_eq!(ipvsadm(&director, line).status, 0, "{line}");
    }
    assert_eq!(
        proc_text(&director, File::Services),
        "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  C000020A:0050 rr  
  -> 0A00000C:1F90      Masq    1      0          0         
  -> 0A00000B:0050      Masq    5      0          0         
TCP  [2001:0db8:0000:0000:0000:0000:0000:0001]:0050 rr 
  -> [2001:0db8:0000:0001:0000:0000:0000:0011]:0050      Route   1      0          0         
FWM  00000007 rr 
"
    );
    assert_eq!(
        proc_text(&director, File::Connections),
        "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP CB007109 C93A C000020A 0050 0A00000B 1F90 ESTABLISHED     897
"
    );
    director.services.borrow_mut()[0].stats = traffic([255, 16, 0, 4096, 0]);
    assert_eq!(
        proc_text(&director, File::Stats),
        "   Total Incoming Outgoing         Incoming         Outgoing
   Conns  Packets  Packets            Bytes            Bytes
      FF       10        0             1000                0

 Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s
       0        0        0                0                0
"
    );
}

#[test]
fn the_own_switches_are_unknown_to_ipvsadm() {
    let director = MemoryDirector::default();
    let said = ipvsadm(&director, "-L --json");
    assert_eq!(
        (said.err.as_str(), said.status),
        ("--json: unknown option\n", 255)
    );
    assert_eq!(ipvsadm(&director, "--api x -L").status, 255);
    let said = bulwark(&director, "-S --json");
    let refused = "Illegal 'json' option with the 'save' command\n";
    assert_eq!((said.err.as_str(), said.status), (refused, 2));
    assert_eq!(bulwark(&director, "--api unix:/x -L -n").status, 0);
}

#[test]
fn errors_of_the_director_have_their_own_status() {
    let fail = |dialect, error| {
        let said = say_to(dialect, &words("-L"), b"", |_| Err(error));
        (said.err, said.status)
    };
    for (error, status) in [
        (DirectorError::NotRunning("down".into()), 3),
        (DirectorError::NoPermission("down".into()), 4),
        (DirectorError::TimedOut("down".into()), 5),
        (DirectorError::Fault("down".into()), 6),
    ] {
        assert_eq!(fail(Dialect::Bulwark, error), ("down\n".to_owned(), status));
    }
    assert_eq!(
        fail(Dialect::Ipvsadm, DirectorError::NotRunning("down".into())),
        ("Can't initialize ipvs: down\n".to_owned(), 2)
    );
}

#[test]
fn help_and_version_need_no_director() {
    let director = MemoryDirector::default();
    assert_eq!(
        ipvsadm(&director, "-v").out,
        "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)\n"
    );
    assert!(bulwark(&director, "--version").out.starts_with("bulwark "));
    let help = bulwark(&director, "-h").out;
    for switch in super::grammar::SWITCHES
        .iter()
        .chain(super::grammar::OWN_SWITCHES)
    {
        let name = format!("--{}", switch.long);
        assert!(help.contains(&name) || switch.long == "sort", "{name}");
    }
    assert!(!ipvsadm(&director, "-h").out.contains("--json"));
}

/// Below 128.0.0.0, where the order of a listing does not depend on that of the director.
fn low_ipv4() -> impl Strategy<Value = [u8; 4]> {
    (0u32..1 << 31).prop_map(u32::to_be_bytes)
}

fn any_word() -> impl Strategy<Value = String> {
    let switches = super::grammar::SWITCHES
        .iter()
        .chain(super::grammar::OWN_SWITCHES);
    // What is watched never ends.
    let mut known: Vec<String> = switches
        .filter(|switch| switch.long != "watch")
        .flat_map(|s| {
            [
                Some(format!("--{}", s.long)),
                s.short.map(|c| format!("-{c}")),
            ]
        })
        .flatten()
        .collect();
    known.extend(
        [
            "192.0.2.10:80",
            "[2001:db8::1]:80",
            "10.0.0.1",
            "rr",
            "5",
            "0",
            "-1",
            "--",
            "-",
            "",
            "master",
            "gue",
            "-Lnc",
            "--weight=3",
            "-p=",
            "\u{e9}",
            "-\u{e9}",
            "--=",
        ]
        .map(str::to_owned),
    );
    prop_oneof![4 => proptest::sample::select(known), 1 => ".{0,12}"]
}

proptest! {
    #[test]
    fn no_line_panics(
        args in proptest::collection::vec(any_word(), 0..10),
        input in "(.{0,20}\n){0,3}",
    ) {
        let director = MemoryDirector::default();
        for dialect in [Dialect::Bulwark, Dialect::Ipvsadm] {
            let said = say(&director, dialect, &args, input.as_bytes());
            prop_assert_eq!(said.status == 0, said.err.is_empty(), "{:?}", said);
        }
    }

    #[test]
    fn what_is_saved_restores(
        services in proptest::collection::btree_map(
            (any::<bool>(), low_ipv4(), 1u16..),
            (0usize..4, proptest::collection::btree_map((low_ipv4(), any::<u16>()), 0..=i32::MAX as u32, 0..4)),
            0..6,
        ),
    ) {
        let director = MemoryDirector::default();
        for ((udp, vip, port), (scheduler, reals)) in services {
            let vip = SocketAddr::from((vip, port));
            let selector = format!("-{} {vip}", if udp { 'u' } else { 't' });
            let scheduler = Scheduler::ALL[scheduler].name();
            prop_assert_eq!(ipvsadm(&director, &format!("-A {selector} -s {scheduler}")).status, 0);
            for (real, weight) in reals {
                let real = SocketAddr::from(real);
                let line = format!("-a {selector} -r {real} -m -w {weight}");
                prop_assert_eq!(ipvsadm(&director, &line).status, 0);
            }
        }
        let saved = ipvsadm(&director, "-Sn").out;
        let other = MemoryDirector::default();
        let restored = say(&other, Dialect::Ipvsadm, &words("-R"), saved.as_bytes());
        prop_assert_eq!(restored, Said { out: String::new(), err: String::new(), status: 0 });
        prop_assert_eq!(ipvsadm(&other, "-Ln").out, ipvsadm(&director, "-Ln").out);
        prop_assert_eq!(ipvsadm(&other, "-Sn").out, saved);
    }
}
