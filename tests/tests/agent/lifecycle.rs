//! Start, reload and end.

use anyhow::{Context, Result, ensure};
use testbed::director::binary;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::Family;
use testbed::topology::{HOST_SIDE, VIP_V4};
use testbed::tunnel::Tunnel;
use testbed::wait;

use crate::bed::{Bed, PATIENCE, PLAIN, counted, hello, wrapped};

#[test]
fn a_reload_changes_the_lists_and_a_bad_file_nothing() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let lists =
        |director: &str| format!("{PLAIN}directors = [\"{director}\"]\nvips = [\"{VIP_V4}\"]\n");
    let agent = bed.agent(&lists("10.0.2.253"))?;
    let counts_as = |port, source, ipip| -> Result<()> {
        bed.send(&wrapped(Tunnel::Ipip, Family::V4, &hello(Family::V4, port)))?;
        let mut all = vec![("ipip".to_owned(), ipip), ("source".to_owned(), source)];
        all.retain(|(_, count)| *count > 0);
        wait::until("the packet to be counted", PATIENCE, || {
            let counted = counted(agent.outcomes()?);
            ensure!(counted == all, "{counted:?}, not {all:?}");
            Ok(())
        })
    };
    counts_as(37_001, 1, 0)?;
    agent.reload(&lists("10.0.2.254"))?;
    counts_as(37_002, 1, 1)?;
    agent.reload("[agent]\n")?;
    assert!(agent.log().contains("not reloaded"));
    counts_as(37_003, 1, 2)?;
    agent.reload(&lists("10.0.2.253"))?;
    counts_as(37_004, 2, 2)?;
    agent.reload(PLAIN)?;
    counts_as(37_005, 2, 3)?;
    Ok(())
}

#[test]
fn every_end_detaches_it() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    assert!(!bed.decapsulates()?);
    for signal in [Signal::Term, Signal::Kill, Signal::Term] {
        let mut agent = bed.agent(PLAIN)?;
        assert!(bed.decapsulates()?, "after a start");
        let (status, _) = agent.end_by(signal)?;
        assert_eq!(status.success(), signal == Signal::Term);
        assert!(!bed.decapsulates()?, "after {signal:?}");
    }
    Ok(())
}

/// Kernels before 6.6 have no links at tc: there a killed agent leaves its filter, and the next
/// one takes its place.
#[test]
fn as_a_filter_it_is_replaced_after_a_kill_and_goes_with_an_orderly_end() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let filters = || filters(&bed);
    let text = format!("{PLAIN}hook = \"clsact\"\n");
    let mut agent = bed.agent(&text)?;
    assert!(agent.log().contains("clsact"));
    assert!(bed.decapsulates()?);
    agent.end_by(Signal::Kill)?;
    assert_eq!(filters()?, 1);
    let mut agent = bed.agent(&text)?;
    let said = agent.log();
    assert!(!said.contains("libbpf"), "a qdisc is no news: {said}");
    assert_eq!(filters()?, 1);
    assert!(bed.decapsulates()?);
    let (status, outcomes) = agent.end_by(Signal::Term)?;
    assert!(status.success());
    assert_eq!(outcomes.context("no counters")?["ipip"], 1);
    assert_eq!(filters()?, 0);
    assert!(!bed.decapsulates()?);
    Ok(())
}

fn filters(bed: &Bed) -> Result<usize> {
    let list = &["filter", "show", "dev", HOST_SIDE, "ingress"];
    let text = bed.real().namespace.run("tc", list)?;
    Ok(text.matches("direct-action").count())
}

#[test]
fn a_filter_that_a_killed_agent_has_left_goes_with_the_next_by_any_hook_or_by_a_command()
-> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let host = &bed.real().namespace;
    let killed = || -> Result<()> {
        let mut agent = bed.agent(&format!("{PLAIN}hook = \"clsact\"\n"))?;
        agent.end_by(Signal::Kill)?;
        ensure!(filters(&bed)? == 1);
        Ok(())
    };
    killed()?;
    let mut agent = bed.agent(&format!("{PLAIN}hook = \"tcx\"\n"))?;
    ensure!(filters(&bed)? == 0);
    assert!(bed.decapsulates()?);
    agent.end_by(Signal::Term)?;
    assert!(!bed.decapsulates()?);

    killed()?;
    let bulwarkd = binary("bulwarkd")?.display().to_string();
    let detach = || host.run(&bulwarkd, &["agent", "--detach"]);
    let said = detach()?;
    ensure!(said.contains("removed from eth0"), "{said}");
    ensure!(filters(&bed)? == 0);
    ensure!(detach()?.contains("nothing"));

    let _agent = bed.agent(&format!("{PLAIN}hook = \"clsact\"\n"))?;
    let said = detach().expect_err("an agent runs").to_string();
    ensure!(said.contains("runs on `eth0` already"), "{said}");
    assert!(bed.decapsulates()?);
    Ok(())
}

/// Whoever sets an interface up anew takes the qdisc of others with him.
#[test]
fn who_takes_the_program_off_does_not_keep_it_off() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let agent = bed.agent(&format!("{PLAIN}hook = \"clsact\"\n"))?;
    assert!(bed.decapsulates()?);
    for round in 1..=2 {
        let qdisc = ["qdisc", "del", "dev", HOST_SIDE, "clsact"];
        bed.real().namespace.run("tc", &qdisc)?;
        wait::until_true("the program to be back", PATIENCE, || {
            agent.log().matches("attached again").count() == round
        })?;
        assert!(bed.decapsulates()?);
    }
    Ok(())
}

#[test]
fn a_second_agent_is_not_let_beside_one_that_runs() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    let mut agent = bed.agent(PLAIN)?;
    for hook in ["tcx", "clsact"] {
        let text = format!("{PLAIN}hook = \"{hook}\"\n");
        let said = bed.agent(&text).map(drop).expect_err(hook).to_string();
        assert!(said.contains("runs on `eth0` already"), "{said}");
        assert!(bed.decapsulates()?);
    }
    agent.end_by(Signal::Kill)?;
    let _agent = bed.agent(PLAIN)?;
    assert!(bed.decapsulates()?);
    Ok(())
}

#[test]
fn what_cannot_start_says_why_and_a_lost_interface_ends_it() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let bed = Bed::build()?;
    for (text, word) in [
        (
            "[agent]\ninterface = \"nic7\"\n",
            "there is no interface `nic7`",
        ),
        ("[agent]\ninterface = \"lo\"\n", "no Ethernet interface"),
        ("[agent]\n", "agent.toml:1: agent.interface: is missing"),
    ] {
        let said = bed.agent(text).map(drop).expect_err(text).to_string();
        assert!(said.contains(word), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
    let mut agent = bed.agent(PLAIN)?;
    bed.real().namespace.ip("link del eth0\n")?;
    assert!(!agent.wait()?.success());
    assert!(agent.log().contains("`eth0` is gone"));
    Ok(())
}
