//! A director that attaches its gate in another way than the one before did.

use adminapi::model::{ForwardingMethod, XdpMode};
use anyhow::{Context, Result};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, run_to_end};
use testbed::process::Signal;
use testbed::require;
use testbed::servers::OTHER_HTTP_PORT;
use testbed::topology::{HOST_SIDE, VIP_V4};

use crate::bed::{Bench, Talk};
use crate::crowd::Crowd;

/// Counts what the director's kernel gets to see of what is the director's, and what it says to that.
fn rules() -> String {
    format!(
        "add table ip seen
         add chain ip seen early {{ type filter hook prerouting priority -300; }}
         add counter ip seen strays
         add rule ip seen early ip daddr {VIP_V4} tcp dport 80 counter name strays
         add rule ip seen early tcp sport {OTHER_HTTP_PORT} counter name strays"
    )
}

fn strays(bench: &Bench) -> Result<u64> {
    let director = &bench.topology.director;
    let said = director.run("nft", &["-j", "list", "counter", "ip", "seen", "strays"])?;
    let said: serde_json::Value = serde_json::from_str(&said)?;
    let counters = said["nftables"].as_array().context("no counters")?;
    let packets = counters
        .iter()
        .find_map(|it| it["counter"]["packets"].as_u64());
    packets.context("no packets")
}

/// No two programs are on an interface in two modes, so for a moment there is none.
#[test]
fn a_gate_in_another_mode_leaves_nothing_to_the_kernel() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    bench.topology.director.run("nft", &[&rules()])?;
    let crowd = Crowd::begin(&bench)?;
    crowd.talk_on()?;
    for (mode, expected) in [("generic", XdpMode::Generic), ("copy", XdpMode::Copy)] {
        bench.configuration = bench.configuration.clone().datapath("mode", mode);
        bench.restart(Signal::Kill)?;
        crowd.talk_on()?;
        let interfaces = bench.director.api().status()?.interfaces;
        assert!(
            interfaces.iter().all(|it| it.mode == expected),
            "{interfaces:?}"
        );
        assert_eq!(strays(&bench)?, 0, "packets were left to the kernel");
    }
    crowd.end()?;
    assert_accounts(&bench.director);
    Ok(())
}

#[test]
fn a_gate_stays_whose_successor_is_refused() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    let with = |configuration: &Configuration, mode| configuration.clone().datapath("mode", mode);
    bench.configuration = with(&bench.configuration, "generic");
    bench.restart(Signal::Kill)?;
    let mut talk = Talk::begin(&bench)?;
    bench.director.end_by(Signal::Kill)?;
    // veth goes by the MTU of the far end.
    let longer = format!("link set {HOST_SIDE} mtu 9000\n");
    bench.topology.client.ip(&longer)?;
    let text = with(&bench.configuration, "copy").text(&bench.haven.state().join("api.sock"))?;
    let (status, said) = run_to_end(&bench.topology.director, &[], &text)?;
    let expected = "takes no XDP program in native mode";
    assert!(!status.success() && said.contains(expected), "{said}");
    assert!(bench.has_gate()?, "{said}");
    bench.start_next()?;
    talk.go_on()?;
    assert_accounts(&bench.director);
    Ok(())
}
