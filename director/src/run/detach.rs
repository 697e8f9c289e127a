//! Removes what outlives a director that does not run and is not to be started again.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::config::{Config, Survive};
use crate::{gate, keep};

/// The kernel takes a gate off its interfaces a while after its last name has gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Said before anything has been.
const NOTHING: &str = "nothing is removed";

/// Removes the gate and all that was kept of the director of `config`. Says what there was.
///
/// # Errors
/// A director runs, the gate cannot be found, or the file system's. Where a gate is on an interface of
/// `config`, but not where the file says that it is pinned, nothing is removed.
pub fn detach(config: &Config) -> Result<String> {
    let datapath = &config.datapath;
    let names: Vec<_> = datapath
        .interfaces
        .iter()
        .map(ToString::to_string)
        .collect();
    let pinned = match &datapath.survive {
        Some(survive) => gate::is_pinned(&survive.pin).context(NOTHING)?,
        None => false,
    };
    if !pinned {
        refuse_bearer(&names).context(NOTHING)?;
    }
    let Some(survive) = &datapath.survive else {
        return Ok("nothing outlives this director: no `pin` is set under [datapath]".to_owned());
    };
    let done = remove(survive)?;
    wait_bare(&names).with_context(|| done.clone())?;
    Ok(done)
}

/// Removes what is pinned and kept in these directories. Says what there was.
///
/// # Errors
/// A director runs, or the file system's. Where no gate can be pinned, nothing is removed.
pub fn remove(survive: &Survive) -> Result<String> {
    gate::is_pinned(&survive.pin).context(NOTHING)?;
    let kept = keep::remove(&survive.state)?;
    let gate = gate::remove_pins(&survive.pin)?;
    let done = match (gate, kept) {
        (false, false) => "there was nothing",
        (true, false) => "the gate is removed",
        (false, true) => "what was kept is removed",
        (true, true) => "the gate and what was kept are removed",
    };
    Ok(done.to_owned())
}

/// Waits until none of the interfaces bears a gate.
fn wait_bare(names: &[String]) -> Result<()> {
    let start = Instant::now();
    loop {
        match refuse_bearer(names) {
            Err(_) if start.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(10)),
            outcome => return outcome,
        }
    }
}

fn refuse_bearer(names: &[String]) -> Result<()> {
    if let Some(name) = names.iter().find(|name| gate::bears_gate(name)) {
        bail!(
            "interface `{name}` has the gate of a bulwarkd; if that one runs, stop it; else say where it has pinned the gate, in a mount namespace that has this directory: `bulwarkd detach --pin DIR --state DIR`"
        );
    }
    Ok(())
}
