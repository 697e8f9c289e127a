//! Configures a director that has just started: as the API, a former one or the file has it.

use adminapi::model;
use anyhow::{Context, Result};
use tracing::warn;

use crate::config::Config;
use crate::control::Director;
use crate::keep::{Former, Wishes};
use crate::neighbour::Link;
use crate::persist::Store;
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

/// Configures a director that has just started. Where the API's changes are kept, as it was left;
/// else as a former one, or the file, has it.
pub(super) fn begin(director: &Director, config: &Config, former: Option<&Former>) -> Result<()> {
    let stored = match &config.api.persist {
        Some(path) => director.open_store(Store::at(path))?,
        None => None,
    };
    match &stored {
        Some(state) => restore(director, config, state, former)?,
        None => resume(director, config, former)?,
    }
    if let Some(former) = former {
        director.list_on(former);
    }
    director.assume()?;
    Ok(())
}

/// Configures a director that has just started as the API has left it.
fn restore(
    director: &Director,
    config: &Config,
    state: &model::Configuration,
    former: Option<&Former>,
) -> Result<()> {
    let mut wishes = Wishes::stored(state);
    if let Some(running) = former.and_then(|former| former.running.as_ref()) {
        wishes.services = running.with_leaving(wishes.services);
    }
    let refused = || "what was kept cannot be done any more ([api] persist)";
    director.adopt(config, &wishes).with_context(refused)?;
    director.adopt_defense(&config.defense);
    if let Some(former) = former {
        director.take_over(former, wishes.level);
    }
    let mut state = state.clone();
    let daemons = state.daemons.take().unwrap_or_default();
    director.put_whole(&state).with_context(refused)?;
    director.start_again(&daemons);
    director.note_file(Wishes::of(config));
    Ok(())
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
    director.take_over(former, wishes.level);
    director.note_file(file);
    Ok(())
}
