//! The gate under names in a BPF file system: it stays on its interfaces when the director ends, and
//! the next one goes on with it.
//!
//! ```text
//!  PIN/
//!    maps/NAME              all maps; `record` says of which layout they are, `ports` which interface
//!                           each port is
//!    maps-next/NAME         those of a gate that is being put in the place of the old one
//!    links/IFINDEX-MODE     what holds the program on an interface
//!    answers/IFINDEX        the same of the program at its tc egress, while real servers are on this host
//! ```
//!
//! The next director loads a gate of its own, with maps of its own but for those that count, fills
//! them, and then puts its program in the place of the old one: the gate is on its interfaces all
//! the time, and knows either all of the old services or all of the new ones.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, RenameFlags, renameat2};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use tracing::warn;

use super::carried::{COUNTERS, Carried};
use super::flows::{ARRAYS, LAYOUT as FLOWS_LAYOUT};
use super::limits::LIMIT_MAPS;
use super::ports::{self, Origins, PORTS};
use super::{GateError, Interface, XdpMode};
use crate::bpf_link;

/// `PINNED_LAYOUT` in `bpf/maps.h`.
const LAYOUT: u32 = 11;
const RECORD: &str = "record";
const MAPS: &str = "maps";
const NEXT: &str = "maps-next";
const LINKS: &str = "links";
const ANSWERS: &str = "answers";
/// Begins with the layout of the flow cache.
const HEADS: &str = "heads";
const ONLY: [u8; 4] = [0; 4];

/// The maps that a later director goes on with. Those of the flow cache go together, or not at all.
fn carried_names() -> impl Iterator<Item = &'static str> {
    std::iter::once(COUNTERS).chain(LIMIT_MAPS).chain(ARRAYS)
}

/// The names of one director's gate, for as long as it runs.
#[derive(Debug)]
pub struct Pins {
    directory: PathBuf,
    _lock: Flock<File>,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> GateError + '_ {
    |error| GateError::Pin {
        path: path.to_owned(),
        error,
    }
}

impl Pins {
    /// Claims `directory`, which is made if need be.
    ///
    /// # Errors
    /// It is in no BPF file system, or another director has it.
    pub fn claim(directory: &Path) -> Result<Self, GateError> {
        check_place(directory)?;
        for folder in [MAPS, LINKS] {
            make(&directory.join(folder))?;
        }
        let lock = lock(directory)?;
        // Where nothing can be written, it shows before anything is taken over.
        make_empty(&directory.join(NEXT))?;
        Ok(Self {
            directory: directory.to_owned(),
            _lock: lock,
        })
    }

    /// The link on an interface, with the mode of its program.
    pub(super) fn link(&self, ifindex: u32) -> Option<(XdpMode, OwnedFd)> {
        XdpMode::ALL.into_iter().find_map(|mode| {
            let link = bpf_link::open_pinned(&self.link_path(ifindex, mode)).ok()?;
            let is_there = bpf_link::interface_of(link.as_fd()).ok() == Some(ifindex);
            is_there.then_some((mode, link))
        })
    }

    /// Gives what holds the program on an interface its name, whatever had it.
    pub(super) fn put_back(
        &self,
        ifindex: u32,
        mode: XdpMode,
        link: BorrowedFd<'_>,
    ) -> Result<(), GateError> {
        renew(&self.link_path(ifindex, mode), link)
    }

    /// What to go on with, on these interfaces.
    pub(super) fn carried(&self, interfaces: &[Interface]) -> Carried {
        Carried::new(self.carried_maps(), self.origins(interfaces))
    }

    /// What the ports were to the pinned gate; none when it does not say.
    fn origins(&self, interfaces: &[Interface]) -> Option<Origins> {
        let former = ports::read(&self.map(PORTS)?);
        Some(Origins::of(&former, interfaces))
    }

    /// The maps to go on with. Of another layout that is the flow cache, if it has not changed itself,
    /// and of another network none.
    fn carried_maps(&self) -> Vec<MapHandle> {
        let (written, own) = (self.only(RECORD).unwrap_or_default(), record());
        let (names, lost) = match written.get(size_of::<u64>()..) {
            None => return Vec::new(),
            Some(_) if written == own => {
                let all = carried_names().filter_map(|name| self.map(name));
                return all.collect();
            }
            Some(network) if network == &own[size_of::<u64>()..] && self.has_same_flows() => {
                (&ARRAYS[..], "counts from zero")
            }
            Some(_) => (
                &[][..],
                "what it forwards is looked at anew, and it counts from zero",
            ),
        };
        warn!("the pinned gate is of another version or network namespace: it is replaced, {lost}");
        names.iter().filter_map(|name| self.map(name)).collect()
    }

    /// Whether the flow cache is laid out as this program's.
    fn has_same_flows(&self) -> bool {
        let head = self.only(HEADS);
        head.is_some_and(|head| head.starts_with(&FLOWS_LAYOUT.to_ne_bytes()))
    }

    /// What stands in a map with one entry.
    fn only(&self, name: &str) -> Option<Vec<u8>> {
        self.map(name)?.lookup(&ONLY, MapFlags::ANY).ok().flatten()
    }

    /// Gives names to what the gate has now, and takes away those of what it had.
    pub(super) fn settle<'a>(
        &self,
        maps: &[(String, MapHandle)],
        links: impl Iterator<Item = (u32, XdpMode, BorrowedFd<'a>)>,
    ) -> Result<(), GateError> {
        let mut own = Vec::new();
        for (ifindex, mode, link) in links {
            let path = self.link_path(ifindex, mode);
            if self.link(ifindex).is_none() {
                renew(&path, link)?;
            }
            own.push(path);
        }
        forget_others(&self.directory.join(LINKS), &own)?;
        self.settle_maps(maps)
    }

    /// Gives all maps their names at once: whoever comes next finds those of one gate, never of two.
    fn settle_maps(&self, maps: &[(String, MapHandle)]) -> Result<(), GateError> {
        let (now, next) = (self.directory.join(MAPS), self.directory.join(NEXT));
        make_empty(&next)?;
        for (name, map) in maps {
            if name == RECORD {
                let written = map.update(&ONLY, &record(), MapFlags::ANY);
                written.map_err(|error| GateError::Map { map: RECORD, error })?;
            }
            let path = next.join(name);
            bpf_link::pin(map.as_fd(), &path).map_err(failed(&path))?;
        }
        let exchange = RenameFlags::RENAME_EXCHANGE;
        let exchanged = renameat2(AT_FDCWD, &next, AT_FDCWD, &now, exchange);
        exchanged.map_err(|error| failed(&now)(error.into()))?;
        fs::remove_dir_all(&next).map_err(failed(&next))
    }

    /// Gives names to what holds the program at tc egress, and takes away all other such names.
    pub(super) fn keep_answers<'a>(
        &self,
        links: impl Iterator<Item = (u32, BorrowedFd<'a>)>,
    ) -> Result<(), GateError> {
        let folder = self.directory.join(ANSWERS);
        let mut own = Vec::new();
        for (ifindex, link) in links {
            make(&folder)?;
            let path = folder.join(ifindex.to_string());
            renew(&path, link)?;
            own.push(path);
        }
        if !folder.exists() {
            return Ok(());
        }
        forget_others(&folder, &own)
    }

    fn map(&self, name: &str) -> Option<MapHandle> {
        MapHandle::from_pinned_path(self.map_path(name)).ok()
    }

    fn map_path(&self, name: &str) -> PathBuf {
        self.directory.join(MAPS).join(name)
    }

    /// A BPF file system takes no dots, which names of interfaces may have.
    fn link_path(&self, ifindex: u32, mode: XdpMode) -> PathBuf {
        let name = format!("{ifindex}-{}", mode.name());
        self.directory.join(LINKS).join(name)
    }
}

/// Takes the gate of `directory` off its interfaces, with all that it knows, unless a director has
/// it. False when there was none. What else is there stays.
///
/// # Errors
/// [`GateError::NoBpffs`], [`GateError::Pinned`], or the file system's.
pub fn remove(directory: &Path) -> Result<bool, GateError> {
    check_place(directory)?;
    if !directory.exists() {
        return Ok(false);
    }
    let _lock = lock(directory)?;
    let mut removed = false;
    for folder in [LINKS, ANSWERS, MAPS, NEXT] {
        removed |= remove_folder(&directory.join(folder))?;
    }
    // It may be where the file system is mounted, or have others' in it.
    let _ = fs::remove_dir(directory);
    Ok(removed)
}

/// Whether `directory` has a gate, that of a director that runs or has ended.
///
/// # Errors
/// [`GateError::NoBpffs`]: nobody can tell.
pub fn is_pinned(directory: &Path) -> Result<bool, GateError> {
    check_place(directory)?;
    let links = paths_in(&directory.join(LINKS));
    Ok(links.is_ok_and(|links| !links.is_empty()))
}

/// Whether `directory` is, or can be made, in a BPF file system.
fn check_place(directory: &Path) -> Result<(), GateError> {
    let there = directory.ancestors().find(|path| path.exists());
    let system = there.and_then(|path| statfs(path).ok());
    match system.is_some_and(|system| system.filesystem_type() == BPF_FS_MAGIC) {
        true => Ok(()),
        false => Err(GateError::NoBpffs(directory.to_owned())),
    }
}

/// What this program writes into `record`.
fn record() -> Vec<u8> {
    let network = fs::metadata("/proc/self/ns/net").map_or(0, |file| file.ino());
    let head = u64::from(LAYOUT).to_le_bytes();
    head.into_iter().chain(network.to_ne_bytes()).collect()
}

fn lock(directory: &Path) -> Result<Flock<File>, GateError> {
    let file = File::open(directory).map_err(failed(directory))?;
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock);
    lock.map_err(|_| GateError::Pinned(directory.to_owned()))
}

fn make(folder: &Path) -> Result<(), GateError> {
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(folder);
    made.map_err(failed(folder))
}

/// Makes a folder with nothing in it, whatever a director has left there that was killed.
fn make_empty(folder: &Path) -> Result<(), GateError> {
    remove_folder(folder)?;
    make(folder)
}

/// False when there was none.
fn remove_folder(folder: &Path) -> Result<bool, GateError> {
    match fs::remove_dir_all(folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(folder)(error)),
    }
}

/// Lets `path` stand for `object`, whatever it stood for.
fn renew(path: &Path, object: BorrowedFd<'_>) -> Result<(), GateError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(path)(error)),
        _ => bpf_link::pin(object, path).map_err(failed(path)),
    }
}

/// Takes away the names in `folder` that are not among `own`.
fn forget_others(folder: &Path, own: &[PathBuf]) -> Result<(), GateError> {
    for path in paths_in(folder).map_err(failed(folder))? {
        if !own.contains(&path) {
            fs::remove_file(&path).map_err(failed(&path))?;
        }
    }
    Ok(())
}

fn paths_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect()
}
