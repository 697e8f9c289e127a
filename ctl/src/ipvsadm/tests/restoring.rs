//! `-S` and `-R`, there and back.

use super::memory::MemoryDirector;
use super::{Dialect, Said, bulwark, ipvsadm, say, words};

fn restore(director: &MemoryDirector, line: &str, saved: &str) -> Said {
    say(director, Dialect::Bulwark, &words(line), saved.as_bytes())
}

const DONE: Said = Said {
    out: String::new(),
    err: String::new(),
    status: 0,
};

/// All that there is to save.
const LINES: &str = "\
--set 800 100 200
sysctl -w net.ipv4.vs.drop_packet=3
sysctl -w net.ipv4.vs.sync_threshold=3 50
mark clear
mark add 7 --protocol tcp --source 10.0.0.0/8 --destination 192.0.2.0/24 --dport 80-89
mark add 8 --sport 1024-65535 --interface eth0 --region home
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -m -w 2 -x 100 -y 50
-a -t 192.0.2.10:80 -r 10.0.0.2:80 --fullnat -w 1
-A -t 192.0.2.11:21 -s rr --helper none
-a -t 192.0.2.11:21 -r 10.0.0.1:21 -m -w 1
-A -f 7 -6 -s rr -p 60 -M 64
defense level 2
defense level 2 -t 192.0.2.10:80
defense level 2 -f 7 -6
";

#[test]
fn all_that_is_saved_comes_back() {
    for line in ["-R", "-R --atomic"] {
        let director = MemoryDirector::default();
        let restored = restore(&director, line, LINES);
        assert_eq!((restored.err.as_str(), restored.status), ("", 0), "{line}");
        assert_eq!(bulwark(&director, "-Sn --full").out, LINES, "{line}");
    }
}

/// ipvsadm itself has no such mask.
#[test]
fn an_ipv6_mask_of_no_bits_comes_back() {
    const SIP: &str = "-A -u [2001:db8::1]:5060 -s rr -p 60 -M 0 --pe sip\n";
    for line in ["-R", "-R --atomic"] {
        let director = MemoryDirector::default();
        let restored = restore(&director, line, SIP);
        assert_eq!((restored.err.as_str(), restored.status), ("", 0), "{line}");
        assert_eq!(bulwark(&director, "-Sn").out, SIP, "{line}");
    }
    let refused = ipvsadm(&MemoryDirector::default(), SIP.trim_end());
    assert_eq!(refused.err, "illegal ipv6 netmask specified\n");
}

#[test]
fn a_second_restoring_changes_nothing() {
    let director = MemoryDirector::default();
    assert_eq!(restore(&director, "-R", LINES), DONE);
    assert_eq!(restore(&director, "-R --atomic", LINES), DONE);
    assert_eq!(bulwark(&director, "-Sn --full").out, LINES);
}

#[test]
fn what_no_line_says_of_a_service_stays() {
    let director = MemoryDirector::default();
    let lines = "-A -t 192.0.2.10:80\ndefense cookies off -t 192.0.2.10:80\n";
    assert_eq!(restore(&director, "-R", lines), DONE);
    let saved = bulwark(&director, "-Sn").out;
    let full = bulwark(&director, "-Sn --full").out;
    assert_eq!(restore(&director, "-R --atomic", &saved), DONE);
    assert_eq!(bulwark(&director, "-Sn --full").out, full);

    let again = "-A -t 192.0.2.10:80\n-D -t 192.0.2.10:80\n-A -t 192.0.2.10:80\n";
    assert_eq!(restore(&director, "-R --atomic", again), DONE);

    let auto = format!("{saved}defense cookies auto -t 192.0.2.10:80\n");
    let restored = restore(&director, "-R --atomic", &auto);
    assert_eq!(restored.out, "- defense cookies off -t 192.0.2.10:80\n");
    assert!(!bulwark(&director, "-Sn --full").out.contains("cookies"));
}

#[test]
fn when_clients_come_twice_stays_until_a_line_says_otherwise() {
    let director = MemoryDirector::default();
    let lines = "-A -u 192.0.2.10:53\ndefense repeats off -u 192.0.2.10:53\n";
    assert_eq!(restore(&director, "-R", lines), DONE);
    let saved = bulwark(&director, "-Sn").out;
    let full = bulwark(&director, "-Sn --full").out;
    assert!(
        full.ends_with("\ndefense repeats off -u 192.0.2.10:53\n"),
        "{full}"
    );
    for text in [&saved, &full] {
        assert_eq!(restore(&director, "-R --atomic", text), DONE);
        assert_eq!(bulwark(&director, "-Sn --full").out, full);
    }

    let default = format!("{saved}defense repeats default -u 192.0.2.10:53\n");
    let restored = restore(&director, "-R --atomic", &default);
    assert_eq!(restored.out, "- defense repeats off -u 192.0.2.10:53\n");
    assert!(!bulwark(&director, "-Sn --full").out.contains("repeats"));
}

/// ipvsadm has no FullNAT, and yet saves it.
#[test]
fn ipvsadm_restores_what_it_has_saved() {
    let director = MemoryDirector::default();
    let service = "-A -t 192.0.2.10:80 -s wlc\n";
    let real = "-a -t 192.0.2.10:80 -r 10.0.0.2:8080 --fullnat -w 1\n";
    assert_eq!(bulwark(&director, service.trim_end()), DONE);
    assert_eq!(bulwark(&director, real.trim_end()), DONE);
    let saved = ipvsadm(&director, "-Sn").out;
    assert_eq!(saved, format!("{service}{real}"));

    let anew = MemoryDirector::default();
    let lines = saved.as_bytes();
    assert_eq!(say(&anew, Dialect::Ipvsadm, &words("-R"), lines), DONE);
    assert_eq!(ipvsadm(&anew, "-Sn").out, saved);
    let typed = ipvsadm(&anew, real.trim_end());
    assert_eq!(typed.err, "--fullnat: unknown option\n");
}

#[test]
fn the_last_line_decides_by_whatever_name() {
    let lines = "\
sysctl -w net.ipv4.vs.drop_packet=3
sysctl -w drop_packet=0
sysctl -w net/ipv4/vs/drop_entry=1
sysctl -w drop_entry=2
";
    let director = MemoryDirector::default();
    let restored = restore(&director, "-R --atomic", lines);
    let want = "\
+ sysctl -w net.ipv4.vs.drop_entry=2
+ sysctl -w net.ipv4.vs.drop_packet=0
";
    assert_eq!((restored.out.as_str(), restored.status), (want, 0));
}

/// In one request, too, a line is told of what held when it was made.
#[test]
fn a_refused_line_is_explained_by_what_was_there_then() {
    const ADD: &str = "-A -t 192.0.2.10:80";
    const REMOVE: &str = "-D -t 192.0.2.10:80";
    const REFUSED: &str = "-a -t 192.0.2.10:80 -r 224.0.0.1:80 -m";
    let there = "Invalid operation.  Possibly wrong module version, address not unicast, ...\n";
    let missing = "Service not defined\n";
    let table: [(&[&str], &str); 8] = [
        (&[REFUSED], missing),
        (&[ADD, REFUSED], there),
        (&[REFUSED, ADD], missing),
        (&[ADD, REFUSED, REMOVE], there),
        (&[ADD, REMOVE, REFUSED], missing),
        (&[ADD, REMOVE, REFUSED, ADD], missing),
        (&[ADD, REFUSED, "-C"], there),
        (&[ADD, "-C", REFUSED, ADD], missing),
    ];
    for (lines, expected) in table {
        let director = MemoryDirector::default();
        let script = lines.join("\n");
        let said = say(
            &director,
            Dialect::Ipvsadm,
            &["-R".into()],
            script.as_bytes(),
        );
        assert_eq!(said.err, expected, "{script}");
    }
}

#[test]
fn many_lines_are_one_request() {
    let director = MemoryDirector::default();
    let mut lines = String::from("-A -t 192.0.2.10:80\n");
    for host in 1..=200 {
        lines += &format!("-a -t 192.0.2.10:80 -r 10.0.0.{host}:80 -m\n");
    }
    assert_eq!(restore(&director, "-R", &lines), DONE);
    assert_eq!(director.requests.get(), 1);
    assert_eq!(director.services.borrow()[0].reals.len(), 200);
}

#[test]
fn each_line_fails_by_itself_and_in_its_place() {
    let director = MemoryDirector::default();
    let restored = restore(
        &director,
        "-R",
        "-A -t 192.0.2.10:80
-a -t 192.0.2.11:80 -r 10.0.0.1:80 -m
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -m
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -m
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -m -y 5
-Ln -t 192.0.2.10:80
defense level 2 -t 192.0.2.99:80
-A -t 192.0.2.10:80
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -m -w x
-A -t 192.0.2.12:80
",
    );
    let listing = "\
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  192.0.2.10:80 wlc
  -> 10.0.0.1:80                  Masq    1      0          0         
";
    let errors = "\
Service not defined
Destination already exists
Numerical result out of range
No such service
Service already exists
illegal weight specified
";
    assert_eq!(
        restored,
        Said {
            out: listing.to_owned(),
            err: errors.to_owned(),
            status: 2,
        }
    );
    assert_eq!(bulwark(&director, "-Sn").out.lines().count(), 2);
}

#[test]
fn a_word_that_sets_nothing_is_no_line() {
    let director = MemoryDirector::default();
    for (line, error) in [
        ("status", "'status' sets nothing\n"),
        ("defense", "'defense' sets nothing\n"),
        ("mark remove 0", "'mark remove 0' sets nothing\n"),
    ] {
        let said = restore(&director, "-R", line);
        assert_eq!((said.err.as_str(), said.status), (error, 2), "{line}");
    }
    let said = say(
        &director,
        Dialect::Ipvsadm,
        &words("-R"),
        b"defense level 2\n",
    );
    assert_eq!(said.status, 255, "{said:?}");
    assert!(said.err.starts_with("Try `ipvsadm -h'"), "{said:?}");
}

/// ipvsadm cuts what is too long, and writes names that it does not read: its own captures have them.
#[test]
fn names_are_saved_where_they_come_back() {
    const R56: &str = "r56-2345678-2345678-2345678-2345678-2345678-2345.example";
    const R60: &str = "r60-2345678-2345678-2345678-2345678-2345678-23456789.example";
    const R53: &str = "r53-2345678-2345678-2345678-2345678-2345678-2.example";
    let vip = "192.0.2.10:80";
    for (service, real, as_ipvsadm, as_bulwark) in [
        (
            vip,
            "10.0.0.11:80",
            ["www:http", "real1:http"],
            ["www:http", "real1:http"],
        ),
        (
            vip,
            "10.0.0.12:8080",
            ["www:http", "real2.example.com:http-alt"],
            ["www:http", "real2.example.com:http-alt"],
        ),
        (
            vip,
            "10.0.0.77:8085",
            ["www:http", &format!("{R56}:80")],
            ["www:http", "10.0.0.77:8085"],
        ),
        (
            vip,
            "10.0.0.78:80",
            ["www:http", &R60[..59]],
            ["www:http", "10.0.0.78:80"],
        ),
        (
            vip,
            "10.0.0.79:8085",
            ["www:http", &format!("{R53}:8085")],
            ["www:http", &format!("{R53}:8085")],
        ),
        (
            vip,
            "10.0.0.99:80",
            ["www:http", "pool:http"],
            ["www:http", "10.0.0.99:80"],
        ),
        (
            "192.0.2.10:5353",
            "10.0.0.1:5353",
            ["www:domain", "10.0.0.1:domain"],
            ["192.0.2.10:5353", "10.0.0.1:5353"],
        ),
        (
            "[2001:db8::1]:80",
            "[2001:db8::2]:80",
            ["[www6]:http", "[2001:db8::2]:http"],
            ["[2001:db8::1]:80", "[2001:db8::2]:http"],
        ),
    ] {
        let director = MemoryDirector::default();
        let lines = format!("-A -t {service}\n-a -t {service} -r {real} -m\n");
        assert_eq!(restore(&director, "-R", &lines), DONE);
        let saved = |[service, real]: [&str; 2]| {
            format!("-A -t {service} -s wlc\n-a -t {service} -r {real} -m -w 1\n")
        };
        assert_eq!(ipvsadm(&director, "-S").out, saved(as_ipvsadm));
        let text = bulwark(&director, "-S").out;
        assert_eq!(text, saved(as_bulwark));
        let other = MemoryDirector::default();
        assert_eq!(restore(&other, "-R", &text), DONE);
        assert_eq!(bulwark(&other, "-Ln"), bulwark(&director, "-Ln"));
    }
}
