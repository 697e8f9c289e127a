//! One agent an interface: a lock that goes with its process.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tracing::warn;

use super::AgentError;
use crate::neighbour::Link;

/// Where the locks are, which nobody else may take. The unit has it made.
const DIRECTORY: &str = "/run/bulwark-agent";

/// That no other agent runs on an interface of this network namespace, while this lives.
#[derive(Debug)]
pub(super) struct Claim(Option<Lock>);

#[derive(Debug)]
struct Lock {
    file: Flock<File>,
    path: PathBuf,
}

impl Claim {
    /// # Errors
    /// When another one runs there. Where that cannot be told, nothing is claimed.
    pub(super) fn of(link: &Link) -> Result<Self, AgentError> {
        loop {
            match lock(link) {
                Ok(lock) if lock.is_in_place() => return Ok(Self(Some(lock))),
                // Its owner has removed it: what it locks is nobody's.
                Ok(_) => {}
                Err(Errno::EWOULDBLOCK) => return Err(AgentError::Taken(link.name.to_string())),
                Err(error) => {
                    warn!(%error, "whether another agent runs on {} cannot be told", link.name);
                    return Ok(Self(None));
                }
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(lock) = &self.0 {
            let _ = fs::remove_file(&lock.path);
        }
    }
}

impl Lock {
    fn is_in_place(&self) -> bool {
        let number = |about: io::Result<Metadata>| about.map(|about| about.ino()).ok();
        number(self.file.metadata()) == number(fs::metadata(&self.path))
    }
}

fn lock(link: &Link) -> Result<Lock, Errno> {
    let (file, path) =
        open(link).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    let locked = Flock::lock(file, FlockArg::LockExclusiveNonblock);
    let file = locked.map_err(|(_, error)| error)?;
    Ok(Lock { file, path })
}

fn open(link: &Link) -> io::Result<(File, PathBuf)> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(DIRECTORY)?;
    let network = fs::metadata("/proc/self/ns/net")?.ino();
    let path = Path::new(DIRECTORY).join(format!("{network}-{}", link.ifindex));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    Ok((options.open(&path)?, path))
}
