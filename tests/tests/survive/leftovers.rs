//! What lies there for the next director: taken away, not to be read, or nowhere to be put.

use std::fs;

use adminapi::model::ForwardingMethod;
use anyhow::{Result, ensure};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, run_to_end};
use testbed::haven::Haven;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::Family;
use testbed::topology::{Plan, Topology};
use testbed::traffic::fetch_names;
use testbed::wait;

use crate::bed::{Bench, PATIENCE};

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
    let text = bench
        .configuration
        .text(&bench.haven.state().join("other.sock"))?;
    let namespace = &bench.topology.director;
    for word in ["\"format\":", "\"entries\":"] {
        fs::write(&about, whole.replace(word, &format!("{word}99,\"was\":")))?;
        let (status, refused) = run_to_end(namespace, &[], &text)?;
        assert!(
            !status.success() && refused.contains("bulwarkd detach"),
            "{refused}"
        );
        let (status, foretold) = bench.director.ask(namespace, "--check")?;
        assert_eq!(status.code(), Some(1), "{foretold}");
        assert!(refused.contains(foretold.trim_end()), "{foretold}");
    }
    fs::write(&about, whole)?;
    let (status, said) = bench.director.ask(namespace, "--check")?;
    assert!(status.success(), "{said}");

    let connections = fs::File::options()
        .write(true)
        .open(bench.haven.kept("connections")?)?;
    connections.set_len(1000)?;
    fs::write(bench.haven.kept("running")?, b"{\"now\":")?;
    bench.start_next()?;
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
