use std::fs;
use std::num::NonZeroU32;

use adminapi::model::{Protocol, RepeatPolicy, Scheduler};
use adminapi::serve::ClientCertificates;
use adminapi::sysctl::Sysctl;

use super::*;

mod any_text;

const MINIMAL: &str = "[datapath]\ninterfaces = [\"eth0\"]\n";

/// What is said about `text`, which is called `f`.
fn complaints(text: &str) -> Vec<String> {
    let errors = Config::parse(text, "f").expect_err(text);
    errors.to_string().lines().map(str::to_owned).collect()
}

fn sample(name: &str) -> Config {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/");
    Config::load(Path::new(&format!("{folder}{name}"))).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn a_minimal_file_has_the_documented_defaults() {
    let config = Config::parse(MINIMAL, "f").unwrap();
    assert_eq!(config.datapath.interfaces[0].as_str(), "eth0");
    assert_eq!(config.datapath.mode, ModeChoice::Auto);
    assert_eq!(config.datapath.workers, None);
    assert_eq!(config.datapath.frames, 16_384);
    assert_eq!(config.datapath.ring, 2048);
    assert!(config.datapath.clamp_mss && config.datapath.path_mtu_answers);
    assert_eq!(config.api.unix, Path::new("/run/bulwark/api.sock"));
    assert_eq!(config.api.listen, None);
    assert_eq!(config.limits.connections, 1_000_000);
    assert_eq!(config.limits.half_open, 250_000);
    assert_eq!(config.timeouts, Timeouts::default());
    assert_eq!(config.log, Log::default());
    assert_eq!(config.services, []);
}

#[test]
fn the_sample_files_are_good() {
    let config = sample("bulwark.toml");
    assert_eq!(config.services.len(), 2);
    assert_eq!(config.services[0].id.protocol(), Some(Protocol::Tcp));
    assert_eq!(config.services[0].reals[0].weight, 2);
    assert_eq!(config.services[0].reals[1].weight, 1);
    assert_eq!(config.services[1].scheduler, Scheduler::Rr);
    let demo = sample("nat.toml");
    assert_eq!(demo.limits.connections, 95_326);
    assert_eq!(demo.services[0].reals.len(), 3);
}

/// A comment in the sample that looks like a key shows the default: nothing changes when it is
/// made one (but for those that need a decision).
#[test]
fn other_hosts_come_with_tokens_and_tls() {
    let text = "[datapath]\ninterfaces = [\"a\"]\n[api]\nlisten = \"192.0.2.1:7070\"\n\
                token_file = \"/t\"\nunix_group = \"bulwark\"\n[api.tls]\ncertificate = \"/c\"\n\
                key = \"/k\"\nclient_ca = \"/ca\"\nclient_certificates = \"optional\"\n";
    let api = Config::parse(text, "f").unwrap().api.clone();
    assert_eq!(api.unix_group.as_deref(), Some("bulwark"));
    let listen = api.listen.unwrap();
    assert_eq!(listen.token_file, Some("/t".into()));
    let tls = listen.tls.unwrap();
    assert_eq!(tls.client_certificates, ClientCertificates::Optional);
    let files = [tls.certificate, tls.key, tls.client_ca.unwrap()];
    assert_eq!(files, ["/c", "/k", "/ca"].map(std::path::PathBuf::from));
}

#[test]
fn what_the_sample_shows_is_the_default() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/bulwark.toml");
    let text = fs::read_to_string(path).unwrap();
    let chosen = [
        "#workers",
        "#memory",
        "#unix_group",
        "#listen",
        "#token_file",
        "#certificate",
        "#key",
        "#client_ca",
        "#client_certificates",
        "#insecure_loopback",
        "#persist",
        "#request_",
        "#country_file",
        "#asn_file",
    ];
    let shown: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase()) => {
                let keep = chosen.iter().any(|word| line.starts_with(word));
                if keep { line } else { key }
            }
            _ => line,
        })
        .map(|line| format!("{line}\n"))
        .collect();
    assert_ne!(shown, text);
    assert_eq!(Config::parse(&shown, "f").unwrap(), sample("bulwark.toml"));
}

#[test]
fn everything_can_be_set() {
    let text = r#"
[datapath]
interfaces = ["eth0", "eth1.7"]
fast_path = false
flows = 4096
mode = "zero-copy"
workers = 2
frames = 8192
ring = 1024
clamp_mss = false
path_mtu_answers = false
[api]
unix = "/tmp/a.sock"
listen = "[::1]:7070"
insecure_loopback = true
request_rate = 7
[limits]
memory = "3MiB"
connections = 8192
half_open = 8192
templates = 8192
[timeouts]
tcp = 1
tcpfin = 2678400
udp = 3
[sysctl]
conn_reuse_mode = 0
sync_threshold = [5, 60]
[log]
level = "trace"
format = "json"
"#;
    let config = Config::parse(text, "f").unwrap();
    assert_eq!(config.datapath.mode, ModeChoice::ZeroCopy);
    assert_eq!(config.datapath.workers, Some(2));
    assert_eq!(config.datapath.frames, 8192);
    assert_eq!(config.datapath.ring, 1024);
    assert_eq!(config.datapath.flows, 0, "they are not wanted");
    assert!(!config.datapath.clamp_mss && !config.datapath.path_mtu_answers);
    let listen = Listen {
        address: "[::1]:7070".parse().unwrap(),
        token_file: None,
        tls: None,
        requests: Some(Requests {
            rate: NonZeroU32::new(7).unwrap(),
            burst: NonZeroU32::new(70).unwrap(),
        }),
    };
    assert_eq!(config.api.listen, Some(listen));
    assert_eq!(config.limits.connections, 8192);
    assert_eq!(config.limits.half_open, 8192);
    assert_eq!(config.limits.templates, 8192);
    assert_eq!(config.timeouts.tcpfin, 2_678_400);
    let changed = [
        Sysctl::ConnReuseMode,
        Sysctl::SyncThreshold,
        Sysctl::PmtuDisc,
    ];
    let values = changed.map(|sysctl| config.sysctls.get(sysctl).to_string());
    assert_eq!(values, ["0", "5\t60", "1"]);
    assert_eq!(config.log.level, LogLevel::Trace);
    assert_eq!(config.log.format, LogFormat::Json);
}

/// Port 0 is the one that packets come to, as the API has it.
#[test]
fn real_servers_of_every_port_may_say_so() {
    let real = "{ address = \"10.0.2.1\", port = 0 }";
    for service in [
        "fwmark = 7",
        "protocol = \"tcp\"\naddress = \"10.0.0.1\"\nport = 0\npersistence = {}",
    ] {
        let text = format!("{MINIMAL}\n[[service]]\n{service}\nreal = [{real}]\n");
        let config = Config::parse(&text, "f").unwrap();
        assert_eq!(config.services[0].reals[0].port, Some(0), "{service}");
    }
    let service = "protocol = \"tcp\"\naddress = \"10.0.0.1\"\nport = 80";
    let text = format!("{MINIMAL}\n[[service]]\n{service}\nreal = [{real}]\n");
    let said = Config::parse(&text, "f").unwrap_err().to_string();
    assert!(said.contains("port 0 is no port"), "{said}");
}

#[test]
fn memory_of_any_size_holds_its_own_parts() {
    for size in 128..400 {
        let text = format!("{MINIMAL}\n[limits]\nmemory = \"{size}KiB\"\n");
        let limits = Config::parse(&text, "f").unwrap().limits;
        let parts = limits.connections + limits.half_open + limits.templates;
        assert_eq!(parts, size * 8, "{limits:?}");
    }
}

#[test]
fn a_service_may_say_itself_when_its_clients_come_twice() {
    let read = |own: &str| {
        let text = format!(
            "{MINIMAL}\n[defense]\nudp_repeats = \"off\"\n[[service]]\nprotocol = \"udp\"\n\
             address = \"192.0.2.10\"\nport = 53\n{own}\n"
        );
        Config::parse(&text, "f")
    };
    let config = read("udp_repeats = \"auto\"").unwrap();
    assert_eq!(config.defense.repeats, RepeatPolicy::Off);
    assert_eq!(config.services[0].udp_repeats, Some(RepeatPolicy::Auto));
    assert_eq!(read("").unwrap().services[0].udp_repeats, None);
    let refused = read("udp_repeats = \"always\"").unwrap_err().to_string();
    let want = "service.udp_repeats: must be one of off, auto, not \"always\"";
    assert!(refused.contains(want), "{refused}");
}

/// Lines that follow the two of `MINIMAL` (so the first is line 3), and what is said of them.
#[test]
fn each_bad_line_is_named() {
    let table = [
        (
            "mode = \"zerocopy\"",
            "f:3: datapath.mode: must be one of auto, zero-copy, copy, generic, not \"zerocopy\"; \
             did you mean zero-copy?",
        ),
        (
            "flows = 0",
            "f:3: datapath.flows: must be a whole number from 1 to 4194304, not 0",
        ),
        (
            "local_ports = \"5000-5100\"",
            "f:3: datapath.local_ports: 5000-5100 are 101 ports; give 1024 at least",
        ),
        (
            "local_addresses = [\"10.0.2.1\", \"10.0.2.1\"]",
            "f:3: datapath.local_addresses: 10.0.2.1 is there already (line 3); name it once",
        ),
        (
            "fast_path = \"yes\"",
            "f:3: datapath.fast_path: must be true or false, not \"yes\"",
        ),
        (
            "workers = 0",
            "f:3: datapath.workers: must be a whole number from 1 to 256, not 0",
        ),
        (
            "frames = 5000",
            "f:3: datapath.frames: must be a power of two from 128 to 1048576, not 5000",
        ),
        (
            "frames = 2048",
            "f:3: datapath.frames: 2048 frames cannot fill the rings of all interfaces; \
             use 4096 or a smaller ring",
        ),
        (
            "ring = 3.5",
            "f:3: datapath.ring: must be a power of two from 64 to 32768, not 3.5",
        ),
        (
            "interface = [\"eth1\"]",
            "f:3: datapath.interface: unknown key; did you mean interfaces?",
        ),
        (
            "colour = 1",
            "f:3: datapath.colour: unknown key; \
             known here: clamp_mss, drain, fast_path, flows, frames, interfaces, local_addresses, local_ports, \
             mode, path_mtu_answers, pin, ring, state, workers",
        ),
        (
            "pin = \"gate\"",
            "f:3: datapath.pin: \"gate\" is not the absolute path of a directory; \
             begin it with /, and name a directory of its own",
        ),
        (
            "state = \"/run/bulwark/state\"",
            "f:3: datapath.state: is of no use without pin; \
             set pin as well, as in pin = \"/sys/fs/bpf/bulwark\"",
        ),
        (
            "interfaces = [\"eth1\"]",
            "f:3: `interfaces` is there already (line 2); keep one of them",
        ),
        (
            "\n[datapath]",
            "f:4: `datapath` is there already (line 1); keep one of them",
        ),
        (
            "[data]",
            "f:3: data: unknown key; known here: api, cookies, datapath, defense, filter, health, limits, log, mark, service, \
             sysctl, timeouts",
        ),
        (
            "[defense]\nlevel = 1",
            "f:4: defense.level: must be 0 (by itself) or 2 (pinned), not 1",
        ),
        (
            "[defense]\nhalf_open_pool = 101",
            "f:4: defense.half_open_pool: must be a whole number from 0 to 100, not 101",
        ),
        (
            "[defense]\nhalf_open_pool = 10",
            "f:3: defense.half_open_pool_leave: is above half_open_pool; \
             level 1 ends at less than it begins with",
        ),
        (
            "[defense]\nmemory = \"30MiB\"",
            "f:3: defense.memory_leave: is below memory; \
             level 1 ends when more is left than it begins with",
        ),
        (
            "[defense]\nmemory_leave = \"30\"",
            "f:4: defense.memory_leave: \"30\" is not a size; \
             write a whole number of KiB, MiB or GiB, as in \"256MiB\"",
        ),
        (
            "[defense]\ndwell = 0",
            "f:4: defense.dwell: must be a whole number from 1 to 86400, not 0",
        ),
        (
            "[[timeouts]]",
            "f:3: timeouts: must be a table, not an array of tables; write [timeouts]",
        ),
        (
            "[service]",
            "f:3: service: must be a list of tables; write [[service]]",
        ),
        (
            "[api]\nunix = \"api.sock\"",
            "f:4: api.unix: \"api.sock\" is not an absolute path; begin it with /",
        ),
        (
            "[api]\nlisten = \"localhost:7070\"",
            "f:4: api.listen: must be an address and a port, as in \"127.0.0.1:7070\", \
             not \"localhost:7070\"",
        ),
        (
            "[api]\nlisten = \"127.0.0.1:7070\"",
            "f:4: api.listen: 127.0.0.1:7070 is open to every user of this host, and asks for no \
             token; set token_file, or use the Unix socket, or set insecure_loopback = true to \
             accept that",
        ),
        (
            "[api]\nlisten = \"0.0.0.0:7070\"\ninsecure_loopback = true",
            "f:4: api.listen: 0.0.0.0:7070 is open to other hosts, which need tokens and TLS; set \
             token_file and [api.tls], or use the Unix socket; `bulwark token new` makes a token",
        ),
        (
            "[api]\nlisten = \"192.0.2.1:7070\"\ntoken_file = \"/etc/bulwark/tokens\"",
            "f:4: api.listen: 192.0.2.1:7070 is open to other hosts, which need tokens and TLS; \
             set token_file and [api.tls], or use the Unix socket; `bulwark token new` makes a \
             token",
        ),
        (
            "[api]\ntoken_file = \"/etc/bulwark/tokens\"",
            "f:4: api.token_file: is for listen, which is not set; the Unix socket needs neither \
             tokens nor TLS; set listen too",
        ),
        (
            "[api]\nlisten = \"127.0.0.1:7070\"\ntoken_file = \"tokens\"",
            "f:5: api.token_file: \"tokens\" is not an absolute path; begin it with /",
        ),
        (
            "[api]\nlisten = \"127.0.0.1:7070\"\ntoken_file = \"/t\"\n[api.tls]\nkey = \"/k\"",
            "f:6: api.tls.certificate: is missing; name a PEM file, as in \"/etc/bulwark/api.crt\"",
        ),
        (
            "[api]\nlisten = \"127.0.0.1:7070\"\ntoken_file = \"/t\"\n[api.tls]\n\
             certificate = \"/c\"\nkey = \"/k\"\nclient_certificates = \"optional\"",
            "f:9: api.tls.client_certificates: does nothing by itself; set client_ca too, the file \
             of those who sign them",
        ),
        (
            "[limits]\nconnections = 100",
            "f:4: limits.connections: must be a whole number from 1024 to 1073741824, not 100",
        ),
        (
            "[limits]\nmemory = \"256M\"",
            "f:4: limits.memory: \"256M\" is not a size; \
             write a whole number of KiB, MiB or GiB, as in \"256MiB\"",
        ),
        (
            "[limits]\nmemory = \"127KiB\"",
            "f:4: limits.memory: 127KiB holds 1016 connections; use 128KiB or more",
        ),
        (
            "[limits]\nmemory = \"1MiB\"\nconnections = 8000",
            "f:4: limits.memory: 8000 connections, 2000 half-open ones and 1000 clients do \
             not fit, 8192 do; give more memory, or lower the others",
        ),
        (
            "[limits]\nconnections = 2000\nhalf_open = 0",
            "f:5: limits.half_open: must be a whole number from 1 to 1073741824, not 0",
        ),
        (
            "[timeouts]\ntcp = 0",
            "f:4: timeouts.tcp: must be a whole number from 1 to 2678400, not 0",
        ),
        (
            "[sysctl]\nsecure_tcp = 4",
            "f:4: sysctl.secure_tcp: must be 0 (off), 1 or 2 (automatic) or 3 (on), not 4",
        ),
        (
            "[sysctl]\nsloppy_tcp = true",
            "f:4: sysctl.sloppy_tcp: must be a number, a list of two, or text, not true",
        ),
        (
            "[sysctl]\nsloppy-tcp = 1",
            "f:4: sysctl.sloppy-tcp: unknown key; did you mean sloppy_tcp?",
        ),
        (
            "[log]\nlevel = \"verbose\"",
            "f:4: log.level: must be one of error, warn, info, debug, trace, not \"verbose\"",
        ),
        (
            "mode =",
            "f:3: string values must be quoted, expected literal string",
        ),
    ];
    for (lines, expected) in table {
        let text = format!("{MINIMAL}{lines}\n");
        assert_eq!(complaints(&text), [expected], "{lines}");
    }
}

#[test]
fn interfaces_are_judged_one_by_one() {
    let missing = "f:1: datapath.interfaces: is missing; \
                   name at least one, as in interfaces = [\"eth0\"]";
    assert_eq!(complaints(""), [missing]);
    assert_eq!(complaints("[datapath]"), [missing]);
    assert_eq!(
        complaints("[datapath]\ninterfaces = []"),
        ["f:2: datapath.interfaces: is empty; name at least one, as in interfaces = [\"eth0\"]"]
    );
    assert_eq!(
        complaints("[datapath]\ninterfaces = \"eth0\""),
        ["f:2: datapath.interfaces: must be a list, not \"eth0\""]
    );
    assert_eq!(
        complaints(
            "[datapath]\ninterfaces = [\n  \"eth0\",\n  \"et/h\",\n  7,\n  \"eth0\",\n  \
             \"0123456789abcdef\",\n]"
        ),
        [
            "f:4: datapath.interfaces: \"et/h\" cannot be the name of an interface; \
             `ip link` shows their names",
            "f:5: datapath.interfaces: must be the name of an interface, not 7",
            "f:6: datapath.interfaces: eth0 is there already (line 3); name it once",
            "f:7: datapath.interfaces: \"0123456789abcdef\" cannot be the name of an interface; \
             `ip link` shows their names",
        ]
    );
}

/// Line 3 on; problems of all services at once, with the lines of unreadable ones counted in.
#[test]
fn services_are_judged_all_at_once() {
    let text = r#"
[[service]]
protocol = "tcp"
address = "10.0.0"
port = 80

[[service]]
protocol = "tcp"
address = "10.0.0.1"
port = 80
shceduler = "rr"
[[service.real]]
address = "10.0.2.1"
weight = -1
[[service.real]]
weight = 1
[[service.real]]
address = "10.0.0.1"
[[service.real]]
address = "10.0.2.1"
wieght = 3
[[service.real]]
address = "2001:db8::1"

[[service]]
protocol = "tpc"
port = 65536
scheduler = "wrrr"

[[service]]
protocol = "tcp"
address = "10.0.0.1"
port = 80
real = [{ address = "10.0.2.7", weight = 2147483648 }, { address = "224.0.0.1" }]
"#;
    let text = format!("{MINIMAL}{text}");
    assert_eq!(
        complaints(&text),
        [
            "f:6: service.address: must be an IPv4 or IPv6 address, not \"10.0.0\"",
            "f:13: service.shceduler: unknown key; did you mean scheduler?",
            "f:16: service.real.weight: must be a whole number from 0 to 2147483647, not -1",
            "f:17: service.real.address: is missing; set the address of the real server",
            "f:20: service.real.address: real server 10.0.0.1:80 is the service itself; \
             name the server's own address",
            "f:21: service.real: real server 10.0.2.1:80 is there already (line 14); \
             remove one; give the other the weight of both",
            "f:23: service.real.wieght: unknown key; did you mean weight?",
            "f:25: service.real.address: 2001:db8::1 is IPv6, the VIP 10.0.0.1 is IPv4; \
             only a tunnel leads to another address family; set the method tun",
            "f:27: service.address: is missing; set the VIP",
            "f:28: service.protocol: must be one of tcp, udp, sctp, not \"tpc\"; did you mean tcp?",
            "f:29: service.port: must be a whole number from 0 to 65535, not 65536",
            "f:30: service.scheduler: must be one of rr, wrr, lc, wlc, lblc, lblcr, dh, sh, \
             sed, nq, fo, ovf, mh, twos, not \"wrrr\"; \
             did you mean wrr?",
            "f:32: service: service tcp:10.0.0.1:80 is there already (line 9); \
             put all its real servers into one",
            "f:36: service.real.weight: must be a whole number from 0 to 2147483647, \
             not 2147483648",
            "f:36: service.real.address: 224.0.0.1 is a multicast address and cannot be the \
             address of a real server; name one host",
        ]
    );
}

#[test]
fn a_key_that_is_there_twice_names_both_lines() {
    for (text, expected) in [
        (
            "a.b = 1\na.b = 2",
            "f:2: `b` is there already (line 1); keep one of them",
        ),
        (
            "[x]\na = 1\n[y]\na = 1\na = 2",
            "f:5: `a` is there already (line 4); keep one of them",
        ),
        (
            "[[s]]\na = 1\n[[s.r]]\nb = 1\n[[s.r]]\nb = 2\nb = 3",
            "f:7: `b` is there already (line 6); keep one of them",
        ),
        (
            "a = { b = 1, b = 2 }",
            "f:1: `b` is there already; keep one of them",
        ),
    ] {
        assert_eq!(complaints(text), [expected]);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.toml");
    let errors = Config::load(&missing).unwrap_err().to_string();
    let expected = "missing.toml: cannot be read: No such file or directory (os error 2)";
    assert!(errors.ends_with(expected), "{errors}");
    let binary = folder.path().join("binary.toml");
    fs::write(&binary, [b'a', 0xff]).unwrap();
    let errors = Config::load(&binary).unwrap_err().to_string();
    assert!(
        errors.ends_with("binary.toml: is not UTF-8 text"),
        "{errors}"
    );
}

/// The file and the API take the same services.
#[test]
fn a_service_of_the_api_is_one_of_the_file() {
    let config = sample("bulwark.toml");
    for service in &config.services {
        let table = toml_edit::ser::to_string(service).unwrap();
        let table = table.replace("[[real]]", "[[service.real]]");
        let again = Config::parse(&format!("{MINIMAL}[[service]]\n{table}"), "f");
        assert_eq!(again.unwrap().services, std::slice::from_ref(service));
    }
}
