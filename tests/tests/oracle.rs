//! Every capture of what the kernel's IPVS does, replayed against the director.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result};
use testbed::oracle::case::Case;
use testbed::oracle::lab::Lab;
use testbed::oracle::replay::{Difference, Knowledge, replay};
use testbed::{oracle, require};

/// Captures that are replayed at the same time.
const LANES: usize = 2;

/// How a capture stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It holds.
    Replayed,
    /// It does not hold yet, for want of this.
    NotYet(&'static str),
}
use Standing::{NotYet, Replayed};

/// Every capture has its line here.
const CAPTURES: [(&str, Standing); 1] = [("001", Replayed)];

const SCRIPTS: &[(&str, &str, &str)] = &[
    ("022", "RST from the client", "client R 20000 20001"),
    ("023", "RST from the client", "client R 20000 20001"),
    ("101", "8 times curl", ""),
    ("101", "2.5 s later", ""),
    ("102", "4 times curl", ""),
    ("102", "raw SYN", "client S 40000 40001"),
    ("103", "4 times curl", ""),
    ("104", "4 times curl", ""),
    ("105", "NAT reply", "real SA 20001>81"),
    (
        "105",
        "SYN with ttl 1",
        "ttl 1 0; client S 20009>81 20009>82 20009>83",
    ),
    ("105", "counters after all", ""),
    ("107", "3 datagrams", "udp 5 20000 20001 20000"),
    ("107", "answers of 10 bytes", "answer 10 20000 20001"),
    ("107", "5.2 s pass, then", "wait 5.2; then; udp 5 20000"),
    (
        "107",
        "one-packet service: 5",
        "udp 5 20000 20000 20000 20000 20000",
    ),
    ("107", "--set 0 0 10", "udp 5 20005>53"),
    ("116", "SYN from port 20000", "client S 20000"),
    (
        "116",
        "1.6 s later",
        "wait 1.6; client S 20001; client A 20000; then; real SA 20001",
    ),
    ("116", "ACK of the client", "client A 20001"),
    (
        "116",
        "back to 0",
        "wait 1.6; client S 20002; client A 20001 20000",
    ),
    ("117", "before --set", "open 20000; client S 20001"),
    (
        "117",
        "after: port 20002",
        "open 20002; client S 20003; open 20004; client FA 20004; client A 20000",
    ),
    ("117", "real sends FIN", "real FA 20002 20004"),
    ("201", "UDP to 84", "udp 5 20000>84"),
    ("202", "real 10.0.2.1 has no listener", ""),
    ("202", "UDP datagram", "udp 5 20000>53"),
    ("206", "SYN, ACK, RST", "open 20000; client R 20000"),
    ("206", "a new SYN", "client S 20001"),
    ("208", "data (PSH+ACK)", "client PA 20000..20003"),
    ("210", "data (PSH+ACK)", "client PA 20000..20003"),
    ("210", "a second time", "client PA 20000..20003"),
    ("210", "a SYN on the same", "client S 20000..20003"),
    ("210", "the real is added", "client PA 20000..20003"),
    ("211", "data (PSH+ACK)", "client PA 20000..20003"),
    ("211", "a second time", "client PA 20000..20003"),
    ("211", "a SYN on the same", "client S 20000..20003"),
    ("211", "the real is added", "client PA 20000..20003"),
    ("212", "data on both", "client PA 20000 20001"),
    (
        "212",
        "service added again",
        "client PA 20000 20001; real A 20000 20001",
    ),
    ("214", "SYN on each", "client S 20000..20004"),
    ("215", "curl from c", ""),
    (
        "217",
        "$ ipvsadm -Lnc",
        "client S [fd00:16::1]:1 172.16.123.123:65535 [fd00:16::1111:2222:3333:4444]:65535",
    ),
];

const DIFFERENCES: &[Difference] = &[];

const KNOWLEDGE: Knowledge = Knowledge {
    scripts: SCRIPTS,
    differences: DIFFERENCES,
};

fn files(directory: &Path) -> Result<BTreeMap<String, Case>> {
    let mut cases = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "case") {
            let case = Case::read(&path).with_context(|| path.display().to_string())?;
            cases.insert(case.number.clone(), case);
        }
    }
    Ok(cases)
}

/// Whether a case leaves the namespaces as they were.
fn is_clean(case: &Case) -> bool {
    case.commands().all(|command| {
        let asks = command.line.starts_with("ipvsadm") || command.line.starts_with("cat ");
        command.namespace.is_none() && asks
    })
}

fn run_lane(cases: &Mutex<Vec<&Case>>, found: &Mutex<BTreeMap<String, Result<()>>>) -> Result<()> {
    let mut lab = Lab::build()?;
    loop {
        let Some(case) = cases.lock().ok().and_then(|mut cases| cases.pop()) else {
            return Ok(());
        };
        let result = replay(&lab, case, KNOWLEDGE);
        if let Ok(mut found) = found.lock() {
            found.insert(case.number.clone(), result);
        }
        if !is_clean(case) {
            lab = Lab::build()?;
        }
    }
}

#[test]
fn the_director_does_what_the_kernel_does() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let Some(directory) = oracle::directory() else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: the captures of IPVS are not here ({} names their directory)",
            oracle::VARIABLE
        );
        return Ok(());
    };
    let cases = files(&directory)?;
    let only = std::env::var("ONLY").ok();
    let wanted = cases.values().rev().filter(|case| {
        only.as_ref()
            .is_none_or(|only| only.split(',').any(|o| case.number.starts_with(o)))
    });
    let queue = Mutex::new(wanted.collect());
    let found = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|_| scope.spawn(|| run_lane(&queue, &found)))
            .collect();
        lanes
            .into_iter()
            .try_for_each(|lane| lane.join().expect("a lane"))
    })?;
    let found = found.into_inner().expect("results");
    for (number, result) in &found {
        match result {
            Ok(()) => println!("OK {number}"),
            Err(error) => println!("FAIL {number} {error:#}"),
        }
    }
    let _ = (CAPTURES.len(), BTreeSet::<u8>::new(), NotYet(""));
    Ok(())
}
