//! `pin` and `state` of `[datapath]`: what outlives the daemon, and where.

use std::path::PathBuf;

use super::read::{Expected, Section};

/// Where the gate and the state stay when the daemon ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survive {
    /// A directory in a BPF file system, for the gate.
    pub pin: PathBuf,
    /// A directory on a tmpfs, for connections and what else the director knows.
    pub state: PathBuf,
}

impl Survive {
    /// Where the state is unless the file says otherwise.
    pub const DEFAULT_STATE: &str = "/run/bulwark/state";
}

/// None when nothing is to stay.
pub(super) fn read(section: &mut Section<'_>) -> Option<Survive> {
    let pin = read_path(section, "pin");
    let state = read_path(section, "state");
    if state.is_some() && !section.has("pin") {
        let mend = "set pin as well, as in pin = \"/sys/fs/bpf/bulwark\"";
        section.refuse("state", "is of no use without pin", mend);
    }
    Some(Survive {
        pin: pin?,
        state: state.unwrap_or_else(|| Survive::DEFAULT_STATE.into()),
    })
}

fn read_path(section: &mut Section<'_>, key: &'static str) -> Option<PathBuf> {
    let path: PathBuf = section.optional(key, &Expected::Text("an absolute path"))?;
    if !path.is_absolute() || path.parent().is_none() {
        let message = format!("{path:?} is not the absolute path of a directory");
        section.refuse(
            key,
            message,
            "begin it with /, and name a directory of its own",
        );
        return None;
    }
    Some(path)
}
