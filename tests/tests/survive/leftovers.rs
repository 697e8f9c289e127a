//! What lies there for the next director: taken away, not to be read, or nowhere to be put.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use adminapi::model::ForwardingMethod;
use anyhow::{Context, Result};
use testbed::accounts::assert_accounts;
use testbed::director::{Configuration, binary, run_to_end};
use testbed::haven::Haven;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::Family;
use testbed::topology::{Plan, Topology};
use testbed::traffic::fetch_names;

use crate::bed::Bench;

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
    assert!(!bench.has_gate()?);
    assert!(!bench.haven.pin().exists() && !bench.haven.state().exists());
    let (status, said) = bench.director.ask(&bench.topology.director, "detach")?;
    assert!(status.success() && said.contains("nothing"), "{said}");
    Ok(())
}

/// What `bulwarkd detach` says, and whether it has succeeded; `hiding` is run before, where nobody else
/// sees what it mounts.
fn detach(bench: &Bench, hiding: &str, arguments: &[&OsStr]) -> Result<(bool, String)> {
    let mut command = bench.topology.director.command("unshare");
    let script = format!("{hiding} && exec \"$@\"");
    command.args(["-m", "sh", "-c", &script, "sh"]);
    command.arg(binary("bulwarkd")?).arg("detach");
    let output = command.args(arguments).output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Ok((output.status.success(), said))
}

/// Where the file system that has it is hidden, or is not named any more.
#[test]
fn nothing_is_detached_where_the_gate_would_stay() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    bench.director.stop()?;
    let (pin, state) = (bench.haven.pin(), bench.haven.state());
    let mounted = pin.parent().context("it is mounted nowhere")?.display();
    let hidden = format!("umount -l {mounted}");
    let other = format!("{hidden} && mount -t bpf bpf {mounted}");
    let unpinned = bench.configuration.clone().unpinned();
    let text = unpinned.text(&state.with_file_name("other.sock"))?;
    let (status, said) = run_to_end(&bench.topology.director, &[], &text)?;
    let mend = "detach --pin DIR";
    assert!(!status.success() && said.contains(mend), "{said}");

    let (file, bare) = (
        bench.director.file(),
        bench.director.file().with_extension("bare"),
    );
    fs::write(&bare, text)?;
    for (hiding, file, expected) in [
        (&*hidden, &file, "is in no BPF file system"),
        (&*other, &file, mend),
        ("true", &bare, mend),
    ] {
        let arguments = ["--config".as_ref(), file.as_os_str()];
        let (done, said) = detach(&bench, hiding, &arguments)?;
        assert!(!done && said.contains(expected), "{hiding}: {said}");
        assert!(said.contains("nothing is removed"), "{said}");
        assert!(bench.has_gate()? && bench.haven.kept("about")?.exists());
    }

    let pinned = ["--pin".as_ref(), pin.as_os_str()];
    let (done, said) = detach(&bench, &hidden, &pinned)?;
    assert!(!done && said.contains("is in no BPF file system"), "{said}");
    let arguments = [pinned, ["--state".as_ref(), state.as_os_str()]].concat();
    let (done, said) = detach(&bench, "true", &arguments)?;
    assert!(
        done && said.contains("the gate and what was kept"),
        "{said}"
    );
    let (done, said) = detach(&bench, "true", &["--config".as_ref(), bare.as_os_str()])?;
    assert!(done && said.contains("nothing outlives"), "{said}");
    assert!(!bench.has_gate()? && !pin.exists() && !state.exists());
    Ok(())
}

/// A directory that others use, too, named by mistake.
#[test]
fn what_is_not_a_directors_stays_when_it_is_detached() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let mut bench = Bench::start(ForwardingMethod::Nat)?;
    bench.director.stop()?;
    let (pin, state) = (bench.haven.pin(), bench.haven.state());
    let others = [pin.join("others"), state.join("others")];
    others.iter().try_for_each(fs::create_dir)?;
    let above = [&pin, &state].map(|it| it.parent().map(Path::as_os_str).unwrap_or_default());
    let arguments = |[pin, state]: [&OsStr; 2]| {
        [
            "--pin".into(),
            pin.to_owned(),
            "--state".into(),
            state.to_owned(),
        ]
    };
    for (places, expected) in [
        (above, "there was nothing"),
        ([pin.as_os_str(), state.as_os_str()], "are removed"),
    ] {
        let arguments = arguments(places);
        let arguments: Vec<_> = arguments.iter().map(OsString::as_os_str).collect();
        let (done, said) = detach(&bench, "true", &arguments)?;
        assert!(done && said.contains(expected), "{said}");
        assert!(others.iter().all(|other| other.exists()));
    }
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
