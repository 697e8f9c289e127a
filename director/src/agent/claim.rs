//! One agent an interface: a lock that goes with its process.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tracing::warn;

use super::AgentError;
use crate::neighbour::Link;

/// Where the locks are, which nobody else may take. The unit has it made.
const DIRECTORY: &str = "/run/bulwark-agent";

/// That no other agent runs on an interface of this network namespace, while this lives.
#[derive(Debug)]
pub(super) struct Claim(
    #[allow(dead_code, reason = "held: dropping it unlocks")] Option<Flock<File>>,
);

impl Claim {
    /// # Errors
    /// When another one runs there. Where that cannot be told, nothing is claimed.
    pub(super) fn of(link: &Link) -> Result<Self, AgentError> {
        let file = match open(link) {
            Ok(file) => file,
            Err(error) => {
                warn!(%error, "whether another agent runs on {} cannot be told", link.name);
                return Ok(Self(None));
            }
        };
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self(Some(lock))),
            Err((_, Errno::EWOULDBLOCK)) => Err(AgentError::Taken(link.name.to_string())),
            Err((_, error)) => {
                warn!(%error, "whether another agent runs on {} cannot be told", link.name);
                Ok(Self(None))
            }
        }
    }
}

fn open(link: &Link) -> io::Result<File> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(DIRECTORY)?;
    let network = fs::metadata("/proc/self/ns/net")?.ino();
    let path = Path::new(DIRECTORY).join(format!("{network}-{}", link.ifindex));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options.open(path)
}
