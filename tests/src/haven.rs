//! Where a director leaves what outlives it: a BPF file system of its own and a directory on a tmpfs.
//! `ip netns exec` hides `/sys/fs/bpf`, but not what is mounted elsewhere.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use anyhow::Result;

use crate::director::Configuration;
use crate::process::output;

/// A tmpfs on every Linux.
const DIRECTORY: &str = "/dev/shm";
const STATE: &str = "state";
const PREFIX: &str = "bulwark-haven-";

static NEXT: AtomicU32 = AtomicU32::new(0);
static SWEEP: Once = Once::new();

/// A place for one director and those after it; with it goes the gate that is pinned there.
#[derive(Debug)]
pub struct Haven {
    directory: PathBuf,
}

impl Haven {
    /// Makes one.
    ///
    /// # Errors
    /// When nothing can be mounted.
    pub fn new() -> Result<Self> {
        SWEEP.call_once(sweep);
        let number = NEXT.fetch_add(1, Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let haven = Self {
            directory: Path::new(DIRECTORY).join(name),
        };
        fs::create_dir_all(haven.bpffs())?;
        output(
            Command::new("mount")
                .args(["-t", "bpf", "bpf"])
                .arg(haven.bpffs()),
        )?;
        Ok(haven)
    }

    /// Has a director keep everything here.
    #[must_use]
    pub fn shelter(&self, configuration: Configuration) -> Configuration {
        let text = |path: PathBuf| path.display().to_string();
        configuration
            .datapath("pin", text(self.pin()))
            .datapath("state", text(self.state()))
    }

    /// Gives what is kept a tmpfs of so many bytes, or changes the size of the one that it has.
    ///
    /// # Errors
    /// When that cannot be mounted.
    pub fn resize(&self, bytes: u64) -> Result<()> {
        let state = self.state();
        fs::create_dir_all(&state)?;
        let device = |path: &Path| fs::metadata(path).map(|there| there.dev());
        let options = match device(&state)? == device(&self.directory)? {
            true => format!("mode=0700,size={bytes}"),
            false => format!("remount,size={bytes}"),
        };
        let mount = ["-t", "tmpfs", "-o", &options, "tmpfs"];
        output(Command::new("mount").args(mount).arg(state)).map(drop)
    }

    /// Where the gate is pinned.
    pub fn pin(&self) -> PathBuf {
        self.bpffs().join("gate")
    }

    /// Where connections and the like are kept.
    pub fn state(&self) -> PathBuf {
        self.directory.join(STATE)
    }

    /// A file of the last generation that is kept.
    ///
    /// # Errors
    /// When nothing is kept.
    pub fn kept(&self, name: &str) -> Result<PathBuf> {
        let entries = fs::read_dir(self.state())?;
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let last: u64 = numbers.max().unwrap_or(0);
        Ok(self.state().join(last.to_string()).join(name))
    }

    fn bpffs(&self) -> PathBuf {
        self.directory.join("bpf")
    }
}

impl Drop for Haven {
    fn drop(&mut self) {
        remove(&self.directory);
    }
}

fn remove(directory: &Path) {
    for mounted in ["bpf", STATE] {
        let _ = output(
            Command::new("umount")
                .arg("-l")
                .arg(directory.join(mounted)),
        );
    }
    let _ = fs::remove_dir_all(directory);
}

/// Removes what a run that was killed has left.
fn sweep() {
    let Ok(entries) = fs::read_dir(DIRECTORY) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let owner = owner.and_then(|rest| rest.split_once('-'));
        if owner.is_some_and(|(id, _)| !Path::new("/proc").join(id).exists()) {
            remove(&entry.path());
        }
    }
}
