//! The benchmark kit: that it measures what it says, with few packets. The figures are no business of a
//! test.

use anyhow::Result;
use clap::Parser;
use testbed::bench::report::Report;
use testbed::bench::{cookies, forwarding, gate, restart};
use testbed::require;

#[derive(Parser)]
struct Gate {
    #[command(flatten)]
    options: gate::Options,
}

#[derive(Parser)]
struct Forwarding {
    #[command(flatten)]
    options: forwarding::Options,
}

#[derive(Parser)]
struct Cookies {
    #[command(flatten)]
    options: cookies::Options,
}

#[derive(Parser)]
struct Restart {
    #[command(flatten)]
    options: restart::Options,
}

fn is_possible() -> bool {
    require::programs(&["ip", "ethtool", "sysctl", "ping", "nft"])
}

/// The first figures of all rows.
fn measured(report: &Report, rows: usize) -> Vec<f64> {
    let all: Vec<_> = report.tables.iter().flat_map(|table| &table.rows).collect();
    assert_eq!(all.len(), rows, "{report:?}");
    let firsts = all
        .iter()
        .map(|row| row.values[0].filter(|v| v.is_finite()));
    firsts
        .collect::<Option<_>>()
        .unwrap_or_else(|| panic!("{report:?}"))
}

fn assert_positive(report: &Report, rows: usize) {
    let measured = measured(report, rows);
    assert!(measured.iter().all(|&value| value > 0.0), "{report:?}");
}

/// The run itself fails when the gate does anything else with a packet than its class says. A time less
/// that of a program that does nothing may be below zero on a machine that is busy.
#[test]
fn the_gate_does_with_each_class_what_is_measured() -> Result<()> {
    if !is_possible() {
        return Ok(());
    }
    // More flows than there may be frames under way.
    let words = ["gate", "--flows", "2048", "--rounds", "1"];
    let classes = ["--classes", "nat,ipip,miss,pass,deny"];
    let report = Gate::try_parse_from([&words[..], &classes].concat())?
        .options
        .run()?;
    measured(&report, 7);
    let directory = tempfile::tempdir()?;
    report.publish(directory.path())?;
    let read = |name| std::fs::read_to_string(directory.path().join(name));
    let kept: serde_json::Value = serde_json::from_str(&read("gate.json")?)?;
    assert_eq!(kept["tables"][0]["rows"].as_array().map(Vec::len), Some(7));
    assert!(read("gate.svg")?.contains("established, NAT"));
    Ok(())
}

#[test]
fn what_peers_forward_arrives() -> Result<()> {
    if !is_possible() {
        return Ok(());
    }
    let peers = "redirect,l2fwd,nft,nat,nat6,dr,ipip,nat-slow";
    let words = ["forwarding", "--rounds", "1", "--milliseconds", "50"];
    let rest = ["--flows", "64", "--carry", "tcp", "--peers", peers];
    let report = Forwarding::try_parse_from([&words[..], &rest].concat())?;
    let report = report.options.run()?;
    assert_positive(&report, 8);
    let value = |name: &str, column: usize| {
        let row = report.tables[0].rows.iter().find(|row| row.name == name);
        row.and_then(|row| row.values[column])
    };
    let (arrived, by_gate) = (|name| value(name, 3), |name| value(name, 4));
    for fast in [
        "bulwark NAT",
        "bulwark NAT, IPv6",
        "bulwark DR",
        "bulwark TUN, ipip",
    ] {
        // Of what a busy machine loses before the gate nobody forwards anything.
        let share = by_gate(fast).zip(arrived(fast));
        assert!(
            share.is_some_and(|(by_gate, arrived)| by_gate * 2.0 > arrived),
            "{report:?}"
        );
    }
    assert_eq!(by_gate("bulwark NAT, slow path"), Some(0.0));
    assert_eq!(by_gate("bare XDP redirect"), None);
    Ok(())
}

/// The run itself fails when a SYN is not answered, or an ACK not refused. The times are net, as those above.
#[test]
fn cookies_are_answered_with_and_asked_for() -> Result<()> {
    if !is_possible() {
        return Ok(());
    }
    let report = Cookies::try_parse_from(["cookies", "--rounds", "1"])?;
    let report = report.options.run()?;
    measured(&report, 8);
    Ok(())
}

#[test]
fn a_killed_and_a_stopped_director_accept_again() -> Result<()> {
    if !is_possible() || !require::programs(&["nginx"]) {
        return Ok(());
    }
    let words = [
        "restart",
        "--rounds",
        "1",
        "--rates",
        "0",
        "--methods",
        "nat",
    ];
    let report = Restart::try_parse_from(words)?.options.run()?;
    assert_positive(&report, 3);
    for row in &report.tables[0].rows {
        let served = row.values[2].unwrap_or_default();
        assert!(served > 10.0, "{report:?}");
    }
    Ok(())
}
