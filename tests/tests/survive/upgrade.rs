//! A director of another version goes on where the one before ended.

use std::path::Path;

use adminapi::model::ForwardingMethod;
use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags, MapHandle};
use testbed::accounts::assert_accounts;
use testbed::process::Signal;
use testbed::require;
use testbed::scene::Family;
use testbed::servers::big_file;
use testbed::traffic::file_sha256;

use crate::bed::{Bench, Talk};

/// Says in the first word of a pinned map, which is the number of a layout, that it is another one.
pub(super) fn misdate(pin: &Path, map: &str) -> Result<()> {
    let only = 0u32.to_ne_bytes();
    let map = MapHandle::from_pinned_path(pin.join("maps").join(map))?;
    let mut value = map.lookup(&only, MapFlags::ANY)?.context("it is empty")?;
    value[..4].copy_from_slice(&u32::MAX.to_ne_bytes());
    Ok(map.update(&only, &value, MapFlags::ANY)?)
}

/// What that gate has seen is not read then, so nobody knows how far a connection has come.
#[test]
fn a_gate_of_another_version_costs_nobody_a_connection() -> Result<()> {
    if !require::machine() {
        return Ok(());
    }
    let expected = file_sha256(&big_file()?)?;
    for (method, other) in [
        (ForwardingMethod::Nat, &["record", "heads"][..]),
        (ForwardingMethod::Dr, &["record"]),
    ] {
        let mut bench = Bench::start(method)?;
        bench.configuration = bench.configuration.clone().fast_path(true);
        bench.restart(Signal::Term)?;
        let mut talk = Talk::begin(&bench)?;
        let download = bench.download(Family::V4)?;
        talk.go_on_beside()?;
        bench.director.end_by(Signal::Kill)?;
        for map in other {
            misdate(&bench.haven.pin(), map)?;
        }
        talk.go_on_beside()?;
        bench.start_next()?;
        talk.go_on_beside()?;
        let sum = download.join().expect("the download panicked")?;
        assert!(sum.starts_with(&expected), "{method:?}, {other:?}: {sum}");
        talk.go_on()?;
        assert_accounts(&bench.director);
    }
    Ok(())
}
