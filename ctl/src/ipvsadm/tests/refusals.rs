//! What the director refuses, in the words of whoever wrote the line.

use adminapi::Problem;
use adminapi::model::{Configuration, Service};

use super::memory::MemoryDirector;
use super::{Dialect, bulwark, ipvsadm, say, words};
use crate::director::DirectorError;
use crate::ipvsadm::pointed::About;

/// Line, what it is refused for, what `bulwark` says.
const TABLE: [(&str, &str, &str); 21] = [
    ("-A -t 192.0.2.10:80", "/address", "-t"),
    ("-A -u 192.0.2.10:80", "/port", "-u"),
    ("-A --sctp-service 192.0.2.10:80", "/port", "--sctp-service"),
    ("-A -f 7", "/fwmark", "-f"),
    ("-A -t 192.0.2.10:80 -s rr", "/scheduler", "-s"),
    (
        "-A -t 192.0.2.10:80 -p --pe sip",
        "/persistence/engine",
        "--pe",
    ),
    (
        "-E -t 192.0.2.10:80 -p -M 255.255.0.0",
        "/persistence/prefix",
        "-M",
    ),
    ("-E -t 192.0.2.10:80 -p 5", "/persistence/timeout", "-p"),
    ("-E -t 192.0.2.10:80 -p 5", "/persistence", "-p"),
    ("-E -u 192.0.2.10:80 -o", "/one_packet", "-o"),
    (
        "-E -t 192.0.2.10:80 -s sh -b sh-port",
        "/scheduler_flags",
        "-b",
    ),
    ("-A -t 192.0.2.10:80 --helper ftp", "/helper", "--helper"),
    ("-a -t 192.0.2.10:80 -r 10.0.0.1", "/method", "-g"),
    ("-e -t 192.0.2.10:80 -r 10.0.0.1 -m", "/method", "-m"),
    (
        "-a -t 192.0.2.10:80 -r 10.0.0.1 --fullnat",
        "/method",
        "--fullnat",
    ),
    ("-a -t 192.0.2.10:80 -r 10.0.0.1 -i", "/tun", "-i"),
    ("-a -t 192.0.2.10:80 -r 10.0.0.1 -m", "/address", "-r"),
    ("-a -t 192.0.2.10:80 -r 10.0.0.1 -x 5", "/upper", "-x"),
    ("-e -t 192.0.2.10:80 -r 10.0.0.1 -w 5", "/weight", "-w"),
    ("--set 1 2 3", "/tcpfin", "--set"),
    ("--start-daemon master", "/group", "--mcast-group"),
];

fn refusing(pointer: &str) -> MemoryDirector {
    let director = MemoryDirector::default();
    for line in ["-A -t 192.0.2.10:80", "-A -u 192.0.2.10:80"] {
        assert_eq!(bulwark(&director, line).status, 0);
    }
    MemoryDirector {
        refusal: vec![Problem::new(pointer, "is bad", "mend it")],
        ..director
    }
}

#[test]
fn options_are_named_and_not_where_they_went() {
    for (line, pointer, option) in TABLE {
        let director = refusing(pointer);
        let said = bulwark(&director, line);
        let want = format!("{option}: is bad; mend it\n");
        assert_eq!((said.err, said.status), (want, 255), "{line}");
        // ipvsadm hears of a number only.
        let said = ipvsadm(&director, line.split(" --helper").next().unwrap());
        let unknown = said.err.starts_with("--fullnat: unknown");
        let invalid = said.err == format!("{}\n", crate::ipvsadm::INVALID);
        assert!(unknown || invalid, "{line}: {}", said.err);
    }
}

/// Lines with a word that `-R` takes, too.
#[test]
fn words_that_set_something_are_named() {
    for (line, pointer, want) in [
        (
            "sysctl -w net.ipv4.vs.drop_entry=9",
            "/value",
            "net.ipv4.vs.drop_entry",
        ),
        ("defense level 2", "/level", "defense level"),
        (
            "defense cookies always -t 192.0.2.10:80",
            "/cookies",
            "defense cookies",
        ),
        (
            "defense repeats off -u 192.0.2.10:53",
            "/udp_repeats",
            "defense repeats",
        ),
        ("mark add 7 --source 10.0.0.0/8", "/source", "--source"),
        ("mark add 7 --dport 80", "/destination_ports", "--dport"),
    ] {
        let input = format!("{line}\n");
        let said = say(
            &refusing(pointer),
            Dialect::Bulwark,
            &words("-R"),
            input.as_bytes(),
        );
        assert_eq!(said.err, format!("{want}: is bad; mend it\n"), "{line}");
    }
}

const WHOLE: &str = r#"{
    "service": [{
        "protocol": "tcp", "address": "192.0.2.10", "port": 80, "scheduler": "sh",
        "scheduler_flags": ["port"], "cookies": "always", "udp_repeats": "off", "helper": "ftp",
        "persistence": {"timeout": 5, "prefix": 24, "engine": "sip"}, "one_packet": true,
        "health": {"check": {"type": "tcp"}, "sorry": {"address": "10.0.0.9"}},
        "real": [{
            "address": "10.0.0.1", "port": 80, "method": "tun", "weight": 2, "upper": 9, "lower": 3,
            "tun": {"type": "gue", "port": 6080, "checksum": "csum"}, "check": {"type": "tcp"}
        }]
    }],
    "timeouts": {"tcp": 1, "tcpfin": 2, "udp": 3},
    "sysctls": {"net.ipv4.vs.drop_entry": 9},
    "defense": {"level": 1, "services": {"tcp:192.0.2.10:80": 1}},
    "marks": [{
        "mark": 7, "protocol": "tcp", "source": "10.0.0.0/8", "destination": "192.0.2.0/24",
        "source_ports": "1-2", "destination_ports": "80", "interface": "eth0", "region": "home"
    }],
    "filter": {"limits": [{"name": "a", "of": "syns", "per": "source", "rate": 5}]}
}"#;

fn pointers(value: &serde_json::Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        serde_json::Value::Object(fields) => fields
            .iter()
            .for_each(|(name, below)| pointers(below, &format!("{at}/{name}"), found)),
        serde_json::Value::Array(parts) => (parts.iter().enumerate())
            .for_each(|(place, below)| pointers(below, &format!("{at}/{place}"), found)),
        _ => {}
    }
}

/// Whatever the director points at: no stroke of a pointer, no underscore of a field gets out.
#[test]
fn no_place_gets_out_as_the_api_has_it() {
    let value: serde_json::Value = serde_json::from_str(WHOLE).unwrap();
    let config: Configuration = serde_json::from_str(WHOLE).unwrap();
    let service: &Service = &config.services[0];
    let told = |about: About<'_>, pointer: &str| {
        let problem = Problem::new(pointer, "is bad", "").with_other(pointer);
        about
            .named(DirectorError::BadValues(vec![problem]))
            .to_string()
    };
    let mut whole = Vec::new();
    pointers(&value, "", &mut whole);
    assert!(whole.len() > 60, "{whole:?}");
    for pointer in whole {
        let below = |start: &str| pointer.strip_prefix(start).map(str::to_owned);
        let mut texts = vec![told(About::Whole(&config), &pointer)];
        let of_real = below("/service/0/real/0").map(|at| {
            let method = Some(service.reals[0].method);
            told(About::Real(method), &at)
        });
        texts.extend(of_real);
        texts.extend(below("/service/0").map(|at| told(About::Service(service.id), &at)));
        texts.extend(below("/marks/0").map(|at| told(About::Mark, &at)));
        for text in texts {
            let odd = text.replace("net.ipv4.vs.drop_entry", "");
            assert!(!odd.contains(['/', '_']), "{pointer}: {text}");
            assert!(text.contains("is bad"), "{pointer}: {text}");
        }
    }
}

#[test]
fn a_line_of_many_is_named_by_what_it_is_about() {
    for (pointer, other, want) in [
        (
            "/service/1/real/0/address",
            "/service/0",
            "-u 192.0.2.10:53 -r 10.0.0.2:53: is bad (see -t 192.0.2.10:80); mend it",
        ),
        (
            "/service/0/real/0/weight",
            "",
            "-t 192.0.2.10:80 -r 10.0.0.1:80 -w: is bad; mend it",
        ),
        (
            "/service/1/one_packet",
            "",
            "-u 192.0.2.10:53 -o: is bad; mend it",
        ),
        ("/service/0/port", "", "-t 192.0.2.10:80: is bad; mend it"),
        (
            "/marks/0/source",
            "",
            "mark add 7 --source: is bad; mend it",
        ),
        ("/timeouts/tcp", "", "--set: is bad; mend it"),
        (
            "/sysctls/net.ipv4.vs.drop_entry",
            "",
            "sysctl -w net.ipv4.vs.drop_entry: is bad; mend it",
        ),
        ("/filter/limits/0/rate", "", "is bad; mend it"),
    ] {
        let problem = Problem::new(pointer, "is bad", "mend it");
        let problem = match other {
            "" => problem,
            other => problem.with_other(other),
        };
        let director = MemoryDirector {
            refusal: vec![problem],
            ..MemoryDirector::default()
        };
        let lines = b"-A -t 192.0.2.10:80\n-a -t 192.0.2.10:80 -r 10.0.0.1 -w 5\n\
            -A -u 192.0.2.10:53 -o\n-a -u 192.0.2.10:53 -r 10.0.0.2\n\
            mark add 7 --source 10.0.0.0/8\nsysctl -w net.ipv4.vs.drop_entry=9\n";
        let said = say(&director, Dialect::Bulwark, &words("-R --atomic"), lines);
        assert_eq!(
            (said.err, said.status),
            (format!("{want}\n"), 255),
            "{pointer}"
        );
    }
}
