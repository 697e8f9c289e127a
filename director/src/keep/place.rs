//! The directory itself: on a tmpfs, locked, with a directory for each generation.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use tracing::warn;

use super::KeepError;
use super::room::Room;

const OWNER: &str = "owner";
/// A killed process gives its lock up when the kernel has taken it apart.
const PATIENCE: Duration = Duration::from_secs(2);

/// The directory of `[datapath] state`, for as long as this lives.
#[derive(Debug)]
pub(super) struct Place {
    directory: PathBuf,
    _lock: Flock<File>,
}

/// What one daemon has written.
#[derive(Debug)]
pub(super) struct Generation(PathBuf);

fn failed(path: PathBuf) -> impl FnOnce(io::Error) -> KeepError {
    |error| KeepError::File { path, error }
}

impl Place {
    pub(super) fn claim(directory: &Path) -> Result<Self, KeepError> {
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(directory);
        made.map_err(failed(directory.to_owned()))?;
        let system = statfs(directory).map_err(|e| failed(directory.to_owned())(e.into()))?;
        if system.filesystem_type() != TMPFS_MAGIC {
            return Err(KeepError::NotInMemory(directory.to_owned()));
        }
        let lock = lock(directory, PATIENCE)?;
        Ok(Self {
            directory: directory.to_owned(),
            _lock: lock,
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The number of the next generation, and the last one that has a file `mark`.
    pub(super) fn generations(&self, mark: &str) -> Result<(u64, Option<Generation>), KeepError> {
        let numbers = numbers(&self.directory).map_err(failed(self.directory.clone()))?;
        let next = numbers.iter().max().map_or(1, |number| number + 1);
        Ok((next, last_of(&self.directory, &numbers, mark)))
    }

    /// An empty generation.
    pub(super) fn begin(&self, number: u64) -> Result<Generation, KeepError> {
        let own = generation(&self.directory, number);
        let made = DirBuilder::new().mode(0o700).create(&own.0);
        made.map_err(failed(own.0.clone()))?;
        Ok(own)
    }

    /// Removes all generations but `kept`. One that cannot be removed does no harm: it is older, or
    /// not complete.
    pub(super) fn remove_others(&self, kept: Option<&Generation>) {
        for number in numbers(&self.directory).unwrap_or_default() {
            let other = generation(&self.directory, number);
            if kept.is_none_or(|kept| other.0 != kept.0) {
                let _ = fs::remove_dir_all(other.0);
            }
        }
    }

    /// Whether `needed` bytes fit, and before that what is taken over of `former` bytes, which go then.
    pub(super) fn check_room(&self, needed: u64, former: u64) -> Result<(), KeepError> {
        let free = self.free()?;
        let room = Room {
            free,
            former,
            needed,
        };
        let directory = self.directory.clone();
        if room.is_small() {
            let free = room.all();
            return Err(KeepError::Small {
                directory,
                free,
                needed,
            });
        }
        if room.is_full() {
            let needed = room.copied();
            return Err(KeepError::Full {
                directory,
                free,
                needed,
            });
        }
        if room.is_scarce() {
            self.tell_scarce(&room);
        }
        Ok(())
    }

    /// Bytes that nobody uses.
    fn free(&self) -> Result<u64, KeepError> {
        let system = statfs(&self.directory);
        let system = system.map_err(|e| failed(self.directory.clone())(e.into()))?;
        // A tmpfs without a limit says that it has no blocks at all.
        Ok(match system.blocks() {
            0 => u64::MAX,
            _ => system.blocks_available() * system.block_size() as u64,
        })
    }

    fn tell_scarce(&self, room: &Room) {
        let directory = self.directory.display();
        let (all, needed) = (room.all() >> 20, room.needed.div_ceil(1 << 20));
        let mend = match is_shared(&self.directory) {
            true => "others may fill it, too: mount a tmpfs of its own there",
            false => "raise it with `mount -o remount,size=`",
        };
        warn!(
            "{directory} has room for {all} MiB; full tables need {needed} MiB, and as much again while the next director takes them over; {mend}"
        );
    }
}

/// The last generation in `directory` that has a file `mark`, whoever has the directory.
pub(super) fn last(directory: &Path, mark: &str) -> Result<Option<Generation>, KeepError> {
    match numbers(directory) {
        Ok(numbers) => Ok(last_of(directory, &numbers, mark)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(directory.to_owned())(error)),
    }
}

fn last_of(directory: &Path, numbers: &[u64], mark: &str) -> Option<Generation> {
    let all = numbers
        .iter()
        .map(|number| (number, generation(directory, *number)));
    let complete = all.filter(|(_, generation)| generation.path(mark).exists());
    let last = complete.max_by_key(|(number, _)| *number);
    last.map(|(_, generation)| generation)
}

fn numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let entries = fs::read_dir(directory)?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| name.parse().ok()).collect())
}

fn generation(directory: &Path, number: u64) -> Generation {
    Generation(directory.join(number.to_string()))
}

impl Generation {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn failed(&self, name: &str) -> impl FnOnce(io::Error) -> KeepError + use<> {
        failed(self.path(name))
    }

    /// Bytes of memory that its files use.
    pub(super) fn bytes(&self) -> u64 {
        let files = fs::read_dir(&self.0).into_iter().flatten();
        let used = files.filter_map(|file| file.ok()?.metadata().ok());
        used.map(|used| used.blocks() * 512).sum()
    }

    pub(super) fn open(&self, name: &str) -> io::Result<File> {
        File::open(self.path(name))
    }

    pub(super) fn create(&self, name: &str) -> Result<File, KeepError> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create_new(true).mode(0o600);
        options.open(self.path(name)).map_err(self.failed(name))
    }

    /// Replaces a file: whoever reads it sees the old contents or the new ones. Each is written by one at a time.
    pub(super) fn write(&self, name: &str, contents: &[u8]) -> Result<(), KeepError> {
        let next = self.path(&format!("{name}.next"));
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&next);
        let written = file.and_then(|mut file| file.write_all(contents));
        let written = written.and_then(|()| fs::rename(&next, self.path(name)));
        written
            .inspect_err(|_| {
                // Where there is little room, the tables need it.
                let _ = fs::remove_file(&next);
            })
            .map_err(self.failed(name))
    }
}

/// The lock of a directory, with this process's id in it.
fn lock(directory: &Path, patience: Duration) -> Result<Flock<File>, KeepError> {
    let path = directory.join(OWNER);
    let failed = |error: io::Error| failed(path.clone())(error);
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600);
    let start = Instant::now();
    loop {
        let file = options.open(&path).map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) if is_at(&lock, &path) => {
                lock.set_len(0).map_err(failed)?;
                writeln!(lock, "{}", std::process::id()).map_err(failed)?;
                return Ok(lock);
            }
            // Its owner has removed it: what it locks is nobody's.
            Ok(_) => {}
            Err((_, Errno::EWOULDBLOCK)) if start.elapsed() < patience => {}
            Err((_, Errno::EWOULDBLOCK)) => {
                let text = fs::read_to_string(&path).unwrap_or_default();
                return Err(KeepError::Taken {
                    directory: directory.to_owned(),
                    owner: text.trim().parse().ok(),
                });
            }
            Err((_, error)) => return Err(failed(error.into())),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether `directory` is not where a file system is mounted, but a part of one that others use.
fn is_shared(directory: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|is| is.dev()).ok();
    directory.parent().and_then(device) == device(directory)
}

/// Whether `file` is what is at `path` now.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(own), Ok(there)) = (file.metadata(), fs::metadata(path)) else {
        return false;
    };
    (own.dev(), own.ino()) == (there.dev(), there.ino())
}

/// Removes all that is kept in `directory`, unless a daemon has it. False when none ever had it. What
/// else is there stays.
///
/// # Errors
/// [`KeepError::Taken`], or the file system's.
pub fn remove(directory: &Path) -> Result<bool, KeepError> {
    let owner = directory.join(OWNER);
    if !owner.exists() {
        return Ok(false);
    }
    let lock = lock(directory, Duration::ZERO)?;
    // What is locked goes before the lock: who comes next would not wait without it.
    let removed = remove_generations(directory).and_then(|()| fs::remove_file(&owner));
    // It may be where a tmpfs is mounted, or have others' in it.
    let _ = fs::remove_dir(directory);
    drop(lock);
    removed.map(|()| true).map_err(failed(directory.to_owned()))
}

fn remove_generations(directory: &Path) -> io::Result<()> {
    let mut all = numbers(directory)?.into_iter();
    all.try_for_each(|number| fs::remove_dir_all(generation(directory, number).0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waited_for_a_lock_that_is_removed_has_the_one_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(OWNER);
        let owner = lock(folder.path(), Duration::ZERO).unwrap();
        let next = thread::scope(|scope| {
            let waiting = scope.spawn(|| lock(folder.path(), Duration::from_secs(60)));
            thread::sleep(Duration::from_millis(100));
            fs::remove_file(&path).unwrap();
            drop(owner);
            waiting.join().unwrap().unwrap()
        });
        assert!(is_at(&next, &path));
        let third = lock(folder.path(), Duration::ZERO);
        assert!(matches!(third, Err(KeepError::Taken { .. })), "{third:?}");
    }
}
