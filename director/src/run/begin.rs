//! Configures a director that has just started: as the API, a former one or the file has it.

use std::path::Path;

use adminapi::{ControlError, model};
use anyhow::{Context, Error, Result};
use tracing::warn;

use crate::config::Config;
use crate::control::{self, Director};
use crate::keep::{Former, Running, Wishes};
use crate::neighbour::Link;
use crate::persist::{self, Store};
use crate::wire::ethernet::LEN as ETHERNET_LEN;
use crate::xsk::MAX_PACKET;

/// Bytes before the IP header.
const ETHERNET_HEADER: u32 = ETHERNET_LEN as u32;

/// Tells the gate of the host as it is now.
pub(super) fn settle(director: &Director) -> Result<()> {
    let neighbourhood = director.neighbourhood();
    let links = neighbourhood.links().borrow().clone();
    for link in links.iter().filter(|link| link.port.is_some()) {
        warn_of_long_packets(link);
    }
    director.set_links(&links)?;
    director.set_locals(&neighbourhood.addresses().borrow())?;
    director.look_at_lanes();
    Ok(())
}

/// A packet that does not fit a frame is dropped by the kernel, as `no_frame`.
fn warn_of_long_packets(link: &Link) {
    let longest = MAX_PACKET - ETHERNET_HEADER;
    if link.mtu > longest {
        let Link { name, mtu, .. } = link;
        warn!(
            "{name} has an MTU of {mtu}, but packets above {longest} are dropped; lower it with `ip link set {name} mtu {longest}`"
        );
    }
}

/// Judges what a director that starts with the `config` of `file` would begin with: what is kept of
/// the API's changes, or else what the file says.
///
/// # Errors
/// What it would refuse, as far as that can be told without the gate, and in which file.
pub fn judge(file: &Path, config: &Config) -> Result<()> {
    if let Some(path) = &config.api.persist {
        if let Some(state) = persist::look(path).map_err(Error::msg)? {
            return judge_kept(config, path, &state);
        }
    }
    let judged = control::judge(config, &Wishes::of(config));
    judged.with_context(|| file.display().to_string())
}

/// Judges the `state` that is kept at `path`.
fn judge_kept(config: &Config, path: &Path, state: &model::Configuration) -> Result<()> {
    let judged = control::judge(config, &Wishes::stored(state));
    judged.map_err(|error| unfit(path, &error))
}

fn unfit(path: &Path, error: &ControlError) -> Error {
    Error::msg(persist::unfit(path, error))
}

/// Configures a director that has just started. Where the API's changes are kept, as it was left;
/// else as a former one, or the file, has it.
pub(super) fn begin(director: &Director, config: &Config, former: Option<&Former>) -> Result<()> {
    if let Some(running) = former.and_then(|former| former.running.as_ref()) {
        director.number_regions(&running.regions);
    }
    let stored = match &config.api.persist {
        Some(path) => {
            let state = director.open_store(Store::at(path))?;
            state.map(|state| (path, state))
        }
        None => None,
    };
    match &stored {
        Some((path, state)) => {
            judge_kept(config, path, state)?;
            restore(director, config, state, former).map_err(|error| unfit(path, &error))?;
        }
        None => resume(director, config, former)?,
    }
    if let Some(former) = former {
        director.list_on(former);
    }
    director.assume()?;
    Ok(())
}

/// Configures a director that has just started as the API has left it. Who was being drained and does
/// not go with that any more is drained no further.
fn restore(
    director: &Director,
    config: &Config,
    state: &model::Configuration,
    former: Option<&Former>,
) -> Result<(), ControlError> {
    let wishes = Wishes::stored(state);
    match former.and_then(|former| former.running.as_ref()) {
        Some(running) => adopt_leaving(director, config, &wishes, running)?,
        None => director.adopt(config, &wishes)?,
    }
    // What is pinned is so by `state`; all else changes by itself, from where it was.
    director.adopt_policy(&config.defense);
    if let Some(former) = former {
        director.take_over(former, |held| held.goes_on_under(&state.defense));
    }
    let mut state = state.clone();
    let daemons = state.daemons.take().unwrap_or_default();
    director.put_whole(&state)?;
    director.start_again(&daemons);
    director.note_file(Wishes::of(config));
    Ok(())
}

/// Adopts `wishes` with those who were being drained when a former director ended, if they fit.
fn adopt_leaving(
    director: &Director,
    config: &Config,
    wishes: &Wishes,
    running: &Running,
) -> Result<(), ControlError> {
    let mut with_leaving = wishes.clone();
    with_leaving.services = running.with_leaving(with_leaving.services);
    director.adopt(config, &with_leaving).or_else(|error| {
        warn!(%error, "who was being drained cannot be any more");
        director.adopt(config, wishes)
    })
}

/// Configures a director that has just started. What has not changed in the file since the `former`
/// one read it is as that one had it in the end.
fn resume(director: &Director, config: &Config, former: Option<&Former>) -> Result<()> {
    let Some(former) = former else {
        return Ok(director.configure(config)?);
    };
    let file = Wishes::of(config);
    let running = former.running.as_ref();
    let mut wishes = running.map_or_else(|| file.clone(), |running| running.resume(&file));
    if let Some(running) = running {
        wishes.services = running.with_leaving(wishes.services);
    }
    let adopted = director.adopt(config, &wishes).or_else(|error| {
        warn!(%error, "what was in force does not hold any more: the file is");
        director.adopt(config, &file)
    });
    adopted?;
    director.adopt_defense(&config.defense);
    director.take_over(former, |held| held.goes_on_at(wishes.level));
    director.note_file(file);
    Ok(())
}
